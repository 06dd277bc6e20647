"""Decoupled denominators: the positive is not among those an anchor is compared with."""

from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import against_others, everyone, partitions, reduce
from labkit.directions import paired
from labkit.registry import EMBEDDINGS, objective


@objective("2110.06848", oracle="lightly.loss.DCLLoss", invariant=EMBEDDINGS | {"view swap"}, floor_at="simplex")
def dcl(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    *,
    temperature: Scalar = 0.1,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""NT-Xent with the positive taken out of the denominator, so that an easy positive does not silence the negatives.

    .. math:: -\frac{s_i^+}{\tau} + \log \sum_{k \notin \{i, i^+\}} e^{s_{ik}/\tau}

    Its gradient is NT-Xent's, row by row, without the factor `1 - p+`. `log(2n - 2)` when every embedding is the same.

    Args:
        z1, z2: two views, row by row of the same instances; L2-normalised inside.
        temperature: > 0.
        reduction: "none" gives `(2n,)`, `z1`'s rows first.
        block_size: rows and columns of a tile; None is dense up to 512 instances.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, temperature <= 0.

    Source: Yeh et al. 2021 (arXiv 2110.06848), eq. 6; official code raminnakhli/Decoupled-Contrastive-Learning.

    >>> z = torch.eye(2)
    >>> dcl(z, z, temperature=1.0)          # log 2 - 1
    tensor(-0.3069)
    """
    u, v, cosine = paired(z1, z2)
    others = against_others(u, v, temperature=temperature, block_size=block_size)
    return reduce(others - cosine.repeat(2) / temperature, reduction)


@objective("2110.06848", oracle="lightly.loss.DCLWLoss", invariant=EMBEDDINGS | {"view swap"})
def dclw(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    *,
    temperature: Scalar = 0.1,
    sigma: Scalar = 0.5,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""DCL whose positive pairs pull the harder, the further apart they are.

    .. math:: -w_i \frac{s_i^+}{\tau} + \log \sum_{k \notin \{i, i^+\}} e^{s_{ik}/\tau}, \qquad
        w_i = 2 - \frac{e^{s_i^+/\sigma}}{\frac1n \sum_j e^{s_j^+/\sigma}}

    The weights have mean 1 and are constants for the gradient. One that is much more alike than the others can get a
    negative weight: it is pushed apart. `log(2n - 2)` when every embedding is the same.

    Args:
        z1, z2: two views, row by row of the same instances; L2-normalised inside.
        temperature: > 0.
        sigma: > 0; the smaller, the more the weights differ.
        reduction: "none" gives `(2n,)`, `z1`'s rows first.
        block_size: rows and columns of a tile; None is dense up to 512 instances.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, numbers out of range.

    Source: Yeh et al. 2021 (arXiv 2110.06848), eq. 6 with a negative von Mises-Fisher weight; code of lightly, which
    holds the weights constant. raminnakhli/Decoupled-Contrastive-Learning has the same value but differentiates them too.

    >>> z = torch.eye(2)
    >>> dclw(z, z, temperature=1.0)         # both pairs weigh 1: log 2 - 1
    tensor(-0.3069)
    """
    u, v, alike = paired(z1, z2)
    logs = everyone(alike.detach()) / sigma
    pull = 2 - len(logs) * (alike.detach() / sigma - logs.logsumexp(0)).exp()
    others = against_others(u, v, temperature=temperature, block_size=block_size)
    return reduce(others - (pull * alike).repeat(2) / temperature, reduction)


@objective(
    "2405.18045", oracle="pakoromilas/DHEL-KCL", unit="instance", invariant=EMBEDDINGS | {"view swap"}, floor_at="simplex"
)
def dhel(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    *,
    temperature: Scalar = 0.1,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""Views pull across, instances push within: each view is spread by itself, so alignment and uniformity come apart.

    .. math:: -\frac{z_i \cdot z_i'}{\tau}
        + \log \sum_{j \ne i} e^{z_i \cdot z_j/\tau} + \log \sum_{j \ne i} e^{z_i' \cdot z_j'/\tau}

    `1 / temperature + 2 log(n - 1)` when every embedding is the same.

    Args:
        z1, z2: two views, row by row of the same instances; L2-normalised inside.
        temperature: > 0; the official code's default is 0.3.
        reduction: "none" gives `(n,)`, one value per instance.
        block_size: rows and columns of a tile; None is dense up to 1,024.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, temperature <= 0.

    Source: Koromilas et al. 2024 (arXiv 2405.18045); official code pakoromilas/DHEL-KCL with `include_augs=True`, its
    default: both views' energies stand against one positive term. The code works with exponentials, we with their logarithms.

    >>> z = torch.eye(2)
    >>> dhel(z, z, temperature=1.0)         # -1 + log 1 + log 1
    tensor(-1.)
    """
    *views, cosine = paired(z1, z2)
    within = [partitions(z, temperature=temperature, skip=(0,), block_size=block_size)[0] for z in views]
    return reduce(within[0] + within[1] - cosine / temperature, reduction)
