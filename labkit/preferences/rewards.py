"""Objectives of reward models: what a comparison of answers says about their rewards, and about the features behind them."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import contrast, log_partition, off_diagonal, reduce
from labkit.directions import unit
from labkit.link import logistic
from labkit.registry import preference


@preference("2009.01325", oracle="trl 0.11.4 and 1.16.0 RewardTrainer", ranges={"center": "[0, inf)"})
def bradley_terry(
    chosen_rewards: Float[Tensor, "n"],
    rejected_rewards: Float[Tensor, "n"],
    margin: Float[Tensor, "n"] | None = None,
    *,
    label_smoothing: Scalar = 0.0,
    center: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The chosen answer's reward must be the larger one.

    .. math:: -(1 - \epsilon) \log \sigma(r_w - r_l - m) - \epsilon \log \sigma(m - r_w + r_l) + c\,(r_w + r_l)^2

    With `beta` times the log-ratios as rewards it is DPO. A comparison does not fix the level of the rewards; `center` does.

    Args:
        chosen_rewards, rejected_rewards: a reward model's scores.
        margin: by how much each pair should differ, for graded preferences; None is 0. `preference_strength` measures one.
        label_smoothing: in [0, 0.5), the share of comparisons believed to be the other way round.
        center: >= 0, how strongly the two rewards are held around 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, numbers out of range.

    Source: Stiennon et al. 2020 (arXiv 2009.01325); the margin is that of Llama 2 and the centre TRL's
    `center_rewards_coefficient`; smoothing and measured margins together are Wang et al. 2024 (arXiv 2401.06080), eq. 5 and 6.

    >>> bradley_terry(torch.tensor([1.0]), torch.tensor([0.0]))
    tensor(0.3133)
    """
    gap = chosen_rewards - rejected_rewards - (0 if margin is None else margin)
    level = (chosen_rewards + rejected_rewards).square()
    return reduce(logistic(gap, label_smoothing) + center * level, reduction)


