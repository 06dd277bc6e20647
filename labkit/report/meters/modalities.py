"""Two sides of the same rows, two modalities or two views: the gap between them, and whether partners find each other."""

from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from labkit.metrics import Estimate
from labkit.metrics.neighbours import BLOCK, TIE
from labkit.metrics.retrieval import auc, found_within
from labkit.report.drawing import around, exact, halves
from labkit.report.meters.neighbourhood import kin, neighbourhood
from labkit.report.meters.neighbours import unequal
from labkit.report.meters.shares import share
from labkit.report.pieces import Measured, Missing, Null, Number, Sample, card

RECALLS = {"retrieval": 1, "retrieval_5": 5, "retrieval_10": 10}
GAPS = ("2203.02053", "2404.07983", "2405.18570")

card(
    "modality_gap",
    "modality gap",
    "modalities",
    means="the distance between the centres of z1 and z2 on the sphere, 0 to 2; two views through one encoder lie at the floor",
    implies_not="no error by itself: trained models for images and texts have one, and closing it need not help retrieval",
    sources=GAPS,
)
card(
    "modality_auc",
    "told apart by one direction",
    "modalities",
    means="how often a held-back row of z1 lies further along the line between the centres than one of z2: 1/2 never tells",
    implies_not="1 does not say that partners are lost: one offset for all pairs parts the sides and need not hurt retrieval",
    sources=("mann1947", "2203.02053"),
)
card(
    "pair_margin",
    "partners closer than strangers",
    "modalities",
    means="the mean cosine of partners minus that of strangers across the two sides; 0 if the rows were not paired at all",
    implies_not="a wide margin on average does not mean that a row finds its partner: retrieval asks each row for itself",
    sources=("2103.00020",),
)
for key, k in RECALLS.items():
    card(
        key,
        f"recall@{k}",
        "modalities",
        unit="of the rows",
        means=f"the share of rows whose partner is {'the nearest' if k == 1 else f'among the {k} nearest'} of the other side",
        implies_not="falls as n grows, every row being one more rival: no number to compare at another n or with a benchmark's",
        sources=("1707.05612",),
    )


def measure(sample: Sample) -> Measured:
    """The gap, the direction, the margin and recall at 1, 5 and 10 both ways, each beside rows that were never paired."""
    if reason := hindrance(sample):
        return Measured(
            missing=tuple(Missing(key, reason) for key in ("modality_gap", "modality_auc", "pair_margin", *RECALLS))
        )
    sides = Sides(sample)
    arrays: dict[str, np.ndarray] = {}
    numbers = [gap(sides), direction(sides), margin(sides)]
    for of, counts in ranked(sides).items():
        numbers += [recall(sides, of, key, *counts) for key in RECALLS]
        above, equal = (c[:, 0].double() for c in counts)
        most = min(100, sides.n)
        arrays[f"{of}.recall"] = np.array([found_within(above, equal, k).mean().item() for k in range(1, most + 1)])
    return Measured(tuple(numbers), (), arrays | along(sides))


def hindrance(sample: Sample) -> str:
    """Why two sides cannot be compared, if they cannot."""
    if sample.z2 is None:
        return "z2 or pairs"
    if widths := unequal(sample):
        return f"z1 and z2 of one width, got {widths}: there is no cosine between them"
    if (groups := kin(sample)) is not None and len(groups.unique()) < 8:
        return f"at least 8 groups, so that half of the sample can be held back, got {len(groups.unique())}"
    if neighbourhood(sample, "z1 among z2").collapsed:
        return "rows that differ: those of one side all point the same way"
    return ""


