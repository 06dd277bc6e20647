"""Classes from the sums of their rows: mean cosines within and across, and their share of the variance."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor

from labkit.metrics.classes import share_between


@dataclass(frozen=True)
class Moments:
    """Of some rows: the sum and the number of each class, and what rows of one class and group have in common.

    inside: (C,) the sum of cosines over pairs of one class and one group, each row with itself included; mates: how many.
    """

    sums: Float[Tensor, "c d"]
    sizes: Float[Tensor, "c"]
    inside: Float[Tensor, "c"]
    mates: Float[Tensor, "c"]

    def cosines(self) -> Tensor:
        """(C,) mean cosine of two rows of the class, of different groups; NaN where there are none."""
        return self.products() / self.pairs()

    @cached_property
    def squares(self) -> Tensor:
        return self.sums.square().sum(1)

    def products(self) -> Tensor:
        return self.squares - self.inside

    def pairs(self) -> Tensor:
        return self.sizes.square() - self.mates

    def tolerance(self) -> Tensor:
        """Mean cosine over all pairs of one class, of different groups."""
        return self.products().sum() / self.pairs().sum()

    def between(self) -> Tensor:
        """The share of the variance that lies between the classes."""
        return share_between(self.squares, self.sizes, self.sums.sum(0).square().sum())

    def across(self) -> Tensor:
        """(C, C) mean cosine of a row of one class and a row of another; -inf on the diagonal."""
        found = (self.sums @ self.sums.T) / (self.sizes[:, None] * self.sizes)
        return found.fill_diagonal_(-torch.inf)

    def towards(self, others: Tensor) -> Tensor:
        """(C,) the same, of each class and its partner in `others`."""
        return (self.sums * self.sums[others]).sum(1) / (self.sizes * self.sizes[others])


class Members:
    """The moments of a cloud and its labels, for any of its rows; those must be whole groups."""

    def __init__(self, points: Tensor, y: Tensor, groups: Tensor, classes: int):
        self.points, self.y, self.classes = points, y, classes
        cells, cell = torch.stack([y, groups], 1).unique(dim=0, return_inverse=True)
        sizes = torch.bincount(cell).double()
        self.own = (summed(points, cell, torch.arange(len(y)), len(cells)).square().sum(1) / sizes)[cell]
        self.mates = sizes[cell]

    def of(self, rows: Tensor) -> Moments:
        y = self.y[rows]
        sizes = torch.bincount(y, minlength=self.classes).double()
        inside, mates = (torch.bincount(y, values[rows], self.classes) for values in (self.own, self.mates))
        return Moments(summed(self.points, y, rows, self.classes), sizes, inside, mates)

    def read(
        self, halves: Sequence[Tensor], meters: Mapping[str, Callable[[Moments], Tensor]]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Each meter on all rows, and `(draws, ...)` on the halves; the moments of a half are large, and made once."""
        found = []
        for rows in (torch.arange(len(self.y)), *halves):
            moments = self.of(rows)
            found.append([meter(moments) for meter in meters.values()])
        return {
            name: (column[0], torch.stack(column[1:])) for name, column in zip(meters, zip(*found, strict=True), strict=True)
        }


def summed(points: Tensor, y: Tensor, rows: Tensor, classes: int) -> Float[Tensor, "c d"]:
    """The sum of `rows` of each class, without a copy of them."""
    ones = torch.ones(len(rows), dtype=points.dtype).numpy()
    return torch.from_numpy(csr_array((ones, (y.numpy(), rows.numpy())), shape=(classes, len(points))) @ points.numpy())
