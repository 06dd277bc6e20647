"""Where the points lie: alignment, uniformity, tolerance, modality gap, mean norm. All in float64, whatever comes in."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import special
from torch import Tensor

from labkit.checks import Scalar
from labkit.directions import unit
from labkit.energy import log_mean_potential
from labkit.registry import EMBEDDINGS, meter
from labkit.tiled import in_tiles

SPREAD, GENTLE = 0.05, 8  # t times the variance: between them float32 gives the mean potential of many unit rows to 1e-6


@meter("2005.10242", oracle="SsnL/align_uniform", invariant=EMBEDDINGS | {"view swap"})
def alignment(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], *, alpha: Scalar = 2) -> Float[Tensor, ""]:
    r"""How far apart two views of the same instance lie, on average. Smaller is closer; 0 is a perfect match.

    .. math:: \frac1n \sum_i \lVert z_i - z_i' \rVert^\alpha

    Knows nothing of other instances: 0 when every embedding is the same, and 0 for a table that remembers each instance.

    Args:
        z1, z2: two views, row by row of the same instances; L2-normalised inside.
        alpha: > 0, power of the distance.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, `alpha <= 0`.

    Source: Wang & Isola 2020 (arXiv 2005.10242); official code SsnL/align_uniform.

    >>> z = torch.eye(2)
    >>> alignment(z, z.flip(0))             # orthogonal views: squared distance 2
    tensor(2.)
    """
    gaps = torch.linalg.vector_norm(unit(z1.double()) - unit(z2.double()), dim=-1)
    return gaps.pow(alpha).mean().to(z1.dtype)


@meter("2005.10242", oracle="SsnL/align_uniform")
def uniformity(z: Float[Tensor, "n d"], *, t: Scalar = 2, normalize: bool = True) -> Float[Tensor, ""]:
    r"""How evenly `z` covers the sphere: the log of the mean Gaussian potential between pairs. Smaller is more even.

    .. math:: \log \frac{2}{n(n-1)} \sum_{i<j} e^{-t \lVert z_i - z_j \rVert^2}

    0 when every point coincides. As n grows, evenly spread points approach `uniform_limit(d, t)`; n points can lie below it,
    but never below `uniform_bound(n, d, t)`.

    Args:
        z: embeddings, at least two rows; L2-normalised unless `normalize=False`.
        t: > 0, inverse width of the potential.

    Raises:
        ValueError, TypeError: fewer than two rows, a row of zeros, NaN, integers, `t <= 0`.

    Source: Wang & Isola 2020 (arXiv 2005.10242), eq. 4; official code SsnL/align_uniform. It does not underflow at large t.
    Above 1,024 points it is computed in tiles, in float32 where it gives the same to 1e-6: of unit rows that
    have not all but collapsed, at small t.

    >>> uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    tensor(-8.)
    """
    if normalize and in_tiles(len(z), len(z), z, None):
        points = unit(z)
        if SPREAD <= t * (1 - points.mean(0, dtype=torch.float64).square().sum()) <= GENTLE:
            return log_mean_potential(points, t).to(z.dtype)
    points = unit(z.double()) if normalize else z.double()
    return log_mean_potential(points, t).to(z.dtype)


def uniform_limit(d: int, t: float = 2) -> float:
    r"""The uniformity of infinitely many points spread evenly over the sphere of R^d.

    .. math:: \log \left( e^{-2t} \; {}_0F_1(; d/2; t^2) \right)

    A finite sample can lie below it; see `uniform_bound`. Tends to `-2t` as d grows.

    Raises:
        ValueError: `d < 1` or `t <= 0`.

    Source: the mean of `exp(2t cos)` over the sphere, a Bessel function written as its power series, whose terms are all
    positive; that no other distribution has a lower potential is proved by Wang & Isola 2020 (arXiv 2005.10242).

    >>> round(uniform_limit(2), 4), round(uniform_limit(32), 4)
    (-1.575, -3.7518)
    """
    if d < 1 or not t > 0:
        raise ValueError(f"d must be >= 1 and t > 0, got d = {d} and t = {t}")
    k = np.arange(int(3 * t) + 64)  # the largest term lies at k <= t, and those beyond fall faster than exponentially
    terms = 2 * k * math.log(t) - special.gammaln(k + 1) - special.gammaln(k + d / 2) + special.gammaln(d / 2)
    return float(special.logsumexp(terms) - 2 * t)


def uniform_bound(n: int, d: int, t: float = 2) -> float:
    r"""What the uniformity of n points in R^d can never fall below.

    .. math:: \max \left( \log \frac{n M - 1}{n - 1}, \; -\frac{2tn}{n-1} \right), \qquad M = e^{\text{uniform\_limit}(d, t)}

    The first: the kernel is positive definite, so the mean potential over all n^2 pairs, the n ones of the diagonal
    included, is at least M (there is no such bound where nM <= 1). The second: squared distances average at most 2n/(n-1),
    and log-mean-exp is at least the mean; it is attained at the regular simplex, which needs `d >= n - 1`.

    Raises:
        ValueError: `n < 2`, `d < 1` or `t <= 0`.

    >>> round(uniform_bound(64, 8), 3)      # below the limit, which is -3.083
    -3.484
    """
    if n < 2:
        raise ValueError(f"n must be >= 2, got {n}")
    simplex, excess = -2 * t * n / (n - 1), n * math.exp(uniform_limit(d, t)) - 1
    return max(simplex, math.log(excess / (n - 1))) if excess > 0 else simplex


@meter("2012.09740", oracle="float64 loop")
def tolerance(z: Float[Tensor, "n d"], labels: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    r"""How close the members of a class lie: the mean cosine over pairs of different rows with the same label.

    .. math:: \frac{1}{|S|} \sum_{(i, j) \in S} z_i^\top z_j, \qquad S = \{ i \ne j : y_i = y_j \}

    1 when every class is one point. Every pair counts once, so large classes weigh more than small ones.

    Args:
        z: embeddings; L2-normalised inside.
        labels: classes; at least two rows share one.

    Raises:
        ValueError, TypeError: fewer than two rows, no two labels alike, a row of zeros, NaN, integers for `z`.

    Source: Wang & Liu 2021 (arXiv 2012.09740), on the uniformity-tolerance dilemma. The paper writes the mean of
    the cosine times the indicator of the same class over *all* pairs, which depends on the number of classes; this is that
    value divided by the share of same-class pairs.

    >>> tolerance(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), torch.tensor([0, 0, 1]))
    tensor(0.)
    """
    points, (_, group, sizes) = unit(z.double()), labels.unique(return_inverse=True, return_counts=True)
    pairs = (sizes * (sizes - 1)).sum()
    if pairs == 0:
        raise ValueError("labels are all different: tolerance needs two rows of one class")
    sums = points.new_zeros(len(sizes), z.shape[1]).index_add(0, group, points)
    return ((sums.square().sum() - points.square().sum()) / pairs).to(z.dtype)


@meter("2203.02053", oracle="float64 loop", invariant=EMBEDDINGS | {"view swap"})
def modality_gap(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    r"""The distance between the centres of two modalities, both on the sphere.

    .. math:: \left\lVert \frac1n \sum_i a_i - \frac1m \sum_j b_j \right\rVert

    At most 2; 0 when the centres coincide. Rows need not be paired.

    Args:
        a, b: embeddings of two modalities, such as images and texts; L2-normalised inside.

    Raises:
        ValueError, TypeError: widths that differ, a row of zeros, NaN, integers.

    Source: Liang et al. 2022 (arXiv 2203.02053): the length of its gap vector.

    >>> modality_gap(torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([[-1.0, 0.0]]))
    tensor(2.)
    """
    return torch.linalg.vector_norm(unit(a.double()).mean(0) - unit(b.double()).mean(0)).to(a.dtype)


@meter("1909.00512", oracle="float64 loop")
def mean_cosine(z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    r"""How alike two different rows are, on average: 1 when all point one way, near 0 when they point everywhere.

    .. math:: \frac{1}{n(n-1)} \sum_{i \ne j} z_i^\top z_j = \frac{n \lVert \bar z \rVert^2 - 1}{n - 1}

    Unlike `mean_norm` its mean over isotropic rows is 0 at every n. It is at least `-1 / (n - 1)`.

    Args:
        z: embeddings, at least two rows; L2-normalised inside.

    Raises:
        ValueError, TypeError: fewer than two rows, a row of zeros, NaN, integers.

    Source: Ethayarajh 2019 (arXiv 1909.00512): how anisotropic representations are, there from pairs of words drawn at random.

    >>> mean_cosine(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    tensor(-0.3333)
    """
    points = unit(z.double())
    return ((len(z) * points.mean(0).square().sum() - 1) / (len(z) - 1)).clamp(max=1).to(z.dtype)


def mean_norm(z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    r"""The length of the mean of the unit rows: 1 when all point one way, about `1 / sqrt(n)` when they point everywhere.

    .. math:: \left\lVert \frac1n \sum_i z_i \right\rVert

    The first number to read before any rank: `1 - mean_norm ** 2` is the total variance of the unit rows.

    >>> mean_norm(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    tensor(0.7071)
    """
    return torch.linalg.vector_norm(unit(z.double()).mean(0)).to(z.dtype)
