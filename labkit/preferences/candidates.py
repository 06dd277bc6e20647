"""DPO over several candidates that the model wrote itself, ranked without a person: by a teacher's answer, or by itself."""

from jaxtyping import Float
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.preferences.listwise import gaps
from labkit.registry import preference


@preference("2404.00604", oracle="closed form: dpo at k = 1", sizes={"k": 1})
def self_contrast(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n k"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n k"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO of one target against many answers of the model's own that are unlike it: many negatives stand in for good ones.

    .. math:: -\frac{1}{K} \sum_{k=1}^K \log \sigma(\beta (h_w - h_{l_k}))

    It is the mean of `dpo` over the negatives, and `dpo` for one.

    Args:
        chosen_logps, ref_chosen_logps: `(n,)`, of the target that supervised fine-tuning has.
        rejected_logps, ref_rejected_logps: `(n, k)`, of sampled answers whose embedding is far from the target's.
        beta: > 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Liu et al. 2024 (arXiv 2404.00604); the official code THUDM/Self-Contrast trains plain DPO on the K pairs, which is
    this.

    >>> a, b = torch.tensor([-1.0]), torch.tensor([[-1.0, -3.0]])
    >>> self_contrast(a, b, a, torch.full((1, 2), -2.0))                 # log-ratios 0 against 1 and -1
    tensor(0.6944)
    """
    margins = (chosen_logps - ref_chosen_logps)[:, None] - (rejected_logps - ref_rejected_logps)
    return reduce(link.logistic(beta * margins).mean(-1), reduction)


@preference("2601.20687", oracle="closed form: dpo at k = 2", status="reconstructed")
def pu_distillation(
    logps: Float[Tensor, "n k"],
    ref_logps: Float[Tensor, "n k"],
    scores: Float[Tensor, "n k"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO on every pair of a student's own candidates, in the order of how near they come to one answer of its teacher.

    .. math:: -\frac{1}{|P|} \sum_{(i, j) \in P} \log \sigma(\beta (h_i - h_j)), \qquad P = \{(i, j): s_i > s_j\}

    With two candidates it is `dpo`. Equal scores make no pair; a list without any gives 0. For the list as a whole there is
    `plackett_luce`.

    Args:
        logps, ref_logps: `(n, k)`, of k candidates of the student to each prompt, under it and under its reference.
        scores: `(n, k)`, s, larger is better: the student's own judgement of each candidate, given the teacher's answer as an
            anchor.
        beta: > 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; fewer than two candidates.

    Source: Kou et al. 2026 (arXiv 2601.20687), from its abstract: self-ranking conditioned on the anchor, pairwise or listwise
    preferences, direct preference optimisation. Which pairs are taken is ours. There is no official code.

    >>> logps = torch.tensor([[-1.0, -3.0]])
    >>> pu_distillation(logps, torch.full((1, 2), -2.0), torch.tensor([[0.9, 0.1]]))
    tensor(0.5981)
    """
    better = gaps(scores) > 0
    losses = link.logistic(beta * gaps(logps - ref_logps)) * better
    return reduce(losses.sum((-1, -2)) / better.sum((-1, -2)).clamp(min=1), reduction)
