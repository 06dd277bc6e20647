"""Intervals from halves where some halves say nothing, and of shares, which end at 0 and 1 and do not close there."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import torch

from labkit.metrics import Estimate
from labkit.report.drawing import DRAWS, around, student
from labkit.report.pieces import LEVEL

FEWEST = 5  # halves that say something


def about(value: float, found: Sequence[float]) -> Estimate | None:
    """The interval from those halves on which the meter exists, by Student's t where they are few; None where there is none."""
    there = [x for x in found if not math.isnan(x)]
    if math.isnan(value) or len(there) < FEWEST:
        return None
    if len(there) >= DRAWS // 2:
        return around(value, there)
    reach = student(len(there) - 1) * torch.tensor(there, dtype=torch.float64).std().item()
    return Estimate(value, value - reach, value + reach)


def share(value: float, found: Sequence[float], n: int) -> Estimate | None:
    """The same of a share of n rows, cut at 0 and 1; where the value is 0 or 1 itself, at least as far as `wilson` goes.

    >>> print(share(1.0, [1.0] * 40, 100))
    1 [0.963, 1]
    """
    if (estimate := about(value, found)) is None:
        return None
    _, low, high = estimate
    if value in (0.0, 1.0):
        low, high = min(low, wilson(value, n).low), max(high, wilson(value, n).high)
    return Estimate(value, max(low, 0.0), min(high, 1.0))


def wilson(value: float, n: int) -> Estimate:
    """Wilson's interval for a share of n independent rows, such as rows whose labels were drawn by lot.

    >>> print(wilson(0.5, 100))
    0.5 [0.4038, 0.5962]
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    middle, reach = value + z * z / (2 * n), z * math.sqrt(value * (1 - value) / n + (z / (2 * n)) ** 2)
    low, high = ((middle + sign * reach) / (1 + z * z / n) for sign in (-1, 1))
    return Estimate(value, min(max(low, 0.0), value), max(min(high, 1.0), value))
