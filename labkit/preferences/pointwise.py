"""Each answer is judged by itself: is its log-ratio `h` above or below a point? Chosen and rejected no longer cancel."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import falling, logistic, ratios, squared
from labkit.registry import preference


def constant(x: Scalar) -> Scalar:
    """The number without its gradient: what was measured on the batch is not to be improved by moving it."""
    return x.detach() if isinstance(x, Tensor) else x


@preference(
    "2402.01306",
    oracle="trl 0.11.4 KTOTrainer; ContextualAI/HALOs",
    sizes={"n": 0, "m": 0},
    ranges={"kl": "[0, inf)"} | {f"{side}_weight": "[0, inf)" for side in ("desirable", "undesirable")},
)
def kto(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "m"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "m"],
    *,
    beta: Scalar = 0.1,
    kl: Scalar = 0.0,
    desirable_weight: Scalar = 1.0,
    undesirable_weight: Scalar = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Good answers should lie above the reference point, bad ones below it; no pairs are needed.

    .. math:: \lambda_D\,(1 - \sigma(\beta (h_w - K))), \qquad \lambda_U\,(1 - \sigma(\beta (K - h_l)))

    The values depend on the batch through :math:`K`, an estimate of KL(policy || reference): in training it is the mean
    log-ratio of mismatched prompts and answers, `kl_estimate`. No gradient flows through it.

    Args:
        chosen_logps, ref_chosen_logps: `(n,)`, the desirable answers.
        rejected_logps, ref_rejected_logps: `(m,)`, the undesirable ones; m may differ from n, and either of them may be 0.
        beta: > 0.
        kl: >= 0, the reference point K in nats.
        desirable_weight, undesirable_weight: >= 0; the paper keeps `desirable_weight * n` near `undesirable_weight * m`.
        reduction: "none" gives `(n + m,)`, the desirable answers first.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, numbers out of range, no answer at all.

    Source: Ethayarajh et al. 2024 (arXiv 2402.01306); official code ContextualAI/HALOs `KTOTrainer`.

    >>> one, two = torch.tensor([-1.0]), torch.tensor([-2.0, -2.0])
    >>> kto(one, two, one, two, reduction="none")     # one desirable answer, two undesirable
    tensor([0.5000, 0.5000, 0.5000])
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    point = constant(kl)
    good = desirable_weight * falling(beta * (r.chosen - point))
    bad = undesirable_weight * falling(beta * (point - r.rejected))
    return reduce(torch.cat([good, bad]), reduction)


@preference("2404.04656", oracle="trl 0.11.4 BCOTrainer", ranges={"shift": "(-inf, inf)"})
def bco(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    rejected_weights: Float[Tensor, "n"] | None = None,
    *,
    beta: Scalar = 0.1,
    shift: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""A classifier of good and bad whose logit is the reward `beta * h`: an upper bound of DPO's loss.

    .. math:: -\log \sigma(\beta h_w - \delta) - \omega \log \sigma(-(\beta h_l - \delta))

    The values depend on earlier batches through :math:`\delta`, in training the running mean of all rewards, `RunningShift`. No
    gradient flows through it. `2 log 2` when the policy is the reference and the shift is 0. At any shift DPO's loss lies
    below, because :math:`(1 + e^{\delta - a})(1 + e^{b - \delta}) \ge 1 + e^{b - a}`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        rejected_weights: >= 0, the density ratio :math:`\omega` of each rejected answer's prompt (`desirability_weights`), for
            chosen and rejected answers that are no pairs, as many of each; None is 1.
        beta: > 0.
        shift: the reward that divides good from bad.
        reduction: "none" gives `(n,)`, both answers of a pair added.

    Raises:
        ValueError, TypeError: as in `dpo`; weights below 0.

    Source: Jung et al. 2024 (arXiv 2404.04656). TRL's documentation prints DPO's formula for `bco_pair`; its code is this one
    with a shift of 0 and no weights. Its BCOTrainer averages over all answers, half of the mean here, and so takes unequal
    numbers of chosen and rejected ones; here a value belongs to two answers. It adds 1e-8 where the weights' odds divide.

    >>> a = torch.tensor([-1.0])
    >>> bco(a, a, a, a)                               # 2 log 2
    tensor(1.3863)
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    middle = constant(shift)
    good, bad = logistic(beta * r.chosen - middle), logistic(middle - beta * r.rejected)
    return reduce(good + (bad if rejected_weights is None else rejected_weights * bad), reduction)


@preference("2402.05369", oracle="trl 0.11.4 DPOTrainer, nca_pair")
def nca(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Noise-contrastive alignment of a pair: raise the chosen answer, and hold both back near the reference.

    .. math:: -\log \sigma(\beta h_w) - \tfrac12 \log \sigma(-\beta h_w) - \tfrac12 \log \sigma(-\beta h_l)

    Its first two terms are smallest at :math:`\beta h_w = \log 2`: the chosen answer is pulled above the reference, and no
    further.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Chen et al. 2024 (arXiv 2402.05369), for two answers; TRL's `loss_type="nca_pair"`.

    >>> a = torch.tensor([-1.0])
    >>> nca(a, a, a, a)                               # 2 log 2
    tensor(1.3863)
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    held = logistic(-beta * r.chosen) + logistic(-beta * r.rejected)
    return reduce(logistic(beta * r.chosen) + held / 2, reduction)


@preference("2405.00675", oracle="trl 0.11.4 DPOTrainer, sppo_hard")
def sppo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Self-play regression with certain winners: each log-ratio has a target of its own.

    .. math:: \left(h_w - \frac{1}{2\beta}\right)^2 + \left(h_l + \frac{1}{2\beta}\right)^2

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0; the paper's 1 / eta.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Wu et al. 2024 (arXiv 2405.00675), eq. 4.7 with win probabilities 1 and 0; TRL's `loss_type="sppo_hard"`.

    >>> a = torch.tensor([-1.0])
    >>> sppo(a, a, a, a)                              # 2 * 5^2
    tensor(50.)
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    return reduce(squared(r.chosen, 1 / (2 * beta)) + squared(r.rejected, -1 / (2 * beta)), reduction)


@preference("2408.06266", oracle="trl 0.11.4 DPOTrainer, apo_zero")
def apo_zero(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Chosen up, rejected down: for chosen answers better than the model's own.

    .. math:: 1 - \sigma(\beta h_w) + \sigma(\beta h_l)

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: D'Oosterlinck et al. 2024 (arXiv 2408.06266), eq. 7; TRL's `loss_type="apo_zero"`.

    >>> a = torch.tensor([-1.0])
    >>> apo_zero(a, a, a, a)
    tensor(1.)
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    return reduce(falling(beta * r.chosen) + falling(-beta * r.rejected), reduction)


@preference("2408.06266", oracle="trl 0.11.4 DPOTrainer, apo_down")
def apo_down(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Both answers down, the rejected one further: for chosen answers worse than the model's own.

    .. math:: \sigma(\beta h_w) + 1 - \sigma(\beta (h_w - h_l))

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: D'Oosterlinck et al. 2024 (arXiv 2408.06266), eq. 8; TRL's `loss_type="apo_down"`.

    >>> a = torch.tensor([-1.0])
    >>> apo_down(a, a, a, a)
    tensor(1.)
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    return reduce(falling(-beta * r.chosen) + falling(beta * r.margin), reduction)
