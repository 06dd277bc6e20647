"""Labels say who is a positive."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import contrast, log_partition, reduce, share, unit
from labkit.registry import objective
from labkit.tiled import by_blocks


@objective("2004.11362", oracle="HobbitLong/SupContrast", sizes={"v": 1})
def sup_con(
    z: Float[Tensor, "n d"] | Float[Tensor, "n v d"],
    labels: Int[Tensor, "n"],
    *,
    temperature: Scalar = 0.1,
    form: Literal["out", "in"] = "out",
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""Every embedding of the same class is a positive; the mean is taken outside or inside the logarithm.

    .. math:: L_{out} = \frac{-1}{|P(i)|} \sum_{p \in P(i)} \log \frac{e^{s_{ip}/\tau}}{\sum_{a \ne i} e^{s_{ia}/\tau}}
        \qquad L_{in} = -\log \frac{1}{|P(i)|} \sum_{p \in P(i)} \frac{e^{s_{ip}/\tau}}{\sum_{a \ne i} e^{s_{ia}/\tau}}

    `L_in <= L_out` (Jensen). With no two labels alike and two views it is NT-Xent.

    Args:
        z: `(n, d)`, or `(n, v, d)` for v views of each instance; L2-normalised inside.
        labels: `(n,)` integers.
        temperature: > 0.
        form: "out" (the paper's recommendation) or "in".
        reduction: "none" gives one value per embedding, `(n,)` or `(n * v,)` with an instance's views side by side.
        block_size: anchors at a time; None is dense up to 4,096 embeddings.

    Anchors without a positive give 0 and count in the mean.

    Raises:
        ValueError, TypeError: labels that do not match, fewer than two rows, a row of zeros, NaN, temperature <= 0.

    Source: Khosla et al. 2020 (arXiv 2004.11362), eqs. 2 and 3; official code google-research/supcon. HobbitLong/SupContrast
    multiplies by temperature / 0.07; we do not.

    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> sup_con(z, torch.tensor([0, 0, 1, 1]), temperature=1.0)    # log(1 + 2/e)
    tensor(0.5514)
    """
    ids = labels.repeat_interleave(z.shape[1]) if z.ndim == 3 else labels
    z = unit(z).flatten(0, -2)
    everyone = torch.arange(len(z), device=z.device)

    def loss(anchors: slice) -> Tensor:
        logits = z[anchors] @ z.T / temperature
        other = everyone[anchors, None] != everyone
        same = share((ids[anchors, None] == ids) & other, logits)
        return contrast(logits, same, log_partition(logits, other), inside=form == "in", reduction="none")

    return reduce(by_blocks(loss, len(z), block_size), reduction)
