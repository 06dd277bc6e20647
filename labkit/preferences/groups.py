"""GRPO and its kin: k answers to one prompt are judged against each other, and the old policy's tokens are re-used with care.

They differ in three places: the importance ratio (of a token or of an answer), what keeps it near 1 (here clipping, in
`gates` something softer), and what a token's loss is divided by. Advantages come from `group_advantages`.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import capped
from labkit.registry import checked, preference

Mask = Bool[Tensor, "n t"] | Int[Tensor, "n t"]
CLIP = {"epsilon": "(0, inf)", "epsilon_high": "(0, inf)", "beta": "[0, inf)"}
TRL = "trl 1.16.0 GRPOTrainer; liger-kernel 0.8.5 LigerFusedLinearGRPOFunction"


@checked(sizes={"k": 2}, ranges={"epsilon": "[0, inf)"})
def group_advantages(rewards: Float[Tensor, "n k"], *, scaled: bool = True, epsilon: Scalar = 1e-4) -> Float[Tensor, "n k"]:
    r"""How much better than its group an answer is, in standard deviations of the group (or, with `scaled=False`, as it is).

    .. math:: A_i = \frac{R_i - \bar R}{\mathrm{std}(R) + \epsilon}

    A group of equal rewards has advantages 0 and teaches nothing. Dividing by the deviation lifts easy and hopeless prompts,
    which is why Dr. GRPO does without.

    >>> group_advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    tensor([[ 1.4997, -0.4999, -0.4999, -0.4999]])
    """
    centred = rewards - rewards.mean(-1, keepdim=True)
    return centred / (rewards.std(-1, keepdim=True) + epsilon) if scaled else centred


def marked(mask: Tensor) -> Tensor:
    """The response tokens as a boolean mask, at least one in each row."""
    empty = (~mask.bool().any(-1)).nonzero().squeeze(-1).tolist()
    if empty:
        raise ValueError(f"mask marks no response token in row{'s' * (len(empty) > 1)} {empty[:5]}")
    return mask.bool()


def log_ratios(logps: Tensor, other: Tensor, mask: Tensor) -> Tensor:
    """Of every response token; 0 elsewhere, whatever stands there."""
    return (logps - other).masked_fill(~marked(mask), 0.0)


def token_sum(x: Tensor, mask: Tensor) -> Tensor:
    """Each answer's sum over its tokens."""
    return x.masked_fill(~mask.bool(), 0.0).sum(-1)


def token_mean(x: Tensor, mask: Tensor) -> Tensor:
    return token_sum(x, mask) / mask.bool().sum(-1)


def clipped(ratio: Tensor, advantages: Tensor, epsilon: Scalar, epsilon_high: Scalar | None = None) -> Tensor:
    """PPO's surrogate, to be minimised: nothing is gained by moving the ratio further than epsilon in the right direction."""
    high = epsilon if epsilon_high is None else epsilon_high
    return -torch.minimum(ratio * advantages, ratio.clamp(min=1 - epsilon).clamp(max=1 + high) * advantages)


def k3(logps: Tensor, ref_logps: Tensor | None, mask: Mask) -> Tensor:
    """An estimate of KL(policy, reference) from the policy's own tokens: never negative, unbiased; 0 without a reference."""
    if ref_logps is None:
        return torch.zeros_like(logps)
    back = capped(log_ratios(ref_logps, logps, mask))
    return back.expm1() - back


def clipped_tokens(logps, old_logps, advantages, mask, ref_logps, epsilon, epsilon_high, beta) -> Float[Tensor, "n t"]:
    """What GRPO, Dr. GRPO and DAPO share: the loss of every token."""
    ratio = capped(log_ratios(logps, old_logps, mask)).exp()
    return clipped(ratio, advantages[:, None], epsilon, epsilon_high) + beta * k3(logps, ref_logps, mask)


