"""The target policy is known up to sampling; what differs is the divergence that measures the distance to it."""

import math
from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction
from labkit.contrast import reduce
from labkit.link import capped
from labkit.registry import preference

Divergence = Literal["kl", "reverse_kl", "js", "tv", "chi_squared", "reverse_chi_squared"]
# f'(pi / p) as a function of u = log pi / p, where D = sum_y p(y) f(pi(y) / p(y)). An importance weight multiplies it.
SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "kl": lambda u: -capped(-u, 2).exp(),  # KL(p, pi): covers all of the target; likelihood of the target's samples
    "reverse_kl": lambda u: u + 1,  # KL(pi, p): RLHF's objective
    "js": lambda u: math.log(2) - F.softplus(-u),
    "tv": lambda u: u.sign() / 2,
    "chi_squared": lambda u: -capped(-2 * u, 2).expm1(),
    "reverse_chi_squared": lambda u: 2 * capped(u, 2).expm1(),
}


@preference("2302.08215", oracle="naver/disco, disco/tuners/losses")
def f_dpg(
    logps: Float[Tensor, "n"],
    target_logps: Float[Tensor, "n"],
    proposal_logps: Float[Tensor, "n"] | None = None,
    *,
    divergence: Divergence = "js",
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Policy gradient down any f-divergence between the policy and a target, such as the reference times exp(r / beta).

    .. math:: \mathrm{sg}\!\left[\frac{\pi(y)}{q(y)} f'\!\left(\frac{\pi(y)}{p(y)}\right)\right] \log \pi(y), \qquad y \sim q

    The value means nothing: its gradient is, on average over q, that of :math:`\sum_y p(y) f(\pi(y) / p(y))`. The slope -f'
    is the pseudo-reward: "reverse_kl" is RLHF, "kl" is distillation, "tv" only asks on which side of the target an answer
    lies, "chi_squared" punishes nothing as much as a forgotten answer. "js" is twice the half-weighted one of textbooks.
    Exponents are cut off at 40 (350 in float64).

    Args:
        logps: log-probabilities of the answers under the policy.
        target_logps: under the target, normalised: `log p = log ref + r / beta - log Z`.
        proposal_logps: under the policy q that drew the answers; None: the policy itself drew them.
        divergence: "kl" (target, policy), "reverse_kl", "js", "tv", "chi_squared" (target, policy) or "reverse_chi_squared".
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, log-probabilities above 0, an unknown divergence.

    Source: Go et al. 2023 (arXiv 2302.08215), as in the authors' naver/disco with `use_baseline=False` and Z = 1.
    A baseline is a number to subtract from the pseudo-reward; it changes the variance only.

    >>> a = torch.tensor([-1.0])
    >>> f_dpg(a, a, divergence="reverse_kl")          # (0 + 1) * (-1)
    tensor(-1.)
    """
    pull = SLOPES[divergence](logps - target_logps)
    if proposal_logps is not None:
        pull = pull * capped(logps - proposal_logps, 2).exp()
    return reduce(pull.detach() * logps, reduction)
