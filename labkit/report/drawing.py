"""How sure a number is: the meter on halves of the sample, drawn without replacement, whole groups at a time."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from labkit.metrics import Estimate
from labkit.report.pieces import LEVEL, Sample

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


def exact(value: float) -> Estimate:
    """A count over all rows: nothing was estimated."""
    return Estimate(float(value), float(value), float(value))
