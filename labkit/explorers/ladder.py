"""Where the arrows on an anchor begin, one beneath the other, and which of them carry a name."""

import numpy as np
import torch
from torch import Tensor

RUNGS = [0.94, 0.88, 0.765, 0.65, 0.535, *np.linspace(0.475, 0.115, 7).round(3).tolist()]  # of arrows on an anchor, inwards
APART = 0.11  # two names that are nearer than this would lie on each other
TIP = 0.08  # from an arrow to its name
NAMED = 0.12  # arrows longer than this carry the name of who exerts the force


def rungs(angle: Tensor, anchor: int, flat: bool) -> Tensor:
    """How far out each arrow on the anchor begins: the nearest point's on top, the farthest's in the middle."""
    if not flat:
        return torch.ones(len(angle), dtype=angle.dtype)
    order = (angle * 1e6).round().argsort(stable=True)
    rank = torch.zeros_like(order)
    rank[order[order != anchor]] = torch.arange(1, len(order))
    return torch.tensor(RUNGS, dtype=torch.double)[rank]


def hidden(at: Tensor, length: Tensor, told: Tensor) -> Tensor:
    """Names that would lie on that of a longer arrow."""
    near = (at[:, None] - at[None]).norm(dim=-1) < APART
    return (near & told[None] & (length[None] > length[:, None])).any(1)
