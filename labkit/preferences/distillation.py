"""A small model learns preferences from an aligned teacher, from whole distributions over the next token."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.preferences.supervised import per_answer, predicted, shifted
from labkit.registry import preference


@preference("2502.17927", oracle="a loop after SLIT-AI/ADPA run_distill_dpo.py", sizes={"t": 2, "s": 2, "vocab": 2})
def dckd(
    chosen_logits: Float[Tensor, "n t vocab"],
    rejected_logits: Float[Tensor, "n s vocab"],
    teacher_chosen_logits: Float[Tensor, "n t vocab"],
    teacher_rejected_logits: Float[Tensor, "n s vocab"],
    chosen_mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"],
    rejected_mask: Bool[Tensor, "n s"] | Int[Tensor, "n s"],
    *,
    weight: Scalar = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Dual-constrained distillation: the student follows the aligned teacher on good answers, and on bad ones too.

    .. math:: \frac{1}{|m_w|} \sum_{t \in m_w} \mathrm{KL}(q_t \Vert p_t)
        + \frac{w}{|m_l|} \sum_{t \in m_l} \mathrm{KL}(q_t \Vert p_t)

    where q is the teacher's and p the student's distribution of token t. On the bad answer the teacher says what not to say.

    Args:
        chosen_logits, rejected_logits: the student's; `logits[:, t]` predicts token t + 1.
        teacher_chosen_logits, teacher_rejected_logits: the teacher's, on the same tokens; a preference-trained one, say by DPO.
        chosen_mask, rejected_mask: True (or 1) at the response tokens.
        weight: >= 0, of the rejected answers.
        reduction: "none" gives `(n,)`, as in `dft`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, a row without a marked token after position 0.

    Source: Gao et al. 2025 (arXiv 2502.17927) and its code, `get_kl_loss` for each answer, which keeps the teacher's likeliest
    tokens and puts the rest into one. The paper's total adds the chosen answer's negative log-likelihood: `sft`.

    >>> student, teacher = torch.zeros(1, 2, 2), torch.tensor([[[0.0, 0.0], [0.0, 0.0]]])
    >>> mask = torch.tensor([[False, True]])
    >>> dckd(student, student, teacher, teacher + torch.tensor([1.0, 0.0]), mask, mask)
    tensor(0.1109)
    """
    good = per_answer(divergence(teacher_chosen_logits, chosen_logits), predicted(chosen_mask, "chosen_mask"))
    bad = per_answer(divergence(teacher_rejected_logits, rejected_logits), predicted(rejected_mask, "rejected_mask"))
    return reduce(good + weight * bad, reduction)


def divergence(teacher: Float[Tensor, "n t vocab"], student: Float[Tensor, "n t vocab"]) -> Float[Tensor, "n t"]:
    """KL(teacher || student) in the place of each token."""
    q, p = shifted(teacher).log_softmax(-1), shifted(student).log_softmax(-1)
    return (q.exp() * (q - p)).sum(-1)


@preference("2502.17927", oracle="a loop after SLIT-AI/ADPA run_distill_dpo.py", sizes={"t": 2, "vocab": 2})
def adpa(
    logits: Float[Tensor, "n t vocab"],
    teacher_logits: Float[Tensor, "n t vocab"],
    ref_teacher_logits: Float[Tensor, "n t vocab"],
    mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Advantage-guided distillation: at every token of its own answer the student moves to what alignment made likelier.

    .. math:: -\frac{1}{|m|} \sum_{t \in m} \sum_v p_t(v) \log \frac{q_t(v)}{\rho_t(v)}

    where p is the student, q the teacher after preference training and :math:`\rho` the teacher before. The log-ratio is the
    teacher's advantage (up to DPO's beta), known for every token and not only for the one that was said; the sum is the policy
    gradient's objective with no sampling of tokens. The least value is 'always say what gained most': something must hold the
    student, in the paper the likelihood of good answers.

    Args:
        logits: the student's on its own answers; `logits[:, t]` predicts token t + 1.
        teacher_logits, ref_teacher_logits: the teacher's after and before preference training, on the same tokens.
        mask: True (or 1) at the response tokens.
        reduction: "none" gives `(n,)`, as in `dft`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, a row without a marked token after position 0.

    Source: Gao et al. 2025 (arXiv 2502.17927) and its code, `get_reverse_ce`, which keeps the aligned teacher's likeliest
    tokens. The paper's total adds the chosen answer's negative log-likelihood: `sft`.

    >>> even, mask = torch.zeros(1, 2, 2), torch.tensor([[False, True]])
    >>> adpa(even, torch.tensor([[[2.0, 0.0]] * 2]), even, mask)         # log-ratios 0.566 and -1.434, each with weight 1/2
    tensor(0.4338)
    """
    advantage = shifted(teacher_logits).log_softmax(-1) - shifted(ref_teacher_logits).log_softmax(-1)
    return reduce(per_answer(-(shifted(logits).softmax(-1) * advantage).sum(-1), predicted(mask)), reduction)
