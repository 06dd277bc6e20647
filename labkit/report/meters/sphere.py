"""What the sections on one cloud share: unit rows, sums over all but one fold of them, random directions."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.directions import unit
from labkit.metrics import Estimate
from labkit.report.drawing import Folds, folds
from labkit.report.pieces import Null, Sample

LEAST = 4  # rows or groups, so that three are left where one is left out
COLLAPSED = 1e-12  # variance of unit rows below which they are one point, up to rounding


class Cloud(NamedTuple):
    """Rows as given, and of length one."""

    given: Float[Tensor, "n d"]
    points: Float[Tensor, "n d"]

    @property
    def centred(self) -> Float[Tensor, "n d"]:
        return self.points - self.points.mean(0)


def clouds(sample: Sample) -> dict[str, Cloud]:
    """z1, z2 and the untrained rows, those that there are."""
    given = {"z1": sample.z1, "z2": sample.z2, "untrained": sample.untrained}
    return {name: Cloud(z.double(), unit(z.double())) for name, z in given.items() if z is not None}


def parts(sample: Sample) -> Folds:
    """The folds of a sample, the same in every section."""
    return folds(len(sample), sample.groups, seed=sample.seed)


def too_few(sample: Sample) -> str:
    """What is needed for any interval, or "" where it is there."""
    if len(sample) < LEAST:
        return f"at least {LEAST} rows, got {len(sample)}"
    if sample.groups is not None and (many := len(sample.groups.unique())) < LEAST:
        return f"at least {LEAST} groups, got {many}: rows of one group count as one"
    return ""


def collapsed(cloud: Cloud) -> bool:
    return float(cloud.centred.square().sum()) < COLLAPSED * len(cloud.points)


def without(
    rows: Float[Tensor, "n d"], drawn: Folds, sum_of: Callable[[Tensor], Tensor] = lambda some: some.sum(0)
) -> Iterator[Tensor]:
    """A sum over rows without each fold, added up from the folds' own: a difference would lose what one large row hides."""
    sums, after = [sum_of(rows[some]) for some in drawn.rows], [sum_of(rows[drawn.rest])]
    for some in reversed(sums[1:]):
        after.append(after[-1] + some)
    before = torch.zeros_like(after[0])
    for some in sums:
        yield before + after.pop()
        before = before + some


def isotropic(n: int, d: int, seed: int) -> Float[Tensor, "n d"]:
    """Random directions: unit rows, evenly spread over the sphere."""
    return unit(torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def at_random(n: int, d: int, estimate: Estimate) -> Null:
    return Null("isotropic", f"random directions, n = {n:,}, d = {d:,}", estimate)


def untrained(estimate: Estimate) -> Null:
    return Null("untrained", "the same inputs before training", estimate)
