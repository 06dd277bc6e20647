"""The clouds of a sample as unit rows, each with its neighbours: found once, and shared by the sections that ask for them."""

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.directions import unit
from labkit.metrics.neighbours import Nearest, both_ways, nearest
from labkit.report.meters.sphere import COLLAPSED, isotropic
from labkit.report.pieces import Sample

LONG = 80  # neighbours kept of every row: of 4 k, k and more lie in a half of the sample, for nearly every row
KEPT: WeakKeyDictionary[Sample, dict[str, "Neighbourhood"]] = WeakKeyDictionary()


class Both:
    """Who is near whom across two clouds, found when first asked for."""

    def __init__(self, a: Tensor, b: Tensor):
        self.sides = a, b

    @cached_property
    def near(self) -> tuple[Nearest, Nearest]:
        return both_ways(*self.sides, k=min(LONG, len(self.sides[0])))


@dataclass(frozen=True)
class Neighbourhood:
    """Unit rows and their neighbours.

    queries: who asks for neighbours; None where the rows ask each other.
    groups: rows of one group are no neighbours.
    """

    points: Float[Tensor, "n d"]
    queries: Float[Tensor, "n d"] | None = None
    groups: Int[Tensor, "n"] | None = None
    both: Both | None = None

    @cached_property
    def near(self) -> Nearest:
        if self.both is not None:
            return self.both.near[self.queries is not self.both.sides[0]]
        if self.queries is not None:
            return nearest(self.queries, self.points, k=min(LONG, len(self.points)))
        return nearest(self.points, k=min(LONG, len(self.points) - 1), groups=self.groups)

    @property
    def collapsed(self) -> bool:
        """Whether all rows (of one side) point the same way."""
        sides = [self.points] if self.queries is None else [self.points, self.queries]
        return any(float(1 - side.mean(0).square().sum()) < COLLAPSED for side in sides)

    def halved(self, rows: Int[Tensor, "m"], k: int) -> Nearest:
        """Of each of `rows` the k nearest among them, numbered within them; k is smaller than their number."""
        place = torch.full((len(self.points),), -1)
        place[rows] = torch.arange(len(rows))
        names, cosines = place[self.near.rows[rows, : 4 * k]], self.near.cosines[rows, : 4 * k]
        among = (names >= 0) & (cosines > -torch.inf)
        first = among & (among.cumsum(1) <= k)
        enough = first.sum(1) == k
        found = Nearest(cosines.new_full((len(rows), k), -torch.inf), names.new_zeros(len(rows), k))
        for part, chosen in zip(found, (cosines, names), strict=True):
            part[enough] = chosen[enough][first[enough]].view(-1, k)
        if not enough.all():  # the long list was too short for them: look at everyone again
            again = self.asked((~enough).nonzero().squeeze(1), rows).topk(k)
            found.cosines[~enough], found.rows[~enough] = again.values, again.indices
        return found

    def asked(self, some: Tensor, rows: Tensor) -> Tensor:
        """The cosines of `rows[some]` with `rows`, -inf where they are no neighbours."""
        asking = self.points if self.queries is None else self.queries
        cosines = (asking[rows[some]] @ self.points.T)[:, rows]  # of all rows: cheaper than a copy of some
        if self.queries is not None:
            return cosines
        groups = torch.arange(len(self.points)) if self.groups is None else self.groups
        return cosines.masked_fill_(groups[rows[some], None] == groups[rows], -torch.inf)


def neighbourhood(sample: Sample, name: str) -> Neighbourhood:
    """Of "z1", "z2", "untrained", "isotropic 64" (as many random directions in 64 dimensions as the sample has rows),
    "another 64" (more of them), or "z1 among z2": z1's rows ask for z2's.
    """
    kept = KEPT.setdefault(sample, {})
    if name not in kept:
        asking, _, asked = name.rpartition(" among ")
        if asking.startswith("another"):  # a null, wanted one way
            kept[name] = Neighbourhood(neighbourhood(sample, asked).points, neighbourhood(sample, asking).points)
        elif asking:
            kept |= across(sample, asking, asked)
        else:
            kept[name] = Neighbourhood(directions(sample, name), groups=copies(sample) if name == "z1" else None)
    return kept[name]


def kin(sample: Sample) -> Tensor | None:
    """Who belongs together: the groups that were given, or pairs that share a row of z1; None where every row is on its own."""
    return sample.groups if sample.groups is not None else copies(sample)


def copies(sample: Sample) -> Tensor | None:
    """Which row of z1 each is, where pairs made some come more than once: no row is its own neighbour."""
    many, which = sample.rows.unique(return_inverse=True)
    return which if len(many) < len(which) else None


def across(sample: Sample, one: str, other: str) -> dict[str, Neighbourhood]:
    """Both ways, from one product of the two."""
    a, b = neighbourhood(sample, one).points, neighbourhood(sample, other).points
    found = Both(a, b)
    return {f"{one} among {other}": Neighbourhood(b, a, both=found), f"{other} among {one}": Neighbourhood(a, b, both=found)}


def directions(sample: Sample, name: str) -> Tensor:
    """The unit rows of that name."""
    kind, _, width = name.partition(" ")
    if width:
        return isotropic(len(sample), int(width), sample.seed + (kind == "another"))
    return unit(getattr(sample, name).double())
