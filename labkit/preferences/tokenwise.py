"""The margin is taken apart into tokens or segments before it is summed: which of them should count, and how much?

Log-probabilities of tokens stand in the places of their tokens, as `token_logps` returns them.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import ratios
from labkit.preferences.logps import marked
from labkit.registry import checked, preference


@preference("2409.06411", oracle="trl 1.16.0 DPOTrainer, ld_alpha", ranges={"alpha": "[0, 1]"})
def ld_dpo(
    chosen_token_logps: Float[Tensor, "n t"],
    rejected_token_logps: Float[Tensor, "n s"],
    ref_chosen_token_logps: Float[Tensor, "n t"],
    ref_rejected_token_logps: Float[Tensor, "n s"],
    chosen_mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"],
    rejected_mask: Bool[Tensor, "n s"] | Int[Tensor, "n s"],
    *,
    beta: Scalar = 0.1,
    alpha: Scalar = 0.5,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO in which the tokens by which one answer is longer than the other count less.

    .. math:: -\log \sigma(\beta (\hat h_w - \hat h_l)), \qquad
        \hat h = \sum_{t \le m} h_t + \alpha \sum_{t > m} h_t, \quad m = \min(|w|, |l|)

    At `alpha=1`, or at equal lengths, it is `dpo`.

    Args:
        chosen_token_logps, rejected_token_logps: log-probabilities of the answers' tokens under the policy.
        ref_chosen_token_logps, ref_rejected_token_logps: the same under the reference.
        chosen_mask, rejected_mask: True (or 1) at the answers' tokens; what stands elsewhere does not count.
        beta: > 0.
        alpha: in [0, 1], what a token beyond the shorter answer's length counts.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, positive log-probabilities, a mask with a row that marks no token.

    Source: Liu et al. 2024 (arXiv 2409.06411); TRL's `ld_alpha`, whose documentation reports 0.5 as what the paper starts from.

    >>> chosen, rejected = torch.tensor([[-1.0, -1.0, -1.0]]), torch.tensor([[-2.0]])
    >>> both = torch.ones(1, 3).bool(), torch.ones(1, 1).bool()
    >>> ld_dpo(chosen, rejected, 2 * chosen, rejected, *both)            # 1 + (1 + 1) / 2 = 2 instead of 3
    tensor(0.5981)
    """
    chosen, rejected = marked(chosen_mask, "chosen_mask"), marked(rejected_mask, "rejected_mask")
    shorter = torch.minimum(chosen.sum(-1), rejected.sum(-1))
    r = ratios(chosen_token_logps, rejected_token_logps, ref_chosen_token_logps, ref_rejected_token_logps)
    margin = damped_sum(r.chosen, chosen, shorter, alpha=alpha) - damped_sum(r.rejected, rejected, shorter, alpha=alpha)
    return reduce(link.logistic(beta * margin), reduction)


@checked(ranges={"alpha": "[0, 1]"})
def damped_sum(
    x: Float[Tensor, "n t"],
    mask: Bool[Tensor, "n t"] | Int[Tensor, "n t"],
    full: Int[Tensor, "n"],
    *,
    alpha: Scalar = 0.5,
) -> Float[Tensor, "n"]:
    """The sum over marked places; each after the first `full` of them counts `alpha`. Of log-probabilities or of log-ratios.

    >>> damped_sum(torch.ones(1, 4), torch.tensor([[0, 1, 1, 1]]), torch.tensor([1]))
    tensor([2.])
    """
    late = mask.cumsum(-1) > full[:, None]
    return torch.where(late, alpha * x, x).masked_fill(~mask.bool(), 0.0).sum(-1)


KL = dict.fromkeys(("chosen_kl", "rejected_kl"), "[-1e-3, inf)")  # a sum of rounded terms can fall a little below 0


