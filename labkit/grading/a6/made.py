"""Made-up rows of which it is known beforehand how often a probe will be right."""

from collections.abc import Sequence

import torch
from torch import Tensor

from labkit.grading.draw import Draw

JITTER = 0.02


def said(draw: Draw, truth: Tensor, kinds: int, accuracy: float) -> Tensor:
    """Labels as rows are going to claim them: the true ones in this share of the rows, and others elsewhere."""
    claimed = truth.clone()
    for row in draw.permutation(len(truth))[round(accuracy * len(truth)) :]:
        claimed[row] = (truth[row] + draw.integer(1, kinds - 1)) % kinds
    return claimed


def frame(draw: Draw, d: int) -> Tensor:
    """Directions at right angles, turned at random."""
    turned: Tensor = torch.linalg.qr(draw.rows(d, d, torch.float64))[0]
    return turned


def rows(draw: Draw, directions: Tensor, *claims: Tensor) -> Tensor:
    """One direction for each claim, added up: a linear probe reads what a row claims, whether it is true or not."""
    first, total = 0, JITTER * draw.rows(len(claims[0]), len(directions), torch.float64)
    for claimed in claims:
        total = total + directions[first + claimed]
        first += int(claimed.max()) + 1
    return total.float()


def labels(draw: Draw, sizes: Sequence[float], n: int) -> Tensor:
    """Labels 0, 1, ... of n rows in these proportions, shuffled."""
    ends = (torch.tensor(sizes).cumsum(0) / sum(sizes) * n).round()
    sorted_labels = (torch.arange(n)[:, None] >= ends).sum(1).clamp(max=len(sizes) - 1)
    return sorted_labels[draw.permutation(n)]
