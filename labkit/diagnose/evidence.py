"""What was measured of a run, pair by pair, and how sure its means are."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from scipy import special
from torch import Tensor

from labkit.metrics import Estimate

KINDS = ("opposite", "similar", "other", "rejected")
FLAT = 0.01  # nats: what moved less did not move


class Receiver(NamedTuple):
    """A word that gained probability where the answers begin to differ: how much, on average over the pairs, and what it is."""

    word: str
    token: int
    gained: float
    kind: str


@dataclass(frozen=True)
class Opening:
    """Where the answers open: the probability that each kind of word gained, pair by pair, and the words that gained most.

    kinds: kind -> `(n,)`; "opposite" says the contrary of the chosen answer, "similar" nearly the same.
    """

    kinds: dict[str, Tensor]
    top: tuple[Receiver, ...] = ()


@dataclass(frozen=True)
class Movement:
    """How far both answers of every pair moved, in nats.

    chosen, rejected: `(n,)`, after minus before.
    start: the two log-probabilities before, if they are known.
    beta: of the loss, if it is DPO's.
    opening, ending: of the chosen answer's change, what happened up to the first token that the rejected answer does not share,
        and after it.
    received: who gained at the opening.
    population: of how many pairs these are a sample; None for a sample of all the pairs there could be.
    curves: column -> list, a value for each time that was looked at.
    """

    level: str
    chosen: Tensor
    rejected: Tensor | None = None
    start: tuple[Tensor, Tensor] | None = None
    opening: Tensor | None = None
    ending: Tensor | None = None
    received: Opening | None = None
    population: int | None = None
    beta: float | None = None
    curves: dict[str, list] = field(default_factory=dict)
    ids: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()


def mean_of(values: Any, *, population: int | None = None, level: float = 0.95) -> Estimate:
    """The mean with its interval over pairs; nothing is left to chance where the sample is the whole population.

    >>> print(mean_of(torch.tensor([-1.0, -2.0, -3.0])), mean_of(torch.tensor([-1.0, -2.0, -3.0]), population=3))
    -2 [-4.484, 0.4841] -2 [-2, -2]
    """
    x = torch.as_tensor(values, dtype=torch.float64)
    n, mean = len(x), x.mean().item()
    if n < 2:
        return Estimate(mean, mean, mean)
    missing = 1.0 if population is None else max(0.0, 1 - n / population)  # the share of the population that was not seen
    reach = float(special.stdtrit(n - 1, (1 + level) / 2)) * x.std().item() * math.sqrt(missing / n)
    return Estimate(mean, mean - reach, mean + reach)


def below(estimate: Estimate, bound: float) -> bool:
    return estimate.high < bound


def above(estimate: Estimate, bound: float) -> bool:
    return estimate.low > bound


def nats(estimate: Estimate, unit: str = " nats") -> str:
    """As a reader is told it: `-0.24 nats [-0.51, 0.04]`."""
    shown = f"{estimate.value:+.2f}{unit}" if abs(estimate.value) >= 0.1 else f"{estimate.value:+.3g}{unit}"
    sure = estimate.low == estimate.high
    return shown if sure else f"{shown} [{estimate.low:+.3g}, {estimate.high:+.3g}]"
