"""Free points: no network, no data, only a loss and the sphere. Every step is kept, so that a figure can walk through them."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def descend(
    start: Float[Tensor, "*n d"], loss: Callable[[Tensor], Tensor], *, steps: int = 200, lr: float = 0.05
) -> Float[Tensor, "steps *n d"]:
    """Where free points go when Adam lowers `loss(z)`, step by step.

    Args:
        start: where they begin; any number of leading dimensions, such as views.
        loss: one number from the points, which it normalises itself.
        steps: of Adam.
        lr: its learning rate.

    Returns:
        Unit rows, `(steps + 1, *start.shape)`: the first is `start`, the last where they end.

    >>> from labkit.metrics import uniformity
    >>> path = descend(torch.tensor([[1.0, 0.1], [1.0, -0.1]]), uniformity)
    >>> path[-1, 0] @ path[-1, 1]           # two points end opposite to each other
    tensor(-1.)
    """
    z = start.clone().requires_grad_()
    optimizer, path = torch.optim.Adam([z], lr=lr), []
    for _ in range(steps):
        path.append(F.normalize(z.detach(), dim=-1))
        optimizer.zero_grad()
        loss(z).backward()
        optimizer.step()
    return torch.stack([*path, F.normalize(z.detach(), dim=-1)])
