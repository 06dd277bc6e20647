"""DPO plus a term on answers that a policy has drawn: what the pairs do not cover is explored, or held where it was."""

from jaxtyping import Float
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import ratios
from labkit.registry import preference


@preference("2405.19332", oracle="shenao-zhang/SELM optimistic_dpo_loss", ranges={"alpha": "[0, inf)"})
def selm(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    sampled_logps: Float[Tensor, "n"],
    ref_sampled_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    alpha: Scalar = 0.001,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO that is paid for leaving what the reference would answer, and so tries answers that may be better.

    .. math:: -\log \sigma(\beta (h_w - h_l)) + \alpha \beta\, h_y, \qquad y \sim \rho(\cdot \mid x)

    At `alpha=0` it is `dpo`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        sampled_logps, ref_sampled_logps: log-probabilities of a third answer to each prompt, drawn from the reference.
        beta: > 0.
        alpha: >= 0, how optimistic.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Zhang et al. 2024 (arXiv 2405.19332); official code shenao-zhang/SELM, whose sign and 0.001 these are.

    >>> a, b = torch.tensor([-1.0]), torch.tensor([-2.0])
    >>> selm(a, b, a, b, a, b, alpha=1.0)             # log 2 + 0.1
    tensor(0.7931)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.logistic(beta * margin) + alpha * beta * (sampled_logps - ref_sampled_logps), reduction)


@preference("2405.21046", oracle="huggingface/trl XPOTrainer", ranges={"alpha": "[0, inf)"})
def xpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    sampled_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    alpha: Scalar = 1e-5,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""`selm` without its constant: the reference's own answers are made less likely while the pairs are learned.

    .. math:: -\log \sigma(\beta (h_w - h_l)) + \alpha \log \pi_y, \qquad y \sim \rho(\cdot \mid x)

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`; in the paper one answer of each pair is
            the policy's and one the reference's.
        sampled_logps: log-probabilities, under the policy, of an answer to each prompt drawn from the reference.
        beta: > 0.
        alpha: >= 0, how optimistic.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Xie et al. 2024 (arXiv 2405.21046); TRL's experimental XPOTrainer, whose 1e-5 this is.

    >>> a, b = torch.tensor([-1.0]), torch.tensor([-2.0])
    >>> xpo(a, b, a, b, a, alpha=0.1)                 # log 2 - 0.1
    tensor(0.5931)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.logistic(beta * margin) + alpha * sampled_logps, reduction)


@preference("2406.01462", oracle="enumeration: the gradient of the KL", sizes={"k": 1}, status="reconstructed")
def hypo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    sampled_logps: Float[Tensor, "n k"],
    ref_sampled_logps: Float[Tensor, "n k"],
    *,
    beta: Scalar = 0.1,
    lambda_: Scalar = 0.01,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO on the pairs, and the KL to the reference on what the policy answers now: it may not drift where no pair looks.

    .. math:: -\log \sigma(\beta (h_w - h_l)) + \lambda\, \mathrm{KL}(\pi \,\|\, \rho), \qquad
        \nabla \mathrm{KL} = \mathbb{E}_{y \sim \pi} \left[(h_y - \bar h)\, \nabla \log \pi_y\right]

    The value of the second term is the mean log-ratio of the drawn answers, its gradient the one above: each answer's
    log-ratio, less the mean of the others drawn for the prompt, times the gradient of its log-probability. The derivative of
    the value itself would be noise of mean 0. At `lambda_=0` it is `dpo`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        sampled_logps, ref_sampled_logps: `(n, k)`, of k answers to each prompt, drawn from the policy as it is now.
        beta: > 0.
        lambda_: >= 0, weight of the KL. The default is ours.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Song et al. 2024 (HyPO, arXiv 2406.01462), from its abstract and a public summary that names the weight and the
    leave-one-out baseline; the official code was not found. Another HyPO (arXiv 2602.11902) is a different loss.

    >>> a, b = torch.tensor([-1.0]), torch.tensor([-2.0])
    >>> hypo(a, b, a, b, torch.tensor([[-1.0, -1.0]]), torch.tensor([[-2.0, -3.0]]), lambda_=0.1)   # log 2 + 0.15
    tensor(0.8431)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    h = (sampled_logps - ref_sampled_logps).detach()
    others = (h.sum(-1, keepdim=True) - h) / max(h.shape[-1] - 1, 1)  # one answer alone has no baseline: 0
    pull = (h - others) * sampled_logps
    kl = (h + pull - pull.detach()).mean(-1)
    return reduce(link.logistic(beta * margin) + lambda_ * kl, reduction)
