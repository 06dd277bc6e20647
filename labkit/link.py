"""The primitive behind preference objectives: log-ratios against a reference, and the link a margin goes into."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class Ratios(NamedTuple):
    """`log pi / ref` of both answers: the only thing the DPO family looks at."""

    chosen: Float[Tensor, "n"]
    rejected: Float[Tensor, "n"]

    @property
    def margin(self) -> Float[Tensor, "n"]:
        return self.chosen - self.rejected


def ratios(chosen_logps: Tensor, rejected_logps: Tensor, ref_chosen_logps: Tensor, ref_rejected_logps: Tensor) -> Ratios:
    return Ratios(chosen_logps - ref_chosen_logps, rejected_logps - ref_rejected_logps)


def logistic(z: Tensor, smoothing: float | Tensor = 0.0) -> Tensor:
    """`-log sigmoid(z)`; with smoothing, a share of the labels is taken the other way round."""
    if isinstance(smoothing, (int, float)) and smoothing == 0:
        return -F.logsigmoid(z)
    return -(1 - smoothing) * F.logsigmoid(z) - smoothing * F.logsigmoid(-z)


def robust(z: Tensor, smoothing: float | Tensor = 0.1) -> Tensor:
    """What `logistic` would be without noise, estimated from labels of which a share is flipped. Unbounded below."""
    return ((1 - smoothing) * logistic(z) - smoothing * logistic(-z)) / (1 - 2 * smoothing)


def hinge(z: Tensor, at: float | Tensor = 1.0) -> Tensor:
    return F.relu(at - z)


def squared(z: Tensor, target: float | Tensor) -> Tensor:
    return (z - target).square()


def exo(z: Tensor, smoothing: float | Tensor = 1e-3) -> Tensor:
    """KL from the policy's `(sigmoid(z), sigmoid(-z))` to the smoothed labels: `logistic` is the KL the other way round."""
    share = torch.as_tensor(smoothing, dtype=z.dtype, device=z.device)
    right = torch.sigmoid(z) * (F.logsigmoid(z) - torch.log1p(-share))
    return right + torch.sigmoid(-z) * (F.logsigmoid(-z) - share.log())


def discopop(z: Tensor, tau: float | Tensor = 0.05) -> Tensor:
    """`logistic` below margin 0, `exp(-z)` above; between them the mixture is not convex."""
    above = F.logsigmoid(z / tau)
    return torch.sigmoid(-z / tau) * logistic(z) + torch.exp(above - z)  # one exponent: exp(-z) alone overflows at z < -88


def falling(z: Tensor) -> Tensor:
    """`1 - sigmoid(z)`: pushes hardest at 0 and lets go on both sides."""
    return torch.sigmoid(-z)


def log_odds(logp: Tensor) -> Tensor:
    """`log p / (1 - p)` from log p < 0, exact near both ends."""
    return logp - torch.log(-torch.expm1(logp))


def slope(link: Callable[..., Tensor], z: Float[Tensor, "n"], **options: float) -> Float[Tensor, "n"]:
    """`f'(z)` of any link, by autograd: how hard a pair at margin z is pushed.

    >>> slope(logistic, torch.zeros(1))
    tensor([-0.5000])
    """
    z = z.detach().requires_grad_()
    return torch.autograd.grad(link(z, **options).sum(), z)[0]  # a link takes each margin by itself, so the sum mixes nothing