@preference("2402.03300", oracle=TRL, ranges=CLIP)
def grpo(
    logps: Float[Tensor, "n t"],
    old_logps: Float[Tensor, "n t"],
    advantages: Float[Tensor, "n"],
    mask: Mask,
    ref_logps: Float[Tensor, "n t"] | None = None,
    *,
    epsilon: Scalar = 0.2,
    epsilon_high: Scalar | None = None,
    beta: Scalar = 0.04,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""PPO's clipped surrogate without a critic: an answer's advantage is its reward against its group.

    .. math:: \frac{1}{|y|} \sum_t \left[-\min\!\left(\rho_t A,\ \mathrm{clip}(\rho_t, 1 - \epsilon, 1 + \epsilon_h) A\right)
        + \beta \left(e^{d_t} - d_t - 1\right)\right], \qquad \rho_t = \frac{\pi_t}{\pi^{\text{old}}_t},
        \quad d_t = \log \frac{\pi^{\text{ref}}_t}{\pi_t}

    The mean over an answer's tokens lets a wrong answer dilute its blame by being long. Exponents are cut off at 80 (700 in
    float64), long past any use, so that one token cannot make the gradients of the others NaN.

    Args:
        logps: `(n, t)`, log-probabilities of the answers' tokens under the policy.
        old_logps: under the policy that drew the answers; pass `logps.detach()` on the first step.
        advantages: `(n,)`, from `group_advantages(rewards).flatten()`.
        mask: `(n, t)`, True at response tokens; every row needs one.
        ref_logps: under the frozen reference; without it there is no KL term.
        epsilon: > 0, how far a ratio may fall below 1; `epsilon_high`: > 0, how far it may rise above, None is the same.
        beta: >= 0, price of the KL, 0.04 as in liger-kernel; TRL's default is 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, log-probabilities above 0, a row without a response token.

    Source: Shao et al. 2024 (DeepSeekMath, arXiv 2402.03300), as TRL and liger-kernel compute it; TRL's `loss_type="grpo"`.

    >>> a, adv = torch.full((1, 2), -1.0), torch.tensor([2.0])
    >>> grpo(a, a - 0.5, adv, torch.ones(1, 2, dtype=torch.bool))        # clipped: -1.2 * 2
    tensor(-2.4000)
    """
    tokens = clipped_tokens(logps, old_logps, advantages, mask, ref_logps, epsilon, epsilon_high, beta)
    return reduce(token_mean(tokens, mask), reduction)


@preference("2503.20783", oracle=TRL, ranges=CLIP | {"budget": "[1, inf)"})
def dr_grpo(
    logps: Float[Tensor, "n t"],
    old_logps: Float[Tensor, "n t"],
    advantages: Float[Tensor, "n"],
    mask: Mask,
    ref_logps: Float[Tensor, "n t"] | None = None,
    *,
    budget: int | None = None,
    epsilon: Scalar = 0.2,
    epsilon_high: Scalar | None = None,
    beta: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""GRPO done right: every token counts the same, whatever the length of its answer.

    .. math:: \frac{1}{T_{\max}} \sum_t \left[-\min\!\left(\rho_t A,\ \mathrm{clip}(\rho_t, 1 - \epsilon, 1 + \epsilon_h)
        A\right) + \beta \left(e^{d_t} - d_t - 1\right)\right]

    Args:
        logps, old_logps, advantages, mask, ref_logps: as in `grpo`; the paper's advantages are not scaled:
            `group_advantages(rewards, scaled=False)`.
        budget: >= 1, the most tokens an answer may have, a constant of the run; None is t.
        epsilon, epsilon_high: as in `grpo`.
        beta: >= 0; the paper goes without.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `grpo`.

    Source: Liu et al. 2025 (arXiv 2503.20783); TRL's `loss_type="dr_grpo"`.

    >>> a, adv = torch.full((1, 2), -1.0), torch.tensor([2.0])
    >>> dr_grpo(a, a, adv, torch.tensor([[True, False]]))                # one token of two: -2 / 2
    tensor(-1.)
    """
    tokens = clipped_tokens(logps, old_logps, advantages, mask, ref_logps, epsilon, epsilon_high, beta)
    return reduce(token_sum(tokens, mask) / (budget or mask.shape[1]), reduction)


@preference("2503.14476", oracle=TRL, ranges=CLIP | {"batch_tokens": "[1, inf)"}, unit="batch")
def dapo(
    logps: Float[Tensor, "n t"],
    old_logps: Float[Tensor, "n t"],
    advantages: Float[Tensor, "n"],
    mask: Mask,
    ref_logps: Float[Tensor, "n t"] | None = None,
    *,
    batch_tokens: int | None = None,
    epsilon: Scalar = 0.2,
    epsilon_high: Scalar | None = 0.28,
    beta: Scalar = 0.0,
) -> Tensor:
    r"""Every token of the batch counts the same, and a ratio may rise further than it may fall.

    .. math:: \frac{1}{\sum_i |y_i|} \sum_i \sum_t \left[-\min\!\left(\rho_{it} A_i,\
        \mathrm{clip}(\rho_{it}, 1 - \epsilon, 1 + \epsilon_h) A_i\right) + \beta \left(e^{d_{it}} - d_{it} - 1\right)\right]

    What an answer contributes depends on the lengths of the others in the batch, so there is one value for the batch.

    Args:
        logps, old_logps, advantages, mask, ref_logps: as in `grpo`.
        batch_tokens: >= 1, the response tokens of the whole batch, where this is one slice of it; None counts those of `mask`
            (TRL's `loss_type="bnpo"`).
        epsilon, epsilon_high: as in `grpo`; the paper's 0.2 and 0.28. TRL's default for both is 0.2.
        beta: >= 0; the paper goes without.

    Raises:
        ValueError, TypeError: as in `grpo`.

    Source: Yu et al. 2025 (arXiv 2503.14476); TRL's `loss_type="dapo"`. Its filter of groups with equal rewards is
    not needed here, their advantages are 0; its overlong penalty belongs to the reward.

    >>> a, adv = torch.full((2, 2), -1.0), torch.tensor([1.0, -1.0])
    >>> dapo(a, a, adv, torch.tensor([[True, True], [True, False]]))     # (-1 - 1 + 1) / 3
    tensor(-0.3333)
    """
    tokens = clipped_tokens(logps, old_logps, advantages, mask, ref_logps, epsilon, epsilon_high, beta)
    return token_sum(tokens, mask).sum() / (batch_tokens or mask.sum())


