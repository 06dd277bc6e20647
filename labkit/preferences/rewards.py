"""Objectives on rewards or scores: the probability of a preference, of a ranking, of a graded list."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.checks import Reduction
from labkit.contrast import reduce
from labkit.link import logistic
from labkit.registry import preference


@preference("2009.01325", oracle="trl 0.11.4 RewardTrainer")
def bradley_terry(
    chosen_rewards: Float[Tensor, "n"],
    rejected_rewards: Float[Tensor, "n"],
    margin: Float[Tensor, "n"] | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The chosen answer's reward must be the larger one.

    .. math:: -\log \sigma(r_w - r_l - m)

    With `beta` times the log-ratios as rewards it is DPO.

    Args:
        chosen_rewards, rejected_rewards: a reward model's scores.
        margin: by how much each pair should differ, for graded preferences; None is 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers.

    Source: Stiennon et al. 2020 (arXiv 2009.01325); the margin is that of Llama 2 and of TRL's RewardTrainer.

    >>> bradley_terry(torch.tensor([1.0]), torch.tensor([0.0]))
    tensor(0.3133)
    """
    gap = chosen_rewards - rejected_rewards
    return reduce(logistic(gap if margin is None else gap - margin), reduction)


def gaps(x: Float[Tensor, "n k"]) -> Float[Tensor, "n k k"]:
    return x[:, :, None] - x[:, None, :]


@preference("2402.01878", oracle="closed form at k = 2: 0.5325 times dpo", unit="list")
def lipo(
    scores: Float[Tensor, "n k"],
    labels: Float[Tensor, "n k"] | Int[Tensor, "n k"],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""LiPO-lambda: every pair of a graded list, weighted by what swapping it would cost the ranking.

    .. math:: -\sum_{\psi_i > \psi_j} \left|2^{\psi_i} - 2^{\psi_j}\right|
        \left|\frac{1}{\log(1 + \tau_i)} - \frac{1}{\log(1 + \tau_j)}\right| \log \sigma(s_i - s_j)

    where :math:`\tau_i` is the rank of candidate i by its current score (1 is best; no gradient). Pairs of equal labels do not
    count. With two candidates it is `|1/log 2 - 1/log 3|` times DPO.

    Args:
        scores: `(n, k)`, for policies `beta` times the log-ratios.
        labels: `(n, k)`, the grades :math:`\psi`, larger is better.
        reduction: "none" gives `(n,)`, one value for each list.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, fewer than two candidates.

    Source: Liu et al. 2024 (arXiv 2402.01878). The authors published no code.

    >>> lipo(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))              # 0.5325 log 2
    tensor(0.3691)
    """
    rank = 1 + scores.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    grades = labels.to(scores)
    weight = gaps(grades.exp2()).abs() * gaps(1 / rank.to(scores).log1p()).abs()
    return reduce((weight * logistic(gaps(scores)) * (gaps(grades) > 0)).sum((-1, -2)), reduction)


@preference("2305.18290", oracle="closed form at k = 2: dpo", unit="list")
def plackett_luce(
    scores: Float[Tensor, "n k"],
    ranking: Int[Tensor, "n k"],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The ranking is drawn from best to worst, each time by a softmax over those that are left.

    .. math:: \sum_{r=1}^{k} \left[\log \sum_{q \ge r} e^{s_{\tau(q)}} - s_{\tau(r)}\right]

    `log k!` when the scores are equal; with two candidates and `beta` times log-ratios as scores it is DPO.

    Args:
        scores: `(n, k)`.
        ranking: `(n, k)`, the candidates' positions in `scores` from best to worst: :math:`\tau(1)` is the best one.
        reduction: "none" gives `(n,)`, one value for each list.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, fewer than two candidates, a row of `ranking` that is no ranking.

    Source: Rafailov et al. 2023 (arXiv 2305.18290), appendix A.3.

    >>> plackett_luce(torch.zeros(1, 3), torch.tensor([[2, 0, 1]]))      # log 6
    tensor(1.7918)
    """
    ordered = scores.gather(1, permutations(ranking))
    left = ordered.flip(1).logcumsumexp(1).flip(1)
    return reduce((left - ordered).sum(-1), reduction)


def permutations(ranking: Int[Tensor, "n k"]) -> Int[Tensor, "n k"]:
    wrong = (ranking.sort(-1).values != torch.arange(ranking.shape[1], device=ranking.device)).any(-1).nonzero().flatten()
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"ranking must name each of the {ranking.shape[1]} candidates once, best first; "
            f"row {row} is {ranking[row].tolist()}"
        )
    return ranking.long()
