"""Whether the pairs as given are better than chance, and whether another matching of the same rows is better still."""

from typing import NamedTuple

import torch
from torch import Tensor

from labkit.directions import unit
from labkit.report.faults.look import View

POOL = 2**14  # rows among which nearest neighbours are looked for, where pairs are at chance
ROWS = 1024  # of which ranks are taken
GRAMS = 512  # of which kernels are compared when the two widths say nothing about each other
STANDS_OUT = 4.0  # the lead of the best match over the second, in leads of the second over the tenth
MODES = 4.0  # pooled standard deviations between two modes; a Gaussian cut in half shows 2.6
WIDE = 3.0  # standard deviations of shuffled pairs that the modes lie apart: in few dimensions strangers may be close
SHUFFLES = 60
TOP, SEEN = 0.02, 0.2  # of all candidates; share of the partners that are there
TAIL, EVEN = 0.05, 1.6  # share of the partners in the worse half; how much denser they may be right above it
OTHERS = 0.3  # how far above or below the others' lengths theirs may be


def rank_score(a: Tensor, b: Tensor) -> float:
    """How many standard deviations the partners' ranks among all candidates lie above those of shuffled pairs.

    Ranks, so that a few rows that kept their partner do not speak for the rest. Under a random matching the sum of
    P[i, pi(i)] has variance ||P||^2 / (n - 1) with P centred by rows and columns.
    """
    a, b = a[:ROWS], b[:ROWS]
    n = len(a)
    ranks = (a @ b.T).argsort(1).argsort(1).double() / max(n - 1, 1)
    ranks = ranks - ranks.mean(0) - ranks.mean(1, keepdim=True) + ranks.mean()
    spread = ranks.square().sum().sqrt() / (n - 1) ** 0.5
    return float(ranks.diagonal().sum() / spread.clamp(min=1e-300))


def kernel_score(a: Tensor, b: Tensor, generator: torch.Generator) -> float:
    """The same of whole neighbourhoods: rows of one width against rows of another, however they are turned."""
    pick = torch.randperm(len(a), generator=generator)[:GRAMS]
    grams = [centred_gram(z[pick]) for z in (a, b)]
    given = float((grams[0] * grams[1]).sum())
    orders = [torch.randperm(len(pick), generator=generator) for _ in range(SHUFFLES)]
    chance = torch.tensor([float((grams[0] * grams[1][order][:, order]).sum()) for order in orders], dtype=torch.float64)
    return (given - float(chance.mean())) / max(float(chance.std()), 1e-300)


def centred_gram(z: Tensor) -> Tensor:
    gram = (z @ z.T).fill_diagonal_(0.0)
    return gram - gram.mean(0) - gram.mean(1, keepdim=True) + gram.mean()


def one_shape(a: Tensor, b: Tensor, least: int = 8) -> float:
    """How alike the covariances of two clouds are, less what a round cloud has: 0 for round ones, 1 for one stretched cloud.

    Unrelated models stretch along unrelated directions; two draws from one model along the same.
    """
    width = a.shape[1]
    if width < least:
        return 0.0
    first, second = (z.T.cov() - z.var(0).mean() * torch.eye(width, dtype=z.dtype) for z in (a, b))
    return float((first * second).sum() / (first.norm() * second.norm()).clamp(min=1e-300))


def strangers(a: Tensor, b: Tensor) -> Tensor:
    """(n,) whether a pair is as unlike as shuffled pairs are, where most are not; none where there are no two such kinds.

    The cosines of partners then have two modes, the lower one where shuffled pairs have their mean.
    """
    cosines = (a * b).sum(1)
    n, none = len(cosines), torch.zeros(len(cosines), dtype=torch.bool)
    chance = float((a.sum(0) @ b.sum(0) - cosines.sum()) / (n * (n - 1)))
    cut = float(cosines.mean())
    for _ in range(50):
        low = cosines < cut
        if not low.any() or low.all():
            return none
        cut = float(cosines[low].mean() + cosines[~low].mean()) / 2
    below, above = cosines[low], cosines[~low]
    if min(len(below), len(above)) < 4:
        return none
    spread = float(((below.var() * (len(below) - 1) + above.var() * (len(above) - 1)) / (n - 2)).sqrt())
    gap = float(above.mean() - below.mean())
    usual = float((((a.T @ a) * (b.T @ b)).sum() / n**2 - chance**2).clamp(min=0).sqrt())  # of cosines of shuffled pairs
    there = gap > WIDE * usual and abs(float(below.mean()) - chance) < 0.2 * (float(above.mean()) - chance)
    return low if gap > MODES * max(spread, 1e-12) and there else none


