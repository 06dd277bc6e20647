"""How many directions the points use: singular values and what is made of them. Rows as given, in float64."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.checks import Scalar
from labkit.metrics.singular import centred, singular_values
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
    return torch.linalg.svdvals(centred(z.double(), center)).to(z.dtype)  # each of them to its last digit


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
    return softly_counted(sigma[sigma > torch.finfo(z.dtype).eps * sigma[0]]).to(z.dtype)  # below: how z was rounded


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
    return entropy_rank(shares(singular_values(z, center=False)) + epsilon).to(z.dtype)


@meter("10.1101/214262", oracle="numpy.linalg.eigvalsh", raw=True, invariant=EMBEDDINGS | {"scale"})
def participation_ratio(z: Float[Tensor, "n d"], *, center: bool = True) -> Float[Tensor, ""]:
    r"""How many directions carry the variance of `z`, counted by its squares.

    .. math:: \frac{\big( \sum_k \lambda_k \big)^2}{\sum_k \lambda_k^2}, \qquad \lambda_k = \sigma_k^2

    Between 1 and min(n, d), and never above `effective_rank`, which looks at singular values and so counts the faint directions
    for more; 0 for a matrix of zeros. Isotropic rows score about `1 / (1 / n + 1 / d)`: compare only at equal n.

    Args:
        z: embeddings or features, rows as given.
        center: take the mean row away first, so that the eigenvalues are those of the covariance.

    Raises:
        ValueError, TypeError: fewer than two rows, NaN, integers.

    Source: Gao et al. 2017 (bioRxiv 214262), from the covariance of neurons.

    >>> participation_ratio(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    tensor(2.)
    """
    return participation(singular_values(z, center)).to(z.dtype)


@meter("1909.00512", oracle="numpy.linalg.eigvalsh", raw=True, invariant=EMBEDDINGS | {"scale"})
def top_share(z: Float[Tensor, "n d"], *, center: bool = True) -> Float[Tensor, ""]:
    r"""The share of the variance of `z` that lies in its widest direction.

    .. math:: \lambda_1 \Big/ \sum_k \lambda_k, \qquad \lambda_k = \sigma_k^2

    1 where all rows lie on a line, 1/d where they are spread alike in d directions and n is large; 0 for a matrix of zeros.

    Args:
        z: embeddings or features, rows as given.
        center: take the mean row away first; otherwise a common direction is the widest.

    Raises:
        ValueError, TypeError: fewer than two rows, NaN, integers.

    Source: Ethayarajh 2019 (arXiv 1909.00512): its maximum explainable variance, there of uncentred rows.

    >>> top_share(torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    tensor(0.9000)
    """
    return shares(singular_values(z, center).square())[0].to(z.dtype)


@meter("2110.09348", oracle="numpy.linalg.svd", ranges={"below": "(0, 1)"}, raw=True, invariant=EMBEDDINGS | {"scale"})
def dead_directions(z: Float[Tensor, "n d"], *, below: Scalar = 0.01) -> Int[Tensor, ""]:
    r"""How many of the min(n - 1, d) directions that centred rows can have are hardly used.

    .. math:: \left| \{ k \le \min(n - 1, d) : \sigma_k \le b \, \sigma_1 \} \right|

    All of them where every row is the same. Directions, not coordinates: a rotation changes nothing. Where n is near d even
    isotropic rows have some, because the least singular value of a square matrix is near 0.

    Args:
        z: embeddings or features, rows as given; centred inside.
        below: b in (0, 1), of the widest direction's spread.

    Raises:
        ValueError, TypeError: fewer than two rows, NaN, integers, `below` outside (0, 1).

    Source: Jing et al. 2021 (arXiv 2110.09348) see dimensional collapse as a spectrum that falls to 0; the limit is ours.

    >>> dead_directions(torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]))
    tensor(1)
    """
    sigma = singular_values(z, center=True)[: len(z) - 1]
    return (sigma <= below * sigma[0]).sum()


@meter("2202.05808", oracle="numpy.polyfit", sizes={"n": 3}, raw=True, invariant=EMBEDDINGS | {"scale"})
def spectrum_decay(z: Float[Tensor, "n d"], *, first: int = 11, last: int = 100) -> Float[Tensor, ""]:
    r"""How steeply the spectrum falls: the exponent of a power law through the eigenvalues of the covariance.

    .. math:: \lambda_k \propto k^{-\alpha}, \qquad \text{first} \le k \le \text{last}

    0 where the eigenvalues are equal. Few rows make any spectrum fall: isotropic rows in 128 dimensions have 0.84 at n = 256
    and 0.20 at 4,096. A line is drawn through any spectrum, whether it is a power law or not: look at it.

    Args:
        z: embeddings or features, rows as given; centred inside.
        first, last: the directions that the line is drawn through, counted from 1; not more than min(n - 1, d).

    Raises:
        ValueError, TypeError: fewer rows or directions than `last`, a direction among them without any variance, NaN, integers.

    Source: Ghosh et al. 2022 (arXiv 2202.05808), before alpha-ReQ. Least squares on both logarithms, every direction with equal
    weight; the ten widest are left out, as they seldom lie on the line.

    >>> k = torch.arange(1.0, 6)
    >>> spectrum_decay(torch.cat([torch.diag(1 / k), torch.diag(-1 / k)]), first=1, last=5)
    tensor(2.)
    """
    if not 1 <= first < last <= min(len(z) - 1, z.shape[1]):
        at_most = min(len(z) - 1, z.shape[1])
        raise ValueError(
            f"first and last must satisfy 1 <= first < last <= {at_most}, got {first} and {last} of {tuple(z.shape)}"
        )
    sigma = singular_values(z, center=True)
    if sigma[last - 1] <= torch.finfo(z.dtype).eps * sigma[0]:
        raise ValueError(f"z has no variance in direction {last}: choose a smaller last")
    return slope(sigma, first, last).to(z.dtype)


# ---------------------------------------------------------------- of singular values


def softly_counted(sigma: Tensor) -> Tensor:
    """The effective rank of singular values; 0 where there are none, or only zeros."""
    return entropy_rank(shares(sigma)) if len(sigma) and sigma[0] > 0 else sigma.new_zeros(())


def entropy_rank(p: Tensor) -> Tensor:
    return torch.special.entr(p).sum().exp()


def slope(sigma: Tensor, first: int, last: int) -> Tensor:
    """The exponent alpha of `sigma_k ** 2 ~ k ** -alpha`, by least squares on the logarithms."""
    x = torch.arange(first, last + 1, dtype=sigma.dtype).log()
    x = x - x.mean()
    return -2 * (x @ sigma[first - 1 : last].log()) / x.square().sum()


def shares(sigma: Tensor) -> Tensor:
    """Parts of the sum; a spectrum of zeros stays zero."""
    return sigma / sigma.sum().clamp(min=torch.finfo(sigma.dtype).tiny)


def participation(sigma: Tensor) -> Tensor:
    """`(sum of the squares)^2 / sum of their squares`; 0 where all are 0."""
    p = shares(sigma.square())
    return p.sum() / p.square().sum().clamp(min=torch.finfo(p.dtype).tiny)
