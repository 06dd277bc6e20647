"""Moving pixels: every geometric step is a matrix for every image, a chain of them is one matrix and one sampling."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Range = tuple[float, float]
# (images, generator) -> (n, 3, 3): where each point of the view comes from, in coordinates of [-1, 1]
Matrices = Callable[[Tensor, torch.Generator | None], Tensor]


class Warp:
    """A geometric step as an augmentation of its own; `Warp.chain` makes several of them one."""

    def __init__(self, matrices: Matrices):
        self.matrices = matrices

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        x = x.float() / 255 if x.dtype == torch.uint8 else x
        grid = F.affine_grid(self.matrices(x, generator)[:, :2].to(x.dtype), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)  # bilinear, black outside

    @classmethod
    def chain(cls, steps: Sequence["Warp"]) -> "Warp":
        """The same as one step after the other, but the pixels are interpolated only once."""

        def matrices(x: Tensor, generator: torch.Generator | None) -> Tensor:
            total = torch.eye(3, device=x.device).expand(len(x), 3, 3)
            for step in steps:
                total = total @ step.matrices(x, generator)
            return total

        return cls(matrices)


def crop(scale: Range = (0.2, 1.0), ratio: Range = (3 / 4, 4 / 3)) -> Warp:
    """A rectangle of the image, enlarged to its whole size.

    Args:
        scale: the share of the area, drawn uniformly.
        ratio: width by height, drawn log-uniformly; a side longer than the image is cut to it.
    """

    def matrices(x: Tensor, generator: torch.Generator | None) -> Tensor:
        area, aspect = uniform(x, generator, *scale), uniform(x, generator, *map(math.log, ratio)).exp()
        width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
        right, down = (1 - width) * uniform(x, generator, -1, 1), (1 - height) * uniform(x, generator, -1, 1)
        return rows((width, 0, right), (0, height, down))

    return Warp(matrices)


def flip(p: float = 0.5) -> Warp:
    """Left becomes right, with probability `p`."""

    def matrices(x: Tensor, generator: torch.Generator | None) -> Tensor:
        sign = 1 - 2 * (uniform(x, generator, 0, 1) < p).float()
        return rows((sign, 0, 0), (0, torch.ones_like(sign), 0))

    return Warp(matrices)


def affine(degrees: float = 15.0, translate: float = 0.1, scale: Range = (0.85, 1.15), shear: float = 10.0) -> Warp:
    """Turned, slanted, resized and moved, all about the middle.

    Args:
        degrees, shear: angles up to which it is turned and slanted, either way.
        translate: how far it moves at most, as a share of its width and height.
        scale: by how much it grows.
    """

    def matrices(x: Tensor, generator: torch.Generator | None) -> Tensor:
        turn, slant = (uniform(x, generator, -a, a) * math.pi / 180 for a in (degrees, shear))
        grow = uniform(x, generator, *scale)
        right, down = (2 * uniform(x, generator, -translate, translate) for _ in range(2))
        tall = x.shape[-2] / x.shape[-1]  # coordinates are of [-1, 1] both ways, angles are of pixels
        cos, sin, tan = turn.cos() / grow, turn.sin() / grow, slant.tan()
        return rows((cos, (sin + cos * tan) * tall, right), (-sin / tall, cos - sin * tan, down))

    return Warp(matrices)


def uniform(x: Tensor, generator: torch.Generator | None, low: float, high: float) -> Tensor:
    """One number for each image."""
    return low + (high - low) * torch.rand(len(x), generator=generator, device=x.device)


def rows(first: tuple, second: tuple) -> Tensor:
    """The (n, 3, 3) matrices with these two rows, whose entries are one number for each image or 0."""
    like = first[0]
    full = [
        torch.as_tensor(value, dtype=like.dtype, device=like.device).expand_as(like) for value in (*first, *second, 0, 0, 1)
    ]
    return torch.stack(full, dim=-1).view(-1, 3, 3)
