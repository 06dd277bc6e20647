"""Decoupled denominators: the positive is not among those an anchor is compared with."""

from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import contrast, log_partition, reduce, two_views
from labkit.registry import EMBEDDINGS, objective
from labkit.tiled import by_blocks


@objective("2110.06848", oracle="lightly.loss.DCLLoss", invariant=EMBEDDINGS | {"view swap"}, floor_at="simplex")
def dcl(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    *,
    temperature: Scalar = 0.1,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""NT-Xent with the positive taken out of the denominator, so that an easy positive does not silence the negatives.

    .. math:: -\frac{s_i^+}{\tau} + \log \sum_{k \notin \{i, i^+\}} e^{s_{ik}/\tau}

    Its gradient is NT-Xent's, row by row, without the factor `1 - p+`. `log(2n - 2)` when every embedding is the same.

    Args:
        z1, z2: two views, row by row of the same instances; L2-normalised inside.
        temperature: > 0.
        reduction: "none" gives `(2n,)`, `z1`'s rows first.
        block_size: anchors at a time; None is dense up to 2,048 instances.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, temperature <= 0.

    Source: Yeh et al. 2021 (arXiv 2110.06848), eq. 6; official code raminnakhli/Decoupled-Contrastive-Learning.

    >>> z = torch.eye(2)
    >>> dcl(z, z, temperature=1.0)          # log 2 - 1
    tensor(-0.3069)
    """

    def loss(anchors: slice) -> Tensor:
        pairs = two_views(z1, z2, anchors)
        logits = pairs.similarity / temperature
        return contrast(logits, pairs.partner, log_partition(logits, pairs.others), reduction="none")

    return reduce(by_blocks(loss, 2 * len(z1), block_size), reduction)
