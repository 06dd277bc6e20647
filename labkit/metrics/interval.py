"""How sure a meter is of its number: intervals by halving the sample, never by drawing rows twice."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """A meter's value on all rows, and the interval around it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def interval(
    meter: Callable[..., Any], *tensors: Tensor, level: float = 0.95, seed: int = 0, draws: int = 200, **options: Any
) -> Estimate:
    r"""A meter with its interval: how much the value would move on another sample of the same size.

    .. math:: \hat\theta_n \pm q_{\text{level}} \big( | \hat\theta_{n/2}^{(b)} - \bar\theta_{n/2} | \big), \qquad b = 1 \dots B

    Each draw takes half of the rows without replacement. Half of them, because a half then strays from the whole as far as
    the whole strays from the truth: with subsamples of m rows the factor is `sqrt(m / (n - m))`, which is 1 at m = n / 2. A
    bootstrap draws rows twice, and duplicates are what uniformity and rank measure: of 128 even points in 32 dimensions
    its interval lies wholly above the value.

    What it does not hold: bias that depends on n. Effective rank grows with n; the interval is about its value at *this* n.
    It is wider than it need be where the points are spread evenly, because uniformity then varies as 1/n, not 1/sqrt(n).
    Measured on 200 samples of 128 rows, the 95 % intervals held the truth for uniformity in 94 %, for even points in 99 %,
    alignment 97 %, tolerance 94 %, kNN 97 %, effective rank 98 % (`tests/test_interval.py`).

    Args:
        meter: any function of tensors that returns one number.
        tensors: its tensors; those with as many rows as each other are drawn together, so pairs and labels stay paired.
        level: in (0, 1).
        seed: of the draws.
        draws: B.
        options: the meter's own options.

    Raises:
        ValueError: a tensor with fewer than four rows, `level` outside (0, 1), `draws` below 2; whatever the meter raises on
            half of the rows (a `k` too large for them, for example).

    Source: Politis & Romano 1994 (Annals of Statistics 22), with the finite-population factor; symmetric, and centred on the
    halves' own mean, so that bias of small samples does not pose as spread.

    >>> from labkit.metrics import uniformity
    >>> print(interval(uniformity, torch.randn(128, 32)))
    -3.74 [-3.772, -3.707]
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level}")
    if draws < 2:
        raise ValueError(f"draws must be >= 2, got {draws}")
    sizes = sorted({len(t) for t in tensors})
    if not sizes or sizes[0] < 4:
        raise ValueError(f"interval needs tensors of at least four rows, got {[tuple(t.shape) for t in tensors]}")
    generator = torch.Generator().manual_seed(seed)

    def on_a_half() -> float:
        rows = {n: torch.randperm(n, generator=generator)[: n // 2].sort().values for n in sizes}
        return float(meter(*(t[rows[len(t)].to(t.device)] for t in tensors), **options))

    value = float(meter(*tensors, **options))
    halves = torch.tensor([on_a_half() for _ in range(draws)], dtype=torch.float64)
    reach = (halves - halves.mean()).abs().quantile(level).item()
    return Estimate(value, value - reach, value + reach)
