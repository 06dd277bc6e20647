"""The primitive behind preference objectives: log-ratios against a reference, and the link a margin goes into.

Each link says its slope, because the slope is what a pair feels: how hard it is pushed at margin z. With `s = sigmoid(z)`.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Interval


class Ratios(NamedTuple):
    """`log pi / ref` of both answers: the only thing the DPO family looks at."""

    chosen: Float[Tensor, "n"]
    rejected: Float[Tensor, "n"]

    @property
    def margin(self) -> Float[Tensor, "n"]:
        return self.chosen - self.rejected


def ratios(chosen_logps: Tensor, rejected_logps: Tensor, ref_chosen_logps: Tensor, ref_rejected_logps: Tensor) -> Ratios:
    return Ratios(chosen_logps - ref_chosen_logps, rejected_logps - ref_rejected_logps)


def capped(exponent: Tensor, factors: int = 1) -> Tensor:
    """Cut off before its exponential overflows, at 80 (at 700 in float64); earlier, where that is one of several factors."""
    return exponent.clamp(max=(700 if exponent.dtype == torch.float64 else 80) / factors)


def hold(smoothing: float | Tensor, interval: str) -> None:
    """Refuses shares of flipped labels that a link has no value for: `checks` sees only what objectives are given."""
    for extreme in torch.as_tensor(smoothing).detach().aminmax():
        if not Interval(interval).holds(extreme.item()):
            raise ValueError(f"smoothing must be {Interval(interval)}, got {extreme.item():g}")


def logistic(z: Tensor, smoothing: float | Tensor = 0.0) -> Tensor:
    """`-log sigmoid(z)`; with smoothing, a share of the labels is taken the other way round. Slope `s - 1 + smoothing`."""
    if isinstance(smoothing, (int, float)) and smoothing == 0:
        return -F.logsigmoid(z)
    return -(1 - smoothing) * F.logsigmoid(z) - smoothing * F.logsigmoid(-z)


def robust(z: Tensor, smoothing: float | Tensor = 0.1) -> Tensor:
    """What `logistic` would be without noise, estimated from labels of which a share is flipped. Unbounded below.

    Slope `s - 1 - smoothing / (1 - 2 smoothing)`: a settled pair is still pushed.
    """
    hold(smoothing, "[0, 0.5)")
    return ((1 - smoothing) * logistic(z) - smoothing * logistic(-z)) / (1 - 2 * smoothing)


def hinge(z: Tensor, at: float | Tensor = 1.0) -> Tensor:
    """What is missing to a margin of `at`. Slope -1 below it, 0 from there on."""
    return F.relu(at - z)


def squared(z: Tensor, target: float | Tensor) -> Tensor:
    """The squared distance to a target. Slope `2 (z - target)`: past it, a pair is pulled back."""
    return (z - target).square()


def exo(z: Tensor, smoothing: float | Tensor = 1e-3) -> Tensor:
    """KL from the policy's `(s, 1 - s)` to the smoothed labels: `logistic` is the KL the other way round.

    Slope `s (1 - s) (z - log((1 - smoothing) / smoothing))`: hopeless pairs are let go, too.
    """
    hold(smoothing, "(0, 1)")
    flipped = torch.as_tensor(smoothing, dtype=z.dtype, device=z.device)
    right = torch.sigmoid(z) * (F.logsigmoid(z) - torch.log1p(-flipped))
    return right + torch.sigmoid(-z) * (F.logsigmoid(-z) - flipped.log())


def discopop(z: Tensor, tau: float | Tensor = 0.05) -> Tensor:
    """`logistic` below margin 0, `exp(-z)` above; between them the mixture is not convex.

    Slope, with `m = sigmoid(z / tau)`: `-(1 - m) (1 - s) - m exp(-z) + m (1 - m) (exp(-z) + log s) / tau`.
    """
    above = F.logsigmoid(z / tau)
    return torch.sigmoid(-z / tau) * logistic(z) + torch.exp(above - z)  # one exponent: exp(-z) alone overflows at z < -88


def falling(z: Tensor) -> Tensor:
    """`1 - s`: pushes hardest at 0 and lets go on both sides. Slope `-s (1 - s)`."""
    return torch.sigmoid(-z)


def log_odds(logp: Tensor) -> Tensor:
    """`log p / (1 - p)` from log p < 0, exact near both ends. Slope `1 / (1 - p)`."""
    logp = logp.clamp(max=-torch.finfo(logp.dtype).tiny)  # a mean over tokens can round to 0
    return logp - torch.log(-torch.expm1(logp))


Divergence = Literal["reverse_kl", "forward_kl", "js", "alpha"]


def score(h: Tensor, divergence: Divergence = "reverse_kl", alpha: float | Tensor = 0.5) -> Tensor:
    """`f'(e^h)`: the reward of a log-ratio when this f-divergence holds the policy to its reference. All are 0 at `h = 0`.

    reverse_kl `h`, forward_kl `1 - e^-h`, js `log 2 + log sigmoid(h)`, alpha `(e^((alpha - 1) h) - 1) / (alpha - 1)`, which is
    reverse_kl at alpha 1 and forward_kl at 0. Exponents are `capped`.
    """
    if divergence == "js":
        return math.log(2) + F.logsigmoid(h)
    power = {"reverse_kl": 1.0, "forward_kl": 0.0, "alpha": alpha}[divergence] - 1
    if power == 0:
        return h
    return torch.expm1(capped(power * h)) / power


def slope(link: Callable[..., Tensor], z: Float[Tensor, "n"], **options: float) -> Float[Tensor, "n"]:
    """`f'(z)` of any link, by autograd: how hard a pair at margin z is pushed.

    >>> slope(logistic, torch.zeros(1))
    tensor([-0.5000])
    """
    z = z.detach().requires_grad_()
    return torch.autograd.grad(link(z, **options).sum(), z)[0]  # a link takes each margin by itself, so the sum mixes nothing
