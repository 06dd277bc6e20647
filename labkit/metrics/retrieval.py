"""Two kinds of embeddings, row by row of the same things: does one find its partner, and can the two be told apart?"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.directions import unit
from labkit.metrics.neighbours import BLOCK, TIE
from labkit.registry import EMBEDDINGS, meter


@meter("1707.05612", oracle="float64 loop", invariant=EMBEDDINGS | {"scale"})
def recall_at_k(
    a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], groups: Int[Tensor, "n"] | None = None, *, k: int = 1
) -> Float[Tensor, ""]:
    r"""The share of rows of `a` that have their partner among the k rows of `b` nearest to them.

    .. math:: \frac1n \sum_i \big[ \, \# \{ j : g_j \ne g_i, \; a_i^\top b_j > a_i^\top b_i \} < k \, \big]

    Chance is k / n, and every further row is one more rival: a recall without its n says nothing. Equal cosines are drawn by
    lot, as the mean over all lots, so that embeddings that have collapsed to a point score k / n.

    Args:
        a, b: row i of both belongs together; L2-normalised inside.
        groups: rows of one group are no rivals (five captions of one image); without groups all others are.
        k: 1 to n.

    Raises:
        ValueError, TypeError: shapes that differ, a row of zeros, NaN, integers, `k` above n.

    Source: recall at k as Faghri et al. 2017 (arXiv 1707.05612) and most work on images and captions report it.

    >>> recall_at_k(torch.eye(3), torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    tensor(0.3333)
    """
    if k > len(a):
        raise ValueError(f"k must be at most the {len(a)} rows of b, got {k}")
    points, others = unit(a.double()), unit(b.double())
    groups = torch.arange(len(a), device=a.device) if groups is None else groups
    found = torch.zeros((), dtype=points.dtype, device=a.device)
    for some in torch.arange(len(a), device=a.device).split(max(BLOCK // len(b), 1)):
        above, equal = rivals(points[some] @ others.T, some, groups)
        found += found_within(above.double().sum(1), equal.double().sum(1), k).sum()
    return (found / len(a)).to(a.dtype)


def rivals(cosines: Tensor, some: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Of the queries `some` against all: which rows lie nearer than the partner, and which as near; none of the own group."""
    own = cosines.gather(1, some[:, None])
    stranger = groups[some, None] != groups
    above, atleast = stranger & (cosines > own + TIE), stranger & (cosines > own - TIE)
    return above, atleast & ~above


def found_within(above: Tensor, equal: Tensor, k: int) -> Tensor:
    """The chance that the partner is among the first k, with its equals in any order."""
    return ((k - above) / (equal + 1)).clamp(0, 1)


@meter(
    "mann1947",
    oracle="scipy.stats.mannwhitneyu",
    invariant=frozenset({"rotation", "scale", "view swap"}),
    sizes={"n": 4},
    ranges={"seed": "[0, inf)"},
)
def modality_auc(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], *, seed: int = 0) -> Float[Tensor, ""]:
    r"""How well one direction tells a row of `a` from a row of `b`: 1/2 not at all, 1 always.

    .. math:: P \big( w^\top a_i > w^\top b_j \big), \qquad w = \bar a - \bar b

    The direction is that between the centres of half of the pairs; it is judged on the other half, and the other way round.

    Args:
        a, b: row i of both belongs together, at least four; L2-normalised inside.
        seed: of the halves.

    Raises:
        ValueError, TypeError: shapes that differ, a row of zeros, NaN, integers.

    Source: the Mann-Whitney statistic (1947) of the projection on the gap of Liang et al. 2022 (arXiv 2203.02053), who find
    that image and text embeddings can be told apart by it.

    >>> modality_auc(torch.tensor([[1.0, 0.1]]).repeat(4, 1), torch.tensor([[0.1, 1.0]]).repeat(4, 1))
    tensor(1.)
    """
    order = torch.randperm(len(a), generator=torch.Generator().manual_seed(seed)).to(a.device)
    return told_apart(unit(a.double()), unit(b.double()), order[: len(a) // 2], order[len(a) // 2 :]).to(a.dtype)


def told_apart(a: Tensor, b: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """The mean of both ways: the direction from rows `one` judged on rows `other`, and the reverse."""
    judged = []
    for fit, test in ((one, other), (other, one)):
        direction = a[fit].mean(0) - b[fit].mean(0)
        judged.append(auc(a[test] @ direction, b[test] @ direction))
    return torch.stack(judged).mean()


def auc(high: Tensor, low: Tensor) -> Tensor:
    """The share of pairs in which the first is larger; equal ones count half."""
    order = low.sort().values
    below, upto = torch.searchsorted(order, high - TIE), torch.searchsorted(order, high + TIE, right=True)
    return (below + upto).double().mean() / (2 * len(low))
