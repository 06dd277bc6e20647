"""No negatives at all: the dimensions of an embedding are kept apart, instead of the instances."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Scalar
from labkit.contrast import off_diagonal
from labkit.registry import objective

MOMENTS = frozenset({"permutation", "view swap"})  # dimensions are told apart, so a rotation changes the loss


@objective("2103.03230", oracle="lightly.loss.BarlowTwinsLoss", unit="batch", invariant=MOMENTS, floor_at=0.0, raw=True)
def barlow_twins(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], *, lambda_: Scalar = 0.005) -> Tensor:
    r"""The cross-correlation of two views must be the identity: each dimension agrees with itself, and with no other.

    .. math:: \sum_a (1 - C_{aa})^2 + \lambda \sum_{a \ne b} C_{ab}^2, \qquad C_{ab} = \frac1n \sum_i \hat z_{ia} \hat z_{ib}'

    where the hat standardises each dimension over the batch. `d` when every embedding is the same. Takes no `reduction`.

    Args:
        z1, z2: two views, row by row of the same instances; as they are, not L2-normalised.
        lambda_: >= 0, weight of the redundancy between dimensions.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, NaN, integers, `lambda_ < 0`.

    Source: Zbontar et al. 2021 (arXiv 2103.03230), eqs. 1 and 2; official code facebookresearch/barlowtwins `main.py`, which
    standardises by a batch norm (1e-5 is added to the variance), where the paper's eq. 2 has no such term. The code's default
    lambda is 0.0051, the paper's 0.005.

    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> barlow_twins(z, z) < 1e-9           # decorrelated, and the views agree
    tensor(True)
    """
    correlation = standardized(z1).T @ standardized(z2) / len(z1)
    agree = (1 - correlation.diagonal()).square().sum()
    return agree + lambda_ * correlation[off_diagonal(len(correlation), correlation)].square().sum()


@objective("2105.04906", oracle="lightly.loss.VICRegLoss", unit="batch", invariant=MOMENTS, floor_at=0.0, raw=True)
def vicreg(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    *,
    similarity: Scalar = 25,
    variance: Scalar = 25,
    covariance: Scalar = 1,
) -> Tensor:
    r"""Views agree, every dimension keeps a standard deviation of at least 1, and no two dimensions covary.

    .. math:: \frac{\lambda}{nd} \sum_i \lVert z_i - z_i' \rVert^2
        + \sum_{u \in \{z, z'\}} \Big[ \frac{\mu}{2d} \sum_a \max(0, 1 - \sqrt{\operatorname{Var} u_a + \epsilon})
        + \frac{\nu}{d} \sum_{a \ne b} \operatorname{Cov}(u_a, u_b)^2 \Big]

    with :math:`\epsilon = 10^{-4}`. `0.99 * variance` when every embedding is the same. Takes no `reduction`.

    Args:
        z1, z2: two views, row by row of the same instances; as they are, not L2-normalised.
        similarity, variance, covariance: >= 0, the weights :math:`\lambda, \mu, \nu`.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, NaN, integers, a weight < 0.

    Source: Bardes et al. 2021 (arXiv 2105.04906), eqs. 1 to 6; official code facebookresearch/vicreg `main_vicreg.py`, which we
    follow where it differs: it divides the first term by d as well, and halves the variance term.

    >>> z = torch.zeros(3, 2)
    >>> vicreg(z, z)                        # 25 * (1 - 0.01)
    tensor(24.7500)
    """
    spread = sum(F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean() for z in (z1, z2)) / 2
    return similarity * F.mse_loss(z1, z2) + variance * spread + covariance * (covaried(z1) + covaried(z2))


def standardized(z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    return (z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt()


def covaried(z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Squared covariances of different dimensions, added up, for each dimension."""
    centered = z - z.mean(0)
    matrix = centered.T @ centered / (len(z) - 1)
    return matrix[off_diagonal(len(matrix), matrix)].square().sum() / len(matrix)
