"""Alignment and uniformity as they are: pull the views together, spread the points."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Scalar
from labkit.contrast import potential, reduce
from labkit.directions import direction, unit
from labkit.registry import EMBEDDINGS, objective
from labkit.rows import in_turn


@objective("2005.10242", oracle="SsnL/align_uniform", unit="batch", invariant=EMBEDDINGS | {"view swap"}, floor_at="simplex")
def align_uniform(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    *,
    alpha: Scalar = 2,
    t: Scalar = 2,
    weight: Scalar = 1,
    block_size: int | None = None,
) -> Tensor:
    r"""The distance between two views, plus the log mean Gaussian potential within each.

    .. math:: \frac1n \sum_i \lVert z_i - z_i' \rVert^\alpha
        + \frac{w}{2} \sum_{u \in \{z, z'\}} \log \frac{2}{n(n-1)} \sum_{i<j} e^{-t \lVert u_i - u_j \rVert^2}

    0 when every embedding is the same. Depends on the batch as a whole, so it takes no `reduction`.

    Args:
        z1, z2: two views, row by row of the same instances; L2-normalised inside.
        alpha: > 0, power of the distance between views; below 1 there is no gradient (NaN) where two views coincide.
        t: > 0, inverse width of the potential.
        weight: >= 0, weight of uniformity.
        block_size: rows and columns of a tile; None is dense up to 1,024 instances.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, numbers out of range.

    Source: Wang & Isola 2020 (arXiv 2005.10242), section 4.4; official code SsnL/align_uniform.

    >>> z = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    >>> align_uniform(z, z)                 # two opposite points: 0 - 2 * 4
    tensor(-8.)
    """
    uniform = [potential(unit(z), t, block_size=block_size) for z in (z1, z2)]
    return (reduce(gaps(z1, z2).pow(alpha), "mean") + weight * (uniform[0] + uniform[1]) / 2).to(z1.dtype)


@objective(
    "2206.01646",
    oracle="Duplums/contrastive-decoupled-uniformity",
    unit="batch",
    invariant=EMBEDDINGS | {"view swap"},
    floor_at="simplex",
)
def decoupled_uniformity(views: Float[Tensor, "n v d"], *, t: Scalar = 2, block_size: int | None = None) -> Tensor:
    r"""Spreads the centroids of the instances, which also aligns their views: the centroid of views that differ is short.

    .. math:: \log \frac{2}{n(n-1)} \sum_{i<j} e^{-t \lVert \mu_i - \mu_j \rVert^2}, \qquad \mu_i = \frac1v \sum_l z_{il}

    0 when every embedding is the same. Depends on the batch as a whole, so it takes no `reduction`.

    Args:
        views: `(n, v, d)`, v >= 2 views of each instance; L2-normalised inside, their centroids are not.
        t: > 0, inverse width of the potential.
        block_size: rows and columns of a tile; None is dense up to 1,024 instances.

    Raises:
        ValueError, TypeError: fewer than two rows or views, a row of zeros, NaN, integers, `t <= 0`.

    Source: Dufumier et al. 2022 (arXiv 2206.01646); official code Duplums/contrastive-decoupled-uniformity, without
    a kernel on auxiliary attributes.

    >>> views = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[-1.0, 0.0], [-1.0, 0.0]]])
    >>> decoupled_uniformity(views)         # -2 * 4
    tensor(-8.)
    """
    return potential(unit(views).mean(1), t, block_size=block_size).to(views.dtype)


def gaps(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    """The distance of each row's direction from its partner's, in float64: between near twins a float32 row is all rounding."""
    return in_turn(lambda a, b: torch.linalg.vector_norm(direction(a) - direction(b), dim=-1), z1, z2)