class Sides:
    """Both sides as unit rows, the groups of the pairs, and the halves that every interval here comes from.

    weights: `(draws, n)`, each row averages one half of the pairs. signs: `(draws, n)`, -1 where a group's pairs are swapped.
    """

    def __init__(self, sample: Sample):
        self.n, self.seed = len(sample), sample.seed
        self.a, self.b = neighbourhood(sample, "z1").points, neighbourhood(sample, "z2").points
        groups = kin(sample)
        self.groups = torch.arange(self.n) if groups is None else groups
        self.drawn = halves(self.n, groups, seed=sample.seed)
        self.weights = averaging(self.drawn, self.n)
        coins = torch.Generator().manual_seed(sample.seed + 1)
        self.signs = (torch.randint(2, (len(self.drawn), int(self.groups.max()) + 1), generator=coins) * 2.0 - 1).double()[
            :, self.groups
        ]


def averaging(drawn: list[Tensor], n: int) -> Tensor:
    """`(draws, n)`: times the rows of a cloud it gives the mean of each draw's rows."""
    weights = torch.zeros(len(drawn), n, dtype=torch.float64)
    for row, chosen in zip(weights, drawn, strict=True):
        row[chosen] = 1 / len(chosen)
    return weights


def gap(sides: Sides) -> Number:
    """Beside the same pairs with their sides swapped by lot, and beside two halves of one cloud."""
    apart, n = sides.a - sides.b, sides.n
    swapped = (sides.signs @ apart / n).norm(dim=1).tolist()
    rest = (1 - sides.weights.bool().double()) / (sides.weights == 0).sum(1, keepdim=True)
    twins = ((sides.weights - rest) @ sides.a).norm(dim=1).tolist()
    nulls = (
        Null("swapped", f"the same {n:,} pairs, sides swapped by lot", around(fmean(swapped), swapped)),
        Null("halves of z1", f"two halves of z1, {n // 2:,} rows each", around(fmean(twins), twins)),
    )
    value = around(apart.mean(0).norm().item(), (sides.weights @ apart).norm(dim=1).tolist())
    return Number("modality_gap", "z1, z2", value, n, nulls)


def direction(sides: Sides) -> Number:
    """The line between the centres of half of the pairs, judged on the other half; in each half of the sample, of quarters."""
    whole = [(rows, left(torch.arange(sides.n), rows)) for rows in sides.drawn[:10]]
    within = [quarters(rows, sides.groups, sides.seed + i) for i, rows in enumerate(sides.drawn)]
    fit, test = zip(*whole, *within, strict=True)
    weights = averaging(list(fit), sides.n)

    def judged(signs: Tensor) -> list[float]:
        lines = (weights * signs) @ (sides.a - sides.b)
        a, b = sides.a @ lines.T, sides.b @ lines.T
        a, b = torch.where(signs.T > 0, a, b), torch.where(signs.T > 0, b, a)
        return [auc(a[rows, i], b[rows, i]).item() for i, rows in enumerate(test)]

    estimates = []
    for signs in (torch.ones(1, 1, dtype=torch.float64), sides.signs[torch.arange(len(fit)) % len(sides.signs)]):
        found = judged(signs)
        estimates.append(shared(fmean(found[: len(whole)]), found[len(whole) :], sides.n))
    null = Null("swapped", f"the same {sides.n:,} pairs, sides swapped by lot", estimates[1])
    return Number("modality_auc", "z1, z2", estimates[0], sides.n, (null,))


def left(rows: Tensor, taken: Tensor) -> Tensor:
    """The rows that were not taken."""
    return rows[~torch.isin(rows, taken)]


