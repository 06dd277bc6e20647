"""Contrast as matrix factorisation: squares in place of exponentials."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce
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
    a, b = (within_length(z, mu**0.5) for z in (z1, z2))
    n, d = a.shape
    own = (a * b).sum(-1)
    # sum_j (a_i . b_j)^2 = a_i^T (sum_j b_j b_j^T) a_i: the moments of many rows are fewer than their products
    everyone = (a @ b.T).square().sum(-1) if n <= d else (a @ (b.T @ b) * a).sum(-1)
    return reduce(((everyone - own.square()) / (n - 1) - 2 * own) / mu, reduction)


def within_length(z: Float[Tensor, "n d"], most: Scalar) -> Float[Tensor, "n d"]:
    length = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
    return z * (most / length.clamp(min=most))
