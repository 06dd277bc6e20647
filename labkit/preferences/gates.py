"""Kin of GRPO that never drop a token: what is off-policy counts less, smoothly or with a capped weight.

Inputs are those of `groups.grpo`.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import capped
from labkit.preferences.groups import TRL, Mask, k3, log_ratios, token_mean, token_sum
from labkit.registry import preference

TOKENS = {"batch_tokens": "[1, inf)", "beta": "[0, inf)"}


def either(first: Tensor, a: Scalar, b: Scalar, like: Tensor) -> Tensor:
    """`a` where `first`, else `b`, in full precision: numbers alone would become single ones."""
    yes, no = (torch.as_tensor(x, dtype=like.dtype, device=like.device) for x in (a, b))
    return torch.where(first, yes, no)


@preference(
    "2511.20347",
    oracle=TRL,
    ranges={"temperature_positive": "(0, inf)", "temperature_negative": "(0, inf)", "beta": "[0, inf)"},
)
def sapo(
    logps: Float[Tensor, "n t"],
    old_logps: Float[Tensor, "n t"],
    advantages: Float[Tensor, "n"],
    mask: Mask,
    ref_logps: Float[Tensor, "n t"] | None = None,
    *,
    temperature_positive: Scalar = 1.0,
    temperature_negative: Scalar = 1.05,
    beta: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""A soft gate in place of clipping: the further a ratio is from 1, the less its token moves the policy.

    .. math:: -\frac{A}{|y|} \sum_t \frac{4}{\tau_A}\, \sigma(\tau_A (\rho_t - 1)), \qquad \tau_A = \tau_+ \text{ if } A > 0
        \text{ else } \tau_-

    At :math:`\rho = 1` its slope is that of the plain ratio; the steeper gate on negative advantages damps what is being
    pushed down.

    Args:
        logps, old_logps, advantages, mask, ref_logps: as in `grpo`.
        temperature_positive, temperature_negative: > 0, steepness of the gate by the sign of the advantage.
        beta: >= 0, price of the KL, added to every token as in `grpo`; 0 as in TRL, and left out above.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `grpo`.

    Source: Gao et al. 2025 (arXiv 2511.20347), as in TRL's `loss_type="sapo"`, which rounds the 1.05 to float32 (5e-8).

    >>> a, adv = torch.full((1, 2), -1.0), torch.tensor([2.0])
    >>> sapo(a, a, adv, torch.ones(1, 2, dtype=torch.bool))              # -2 * 4 * sigmoid(0)
    tensor(-4.)
    """
    ratio = capped(log_ratios(logps, old_logps, mask)).exp()
    tau = either(advantages > 0, temperature_positive, temperature_negative, ratio)[:, None]
    tokens = -advantages[:, None] * 4 / tau * torch.sigmoid(tau * (ratio - 1)) + beta * k3(logps, ref_logps, mask)
    return reduce(token_mean(tokens, mask), reduction)


@preference("2506.13585", oracle=TRL, ranges=TOKENS | {"ceiling": "(0, inf)"}, unit="batch")
def cispo(
    logps: Float[Tensor, "n t"],
    old_logps: Float[Tensor, "n t"],
    advantages: Float[Tensor, "n"],
    mask: Mask,
    ref_logps: Float[Tensor, "n t"] | None = None,
    *,
    batch_tokens: int | None = None,
    ceiling: Scalar = 5.0,
    beta: Scalar = 0.0,
) -> Tensor:
    r"""REINFORCE with capped importance weights: a token is never dropped, its weight only stops growing.

    .. math:: -\frac{1}{\sum_i |y_i|} \sum_i A_i \sum_t \mathrm{sg}\!\left[\min(\rho_{it}, \rho_{\max})\right] \log \pi_{it}

    The value means nothing, its gradient does. It depends on the lengths of all answers in the batch.

    Args:
        logps, old_logps, advantages, mask, ref_logps: as in `grpo`.
        batch_tokens: as in `dapo`.
        ceiling: > 0, the largest weight itself, not its distance from 1; 5 as TRL recommends (its `epsilon_high`).
        beta: >= 0, as in `sapo`.

    Raises:
        ValueError, TypeError: as in `grpo`.

    Source: MiniMax 2025 (MiniMax-M1, arXiv 2506.13585); TRL's `loss_type="cispo"`.

    >>> a, adv = torch.full((1, 2), -1.0), torch.tensor([2.0])
    >>> cispo(a, a, adv, torch.ones(1, 2, dtype=torch.bool))             # -2 * (-1)
    tensor(2.)
    """
    weight = log_ratios(logps, old_logps, mask).exp().clamp(max=ceiling).detach()
    tokens = -weight * advantages[:, None] * logps + beta * k3(logps, ref_logps, mask)
    return token_sum(tokens, mask).sum() / (batch_tokens or mask.sum())


