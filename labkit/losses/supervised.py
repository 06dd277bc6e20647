"""Labels say who is a positive, alone or beside the views."""

from functools import partial
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from labkit.checks import Reduction, Scalar
from labkit.contrast import kinship, numbered, parted, recognised, reduce
from labkit.directions import exact
from labkit.registry import EMBEDDINGS, objective


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
        block_size: rows and columns of a tile; None is dense up to 1,024 embeddings.

    Anchors without a positive give 0 and count in the mean.

    Raises:
        ValueError, TypeError: labels that do not match, fewer than two rows, a row of zeros, NaN, temperature <= 0.

    Source: Khosla et al. 2020 (arXiv 2004.11362), eqs. 2 and 3. Both official codes scale the loss, which we do not:
    google-research/supcon by the temperature (unless told not to), HobbitLong/SupContrast, which has L_out alone, by
    temperature / 0.07. google-research/supcon also divides twice by |P(i)| when there is one view; we follow the paper.

    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> sup_con(z, torch.tensor([0, 0, 1, 1]), temperature=1.0)    # log(1 + 2/e)
    tensor(0.5514)
    """
    ids, order = (labels.repeat_interleave(z.shape[1]) if z.ndim == 3 else labels).sort(stable=True)
    z = z.flatten(0, -2)[order]
    x = exact(z) * temperature**-0.5  # in float64: positives that are alike pull each other nearly as much as they push
    same, others = parted(x, ids, like=z, block_size=block_size)
    products, many = kinship(x, ids)
    count = (many - 1).clamp(min=1)  # of positives
    loss = recognised(same, others)
    if form == "in":
        loss = loss + count.log()
    else:
        gap = same - (products - 1 / temperature) / count  # of their log-mean to their mean: none for one positive alone
        loss = loss + gap.masked_fill(many == 2, 0.0)
    return reduce(loss.masked_fill(many == 1, 0.0)[order.argsort()], reduction)


@objective("2305.16536", unit="instance", invariant=EMBEDDINGS | {"view swap"}, ranges={"share": "[0, 1]"})
def joint(
    views: Float[Tensor, "n v d"],
    labels: Int[Tensor, "n"],
    *,
    share: Scalar = 0.5,
    temperature: Scalar = 0.1,
    reduction: Reduction = "mean",
    block_size: int | None = None,
) -> Tensor:
    r"""Supervised and self-supervised contrast in one: what keeps subclasses from collapsing into their class.

    .. math:: (1 - \beta) \, L_{SupCon}(z, y) + \beta \, L_{SupCon}(z, i)

    where in the second term every instance is its own class: NT-Xent over all views.

    Args:
        views: two or more views of each instance; L2-normalised inside.
        labels: `(n,)` integers.
        share: 0 to 1, the weight :math:`\beta` of the self-supervised term; 0 is SupCon, 1 is NT-Xent.
        temperature: > 0, of both terms.
        reduction: "none" gives one value per instance, `(n,)`, the mean over its views.
        block_size: rows and columns of a tile; None is dense up to 1,024 embeddings.

    Raises:
        ValueError, TypeError: labels that do not match, fewer than two rows or views, zero rows, NaN, `share` outside [0, 1].

    Source: Xue et al. 2023 (arXiv 2305.16536), the joint loss of their section on class collapse, with SupCon's and SimCLR's
    losses in place of the spectral ones that they analyse; no official code was found.

    >>> z = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    >>> joint(z, torch.tensor([0, 1]), share=0.5, temperature=1.0)      # log(1 + 2/e): both terms agree here
    tensor(0.5514)
    """
    compared = partial(sup_con, views, temperature=temperature, reduction="none", block_size=block_size)
    supervised, alone = compared(labels), compared(numbered(views))
    return reduce(((1 - share) * supervised + share * alone).unflatten(0, (len(views), -1)).mean(1), reduction)
