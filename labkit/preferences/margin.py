"""Reference-based objectives that see one number of a pair, its margin: only the link differs.

In all of them `h_w` and `h_l` are `log pi / ref` of the chosen and the rejected answer. Because only `h_w - h_l` enters, none
of them says whether the chosen answer's own probability rises.
"""

from jaxtyping import Float
from torch import Tensor

from labkit import link
from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
from labkit.link import ratios
from labkit.registry import preference


@preference("2305.18290", oracle="eric-mitchell/direct-preference-optimization; trl 0.11.4 DPOTrainer")
def dpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    label_smoothing: Scalar = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The chosen answer must gain more log-probability over the reference than the rejected one; logistic link.

    .. math:: -(1 - \epsilon) \log \sigma(\beta (h_w - h_l)) - \epsilon \log \sigma(-\beta (h_w - h_l))

    `log 2` when the policy is the reference. With `label_smoothing` it is cDPO.

    Args:
        chosen_logps, rejected_logps: summed log-probabilities of the answers under the policy.
        ref_chosen_logps, ref_rejected_logps: the same under the frozen reference.
        beta: > 0, how strongly the reference holds.
        label_smoothing: in [0, 0.5), the share of preferences believed to be the other way round.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: shapes that differ, NaN, integers, numbers out of range.

    Source: Rafailov et al. 2023 (arXiv 2305.18290), eq. 7; cDPO is a note by Mitchell in the official repository.

    >>> dpo(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-2.0]))   # -log sigmoid(0.2)
    tensor(0.5981)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.logistic(beta * margin, label_smoothing), reduction)


@preference("2310.12036", oracle="eric-mitchell/direct-preference-optimization")
def ipo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The margin must be `1 / (2 beta)`, neither less nor more; squared link.

    .. math:: \left(h_w - h_l - \frac{1}{2\beta}\right)^2

    `1 / (4 beta^2)` when the policy is the reference.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0, the paper's tau.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Azar et al. 2023 (arXiv 2310.12036), eq. 17. TRL and HALOs divide the log-ratios by the answers' lengths; this is
    the paper's formula, theirs is `ipo_norm`.

    >>> ipo(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-2.0]))   # (2 - 5)^2
    tensor(9.)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.squared(margin, 1 / (2 * beta)), reduction)


@preference("2309.06657", oracle="trl 0.11.4 DPOTrainer, hinge")
def hinge(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Pairs whose scaled margin has reached 1 are left alone; hinge link.

    .. math:: \max(0,\ 1 - \beta (h_w - h_l))

    1 when the policy is the reference.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0; a pair is left alone at margin `1 / beta`.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Liu et al. 2023 (RSO, arXiv 2309.06657), the SLiC loss on log-ratios; TRL's `loss_type="hinge"`.

    >>> hinge(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-2.0]))
    tensor(0.8000)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.hinge(beta * margin), reduction)


@preference("2403.00409", oracle="trl 0.11.4 DPOTrainer, robust")
def robust_dpo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    label_smoothing: Scalar = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""DPO's loss on clean labels, estimated without bias from labels of which a share is flipped.

    .. math:: \frac{-(1 - \epsilon) \log \sigma(\beta (h_w - h_l)) + \epsilon \log \sigma(-\beta (h_w - h_l))}{1 - 2 \epsilon}

    It is `dpo` at `label_smoothing=0`, and `log 2` when the policy is the reference. It has no lower bound otherwise.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0.
        label_smoothing: in [0, 0.5), the share of flipped labels.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Chowdhury et al. 2024 (rDPO, arXiv 2403.00409); TRL's `loss_type="robust"`.

    >>> robust_dpo(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-2.0]))
    tensor(0.5731)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.robust(beta * margin, label_smoothing), reduction)


@preference("2402.00856", oracle="trl 0.11.4 DPOTrainer, exo_pair", ranges={"label_smoothing": "(0, 0.5)"})
def exo(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    label_smoothing: Scalar = 1e-3,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The KL from the policy to the labels, where DPO has the KL from the labels to the policy.

    .. math:: \sigma(z) \log \frac{\sigma(z)}{1 - \epsilon} + \sigma(-z) \log \frac{\sigma(-z)}{\epsilon},
        \qquad z = \beta (h_w - h_l)

    Its slope vanishes for hopeless pairs as well as for settled ones.

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0.
        label_smoothing: in (0, 0.5); at 0 the KL would be infinite.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`; also `label_smoothing=0`.

    Source: Ji et al. 2024 (arXiv 2402.00856), eq. 16; TRL's `loss_type="exo_pair"`, whose version 1.16 rounds the smoothing to
    single precision and so differs by some 1e-8.

    >>> exo(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-2.0]))
    tensor(2.4220)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.exo(beta * margin, label_smoothing), reduction)


@preference("2406.08414", oracle="liger-kernel 0.8.5, discopop", ranges={"tau": "(0, inf)"})
def discopop(
    chosen_logps: Float[Tensor, "n"],
    rejected_logps: Float[Tensor, "n"],
    ref_chosen_logps: Float[Tensor, "n"],
    ref_rejected_logps: Float[Tensor, "n"],
    *,
    beta: Scalar = 0.1,
    tau: Scalar = 0.05,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""A link found by search: logistic for pairs still ranked wrongly, exponential for those ranked rightly.

    .. math:: (1 - m)\,(-\log \sigma(z)) + m\, e^{-z}, \qquad z = \beta (h_w - h_l), \quad m = \sigma(z / \tau)

    Args:
        chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps: as in `dpo`.
        beta: > 0.
        tau: > 0, width of the change from one to the other.
        reduction: "none" gives `(n,)`.

    Raises:
        ValueError, TypeError: as in `dpo`.

    Source: Lu et al. 2024 (arXiv 2406.08414), eq. 5 (log-ratio modulated loss); TRL's `loss_type="discopop"`.

    >>> discopop(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-2.0]))
    tensor(0.8148)
    """
    margin = ratios(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps).margin
    return reduce(link.discopop(beta * margin, tau), reduction)
