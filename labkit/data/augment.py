"""Views: batched on the tensor's device, with parameters of its own for every sample, seeded by a generator.

`build(name, **options)` gives `augment(x, generator) -> view`, a float tensor; images are numbers of [0, 1] then, and only
"noise" leaves that range. Several steps are a tuple of calls, or one of the presets "digits", "fashion" and "cifar".
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.data.warp import Range, Warp, affine, crop, flip, uniform

Augment = Callable[[Tensor, torch.Generator | None], Tensor]


def build(call_or_name: Any, **options: Any) -> Augment:
    """An augmentation by name, by a call that has `.name` and `.kwargs`, or several calls one after the other.

    >>> view = build("noise", sigma=0.1)(torch.zeros(2, 3), torch.Generator().manual_seed(0))
    >>> view.shape
    torch.Size([2, 3])
    """
    if isinstance(call_or_name, (tuple, list)):
        return compose(*map(build, call_or_name))
    if not isinstance(call_or_name, str):
        call_or_name, options = call_or_name.name, {**call_or_name.kwargs, **options}
    if call_or_name not in AUGMENTATIONS:
        raise ValueError(f"there is no augmentation called {call_or_name!r}; there are {', '.join(sorted(AUGMENTATIONS))}")
    return AUGMENTATIONS[call_or_name](**options)


def compose(*steps: Augment) -> Augment:
    """One step after the other; geometric steps that follow each other are sampled once."""
    merged: list[Augment] = []
    for step in steps:
        if merged and isinstance(step, Warp) and isinstance(merged[-1], Warp):
            merged[-1] = Warp.chain([merged[-1], step])
        else:
            merged.append(step)

    def augment(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        x = to_float(x)
        for step in merged:
            x = step(x, generator)
        return x

    return augment


def to_float(x: Tensor) -> Tensor:
    """uint8 images become numbers of [0, 1]; everything else stays as it is."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


# ---------------------------------------------------------------- of any tensor


def none() -> Augment:
    """No augmentation: both views are the input."""
    return compose()


def noise(sigma: float = 0.1) -> Augment:
    """Gaussian noise of standard deviation `sigma` on every number (a white pixel is 1)."""

    def augment(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        x = to_float(x)
        return x + sigma * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)

    return augment


