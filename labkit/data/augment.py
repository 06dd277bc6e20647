"""Views: batched on the tensor's device, with parameters of its own for every sample, seeded by a generator.

`build(name, **options)` gives `augment(x, generator) -> view`, a float tensor; images come out in [0, 1].
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Augment = Callable[[Tensor, torch.Generator | None], Tensor]


def build(call_or_name: Any, **options: Any) -> Augment:
    """An augmentation by name, or by a call that has `.name` and `.kwargs`.

    >>> view = build("noise", sigma=0.1)(torch.zeros(2, 3), torch.Generator().manual_seed(0))
    >>> view.shape
    torch.Size([2, 3])
    """
    if not isinstance(call_or_name, str):
        call_or_name, options = call_or_name.name, {**call_or_name.kwargs, **options}
    if call_or_name not in AUGMENTATIONS:
        raise ValueError(f"there is no augmentation called {call_or_name!r}; there are {', '.join(sorted(AUGMENTATIONS))}")
    return AUGMENTATIONS[call_or_name](**options)


def to_float(x: Tensor) -> Tensor:
    """uint8 images become numbers of [0, 1]; floats stay as they are; indices too."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def none() -> Augment:
    """No augmentation: both views are the input."""

    def augment(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return to_float(x)

    return augment


def noise(sigma: float = 0.1) -> Augment:
    """Gaussian noise of standard deviation `sigma` on every number (a white pixel is 1)."""

    def augment(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        x = to_float(x)
        return x + sigma * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)

    return augment


AUGMENTATIONS: dict[str, Callable[..., Augment]] = {"none": none, "noise": noise}