@preference("2410.05102", oracle="huawei-noah/HEBO SparsePO mapo_loss; TDPO's tdpo_loss at weights 1", ranges=KL)
def sparse_po(
    chosen_token_logps: Float[Tensor, "n t"],
    rejected_token_logps: Float[Tensor, "n s"],
    ref_chosen_token_logps: Float[Tensor, "n t"],
    ref_rejected_token_logps: Float[Tensor, "n s"],
    chosen_weights: Float[Tensor, "n t"],
    rejected_weights: Float[Tensor, "n s"],
    chosen_kl: Float[Tensor, "n t"] | None = None,
    rejected_kl: Float[Tensor, "n s"] | None = None,
    chosen_kl_weights: Float[Tensor, "n t"] | None = None,
    rejected_kl_weights: Float[Tensor, "n s"] | None = None,
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO whose tokens have weights, most of them 0; and a term for how far the policy has moved at the tokens that count.

    .. math:: -\log \sigma(\beta (u_w - u_l + d_w - d_l)), \qquad
        u = \sum_t m_t h_t, \quad d = \sum_t m'_t\, \mathrm{KL}(\rho \,\|\, \pi)_t

    With weights 1 and no KL it is `dpo`, with weights 1 and the KL it is TDPO's first form.

    Args:
        chosen_token_logps, rejected_token_logps, ref_chosen_token_logps, ref_rejected_token_logps: as in `ld_dpo`.
        chosen_weights, rejected_weights: >= 0, the weights m; 0 outside of the answers. The authors read them off the
            reference's activations (MaPO), or learn them through a ReLU with an L1 price: add `price * weights.sum(-1)`.
        chosen_kl, rejected_kl: >= 0, :math:`\mathrm{KL}(\rho \,\|\, \pi)` at each token, from `token_kl`; None leaves it out.
        chosen_kl_weights, rejected_kl_weights: >= 0, the weights m'; None takes the weights m.
        beta: > 0.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, positive log-probabilities, weights or KLs below 0, one of the two KLs
            alone.

    Source: Christopoulou et al. 2024 (arXiv 2410.05102); official code huawei-noah/HEBO, `SparsePO/src/trainers`: there the KL
    is called `position_kl` and has the other sign.

    >>> chosen, rejected = torch.tensor([[-1.0, -1.0]]), torch.tensor([[-2.0, -2.0]])
    >>> first = torch.tensor([[1.0, 0.0]])
    >>> sparse_po(chosen, rejected, 2 * chosen, rejected, first, first)  # only the first token counts: -log sigmoid(0.1)
    tensor(0.6444)
    """
    r = ratios(chosen_token_logps, rejected_token_logps, ref_chosen_token_logps, ref_rejected_token_logps)
    margin = (chosen_weights * r.chosen).sum(-1) - (rejected_weights * r.rejected).sum(-1)
    moved = weighted_kl(chosen_kl, chosen_kl_weights, chosen_weights, "chosen_kl", rejected_kl)
    moved = moved - weighted_kl(rejected_kl, rejected_kl_weights, rejected_weights, "rejected_kl", chosen_kl)
    return reduce(link.logistic(beta * (margin + moved)), reduction)


def weighted_kl(
    kl: Tensor | None, weights: Tensor | None, otherwise: Tensor, name: str, partner: Tensor | None
) -> Float[Tensor, "n"]:
    if kl is None:
        if partner is not None or weights is not None:
            raise ValueError(f"{name} is missing: the KL is needed for both answers, or for neither and without weights")
        return otherwise.new_zeros(len(otherwise))
    return ((otherwise if weights is None else weights) * kl).sum(-1)


@checked(sizes={"v": 2})
def token_kl(logits: Float[Tensor, "n t v"], ref_logits: Float[Tensor, "n t v"]) -> Float[Tensor, "n t"]:
    r"""`KL(reference || policy)` of the whole vocabulary, in the place of the token that is predicted; 0 in the first.

    >>> token_kl(torch.zeros(1, 2, 2), torch.tensor([[[0.0, 100.0], [0.0, 0.0]]]))     # certain against one half: log 2
    tensor([[0.0000, 0.6931]])
    """
    policy, reference = logits[:, :-1].log_softmax(-1), ref_logits[:, :-1].log_softmax(-1)
    return torch.nn.functional.pad((reference.exp() * (reference - policy)).sum(-1), (1, 0))


@preference(
    "2308.06394",
    oracle="closed form: bco of one good and one bad segment",
    ranges={"labels": "[0, inf)"},
    status="reconstructed",
)
def fdpo(
    logps: Float[Tensor, "n"],
    ref_logps: Float[Tensor, "n"],
    labels: Int[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Each segment of an answer is judged by itself: right ones up, wrong ones down, the others left alone. No pairs.

    .. math:: -\log \sigma(\beta h) \ \text{of a right segment}, \qquad -\log \sigma(-\beta h) \ \text{of a wrong one}

    Where the number of right segments is that of wrong ones, it is `bco` with a shift of 0.

    Args:
        logps: log-probabilities of the segments, each given all that stands before it.
        ref_logps: the same under the reference.
        labels: 1 for a right segment, 0 for a wrong one; from 2 on nothing is learned from it.
        beta: > 0.
        reduction: "none" gives `(n,)`; segments that nothing is learned from give 0 and count in the mean.

    Raises:
        ValueError, TypeError: as in `dpo`; labels below 0.

    Source: Gunjal et al. 2023 (arXiv 2308.06394), FDPO, from a public summary with its equation, which writes the last case as
    a log-ratio of minus infinity; the text says that it is ignored. No official code of the loss was found.

    >>> half = torch.tensor([-1.0, -1.0, -1.0])
    >>> fdpo(half, 2 * half, torch.tensor([1, 0, 2]), reduction="none")
    tensor([0.6444, 0.7444, 0.0000])
    """
    h = logps - ref_logps
    judged = link.logistic(beta * torch.where(labels == 1, h, -h))
    return reduce(judged.masked_fill(labels > 1, 0.0), reduction)
