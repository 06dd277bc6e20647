"""Who is pushed: how the repulsion of a softmax loss is shared out among an anchor's negatives."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.checks import Scalar
from labkit.directions import unit
from labkit.metrics.neighbours import BLOCK
from labkit.registry import EMBEDDINGS, meter


def hardness(similarities: Float[Tensor, "*n m"], temperature: Scalar) -> Float[Tensor, "*n m"]:
    r"""How an anchor's push is shared out among its negatives: a softmax of their cosines, which adds up to 1.

    .. math:: r_{ij} = \frac{e^{s_{ij} / \tau}}{\sum_k e^{s_{ik} / \tau}}

    It is the gradient of InfoNCE, DCL and kin with respect to each negative's cosine, divided by their sum.

    Args:
        similarities: cosines of negatives only; minus infinity leaves one out.
        temperature: > 0.

    Source: Wang & Liu 2021 (arXiv 2012.09740).

    >>> hardness(torch.tensor([0.9, 0.7, 0.5]), 0.1)
    tensor([0.8668, 0.1173, 0.0159])
    """
    return torch.softmax(similarities / temperature, -1)


@meter("2012.09740", oracle="float64 loop", invariant=EMBEDDINGS | {"scale"}, ranges={"fraction": "(0, 1]"})
def push_share(
    z: Float[Tensor, "n d"], labels: Int[Tensor, "n"] | None = None, *, temperature: Scalar = 0.1, fraction: Scalar = 0.05
) -> Float[Tensor, ""]:
    r"""The share of the push that falls on the nearest `fraction` of the negatives, or on those of the anchor's own class.

    .. math:: \frac1n \sum_i \sum_{j \in S_i} r_{ij}, \qquad r_{ij} = \frac{e^{s_{ij} / \tau}}{\sum_{k \ne i} e^{s_{ik} / \tau}}

    `S_i` holds the `ceil(fraction * (n - 1))` nearest rows; with `labels`, the other rows of the class. Even shares would
    give `fraction`, or the class's part of the rows. For a fixed `z` the share of the nearest never falls as the temperature
    does.

    Args:
        z: one view of each instance, so that all other rows are negatives; L2-normalised inside.
        labels: classes; None asks for the nearest.
        temperature: > 0; need not be the one that `z` was trained with.
        fraction: in (0, 1]; used without labels.

    Raises:
        ValueError, TypeError: fewer than two rows, a row of zeros, NaN, integer embeddings, `temperature <= 0`.

    Source: Wang & Liu 2021 (arXiv 2012.09740): r is their relative penalty on a negative.

    >>> z = torch.tensor([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0]])
    >>> push_share(z, temperature=1.0, fraction=0.5)
    tensor(0.7467)
    """
    points, nearest = unit(z.double()), math.ceil(float(fraction) * (len(z) - 1))
    shares = []
    for some in torch.arange(len(z), device=z.device).split(max(BLOCK // len(z), 1)):
        cosines = points[some] @ points.T
        cosines[torch.arange(len(some), device=z.device), some] = -math.inf
        weights = hardness(cosines, temperature)
        mine = weights.topk(nearest).values if labels is None else weights.masked_fill(labels[some, None] != labels, 0.0)
        shares.append(mine.sum(-1))
    return torch.cat(shares).mean().to(z.dtype)
