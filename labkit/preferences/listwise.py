"""Objectives on lists of scores: a graded list, a ranking, a soft choice. All of them meet at two candidates, in DPO."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import contrast, log_partition, reduce
from labkit.link import logistic
from labkit.registry import preference


def gaps(x: Float[Tensor, "n k"]) -> Float[Tensor, "n k k"]:
    return x[:, :, None] - x[:, None, :]


@preference("2402.01878", oracle="closed form at k = 2: 0.5325 times dpo", unit="list", ranges={"labels": "(-inf, 100]"})
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
        labels: `(n, k)`, the grades :math:`\psi`, larger is better; at most 100, since a grade more doubles a pair's weight.
        reduction: "none" gives `(n,)`, one value for each list.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, fewer than two candidates, grades above 100.

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


def everyone(scores: Float[Tensor, "n k"]) -> Float[Tensor, "n 1"]:
    return log_partition(scores, torch.ones_like(scores, dtype=torch.bool))


@preference("2402.05369", oracle="thu-ml/Noise-Contrastive-Alignment reward_trainer.py", unit="list")
def info_nca(
    scores: Float[Tensor, "n k"],
    labels: Float[Tensor, "n k"] | Int[Tensor, "n k"],
    *,
    temperature: Scalar = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""InfoNCA, the softmax listwise loss: the policy's choice among the candidates should be the rewards' choice.

    .. math:: -\sum_i \frac{e^{\psi_i / \tau}}{\sum_j e^{\psi_j / \tau}} \log \frac{e^{s_i}}{\sum_j e^{s_j}}

    Nothing but differences of scores enters, so like DPO it cannot tell whether the best answer's own probability rises. As
    the temperature falls the target becomes one-hot: `softmax_dpo`, and `dpo` with two candidates.

    Args:
        scores: `(n, k)`, for policies `beta` times the log-ratios.
        labels: `(n, k)`, the rewards :math:`\psi`, larger is better.
        temperature: > 0, the paper's alpha: how far apart two rewards must be to count as different.
        reduction: "none" gives `(n,)`, one value for each list.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, fewer than two candidates, `temperature <= 0`.

    Source: Chen et al. 2024 (arXiv 2402.05369), for K answers. The official code adds 0.01 to the first reward, which breaks
    ties; this does not.

    >>> info_nca(torch.zeros(1, 4), torch.tensor([[3.0, 1.0, 0.0, 0.0]]))     # log 4, whatever the rewards
    tensor(1.3863)
    """
    return contrast(scores, (labels.to(scores) / temperature).softmax(-1), everyone(scores), reduction=reduction)


@preference("2406.09215", oracle="chenyuxin1999/S-DPO softmax_dpo_trainer.py", sizes={"k": 1})
def softmax_dpo(
    chosen_scores: Float[Tensor, "n"],
    rejected_scores: Float[Tensor, "n k"],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""S-DPO: one chosen answer against k rejected ones. It is InfoNCE whose similarities are implicit rewards.

    .. math:: -\log \sigma\!\left(-\log \sum_{j=1}^{k} e^{s_{l_j} - s_w}\right)
        = -\log \frac{e^{s_w}}{e^{s_w} + \sum_j e^{s_{l_j}}}

    `log(1 + k)` when the policy is the reference; with one rejected answer it is DPO.

    Args:
        chosen_scores: `(n,)`, `beta` times the log-ratio of each prompt's chosen answer.
        rejected_scores: `(n, k)`, the same for its rejected ones.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN.

    Source: Chen et al. 2024 (arXiv 2406.09215). Where the official code sums exponentials, this takes their logsumexp.

    >>> softmax_dpo(torch.zeros(1), torch.zeros(1, 3))                   # log 4
    tensor(1.3863)
    """
    scores = torch.cat([chosen_scores[:, None], rejected_scores], dim=1)
    first = torch.zeros_like(scores, dtype=torch.bool).index_fill(1, torch.tensor([0], device=scores.device), True)
    return contrast(scores, first, everyone(scores), reduction=reduction)