def gamma_weight(log_weight: Tensor, power: Tensor, rate: Tensor) -> Tensor:
    """`w^k exp(rate (1 - w))`, which is 1 at w = 1 and falls on either side of its peak at w = k / rate."""
    return (rate + power * log_weight - rate * log_weight.exp()).exp()


@preference(
    "2602.10693",
    oracle=TRL,
    ranges=TOKENS | dict.fromkeys(("k_positive", "rate_positive", "k_negative", "rate_negative"), "(0, inf)"),
    unit="batch",
)
def vespo(
    logps: Float[Tensor, "n t"],
    old_logps: Float[Tensor, "n t"],
    advantages: Float[Tensor, "n"],
    mask: Mask,
    ref_logps: Float[Tensor, "n t"] | None = None,
    *,
    batch_tokens: int | None = None,
    k_positive: Scalar = 2.0,
    rate_positive: Scalar = 3.0,
    k_negative: Scalar = 3.0,
    rate_negative: Scalar = 2.0,
    beta: Scalar = 0.0,
) -> Tensor:
    r"""REINFORCE, each answer weighted by a smooth bump over its whole importance weight.

    .. math:: -\frac{1}{\sum_i |y_i|} \sum_i \mathrm{sg}\!\left[w_i^k e^{\lambda (1 - w_i)}\right] A_i \sum_t \log \pi_{it},
        \qquad w_i = \frac{\pi(y_i)}{\pi^{\text{old}}(y_i)}

    with k and lambda by the sign of the advantage. The weight w is the product over all tokens, not their mean, so long
    answers that moved at all count for little. The value means nothing, its gradient does; it depends on the lengths of all
    answers in the batch.

    Args:
        logps, old_logps, advantages, mask, ref_logps: as in `grpo`.
        batch_tokens: as in `dapo`.
        k_positive, k_negative: > 0, how fast the weight falls towards w = 0, by the sign of the advantage.
        rate_positive, rate_negative: > 0, the lambda: how fast it falls towards large w.
        beta: >= 0, as in `sapo`.

    Raises:
        ValueError, TypeError: as in `grpo`.

    Source: Shen et al. 2026 (arXiv 2602.10693), as TRL's `get_gamma_weights` computes it, its bounds on log w included.

    >>> a, adv = torch.full((1, 2), -1.0), torch.tensor([2.0])
    >>> vespo(a, a, adv, torch.ones(1, 2, dtype=torch.bool))             # -2 * (-1)
    tensor(2.)
    """
    moved = log_ratios(logps, old_logps, mask).clamp(-20, 20).sum(-1).clamp(math.log(1e-8), 20).detach()
    power = either(advantages >= 0, k_positive, k_negative, moved)
    rate = either(advantages >= 0, rate_positive, rate_negative, moved)
    weight = gamma_weight(moved, power, rate)
    tokens = -(weight * advantages)[:, None] * logps + beta * k3(logps, ref_logps, mask)
    return token_sum(tokens, mask).sum() / (batch_tokens or mask.sum())
