"""Many views at once: one term per instance in which all of its views meet, instead of a mean over pairs of views."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import log_partition, off_diagonal, partitions, recognised, reduce
from labkit.directions import direction, unit
from labkit.registry import EMBEDDINGS, objective
from labkit.rows import in_turn


@objective(
    "2507.06979",
    oracle="pakoromilas/Multi-View-CL",
    unit="instance",
    invariant=EMBEDDINGS | {"view swap"},
    floor_at="simplex",
)
def mv_info_nce(
    views: Float[Tensor, "n v d"],
    *,
    temperature: Scalar = 0.1,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""An instance's pairs of views must stand out among all pairs that its views form.

    .. math:: -\log \frac{\sum_{l \ne m} e^{z_{il} \cdot z_{im}/\tau}}
        {\sum_l \sum_{(j,m) \ne (i,l)} e^{z_{il} \cdot z_{jm}/\tau}}

    `log((nv - 1) / (v - 1))` when every embedding is the same. With two views it is close to NT-Xent, but sums an instance's
    two anchors inside the logarithm.

    Args:
        views: `(n, v, d)`, v >= 2 views of each instance; L2-normalised inside.
        temperature: > 0.
        reduction: "none" gives `(n,)`, one value per instance.
        block_size: rows and columns of a tile; None is dense up to 1,024 rows.

    Raises:
        ValueError, TypeError: fewer than two rows or views, a row of zeros, NaN, integers, temperature <= 0.

    Source: Koromilas et al. 2025 (arXiv 2507.06979); official code pakoromilas/Multi-View-CL `models/losses.py`. The formula
    in its README leaves other instances in the same view (m = l) out of the denominator and has no minus sign; we follow
    the code.

    >>> views = torch.eye(2)[:, None].expand(2, 2, 2)
    >>> mv_info_nce(views, temperature=1.0)     # log(1 + 2/e)
    tensor(0.5514)
    """
    n, v, _ = views.shape
    z = unit(views).transpose(0, 1).flatten(0, 1)  # view after view: an instance's views are n rows apart
    others, _ = partitions(z, temperature=temperature, skip=tuple(range(0, n * v, n)), block_size=block_size)
    mine = log_partition(among_views(views) / temperature, off_diagonal(v, z)).flatten(1).logsumexp(1)
    return reduce(recognised(mine, others.view(v, n).logsumexp(0)), reduction)


@objective(
    "2507.06979",
    oracle="pakoromilas/Multi-View-CL",
    unit="instance",
    invariant=EMBEDDINGS | {"view swap"},
    floor_at="simplex",
)
def mv_dhel(
    views: Float[Tensor, "n v d"],
    *,
    temperature: Scalar = 0.1,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""DHEL for many views: all pairs of views pull in one sum, each view is spread by itself.

    .. math:: -\log \sum_{l < m} e^{z_{il} \cdot z_{im}/\tau} + \sum_l \log \sum_{j \ne i} e^{z_{il} \cdot z_{jl}/\tau}

    With two views it is `dhel`. When every embedding is the same it is
    `(v - 1) / temperature + v log(n - 1) - log(v (v - 1) / 2)`.

    Args:
        views: `(n, v, d)`, v >= 2 views of each instance; L2-normalised inside.
        temperature: > 0; the official class's default is 0.2.
        reduction: "none" gives `(n,)`, one value per instance.
        block_size: rows and columns of a tile; None is dense up to 1,024 rows.

    Raises:
        ValueError, TypeError: fewer than two rows or views, a row of zeros, NaN, integers, temperature <= 0.

    Source: Koromilas et al. 2025 (arXiv 2507.06979); official code pakoromilas/Multi-View-CL `models/losses.py`. The formula
    in its README counts each pair of views twice (log 2 less) and keeps j = i; we follow the code, in logarithms.

    >>> views = torch.eye(2)[:, None].expand(2, 2, 2)
    >>> mv_dhel(views, temperature=1.0)         # -1 + log 1 + log 1
    tensor(-1.)
    """
    v = views.shape[1]
    each = (partitions(z, temperature=temperature, skip=(0,), block_size=block_size)[0] for z in unit(views).unbind(1))
    own = among_views(views) / temperature
    pairs = torch.ones(v, v, dtype=torch.bool, device=own.device).triu(1)
    return reduce(sum(each) - own[:, pairs].logsumexp(1), reduction)


def among_views(views: Float[Tensor, "n v d"]) -> Float[Tensor, "n v v"]:
    """The cosines of an instance's views among themselves, in float64."""
    return in_turn(lambda some: direction(some) @ direction(some).mT, views)
