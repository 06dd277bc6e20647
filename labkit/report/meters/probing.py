"""Linear probes of a sample: linear discriminants fitted on half of it and judged on the other half, or on a few labels."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from labkit.metrics import Estimate
from labkit.metrics.discriminant import discriminant
from labkit.report.meters.labelled import Labelled
from labkit.report.meters.shares import share, wilson

DRAWS = 10  # halves of the sample: each is one or more fits
FEW = 5  # labels of each class
ENOUGH = 4 * FEW  # rows of a class, so that nearly every half holds some beside those
Fold = tuple[Tensor, Tensor]  # rows that the probe is fitted on, and rows that it is judged on


def probed(told: Labelled, points: Tensor, y: Tensor, *, few: bool, draws: int = DRAWS) -> Estimate | None:
    """The share of rows that the probe gets right; without draws, as many as if rows were independent."""
    folds = few_folds if few else two_folds
    drawn = [torch.arange(len(y)), *told.drawn[:draws]]
    value, *found = (judged(points, y, folds(told, rows, i)) for i, rows in enumerate(drawn))
    if not draws:
        return None if math.isnan(value) else wilson(value, len(y))
    return share(value, found, len(y))


def two_folds(told: Labelled, rows: Tensor, draw: int) -> Iterable[Fold]:
    """Two halves of the rows that share no group, each judged by what was learned on the other."""
    names = told.groups[rows].unique()
    lots = names[torch.randperm(len(names), generator=torch.Generator().manual_seed(told.seed + draw))]
    first = torch.isin(told.groups[rows], lots[: len(lots) // 2])
    return (rows[first], rows[~first]), (rows[~first], rows[first])


def few_folds(told: Labelled, rows: Tensor, draw: int) -> Iterator[Fold]:
    """A few rows of each class large enough, and the other rows of those classes that share no group with them."""
    lots = torch.Generator().manual_seed(told.seed + draw)
    wanted = told.sizes >= ENOUGH
    rows = rows[wanted[told.y[rows]]]
    for _ in range(5 if FEW * int(wanted.sum()) <= 256 else 2):
        order = rows[torch.randperm(len(rows), generator=lots)]
        order = order[told.y[order].argsort(stable=True)]
        start = torch.searchsorted(told.y[order], told.y[order])  # where the class begins
        picked = torch.arange(len(order)) - start < FEW
        others = order[~picked]
        yield order[picked], others[~torch.isin(told.groups[others], told.groups[order[picked]])]


def judged(points: Tensor, y: Tensor, folds: Iterable[Fold]) -> float:
    """The share of judged rows that are told right; NaN where there is nobody to judge."""
    classes, right = int(y.max()) + 1, []
    for fit, test in folds:
        if len(fit) and len(test):
            weights, offset = discriminant(points[fit], y[fit], classes)
            # few columns: scores of all rows cost less than a copy of some
            scores = (points @ weights)[test] if classes <= 64 else points[test] @ weights
            right.append((scores + offset).argmax(1) == y[test])
    return torch.cat(right).double().mean().item() if right else math.nan
