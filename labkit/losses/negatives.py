"""Which negatives count: those expected to be positives are taken off, hard ones weigh more."""

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import many, partitions, recognised, reduce
from labkit.directions import paired
from labkit.registry import EMBEDDINGS, objective


@objective("2007.00224", oracle="chingyaoc/DCL", invariant=EMBEDDINGS | {"view swap"})
def debiased(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    *,
    temperature: Scalar = 0.5,
    tau_plus: Scalar = 0.1,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""NT-Xent corrected for negatives that are positives by chance: a share `tau_plus` of them is taken off.

    .. math:: -\frac{s_i^+}{\tau} + \log \big( e^{s_i^+/\tau} + G_i \big), \qquad
        G_i = \max \Big( \frac{\sum_k e^{s_{ik}/\tau} - \tau^+ N e^{s_i^+/\tau}}{1 - \tau^+}, N e^{-1/\tau} \Big)

    over the N = 2n - 2 embeddings that are neither the anchor nor its partner. NT-Xent at `tau_plus=0`. `log(2n - 1)` when
    every embedding is the same.

    Args:
        z1, z2: two views, row by row of the same instances; L2-normalised inside.
        temperature: > 0.
        tau_plus: in [0, 1), the probability that a negative has the anchor's class.
        reduction: "none" gives `(2n,)`, `z1`'s rows first.
        block_size: rows and columns of a tile; None is dense up to 512 instances.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, numbers out of range.

    Source: Chuang et al. 2020 (arXiv 2007.00224), with one positive; official code chingyaoc/DCL `main.py`. Where the
    lower limit holds, the negatives get no gradient, as in the code.

    >>> z = torch.eye(2)
    >>> debiased(z, z, temperature=1.0, tau_plus=0.0)       # NT-Xent: log(1 + 2/e)
    tensor(0.5514)
    """
    return reduce(reweighted(z1, z2, temperature, 0.0, tau_plus, block_size), reduction)


@objective("2010.04592", oracle="joshr17/HCL", invariant=EMBEDDINGS | {"view swap"}, ranges={"beta": "[0, inf)"})
def hard_negative(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    *,
    temperature: Scalar = 0.5,
    beta: Scalar = 1.0,
    tau_plus: Scalar = 0.0,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""Debiased NT-Xent whose negatives weigh the more, the more they look like the anchor.

    .. math:: -\frac{s_i^+}{\tau} + \log \big( e^{s_i^+/\tau} + G_i \big), \qquad
        G_i = \max \Big( \frac{\sum_k w_{ik} e^{s_{ik}/\tau} - \tau^+ N e^{s_i^+/\tau}}{1 - \tau^+}, N e^{-1/\tau} \Big), \qquad
        w_{ik} = \frac{e^{\beta s_{ik}/\tau}}{\frac1N \sum_l e^{\beta s_{il}/\tau}}

    over the N = 2n - 2 embeddings that are neither the anchor nor its partner. `beta=0` is `debiased`; `beta=0, tau_plus=0`
    is NT-Xent. `log(2n - 1)` when every embedding is the same.

    Args:
        z1, z2: two views, row by row of the same instances; L2-normalised inside.
        temperature: > 0.
        beta: >= 0, how much hardness counts; it multiplies the cosine over the temperature.
        tau_plus: in [0, 1), the probability that a negative has the anchor's class.
        reduction: "none" gives `(2n,)`, `z1`'s rows first.
        block_size: rows and columns of a tile; None is dense up to 512 instances.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, numbers out of range.

    Source: Robinson et al. 2020 (arXiv 2010.04592); official code joshr17/HCL `image/main.py`. The weights are differentiated
    and G has a lower limit, as in the code.

    >>> z = torch.eye(2)
    >>> hard_negative(z, z, temperature=1.0)                # both negatives are alike: log(1 + 2/e)
    tensor(0.5514)
    """
    return reduce(reweighted(z1, z2, temperature, beta, tau_plus, block_size), reduction)


def reweighted(
    z1: Tensor, z2: Tensor, temperature: Scalar, beta: Scalar, tau_plus: Scalar, block_size: int | None
) -> Float[Tensor, "2n"]:
    """The loss of both: negatives by hardness, less those expected to be positives, and the positive itself beside them."""
    u, v, cosine = paired(z1, z2)
    positive, count = cosine.repeat(2) / temperature, 2 * many(z1) - 2
    negatives = weighted(torch.cat([u, v]), temperature, beta, block_size)
    return recognised(positive, without_expected(negatives, positive, count, temperature, tau_plus))


def weighted(z: Tensor, temperature: Scalar, beta: Scalar, block_size: int | None) -> Float[Tensor, "2n"]:
    """`log sum_k w_k e^l_k` over the others, where `w_k` is proportional to `e^(beta l_k)` and 1 on average.

    A quotient of two partitions: that of `(1 + beta) l`, and the mean of `e^(beta l)`.
    """
    among = partial(partitions, skip=(0, len(z) // 2), block_size=block_size)
    if beta == 0 and not isinstance(beta, Tensor):
        return among(z, temperature=temperature)[0]
    hardness, _ = among(beta * z, z, temperature=temperature)  # not at temperature / beta, which has no slope at beta = 0
    return among(z, temperature=temperature / (1 + beta))[0] - hardness + math.log(many(z) - 2)


def without_expected(negatives: Tensor, positive: Tensor, count: int, temperature: Scalar, tau_plus: Scalar) -> Tensor:
    """`log max((e^negatives - tau_plus * count * e^positive) / (1 - tau_plus), count * e^(-1 / temperature))`, all in logs."""
    if tau_plus == 0:
        return negatives
    share = torch.as_tensor(tau_plus, dtype=positive.dtype, device=positive.device)
    left = negatives - positive - (share * count).log()  # <= 0: as many positives are expected as there are negatives
    safe = left.clamp(min=torch.finfo(left.dtype).eps)  # log(0) would be selected away, its NaN gradient would not
    debiased = negatives + torch.log(-torch.expm1(-safe)) - torch.log1p(-share)
    least = torch.zeros_like(negatives) + math.log(count) - 1 / temperature
    return torch.where((left > 0) & (debiased > least), debiased, least)
