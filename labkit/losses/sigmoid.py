"""Every pair for itself: a yes-or-no question about each, with no softmax over the batch."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import reduce, yes_or_no
from labkit.directions import paired
from labkit.registry import EMBEDDINGS, objective


@objective("2303.15343", oracle="open_clip.SigLipLoss", invariant=EMBEDDINGS | {"view swap"})
def siglip(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "n d"],
    *,
    temperature: Scalar = 0.1,
    bias: Scalar = -10.0,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""Asks of each of the n^2 pairs whether it belongs together, and adds up an anchor's answers.

    .. math:: \sum_j \log \big( 1 + e^{-y_{ij} (s_{ij}/\tau + b)} \big), \qquad y_{ii} = 1, \; y_{ij} = -1

    where :math:`s_{ij}` is the cosine of `a[i]` and `b[j]`. A row is a sum over n pairs and not their mean, so the loss grows
    with the batch: `n log 2` when every embedding is the same and the bias is `-1 / temperature`, as it is by default.

    Args:
        a, b: two modalities, row by row of the same instances; L2-normalised inside.
        temperature: > 0; the paper learns it, from 0.1.
        bias: added to every logit; the paper learns it, from -10, because nearly all pairs are negatives.
        reduction: "none" gives `(2n,)`, first a to b, then b to a; "mean" is the official value, "sum" counts each pair twice.
        block_size: rows and columns of a tile; None is dense up to 1,024 instances.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, temperature <= 0.

    Source: Zhai et al. 2023 (arXiv 2303.15343), algorithm 1; official code google-research/big_vision
    `trainers/proj/image_text/siglip.py`, equal to mlfoundations/open_clip `SigLipLoss`.

    >>> z = torch.eye(2)
    >>> siglip(z, z)                        # log 2 + log(1 + exp(-10))
    tensor(0.6932)
    """
    a, b, cosine = paired(a, b)
    own = -F.logsigmoid(cosine / temperature + bias)
    rows, columns = yes_or_no(a, b, temperature=temperature, bias=bias, block_size=block_size)
    return reduce(torch.cat([own + rows, own + columns]), reduction)
