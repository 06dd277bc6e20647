"""The softmax family: an anchor must recognise its positive among the others."""

from jaxtyping import Float
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import contrast, log_partition, reduce, two_views
from labkit.registry import EMBEDDINGS, objective
from labkit.tiled import by_blocks


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
        block_size: anchors at a time; None is dense up to 2,048 instances.

    Raises:
        ValueError, TypeError: shapes that differ, fewer than two rows, a row of zeros, NaN, integers, temperature <= 0.

    Source: Chen et al. 2020 (arXiv 2002.05709), eq. 1; official code google-research/simclr `objective.py`.

    >>> z = torch.eye(2)
    >>> nt_xent(z, z, temperature=1.0)      # log(1 + 2/e)
    tensor(0.5514)
    """

    def loss(anchors: slice) -> Tensor:
        pairs = two_views(z1, z2, anchors)
        logits = pairs.similarity / temperature
        return contrast(logits, pairs.partner, log_partition(logits, pairs.partner | pairs.others), reduction="none")

    return reduce(by_blocks(loss, 2 * len(z1), block_size), reduction)
