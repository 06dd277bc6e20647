"""Who is whose neighbour, by cosine, and how unevenly that is shared out: hubs, and rows that are nobody's neighbour."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit.directions import unit
from labkit.registry import EMBEDDINGS, meter

BLOCK = 2**22  # cosines at a time: 32 MiB
TIE = 1e-12  # cosines nearer to each other than this are equal


class Nearest(NamedTuple):
    """Of every query its nearest rows, the nearest first: cosines, -inf where there are no more, and row numbers `(m, k)`."""

    cosines: Float[Tensor, "m k"]
    rows: Int[Tensor, "m k"]


def nearest(queries: Tensor, rows: Tensor | None = None, *, k: int, groups: Tensor | None = None, seed: int = 0) -> Nearest:
    """The k rows nearest to each query, all of them unit rows in float64; without `rows`, the other queries.

    Equal cosines are put in random order: if the first of a thousand duplicates were always taken, it would seem a hub.

    Args:
        queries, rows: `(m, d)` and `(n, d)`.
        k: at most the number of rows, or of other queries.
        groups: `(m,)`, without `rows`: a query is no neighbour of those of its own group.
        seed: of the random order.

    >>> nearest(torch.eye(3, dtype=torch.float64)[:2], k=1).rows.tolist()
    [[1], [0]]
    """
    generator = torch.Generator().manual_seed(seed)
    others, found = queries if rows is None else rows, []
    groups = torch.arange(len(queries)) if rows is None and groups is None else groups
    for some in torch.arange(len(queries)).split(max(BLOCK // len(others), 1)):
        cosines = products(queries) if rows is None and len(some) == len(queries) else queries[some] @ others.T
        if groups is not None:
            cosines.masked_fill_(groups[some, None] == groups, -torch.inf)
        found.append(largest(cosines, k, generator))
    return Nearest(*(torch.cat(part) for part in zip(*found, strict=True)))


def products(z: Tensor) -> Tensor:
    """`z @ z.T`, of which numpy computes only one half."""
    x = z.detach().cpu().numpy()
    return torch.from_numpy(x @ x.T)


def both_ways(a: Tensor, b: Tensor, *, k: int) -> tuple[Nearest, Nearest]:
    """`nearest(a, b)` and `nearest(b, a)`; of clouds small enough from one product."""
    if len(a) * len(b) > BLOCK:
        return nearest(a, b, k=k), nearest(b, a, k=k)
    cosines, lots = a @ b.T, torch.Generator().manual_seed(0)
    return largest(cosines, k, lots), largest(cosines.T.contiguous(), k, lots)


def largest(cosines: Tensor, k: int, generator: torch.Generator) -> Nearest:
    """The k largest of each row in order, equal ones by lot; only rows whose k-th has an equal beyond it are searched twice."""
    values, rows = cosines.topk(min(k + 1, cosines.shape[1]))
    if values.shape[1] > k:
        tied = (values[:, k - 1] - values[:, k] < TIE).nonzero().squeeze(1)
        lots = TIE * torch.rand(len(tied), cosines.shape[1], generator=generator, dtype=cosines.dtype)
        values[tied, :k], rows[tied, :k] = (cosines[tied] + lots).topk(k)
        values, rows = values[:, :k], rows[:, :k]
    mixed = (values[:, :-1] - values[:, 1:] < TIE).any(1).nonzero().squeeze(1)
    lots = TIE * torch.rand(len(mixed), values.shape[1], generator=generator, dtype=values.dtype)
    order = (values[mixed] + lots).argsort(1, descending=True)
    values[mixed], rows[mixed] = values[mixed].gather(1, order), rows[mixed].gather(1, order)
    return Nearest(values, rows)


def k_occurrence(z: Float[Tensor, "n d"], queries: Float[Tensor, "m d"] | None = None, *, k: int = 10) -> Int[Tensor, "n"]:
    r"""How many queries have each row of `z` among their k nearest; without `queries`, the other rows of `z` ask.

    .. math:: N_k(i) = \sum_q [i \in \text{the } k \text{ rows nearest to } q]

    Adds up to k times the number of queries.

    Raises:
        ValueError: `k` above the number of rows that can be a neighbour.

    >>> k_occurrence(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), k=1).tolist() in ([1, 2, 0], [0, 2, 1])
    True
    """
    most = len(z) - (queries is None)
    if k > most:
        raise ValueError(f"k must be at most {most}, the rows of z that can be a neighbour, got {k}")
    points = unit(z.double())
    near = nearest(points, k=k) if queries is None else nearest(unit(queries.double()), points, k=k)
    return times(near.rows, len(z))


def times(rows: Tensor, n: int) -> Int[Tensor, "n"]:
    """How often each of n rows is named."""
    return torch.bincount(rows.flatten(), minlength=n)


@meter("radovanovic2010", oracle="scipy.stats.skew of scikit-learn's neighbours", invariant=EMBEDDINGS | {"scale"})
def hubness(z: Float[Tensor, "n d"], queries: Float[Tensor, "m d"] | None = None, *, k: int = 10) -> Float[Tensor, ""]:
    r"""How unevenly rows are shared out as neighbours: the skewness of how often each is among somebody's k nearest.

    .. math:: \frac{\frac1n \sum_i (N_k(i) - \mu)^3}{\big( \frac1n \sum_i (N_k(i) - \mu)^2 \big)^{3/2}}, \qquad
        N_k(i) = \sum_q [i \in \text{the } k \text{ rows nearest to } q], \quad \mu = \frac1n \sum_i N_k(i)

    0 when every row is chosen equally often; a few hubs that everybody chooses make it large. Points spread at random have
    hubs as well, more of them in more dimensions and among more rows: read it beside random points of the same n and d.

    Args:
        z: embeddings; L2-normalised inside, so that neighbours are those by cosine.
        queries: who asks; the rows of z themselves if there are none, and none is its own neighbour then.
        k: 1 to n - 1 neighbours (n with queries).

    Raises:
        ValueError, TypeError: widths that differ, a row of zeros, NaN, integers, `k` too large.

    Source: Radovanovic, Nanopoulos and Ivanovic 2010 (JMLR 11, 2487-2531), eq. 1, with their k = 10; `k_skewness` of
    scikit-hubness. Equal cosines are put in random order, as there. 0 where every row is chosen equally often.

    >>> line = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3], [1.0, 0.7]])
    >>> hubness(line, k=1)                  # chosen 1, 2, 1 and 0 times
    tensor(0.)
    """
    return skewness(k_occurrence(z, queries, k=k).double()).to(z.dtype)


def skewness(counts: Tensor) -> Tensor:
    """Third central moment over the second to the power 3/2; 0 where all are the same."""
    away = counts - counts.mean()
    return torch.where((away != 0).any(), away.pow(3).mean() / away.square().mean().pow(1.5), 0.0)


@meter("radovanovic2010", oracle="float64 loop", invariant=EMBEDDINGS | {"scale"})
def antihubs(z: Float[Tensor, "n d"], queries: Float[Tensor, "m d"] | None = None, *, k: int = 10) -> Float[Tensor, ""]:
    r"""The share of rows that are among nobody's k nearest: whoever searches by neighbours never finds them.

    .. math:: \frac1n \sum_i [N_k(i) = 0]

    In [0, 1]. Not 0 for points spread at random, either: read it beside them.

    Args:
        z: embeddings; L2-normalised inside.
        queries: who asks; the rows of z themselves if there are none.
        k: 1 to n - 1 neighbours (n with queries).

    Raises:
        ValueError, TypeError: as `hubness`.

    Source: Radovanovic, Nanopoulos and Ivanovic 2010 (JMLR 11), who call such rows anti-hubs or orphans;
    `antihub_occurrence` of scikit-hubness.

    >>> antihubs(torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3], [1.0, 0.7]]), k=1)
    tensor(0.2500)
    """
    return (k_occurrence(z, queries, k=k) == 0).double().mean().to(z.dtype)


@meter("feldbauer2018", oracle="float64 loop", invariant=EMBEDDINGS | {"scale"})
def robin_hood(z: Float[Tensor, "n d"], queries: Float[Tensor, "m d"] | None = None, *, k: int = 10) -> Float[Tensor, ""]:
    r"""The share of neighbour places that would have to be taken from the rich for every row to have equally many.

    .. math:: \frac{\sum_i | N_k(i) - \mu |}{2 \sum_i N_k(i)}, \qquad \mu = \frac1n \sum_i N_k(i)

    In [0, 1): 0 when every row is chosen equally often. Unlike the skewness it is bounded, and one hub cannot decide it.

    Args:
        z: embeddings; L2-normalised inside.
        queries: who asks; the rows of z themselves if there are none.
        k: 1 to n - 1 neighbours (n with queries).

    Raises:
        ValueError, TypeError: as `hubness`.

    Source: Hoover's index, used for hubness by Feldbauer, Leodolter, Plant and Flexer 2018 (IEEE Big Knowledge);
    `robinhood_index` of scikit-hubness.

    >>> robin_hood(torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3], [1.0, 0.7]]), k=1)
    tensor(0.2500)
    """
    return hoover(k_occurrence(z, queries, k=k).double()).to(z.dtype)


def hoover(counts: Tensor) -> Tensor:
    """Half the mean distance from the mean, over the mean."""
    return (counts - counts.mean()).abs().sum() / (2 * counts.sum())