@preference("2405.17382", oracle="hyunseoklee-ai/ReMoDetect train.py", ranges={"near": "[0, inf)", "shrink": "[0, inf)"})
def reward_chain(
    best_rewards: Float[Tensor, "n"],
    middle_rewards: Float[Tensor, "n"],
    worst_rewards: Float[Tensor, "n"],
    *,
    near: Scalar = 0.3,
    shrink: Scalar = 0.01,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Three answers in order, every pair of them compared: text of a model, of a person rephrased by the model, of a person.

    .. math:: \frac13 \sum_{a \succ b} \lambda_{ab} \left[-\log \sigma(r_a - r_b) + \frac{s}{2} (r_a^2 + r_b^2)\right],
        \qquad \lambda_{\text{best, worst}} = 1, \quad \lambda_{\text{neighbours}} = \lambda

    Args:
        best_rewards, middle_rewards, worst_rewards: the scores of the three answers to each prompt.
        near: >= 0, the weight :math:`\lambda` of the two pairs of neighbours.
        shrink: >= 0, the weight s that holds the rewards near 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, numbers out of range.

    Source: Lee et al. 2024 (ReMoDetect, arXiv 2405.17382); official code `rm_loss`. The official training adds, on other texts,
    0.01 times the squared distance to the rewards of the model it started from.

    >>> zero = torch.zeros(1)
    >>> reward_chain(zero, zero, zero)                # (0.3 + 1 + 0.3) / 3 log 2
    tensor(0.3697)
    """

    def compared(a: Tensor, b: Tensor) -> Tensor:
        return logistic(a - b) + shrink * (a.square() + b.square()) / 2

    neighbours = compared(best_rewards, middle_rewards) + compared(middle_rewards, worst_rewards)
    return reduce((compared(best_rewards, worst_rewards) + near * neighbours) / 3, reduction)


@preference("2401.06080", status="reconstructed")
def contrastive_reward(
    chosen_rewards: Float[Tensor, "n"],
    rejected_rewards: Float[Tensor, "n"],
    chosen_features: Float[Tensor, "n d"],
    rejected_features: Float[Tensor, "n d"],
    chosen_again: Float[Tensor, "n d"],
    rejected_again: Float[Tensor, "n d"],
    *,
    form: Literal["answers", "differences"] = "answers",
    temperature: Scalar = 0.05,
    weight: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""A reward model that must also tell its inputs apart: ranking, plus SimCSE on the features behind the rewards.

    .. math:: -\log \sigma(r_w - r_l) + \frac{\beta}{2} \sum_{i \in \{w, l\}}
        -\log \frac{e^{\cos(h_i, h_i') / \tau}}{\sum_j e^{\cos(h_i, h_j') / \tau}}

    The values depend on the batch: every answer of it is compared with every other.

    Args:
        chosen_rewards, rejected_rewards: a reward model's scores.
        chosen_features, rejected_features: the features h behind the scores; rows are L2-normalised inside.
        chosen_again, rejected_again: h', the same features from a second pass with other dropout.
        form: what is told apart: a pair's two "answers", or its two "differences" `h_w - h_l` and `h_l - h_w`.
        temperature: > 0.
        weight: >= 0, the paper's beta.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, numbers out of range.

    Source: Wang et al. 2024 (Secrets of RLHF II, arXiv 2401.06080), eq. 9 and section 3.1; their repository holds no such loss.
    The sections read name neither temperature nor weight: 0.05 is SimCSE's, 0.1 ours. It ranks the answers of both
    passes, this one's.

    >>> r, h = torch.zeros(2), torch.eye(4)
    >>> contrastive_reward(r, r, h[:2], h[2:], h[:2], h[2:])      # four answers apart from each other: hardly more than log 2
    tensor(0.6931)
    """
    once, again = seen(chosen_features, rejected_features, form), seen(chosen_again, rejected_again, form)
    cosines = unit(once) @ unit(again).T / temperature
    others = off_diagonal(len(cosines), cosines)
    apart = contrast(cosines, ~others, log_partition(cosines, others | ~others), reduction="none")
    return reduce(logistic(chosen_rewards - rejected_rewards) + weight * apart.view(2, -1).mean(0), reduction)


def seen(chosen: Float[Tensor, "n d"], rejected: Float[Tensor, "n d"], form: str) -> Float[Tensor, "2n d"]:
    return torch.cat([chosen, rejected] if form == "answers" else [chosen - rejected, rejected - chosen])


@preference("2407.14916", status="reconstructed", sizes={"k": 1})
def context_reward(
    chosen_rewards: Float[Tensor, "n k"],
    rejected_rewards: Float[Tensor, "n k"],
    context_logits: Float[Tensor, "n k"],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The comparison was made in one of k contexts that nobody wrote down: a Bradley-Terry model for each, averaged.

    .. math:: -\log \sum_{c=1}^{k} p(c \mid x)\, \sigma(r(x, c, y_w) - r(x, c, y_l))

    A pair that is preferred in one context and dispreferred in another is no contradiction here, and one to a reward `r(x, y)`.
    With one context it is `bradley_terry`.

    Args:
        chosen_rewards, rejected_rewards: `(n, k)`, the scores in each context.
        context_logits: `(n, k)`, how likely each context is: log-probabilities up to a constant.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers.

    Source: Pitis et al. 2024 (arXiv 2407.14916), the two steps of its abstract: select a context, then judge in it. Their code
    (spitis/lmrm) trains `bradley_terry` with the context in the prompt, which is this with a context that is known.

    >>> r = torch.tensor([[2.0, -2.0]])
    >>> context_reward(r, -r, torch.zeros(1, 2))                  # right in one of two contexts: log 2
    tensor(0.6931)
    """
    likely = context_logits.log_softmax(-1)
    return reduce(-log_partition(-logistic(chosen_rewards - rejected_rewards), likely).squeeze(-1), reduction)
