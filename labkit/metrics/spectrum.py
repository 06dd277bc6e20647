"""How many directions the points use: singular values and what is made of them. Rows as given, in float64."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Scalar
from labkit.registry import EMBEDDINGS, meter


@meter("2110.09348", oracle="numpy.linalg.svd", raw=True)
def singular_spectrum(z: Float[Tensor, "n d"], *, center: bool = True) -> Float[Tensor, "k"]:
    r"""The singular values of `z`, the largest first: how far it reaches along each of its own axes.

    .. math:: \sigma_1 \ge \dots \ge \sigma_{\min(n, d)}, \quad Z - \mathbf 1 \bar z^\top = U \operatorname{diag}(\sigma) V^\top

    Singular values, not their squares: the eigenvalues of the covariance are :math:`\sigma_k^2 / n`.

    Args:
        z: embeddings or features, rows as given.
        center: take the mean row away first; otherwise a common direction comes first in the spectrum.

    Raises:
        ValueError, TypeError: fewer than two rows, NaN, integers.

    Source: Jing et al. 2021 (arXiv 2110.09348), who plot the logarithm of the covariance's eigenvalues (dimensional
    collapse: some of them vanish).

    >>> singular_spectrum(torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    tensor([4.2426, 1.4142])
    """
    return singular_values(z, center).to(z.dtype)


@meter("roy2007", oracle="numpy.linalg.svd", raw=True, invariant=EMBEDDINGS | {"scale"})
def effective_rank(z: Float[Tensor, "n d"], *, center: bool = False) -> Float[Tensor, ""]:
    r"""How many directions `z` uses, counted softly: the exponential of the entropy of its singular values.

    .. math:: \exp \Big( - \sum_k p_k \log p_k \Big), \qquad p_k = \sigma_k / \sum_l \sigma_l

    Between 1 (one direction) and min(n, d) (all alike); 0 for a matrix of zeros. Three things to know before comparing:

    - It grows with n while n is not much larger than d: compare only at equal n.
    - It does not see scale: points that have all but collapsed score high when what is left is noise. Read `mean_norm`, or
      the total variance, first.
    - It does not rank the quality of features.

    Args:
        z: embeddings or features, rows as given.
        center: take the mean row away first.

    Raises:
        ValueError, TypeError: fewer than two rows, NaN, integers.

    Source: Roy & Vetterli 2007 (EUSIPCO); used on embeddings by Garrido et al. 2022 (arXiv 2210.02885).
    Zero singular values count as 0 log 0 = 0, so a rank-1 matrix scores 1 at any width (see `rank_me`).

    >>> effective_rank(torch.ones(8, 2048)), effective_rank(torch.eye(5))
    (tensor(1.), tensor(5.))
    """
    sigma = singular_values(z, center)
    resolved = sigma > torch.finfo(z.dtype).eps * sigma[0]  # what lies below is how z was rounded, not where it points
    p = shares(sigma * resolved)
    return torch.where(resolved[0], torch.special.entr(p).sum().exp(), 0.0).to(z.dtype)


@meter("2210.02885", oracle="numpy.linalg.svd", raw=True, invariant=EMBEDDINGS)
def rank_me(z: Float[Tensor, "n d"], *, epsilon: Scalar = 1e-7) -> Float[Tensor, ""]:
    r"""RankMe as published: `effective_rank` of the rows as given, with `epsilon` added to every share.

    .. math:: \exp \Big( - \sum_k p_k \log p_k \Big), \qquad p_k = \sigma_k / \sum_l \sigma_l + \epsilon

    The shares then add up to more than 1, and each of the min(n, d) directions counts a little even if it is dead: a rank-1
    matrix of 2,048 rows and columns scores 1.003 at 1e-7, and 1.27 at the 1e-5 that some code uses; of 8,192, 1.013 and 2.57.

    Args:
        z: embeddings, rows as given; the paper uses 25,600 of them.
        epsilon: > 0, added after the singular values are divided by their sum.

    Raises:
        ValueError, TypeError: fewer than two rows, NaN, integers, `epsilon <= 0`.

    Source: Garrido et al. 2022 (arXiv 2210.02885), eq. 1-2, with the paper's epsilon for float32.

    >>> rank_me(torch.ones(256, 256))
    tensor(1.0004)
    """
    p = shares(singular_values(z, center=False)) + epsilon
    return torch.special.entr(p).sum().exp().to(z.dtype)


def singular_values(z: Tensor, center: bool) -> Tensor:
    z = z.double()
    return torch.linalg.svdvals(z - z.mean(0) if center else z)


def shares(sigma: Tensor) -> Tensor:
    """Parts of the sum; a spectrum of zeros stays zero."""
    return sigma / sigma.sum().clamp(min=torch.finfo(sigma.dtype).tiny)
