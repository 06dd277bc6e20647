"""Where the points lie: alignment, uniformity, tolerance."""

from jaxtyping import Float
from torch import Tensor

from labkit.checks import Scalar
from labkit.contrast import unit
from labkit.energy import log_mean_potential
from labkit.registry import meter


@meter("2005.10242", oracle="SsnL/align_uniform")
def uniformity(z: Float[Tensor, "n d"], *, t: Scalar = 2, normalize: bool = True) -> Float[Tensor, ""]:
    r"""How evenly `z` covers the sphere: the log of the mean Gaussian potential between pairs. Smaller is more even.

    .. math:: \log \frac{2}{n(n-1)} \sum_{i<j} e^{-t \lVert z_i - z_j \rVert^2}

    0 when every point coincides. As n grows, evenly spread points approach `opt = log(exp(-2t) * 0F1(d/2; t^2))`; n points
    can lie below it, but never below `log((n * exp(opt) - 1) / (n - 1))`.

    Args:
        z: embeddings, at least two rows; L2-normalised unless `normalize=False`.
        t: > 0, inverse width of the potential.

    Raises:
        ValueError, TypeError: fewer than two rows, a row of zeros, NaN, integers, `t <= 0`.

    Source: Wang & Isola 2020 (arXiv 2005.10242), eq. 4; computed by logsumexp, so it does not underflow at large t.

    >>> uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    tensor(-8.)
    """
    return log_mean_potential(unit(z) if normalize else z, t)
