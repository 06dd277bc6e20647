"""The margin, plus a term that rewards the chosen answer's own probability: what a margin alone cannot say."""

from jaxtyping import Float
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import ratios
from labkit.preferences.logps import Lengths, per_token
from labkit.registry import preference


@preference("2402.13228", oracle="closed form: dpo while the chosen answer has not fallen")
def dpop(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    lambda_: Scalar = 50.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO that charges for every nat by which the chosen answer falls below the reference.

    .. math:: -\log \sigma\!\left(\beta \left[h_w - h_l - \lambda \max(0, -h_w)\right]\right)

    It is `dpo` wherever the chosen answer has not fallen, and `log 2` when the policy is the reference. The penalty stands
    inside the link: where a wider margin would lower the chosen answer, the policy may stop moving altogether.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0.
        lambda_: >= 0; the paper tries 5, 50 and 500.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Pal et al. 2024 (DPO-Positive, arXiv 2402.13228). The authors published no loss code.

    >>> dpop(torch.tensor([-3.0]), torch.tensor([-5.0]), torch.tensor([-2.0]), torch.tensor([-2.0]))   # margin 2, charge 50
    tensor(4.8082)
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    return reduce(link.logistic(beta * (r.margin - lambda_ * (-r.chosen).relu())), reduction)


@preference("2405.16436", oracle="closed form: dpo plus eta times the NLL", ranges={"eta": "[0, inf)"})
def rpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    chosen_lengths: Lengths | None = None,
    *,
    beta: Scalar = 0.1,
    eta: Scalar = 0.005,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO plus a little imitation of the chosen answer.

    .. math:: -\log \sigma(\beta (h_w - h_l)) - \eta \log \pi_w

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        chosen_lengths: tokens of the chosen answers; given, the imitation term is per token.
        beta: > 0; the paper's experiments use 0.01.
        eta: >= 0, weight of the imitation term.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; lengths that are not > 0.

    Source: Liu et al. 2024 (arXiv 2405.16436). The official code takes the mean over all tokens of the batch; with
    `chosen_lengths` this is the mean over answers of their means per token, and equals theirs where the lengths are equal.

    >>> a, b = torch.tensor([-1.0]), torch.tensor([-2.0])
    >>> rpo(a, b, a, b, eta=0.5)                      # log 2 + 0.5
    tensor(1.1931)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.logistic(beta * margin) - eta * per_token(chosen_logps, chosen_lengths), reduction)
