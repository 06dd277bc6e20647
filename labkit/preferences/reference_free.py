"""No reference: the policy's own log-probabilities are compared, or simply raised."""

from jaxtyping import Float
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import log_odds
from labkit.preferences.logps import Lengths, per_token
from labkit.registry import preference


@preference("2405.14734", oracle="trl 0.11.4 CPOTrainer, simpo; liger-kernel 0.8.5", ranges={"gamma": "(-inf, inf)"})
def simpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    chosen_lengths: Lengths,
    rejected_lengths: Lengths,
    *,
    beta: Scalar = 2.0,
    gamma: Scalar = 1.0,
    label_smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The chosen answer must be likelier per token than the rejected one, by a set distance.

    .. math:: -\log \sigma\!\left(\beta \left[\frac{\log \pi_w}{|w|} - \frac{\log \pi_l}{|l|}\right] - \gamma\right)

    Args:
        chosen_logps, rejected_logps: summed log-probabilities of the answers under the policy.
        chosen_lengths, rejected_lengths: > 0, their numbers of tokens.
        beta: > 0.
        gamma: the distance, absolute as in TRL. The authors' code takes gamma / beta instead.
        label_smoothing: in [0, 0.5), as in `dpo`.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, lengths that are not > 0, numbers out of range.

    Source: Meng et al. 2024 (arXiv 2405.14734), eq. 6; official code princeton-nlp/SimPO.

    >>> two = torch.tensor([2])
    >>> simpo(torch.tensor([-1.0]), torch.tensor([-3.0]), two, two)      # -log sigmoid(2 - 1)
    tensor(0.3133)
    """
    z = beta * (per_token(chosen_logps, chosen_lengths) - per_token(rejected_logps, rejected_lengths)) - gamma
    return reduce(link.logistic(z, label_smoothing), reduction)


@preference(
    "2403.07691",
    oracle="trl 0.11.4 ORPOTrainer; liger-kernel 0.8.5",
    ranges={"chosen_logps": "(-inf, 0)", "rejected_logps": "(-inf, 0)"},
)
def orpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    chosen_lengths: Lengths,
    rejected_lengths: Lengths,
    *,
    beta: Scalar = 0.1,
    sft: Scalar = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Imitation of the chosen answer, plus a comparison of odds per token.

    .. math:: -\lambda\, s_w - \beta \log \sigma\!\left(\log \frac{e^{s_w}}{1 - e^{s_w}}
        - \log \frac{e^{s_l}}{1 - e^{s_l}}\right), \qquad s = \frac{\log \pi}{\text{length}}

    Args:
        chosen_logps, rejected_logps: < 0, summed log-probabilities under the policy; a probability of 1 has no odds.
        chosen_lengths, rejected_lengths: > 0, their numbers of tokens.
        beta: > 0, weight of the comparison (the paper's lambda).
        sft: >= 0, weight of the imitation.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `simpo`; log-probabilities that are not < 0.

    Source: Hong et al. 2024 (arXiv 2403.07691); TRL's ORPOTrainer. Its imitation term is the mean over all tokens of the
    batch, prompts included; here it is each chosen answer's mean per token.

    >>> one = torch.tensor([1])
    >>> orpo(torch.tensor([-1.0]), torch.tensor([-1.0]), one, one)       # 1 + 0.1 log 2
    tensor(1.0693)
    """
    chosen, rejected = per_token(chosen_logps, chosen_lengths), per_token(rejected_logps, rejected_lengths)
    return reduce(beta * link.logistic(log_odds(chosen) - log_odds(rejected)) - sft * chosen, reduction)


@preference("2401.08417", oracle="trl 0.11.4 CPOTrainer, sigmoid")
def cpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    sft: Scalar = 1.0,
    label_smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO with a uniform reference, plus imitation of the chosen answer.

    .. math:: -\log \sigma(\beta (\log \pi_w - \log \pi_l)) - \lambda \log \pi_w

    Args:
        chosen_logps, rejected_logps: log-probabilities of the answers under the policy.
        beta: > 0.
        sft: >= 0, weight of the imitation.
        label_smoothing: in [0, 0.5), as in `dpo`.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `simpo`.

    Source: Xu et al. 2024 (arXiv 2401.08417). TRL's imitation term is the mean over all tokens of the batch; here it is the
    chosen log-probability as given.

    >>> a = torch.tensor([-1.0])
    >>> cpo(a, a)                                     # log 2 + 1
    tensor(1.6931)
    """
    return reduce(link.logistic(beta * (chosen_logps - rejected_logps), label_smoothing) - sft * chosen_logps, reduction)


@preference("2305.10425", oracle="ContextualAI/HALOs SLiCTrainer", ranges={"margin": "[0, inf)"})
def slic(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    *,
    margin: Scalar = 1.0,
    sft: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The chosen answer must be likelier by a margin; pairs that are stay as they are.

    .. math:: \max(0,\ \delta - \log \pi_w + \log \pi_l) - \lambda \log \pi_w

    Args:
        chosen_logps, rejected_logps: log-probabilities of the answers under the policy.
        margin: >= 0, in nats.
        sft: >= 0, weight of the imitation of the chosen answer.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `simpo`.

    Source: Zhao et al. 2023 (SLiC-HF, arXiv 2305.10425); the paper imitates its SFT targets, here the chosen answers.

    >>> slic(torch.tensor([-1.0]), torch.tensor([-1.5]))
    tensor(0.5000)
    """
    return reduce(link.hinge(chosen_logps - rejected_logps, margin) - sft * chosen_logps, reduction)


