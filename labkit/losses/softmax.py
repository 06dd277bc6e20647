"""The softmax family: an anchor must recognise its positive among the others."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import against_others, partitions, recognised, recognised_among, reduce
from labkit.directions import paired, unit
from labkit.registry import EMBEDDINGS, objective


@objective("1807.03748", oracle="RElbers/info-nce-pytorch", floor_at="simplex")
def info_nce(
    anchors: Float[Tensor, "n d"],
    positives: Float[Tensor, "n d"],
    negatives: Float[Tensor, "m d"] | Float[Tensor, "n m d"] | None = None,
    *,
    temperature: Scalar = 0.1,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""Each anchor must recognise its positive: among the positives of the batch, or among negatives that are given.

    .. math:: -\frac{s_i^+}{\tau} + \log \Big( e^{s_i^+/\tau} + \sum_{k \in N(i)} e^{s_{ik}/\tau} \Big)

    where :math:`s` are cosines and, without `negatives`, :math:`N(i)` are the other rows of `positives`. `log n` when every
    embedding is the same; `log n` minus the loss is a lower bound on the mutual information, which it cannot exceed.

    Args:
        anchors, positives: `(n, d)`, row by row of the same instances; L2-normalised inside.
        negatives: None; or `(m, d)` shared by all anchors, or `(n, m, d)` of each anchor's own. The candidates are then the
            positive and these, and one anchor is enough.
        temperature: > 0.
        reduction: "none" gives `(n,)`; rows only, see `clip_loss` for both directions.
        block_size: rows and columns of a tile; None is dense up to 1,024 anchors.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, temperature <= 0.

    Source: van den Oord et al. 2018 (arXiv 1807.03748), eq. 4, with cosines over a temperature in place of the paper's
    bilinear score, as in MoCo and SimCSE; values of the package info-nce-pytorch.

    >>> z = torch.eye(2)
    >>> info_nce(z, z, temperature=1.0)     # log(1 + 1/e)
    tensor(0.3133)
    >>> info_nce(z, z, torch.tensor([[-1.0, -1.0]]), temperature=1.0)      # log(1 + exp(-1.7071))
    tensor(0.1667)
    """
    a, p, cosine = paired(anchors, positives)
    own = cosine / temperature
    if negatives is None:
        return reduce(recognised_among(own, a, p, temperature=temperature, skip=(0,), block_size=block_size), reduction)
    against = unit(negatives)
    if against.ndim == 2:
        return reduce(recognised_among(own, a, against, temperature=temperature, block_size=block_size), reduction)
    others = (torch.einsum("nd,nmd->nm", a, against) / temperature).logsumexp(-1)
    return reduce(recognised(own, others), reduction)


@objective("2103.00020", oracle="open_clip.ClipLoss", invariant=EMBEDDINGS | {"view swap"}, floor_at="simplex")
def clip_loss(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "n d"],
    *,
    temperature: Scalar = 0.07,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""InfoNCE between two modalities in both directions: each image finds its text, each text its image.

    .. math:: -\frac{s_{ii}}{\tau} + \log \sum_j e^{s_{ij}/\tau}
        \quad \text{and} \quad -\frac{s_{ii}}{\tau} + \log \sum_j e^{s_{ji}/\tau}

    where :math:`s_{ij}` is the cosine of `a[i]` and `b[j]`. `log n` when every embedding is the same.

    Args:
        a, b: two modalities, row by row of the same instances; L2-normalised inside.
        temperature: > 0; the paper learns it, from 0.07 and down to 0.01.
        reduction: "none" gives `(2n,)`, first a to b, then b to a.
        block_size: rows and columns of a tile; None is dense up to 1,024 instances.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, temperature <= 0.

    Source: Radford et al. 2021 (arXiv 2103.00020), figure 3; code of mlfoundations/open_clip `loss.py`, whose caller
    normalises and whose `logit_scale` is 1 / temperature.

    >>> z = torch.eye(2)
    >>> clip_loss(z, z, temperature=1.0)    # log(1 + 1/e)
    tensor(0.3133)
    """
    a, b, cosine = paired(a, b)
    others = partitions(a, b, temperature=temperature, skip=(0,), block_size=block_size)
    return reduce(recognised(cosine.repeat(2) / temperature, torch.cat(others)), reduction)


@objective("2002.05709", oracle="lightly.loss.NTXentLoss", invariant=EMBEDDINGS | {"view swap"}, floor_at="simplex")
def nt_xent(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    *,
    temperature: Scalar = 0.5,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""Each of the 2n embeddings must recognise its partner among all the others.

    .. math:: -\frac{s_i^+}{\tau} + \log \sum_{k \ne i} e^{s_{ik}/\tau}

    where :math:`s` are cosines. `log(2n - 1)` when every embedding is the same.

    Args:
        z1, z2: two views, row by row of the same instances; L2-normalised inside.
        temperature: > 0; the paper tunes 0.1 to 0.5.
        reduction: "none" gives `(2n,)`, `z1`'s rows first.
        block_size: rows and columns of a tile; None is dense up to 512 instances.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, temperature <= 0.

    Source: Chen et al. 2020 (arXiv 2002.05709), eq. 1; official code google-research/simclr `objective.py`.

    >>> z = torch.eye(2)
    >>> nt_xent(z, z, temperature=1.0)      # log(1 + 2/e)
    tensor(0.5514)
    """
    u, v, cosine = paired(z1, z2)
    others = against_others(u, v, temperature=temperature, block_size=block_size)
    return reduce(recognised(cosine.repeat(2) / temperature, others), reduction)