def lost(a: Tensor, b: Tensor, lengths: tuple[Tensor, Tensor]) -> Tensor:
    """Rows whose partner is in the worse half of the candidates, where those have no place of their own; else none.

    Most partners are then among the very best candidates and the others evenly spread, as those of shuffled pairs are:
    partners that are merely noisy thin out towards the worst candidates, and rows that are nothing but noise are shorter, or
    longer, than others: `lengths` (n,) of the rows of either view.
    """
    rows = torch.linspace(0, len(a) - 1, min(len(a), ROWS)).long()
    cosines = a[rows] @ b[rows].T
    own = cosines.diagonal()
    places = [((cosines <= by).sum(dim) - 1) / max(len(rows) - 1, 1) for by, dim in ((own[:, None], 1), (own, 0))]
    worse = places[0] < 0.5
    like_others = all(abs(ahead(each[rows][worse], each[rows][~worse])) < OTHERS for each in lengths)
    return rows[worse] if like_others and all(evenly(place) for place in places) else rows[:0]


def ahead(some: Tensor, others: Tensor) -> float:
    """How much more often one of `some` is above one of the others than below it: -1 to 1."""
    return float((some[:, None] - others).sign().mean()) if len(some) and len(others) else 0.0


def evenly(place: Tensor) -> bool:
    """Whether places among the candidates, from 0 (worst) to 1 (best), are a peak on an even floor."""

    def share(low: float, high: float) -> float:
        return float(((place >= low) & (place < high)).double().mean())

    worse, peak = share(0.0, 0.5), float((place >= 1 - TOP).double().mean())
    if worse < TAIL or worse * len(place) < 12 or peak < SEEN:
        return False
    return share(0.5, 0.8) / 0.3 < EVEN * worse / 0.5 and share(0.0, 0.25) > 0.35 * worse


class Elsewhere(NamedTuple):
    """Rows of z1 whose best match in z2 stands out and is not their partner; `here`, those whose partner it is.

    rows, matches: row numbers within the sample. exact: the share of these matches that are the same point.
    """

    rows: Tensor
    matches: Tensor
    here: int
    exact: float


def elsewhere(a: Tensor, b: Tensor, stands_out: float = STANDS_OUT) -> Elsewhere:
    """Look for each row's match among all rows of the other view, by cosine about the means."""
    values, who, back = best_matches(a.float(), b.float(), min(10, len(b)))
    gaps = (2 - 2 * values.double()).clamp(min=1e-12).sqrt()  # distances: they stay apart where cosines are all near 1
    lead = (gaps[:, 1] - gaps[:, 0]) / (gaps[:, -1] - gaps[:, 1]).clamp(min=1e-6)
    own = torch.arange(len(a))
    clear = lead > stands_out
    partner = who[:, 0] == own
    mutual = back[who[:, 0]] == own
    rows = (clear & ~partner & mutual).nonzero().squeeze(1)
    same = gaps[rows, 0] < 1e-3
    return Elsewhere(rows, who[rows, 0], int((partner & mutual).sum()), float(same.double().mean()) if len(rows) else 0.0)


def best_matches(a: Tensor, b: Tensor, k: int, block: int = 1024) -> tuple[Tensor, Tensor, Tensor]:
    """(n, k) the largest cosines of each row of a, (n, k) whose they are, (m,) and which row of a is best for each row of b."""
    values, who = [], []
    highest, back = torch.full((len(b),), -torch.inf), torch.zeros(len(b), dtype=torch.long)
    for start in range(0, len(a), block):
        cosines = a[start : start + block] @ b.T
        most, index = cosines.topk(k)
        values.append(most)
        who.append(index)
        most, index = cosines.max(0)
        back = torch.where(most > highest, index + start, back)
        highest = torch.maximum(highest, most)
    return torch.cat(values), torch.cat(who), back


def alike(one: View, other: View, rows: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[float, float]:
    """How much closer rows come to rows of the other view, and to other rows of their own, than to Gaussian rows.

    0 is as close as to Gaussian rows with the covariance of the view they are compared with, 1 is a perfect match. Clusters
    and bent sheets bring rows of one cloud together; that rows of *two* clouds come closer than that needs a match for each.
    """
    queries = [view.directions[:ROWS].float() for view in (one, other)]
    pools = [view.pool(index, POOL).float() for view, index in zip((one, other), rows, strict=True)]
    chances = [gaussian(view, len(pool), generator) for view, pool in zip((one, other), pools, strict=True)]
    across = excess(queries[0], pools[1], chances[1])
    own = [excess(*each, itself=True) for each in zip(queries, pools, chances, strict=True)]
    return across, max(min(own), 0.0)


def excess(a: Tensor, b: Tensor, chance: Tensor, itself: bool = False) -> float:
    nearest = (a @ b.T).topk(2, dim=1).values
    found = float(nearest[:, 1 if itself else 0].mean())  # a row is its own nearest
    floor = float((a @ chance.T).amax(1).mean())
    return (found - floor) / max(1 - floor, 1e-9)


def gaussian(view: View, n: int, generator: torch.Generator) -> Tensor:
    """Directions of Gaussian rows with the covariance of the view's unit rows."""
    some = view.centred / view.scale
    values, axes = torch.linalg.eigh(some.T @ some / len(some))
    root = (axes * values.clamp(min=0).sqrt()).T.float()
    return unit(torch.randn(n, len(root), generator=generator) @ root)