def answer_ratios(logps: Tensor, old_logps: Tensor, mask: Mask) -> Float[Tensor, "n"]:
    """The geometric mean of the ratios of an answer's tokens."""
    return capped(token_mean(log_ratios(logps, old_logps, mask), mask)).exp()


@preference("2507.18071", oracle=TRL, ranges=CLIP)
def gspo(
    logps: Float[Tensor, "n t"],
    old_logps: Float[Tensor, "n t"],
    advantages: Float[Tensor, "n"],
    mask: Mask,
    ref_logps: Float[Tensor, "n t"] | None = None,
    *,
    epsilon: Scalar = 3e-4,
    epsilon_high: Scalar | None = 4e-4,
    beta: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""GRPO with one ratio for the whole answer, since the whole answer was rewarded.

    .. math:: -\min\!\left(s A,\ \mathrm{clip}(s, 1 - \epsilon, 1 + \epsilon_h) A\right)
        + \frac{\beta}{|y|} \sum_t \left(e^{d_t} - d_t - 1\right), \qquad
        s = \left(\frac{\pi(y)}{\pi^{\text{old}}(y)}\right)^{1 / |y|}

    Args:
        logps, old_logps, advantages, mask, ref_logps: as in `grpo`.
        epsilon, epsilon_high: as in `grpo`, but a mean of many ratios stays much closer to 1; the paper's 3e-4 and 4e-4.
        beta: >= 0, price of the KL, with d as in `grpo`; 0 as in TRL.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `grpo`.

    Source: Zheng et al. 2025 (arXiv 2507.18071); TRL's `loss_type="grpo"` with `importance_sampling_level="sequence"`.

    >>> a, adv = torch.full((1, 2), -1.0), torch.tensor([2.0])
    >>> gspo(a, a, adv, torch.ones(1, 2, dtype=torch.bool))
    tensor(-2.)
    """
    kl = token_mean(k3(logps, ref_logps, mask), mask)
    return reduce(clipped(answer_ratios(logps, old_logps, mask), advantages, epsilon, epsilon_high) + beta * kl, reduction)


@preference("2602.05261", oracle=TRL, ranges=CLIP)
def luspo(
    logps: Float[Tensor, "n t"],
    old_logps: Float[Tensor, "n t"],
    advantages: Float[Tensor, "n"],
    mask: Mask,
    ref_logps: Float[Tensor, "n t"] | None = None,
    *,
    epsilon: Scalar = 2e-3,
    epsilon_high: Scalar | None = 2.5e-3,
    beta: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""GSPO times the answer's length: the gradient of a long answer's token is no smaller than that of a short one's.

    .. math:: -|y| \min\!\left(s A,\ \mathrm{clip}(s, 1 - \epsilon, 1 + \epsilon_h) A\right)
        + \beta \sum_t \left(e^{d_t} - d_t - 1\right), \qquad
        s = \left(\frac{\pi(y)}{\pi^{\text{old}}(y)}\right)^{1 / |y|}

    Args:
        logps, old_logps, advantages, mask, ref_logps: as in `grpo`.
        epsilon, epsilon_high: as in `gspo`; the paper's 2e-3 and 2.5e-3.
        beta: >= 0, as in `gspo`.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `grpo`.

    Source: Liu et al. 2026 (arXiv 2602.05261); TRL's `loss_type="luspo"` with `importance_sampling_level="sequence"`.

    >>> a, adv = torch.full((1, 2), -1.0), torch.tensor([2.0])
    >>> luspo(a, a, adv, torch.ones(1, 2, dtype=torch.bool))             # two tokens
    tensor(-4.)
    """
    ratio = answer_ratios(logps, old_logps, mask)
    kl = token_sum(k3(logps, ref_logps, mask), mask)
    return reduce(marked(mask).sum(-1) * clipped(ratio, advantages, epsilon, epsilon_high) + beta * kl, reduction)
