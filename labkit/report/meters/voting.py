"""What its neighbours say of every row, in the sample and in each half of it."""

from copy import copy

import torch
from torch import Tensor

from labkit.metrics import Estimate
from labkit.metrics.classes import winners
from labkit.metrics.neighbours import Nearest
from labkit.report.meters.labelled import Labelled
from labkit.report.meters.neighbourhood import Neighbourhood
from labkit.report.meters.shares import share


class Votes:
    """Who is told right by the k nearest, in the sample and in as many halves as wanted (all of them by default)."""

    def __init__(self, told: Labelled, cloud: Neighbourhood, y: Tensor, draws: int | None = None):
        drawn, k = told.drawn[:draws], told.k
        near = [Nearest(*(part[:, :k] for part in cloud.near)), *(cloud.halved(rows, k) for rows in drawn)]
        self.near, self.rows, self.classes = near, [torch.arange(len(y)), *drawn], len(told.names)
        self.count(y)

    def count(self, y: Tensor) -> None:
        self.y = y
        self.said = [winners(some, y[rows]) for some, rows in zip(self.near, self.rows, strict=True)]
        self.right = [(said == y[rows]).double() for said, rows in zip(self.said, self.rows, strict=True)]

    def again(self, y: Tensor) -> "Votes":
        """The same neighbours with other labels."""
        other = copy(self)
        other.count(y)
        return other

    def accuracy(self) -> Estimate | None:
        value, *found = (right.mean().item() for right in self.right)
        return share(value, found, len(self.y))

    def recall(self) -> tuple[Tensor, Tensor]:
        """(C,) of each class, and (draws, C) in the halves; NaN where a half has no row of it."""
        sums = [torch.bincount(self.y[rows], right, self.classes) for right, rows in zip(self.right, self.rows, strict=True)]
        sizes = [torch.bincount(self.y[rows], minlength=self.classes) for rows in self.rows]
        found = torch.stack(sums) / torch.stack(sizes)
        return found[0], found[1:]

    def confusion(self) -> Tensor:
        """(C, C + 1) how often rows of one class are told to be of another; last: nobody was there to vote."""
        said = self.said[0].masked_fill(self.said[0] < 0, self.classes)
        wide = self.classes + 1
        return torch.bincount(self.y * wide + said, minlength=self.classes * wide).view(self.classes, wide)
