"""Distributions are compared, and not pairs: what is sorted in a batch must lie above what is sorted beside it.

Every value depends on the whole batch, and the smaller the batch, the cruder the comparison.
"""

from jaxtyping import Float
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import ratios
from labkit.registry import preference


@preference("2406.05882", oracle="trl 0.11.4 DPOTrainer, aot", unit="rank")
def aot(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    label_smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The policy's margins, sorted, must exceed the reference's margins, sorted: quantile by quantile and not pair by pair.

    .. math:: -\log \sigma\!\left(\beta \left[(\log \pi_w - \log \pi_l)_{(i)} - (\log \rho_w - \log \rho_l)_{(i)}\right]\right)

    where :math:`\rho` is the reference and :math:`(i)` the i-th smallest of the batch. Every value depends on the whole batch;
    for a batch of one pair it is `dpo`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0.
        label_smoothing: in [0, 0.5), as in `dpo`.
        reduction: "none" gives `(n,)`, the smallest margin first.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Melnyk et al. 2024 (arXiv 2406.05882), the paired form; TRL's `loss_type="aot"`, which was called "aot"
    in its version 0.11 as well.

    >>> chosen, rejected = torch.tensor([-1.0, -3.0]), torch.tensor([-3.0, -2.0])     # margins 2 and -1
    >>> aot(chosen, rejected, chosen.flip(0), rejected.flip(0))     # the reference has the same margins, on the other pairs
    tensor(0.6931)
    """
    margins = (chosen_logps - rejected_logps).sort().values - (ref_chosen_logps - ref_rejected_logps).sort().values
    return reduce(link.logistic(beta * margins, label_smoothing), reduction)


@preference("2406.05882", oracle="trl 0.11.4 DPOTrainer, aot_pair; trl 1.16.0 DPOTrainer, aot_unpaired", unit="rank")
def aot_unpaired(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    label_smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The chosen answers' log-ratios, sorted, must exceed the rejected ones', sorted: who was paired with whom is not used.

    .. math:: -\log \sigma\!\left(\beta \left[(h_w)_{(i)} - (h_l)_{(i)}\right]\right)

    where :math:`(i)` is the i-th smallest of the batch. Every value depends on the whole batch; for a batch of one pair it is
    `dpo`.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`; any good and any bad answers, as many
            of one as of the other.
        beta: > 0.
        label_smoothing: in [0, 0.5), as in `dpo`.
        reduction: "none" gives `(n,)`, the smallest log-ratios first.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Melnyk et al. 2024 (arXiv 2406.05882), the unpaired form; TRL's `loss_type="aot_unpaired"`, which was called
    "aot_pair" in its version 0.11.

    >>> a = torch.tensor([-1.0, -3.0])
    >>> aot_unpaired(a, a - 1, a.flip(0), a - 1)      # the chosen log-ratios 2 and -2 against 0 and 0: (0.598 + 0.798) / 2
    tensor(0.6981)
    """
    r = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    return reduce(link.logistic(beta * (r.chosen.sort().values - r.rejected.sort().values), label_smoothing), reduction)
