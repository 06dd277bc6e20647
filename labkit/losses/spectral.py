"""Contrast as matrix factorisation: squares in place of exponentials."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import off_diagonal, reduce, share
from labkit.registry import EMBEDDINGS, objective


@objective(
    "2106.04156",
    oracle="jhaochenz/spectral_contrastive_learning",
    unit="instance",
    invariant=EMBEDDINGS | {"view swap"},
    floor_at=-2.0,
    ranges={"mu": "(0, inf)"},
    raw=True,
)
def spectral(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    *,
    mu: Scalar = 1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Partners have a large product, all others a small square: the population loss factorises the augmentation graph.

    .. math:: \frac1\mu \Big( -2 \, z_i \cdot z_i' + \frac{1}{n-1} \sum_{j \ne i} (z_i \cdot z_j')^2 \Big)

    Rows longer than :math:`\sqrt\mu` are cut to that length, shorter ones stay. At least -2, reached by orthogonal rows of
    full length; `mu - 2` when every embedding is the same.

    Args:
        z1, z2: two views, row by row of the same instances; as they are up to the length :math:`\sqrt\mu`.
        mu: > 0, the largest squared length.
        reduction: "none" gives `(n,)`: `z1`'s rows against all of `z2`.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, NaN, integers, `mu <= 0`.

    Source: HaoChen et al. 2021 (arXiv 2106.04156); official code jhaochenz/spectral_contrastive_learning
    `models/spectral.py`, whose limit on the length and whose division by mu the population loss does not have.

    >>> z = torch.eye(2)
    >>> spectral(z, z)
    tensor(-2.)
    """
    products = within_length(z1, mu**0.5) @ within_length(z2, mu**0.5).T
    others = (share(off_diagonal(len(z1), z1), products) * products.square()).sum(-1)
    return reduce((others - 2 * products.diagonal()) / mu, reduction)


def within_length(z: Float[Tensor, "n d"], most: Scalar) -> Float[Tensor, "n d"]:
    length = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
    return z * (most / length.clamp(min=most))
