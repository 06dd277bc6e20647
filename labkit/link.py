"""The primitive behind preference objectives: log-ratios against a reference, and the link a margin goes into."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

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


def hinge(z: Tensor, at: float = 1.0) -> Tensor:
    return F.relu(at - z)


def squared(z: Tensor, target: float | Tensor) -> Tensor:
    return (z - target).square()


def slope(link: Callable[..., Tensor], z: Float[Tensor, "n"], **options: Any) -> Float[Tensor, "n"]:
    """`f'(z)` of any link, by autograd: how hard a pair at margin z is pushed."""
    return torch.func.vmap(torch.func.grad(functools.partial(link, **options)))(z)
