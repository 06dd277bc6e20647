"""How sure a number is: the meter on parts of the sample, drawn without replacement, whole groups at a time.

Halves for what looks at single rows or at neighbours; for a cloud's mean, spectrum and distances all but one of twenty folds.
Half of the rows have half as large a rank where n is not much above d, and it varies half as much: at n = d intervals from
halves would be 0.4 to 0.8 of what they should be, those from folds are 0.9 to 1.7 of it.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from scipy import special
from torch import Tensor

from labkit.metrics import Estimate
from labkit.report.pieces import LEVEL, Sample

FOLDS = 20  # parts of the sample, each of which is left out once
DRAWS = 40  # halves of the sample: enough for a 95 % interval, few enough for a minute


def halves(n: int, groups: Tensor | None = None, *, seed: int = 0, draws: int = DRAWS) -> list[Tensor]:
    """Row numbers of `draws` random halves, sorted; with groups, of half of the groups.

    >>> [len(rows) for rows in halves(10, draws=3)]
    [5, 5, 5]
    """
    generator = torch.Generator().manual_seed(seed)
    if groups is None:
        return [torch.randperm(n, generator=generator)[: n // 2].sort().values for _ in range(draws)]
    many = int(groups.max()) + 1
    chosen = [torch.randperm(many, generator=generator)[: many // 2] for _ in range(draws)]
    return [torch.isin(groups, some).nonzero().squeeze(1) for some in chosen]


def around(value: float, found: Sequence[float], level: float = LEVEL) -> Estimate:
    """The interval about `value`, given what the halves said: see `labkit.metrics.interval`, whose rule it is."""
    values = torch.tensor(found, dtype=torch.float64)
    reach = (values - values.mean()).abs().quantile(level).item()
    return Estimate(value, value - reach, value + reach)


def estimate(meter: Callable[..., float | Tensor], sample: Sample, *tensors: Tensor, draws: int = DRAWS) -> Estimate:
    """`meter(*tensors)` with its interval; the tensors have a row for each row of the sample."""
    drawn = halves(len(sample), sample.groups, seed=sample.seed, draws=draws)
    return around(float(meter(*tensors)), [float(meter(*(t[rows] for t in tensors))) for rows in drawn])


class Folds(NamedTuple):
    """Parts of the sample that are left out one at a time.

    rows: of each fold; all are as large as each other (in groups, where there are groups), so that none is larger by its n.
    rest: rows that are in no fold.
    stretch: how much less the sample without a fold strays from the sample than that from the truth.
    """

    rows: list[Tensor]
    rest: Tensor
    stretch: float


def folds(n: int, groups: Tensor | None = None, *, seed: int = 0) -> Folds:
    """Twenty folds, or as many as there are rows (or groups) where there are fewer.

    >>> found = folds(47)
    >>> len(found.rows), len(found.rows[0]), len(found.rest)
    (20, 2, 7)
    """
    groups = None if groups is None else groups.unique(return_inverse=True)[1]
    many = n if groups is None else int(groups.max()) + 1
    count = min(many, FOLDS)
    size = many // count
    part = torch.randperm(many, generator=torch.Generator().manual_seed(seed)) // size
    part = part if groups is None else part[groups]
    rows = [(part == k).nonzero().squeeze(1) for k in range(count)]
    return Folds(rows, (part >= count).nonzero().squeeze(1), math.sqrt((many - size) / size))


def jackknife(
    value: float, found: Sequence[float], stretch: float, *, least: float = -math.inf, most: float = math.inf
) -> Estimate:
    """The interval about `value`, given what the meter says without each of `folds`; it ends where the meter's range does.

    Source: Tukey 1958, with folds for single rows; Student's t with one degree of freedom less than there are folds.
    """
    values = torch.tensor(found, dtype=torch.float64)
    reach = student(len(values) - 1) * stretch * values.std(correction=0).item()
    return Estimate(value, max(value - reach, min(least, value)), min(value + reach, max(most, value)))


def predicted(found: Sequence[float], level: float = LEVEL) -> Estimate:
    """The mean of a few draws from what is known, and where another draw would lie: two draws at least."""
    values = torch.tensor(found, dtype=torch.float64)
    reach = student(len(values) - 1, level) * values.std().item() * math.sqrt(1 + 1 / len(values))
    return Estimate(values.mean().item(), values.mean().item() - reach, values.mean().item() + reach)


def student(freedom: int, level: float = LEVEL) -> float:
    """The two-sided quantile of Student's t."""
    return float(special.stdtrit(freedom, (1 + level) / 2))


def exact(value: float) -> Estimate:
    """A count over all rows: nothing was estimated."""
    return Estimate(float(value), float(value), float(value))