def quarters(rows: Tensor, groups: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Two parts of the rows that share no group."""
    names = groups[rows].unique()
    lots = names[torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))]
    first = torch.isin(groups[rows], lots[: len(lots) // 2])
    return rows[first], rows[~first]


def shared(value: float, found: list[float], n: int) -> Estimate:
    """`share` where every half has something to say."""
    estimate = share(value, found, n)
    assert estimate is not None
    return estimate


def margin(sides: Sides) -> Number:
    """Beside partners drawn by lot. Rows of one group are neither partners nor strangers."""
    n, (a, b) = sides.n, (sides.a, sides.b)
    many = int(sides.groups.max()) + 1
    sums = [side.new_zeros(many, side.shape[1]).index_add(0, sides.groups, side) for side in (a, b)]
    sizes = torch.bincount(sides.groups, minlength=many).double()
    own = ((sums[0] * sums[1]).sum(1) / sizes)[sides.groups]  # of a group's pairs with each other, for each of its rows
    cosines = (a * b).sum(1)

    def margins(weights: Tensor) -> Tensor:
        """Of each draw, the mean cosine of its pairs minus that of two rows of different groups."""
        rows = (weights > 0).sum(1)
        centres = ((weights @ a) * (weights @ b)).sum(1)
        share_of_own = (weights @ sizes[sides.groups]) / rows
        return weights @ cosines - (centres - (weights @ own) / rows) / (1 - share_of_own)

    everyone = torch.full((1, n), 1 / n, dtype=torch.float64)
    value = margins(everyone).item()
    strangers = cosines.mean().item() - value
    order = torch.randperm(n, generator=torch.Generator().manual_seed(sides.seed))
    a, b = a[order], b[order]
    lots = [torch.linalg.vecdot(a, b.roll(shift, 0)).mean().item() - strangers for shift in range(1, min(9, n))]
    null = Null("shuffled pairs", f"partners drawn by lot, n = {n:,}", around(fmean(lots), lots))
    return Number("pair_margin", "z1, z2", around(value, margins(sides.weights).tolist()), n, (null,))


def ranked(sides: Sides) -> dict[str, tuple[Tensor, Tensor]]:
    """Both ways `(n, 1 + draws)`: how many rivals of each row are nearer than its partner, and how many as near, among all rows
    and among those of each half. One product of the two sides serves both ways.
    """
    among = torch.cat([torch.ones(1, sides.n), (sides.weights > 0).float()]).T
    own, back = (sides.a * sides.b).sum(1), [torch.zeros_like(among) for _ in range(2)]
    forth: list[list[Tensor]] = [[], []]
    for some in torch.arange(sides.n).split(max(BLOCK // sides.n, 1)):
        cosines = sides.a[some] @ sides.b.T
        stranger = sides.groups[some, None] != sides.groups
        for ahead, partner in ((True, own[some, None]), (False, own)):
            found = stranger & (cosines > partner + TIE), stranger & (cosines > partner - TIE)
            for i, counted in enumerate(found):
                if ahead:
                    forth[i].append(counted.float() @ among)
                else:
                    back[i] += counted.float().T @ among[some]
    above, atleast = (torch.cat(parts) for parts in forth)
    return {"z1 among z2": (above, atleast - above), "z2 among z1": (back[0], back[1] - back[0])}


def recall(sides: Sides, of: str, key: str, above: Tensor, equal: Tensor) -> Number:
    """Beside partners drawn by lot: k of n."""
    k, n = RECALLS[key], sides.n
    hits = found_within(above.double(), equal.double(), k)
    found = [hits[rows, 1 + i].mean().item() for i, rows in enumerate(sides.drawn)]
    rivals = n - torch.bincount(sides.groups)[sides.groups]
    chance = (k / (rivals + 1)).clamp(max=1).mean().item()
    null = Null("shuffled pairs", f"partners drawn by lot, {k} of {n:,}", exact(chance))
    return Number(key, of, shared(hits[:, 0].mean().item(), found, n), n, (null,))


def along(sides: Sides, bins: int = 40) -> dict[str, np.ndarray]:
    """How both sides lie along the line between the centres of one half, for the rows of the other half."""
    rows = left(torch.arange(sides.n), sides.drawn[0])
    line = sides.weights[0] @ (sides.a - sides.b)
    line = line / line.norm().clamp(min=1e-12)
    both = torch.stack([sides.a[rows] @ line, sides.b[rows] @ line]).numpy()
    edges = np.histogram_bin_edges(both, bins)
    return {"along_gap.edges": edges} | {
        f"along_gap.{z}": np.histogram(x, edges)[0] for z, x in zip(("z1", "z2"), both, strict=True)
    }