@preference("2304.05302", oracle="GanjinZero/RRHF rrhf_loss")
def rrhf(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    chosen_lengths: Lengths,
    rejected_lengths: Lengths,
    *,
    sft: Scalar = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The better answer must be likelier per token, by nothing in particular; and it is imitated.

    .. math:: \max\!\left(0,\ \frac{\log \pi_l}{|l|} - \frac{\log \pi_w}{|w|}\right) - \lambda \log \pi_w

    Args:
        chosen_logps, rejected_logps: summed log-probabilities of the answers under the policy.
        chosen_lengths, rejected_lengths: > 0, their numbers of tokens.
        sft: >= 0, weight of the imitation of the chosen answer.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `simpo`.

    Source: Yuan et al. 2023 (arXiv 2304.05302), for two answers; official code GanjinZero/RRHF, whose imitation term is divided
    by the length of the padded row. It is `slic` per token with a margin of 0.

    >>> two = torch.tensor([2])
    >>> rrhf(torch.tensor([-3.0]), torch.tensor([-1.0]), two, two, sft=0.0)
    tensor(1.)
    """
    margin = per_token(chosen_logps, chosen_lengths) - per_token(rejected_logps, rejected_lengths)
    return reduce(link.hinge(margin, 0.0) - sft * chosen_logps, reduction)


@preference("2310.13639", oracle="jhejna/cpl biased_bce_with_logits", ranges={"lambda_": "[0, 1]"})
def cpl(
    chosen_advantages: Float[Tensor, "n"],
    rejected_advantages: Float[Tensor, "n"],
    *,
    lambda_: Scalar = 0.5,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The preferred behaviour's advantages must exceed a share of the other's; an optimal policy's are its log-probabilities.

    .. math:: -\log \sigma(A_w - \lambda A_l), \qquad A = \alpha \sum_t \gamma^t \log \pi(a_t \mid s_t)

    Advantages are negative, so with :math:`\lambda < 1` a behaviour must also be likely by itself to cost little. With
    advantages `beta * h` and :math:`\lambda = 1` it is `dpo`, with `beta * log pi` it is `cpo` without its imitation term.

    Args:
        chosen_advantages, rejected_advantages: of the two segments; `discounted_sum` makes them from log-probabilities.
        lambda_: in [0, 1], how much of the other segment counts.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, lambda_ outside of [0, 1].

    Source: Hejna et al. 2023 (Contrastive Preference Learning, arXiv 2310.13639), its loss with a conservative bias; official
    code jhejna/cpl, in which label 1 prefers the second segment and which does not discount.

    >>> cpl(torch.tensor([-1.0]), torch.tensor([-2.0]))                  # -log sigmoid(-1 + 1)
    tensor(0.6931)
    """
    return reduce(link.logistic(chosen_advantages - lambda_ * rejected_advantages), reduction)


@preference("2203.02155", oracle="trl DPOTrainer, sft, at equal lengths")
def sft(
    chosen_logps: Float[Tensor, "n"],
    chosen_lengths: Lengths | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Supervised fine-tuning: the answer becomes likelier, and nothing is compared with it.

    .. math:: -\log \pi_w \qquad \text{or, with lengths,} \qquad -\frac{\log \pi_w}{|w|}

    Args:
        chosen_logps: summed log-probabilities of the answers under the policy.
        chosen_lengths: their numbers of tokens; given, the value is per token.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `simpo`.

    Source: maximum likelihood, older than any paper; the first step of Ouyang et al. 2022 (arXiv 2203.02155).

    >>> sft(torch.tensor([-6.0]), torch.tensor([3]))
    tensor(2.)
    """
    return reduce(-per_token(chosen_logps, chosen_lengths), reduction)