def dim_noise(sigma: float = 1.0, first: int = 8) -> Augment:
    """Gaussian noise on the dimensions of points from number `first` on (counted from 0): those are what views disagree on."""

    def augment(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x + sigma * torch.randn(x.shape, generator=generator, device=x.device) * (
            torch.arange(x.shape[1], device=x.device) >= first
        )

    return augment


# ---------------------------------------------------------------- of colours


def jitter(
    brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.0, hue: float = 0.0, p: float = 1.0
) -> Augment:
    """Lighter or darker, harder or softer, more or less colourful, another hue; each by a factor of `1 ± its number`.

    In this order for every image (torchvision draws the order). `hue` turns the colours about the grey axis by up to this share
    of a full turn. With probability `1 - p` an image stays as it is.
    """

    def augment(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        x = to_float(x)
        light, hard, rich = (
            uniform(x, generator, max(0, 1 - a), 1 + a)[:, None, None, None] for a in (brightness, contrast, saturation)
        )
        turn = 2 * math.pi * uniform(x, generator, -hue, hue)
        changed = (light * x).clamp(0, 1)
        mean = lightness(changed).mean((1, 2, 3), keepdim=True)
        changed = (mean + hard * (changed - mean)).clamp(0, 1)
        if x.shape[1] == 3:
            changed = lightness(changed) + rich * (changed - lightness(changed))
            changed = torch.einsum("nij,njhw->nihw", about_grey(turn), changed)
        return mixed(x, changed.clamp(0, 1), p, generator)

    return augment


def grey(p: float = 0.2) -> Augment:
    """Colours are lost with probability `p`."""

    def augment(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        x = to_float(x)
        return mixed(x, lightness(x).expand(x.shape), p, generator)

    return augment


def lightness(x: Tensor) -> Tensor:
    """The lightness of each pixel `(n, 1, h, w)`, as eyes weigh the colours."""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    weights = torch.tensor([0.299, 0.587, 0.114], device=x.device, dtype=x.dtype)
    return torch.einsum("nchw,c->nhw", x, weights)[:, None]


def about_grey(turn: Tensor) -> Tensor:
    """The rotations of colour space about its grey diagonal (Rodrigues' formula), `(n, 3, 3)`."""
    axis = torch.full((3,), 1 / math.sqrt(3), device=turn.device)
    cross = torch.linalg.cross(torch.eye(3, device=turn.device), axis.expand(3, 3))
    cos, sin = turn.cos()[:, None, None], turn.sin()[:, None, None]
    return cos * torch.eye(3, device=turn.device) + sin * cross + (1 - cos) * torch.outer(axis, axis)


def mixed(x: Tensor, changed: Tensor, p: float, generator: torch.Generator | None) -> Tensor:
    """Each image changed with probability `p`."""
    if p >= 1:
        return changed
    return torch.where((uniform(x, generator, 0, 1) < p)[:, None, None, None], changed, x)


# ---------------------------------------------------------------- of sharpness and area


def blur(sigma: Range = (0.1, 2.0), p: float = 0.5) -> Augment:
    """A Gaussian blur whose width, in pixels, is drawn for every image; edges are mirrored."""

    def augment(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        x = to_float(x)
        n, c, h, w = x.shape
        radius = min(math.ceil(2 * sigma[1]), min(h, w) - 1)
        offsets = torch.arange(-radius, radius + 1, device=x.device)
        kernel = (-(offsets**2) / (2 * uniform(x, generator, *sigma)[:, None] ** 2)).softmax(-1).repeat_interleave(c, 0)
        flat = F.pad(x, (radius,) * 4, mode="reflect").reshape(1, n * c, h + 2 * radius, w + 2 * radius)
        flat = F.conv2d(flat, kernel[:, None, :, None], groups=n * c)
        flat = F.conv2d(flat, kernel[:, None, None, :], groups=n * c)
        return mixed(x, flat.reshape(n, c, h, w), p, generator)

    return augment


def cutout(size: float = 0.3, p: float = 1.0) -> Augment:
    """A black square, its side this share of the image's, somewhere inside it; another place for every image."""

    def augment(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        x = to_float(x)
        inside = []
        for length in x.shape[-2:]:
            side = max(1, round(size * length))
            start = (uniform(x, generator, 0, 1) * (length - side + 1)).floor()[:, None]
            at = torch.arange(length, device=x.device)
            inside.append((at >= start) & (at < start + side))
        hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
        return mixed(x, x.masked_fill(hole, 0), p, generator)

    return augment


# ---------------------------------------------------------------- ready-made


def digits(strength: float = 1.0) -> Augment:
    """For handwriting: turned, slanted, resized, moved a little, never mirrored."""
    grow = (1 - 0.15 * strength, 1 + 0.15 * strength)
    return compose(affine(15 * strength, 0.1 * strength, grow, 10 * strength), noise(0.1 * strength))


def fashion() -> Augment:
    """For clothes in grey: a part of them, mirrored or not, lighter or darker."""
    return compose(crop((0.3, 1.0)), flip(), jitter(0.4, 0.4))


def cifar() -> Augment:
    """For small colour photographs: SimCLR's steps without the blur, colours at half strength, as its authors do for CIFAR."""
    return compose(crop((0.2, 1.0)), flip(), jitter(0.4, 0.4, 0.4, 0.1, p=0.8), grey(0.2))


AUGMENTATIONS: dict[str, Callable[..., Augment]] = {
    step.__name__: step
    for step in (none, noise, dim_noise, crop, flip, affine, jitter, grey, blur, cutout, digits, fashion, cifar)
}
