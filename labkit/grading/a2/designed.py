"""Runs whose accuracies are known: points at the centres of their classes, but for as many as are put at another's."""

from collections.abc import Mapping

import torch

from labkit.directions import unit
from labkit.grading.a2.runs import Run
from labkit.grading.draw import Draw

CLASSES, EACH, NAMED = 3, 20, 6  # of each class, so many points, of which so many may be labelled and stay where they belong
# Accuracies at five seeds, by what a temperature is there for. The best on average has no run at the fifth.
UNEQUAL = {
    "mean": (0.96, 0.93, 0.68, 0.62),
    "sum": (0.76, 0.76, 0.76, 0.76, 0.62),
    "lowest": (0.70, 0.70, 0.70, 0.70, 0.70),
    "median": (0.86, 0.86, 0.86, 0.30, 0.30),
    "highest": (1.00, 0.60, 0.60, 0.50, 0.50),
}
FIRST = {"mean": (0.95, 0.93, 0.94), "first draw": (0.70, 0.70, 0.70), "other": (0.55, 0.60, 0.60)}


def unequal(draw: Draw) -> list[Run]:
    """The best temperature on average is not that of the best sum, the best worst run, the best median or the best run."""
    return designed(draw, UNEQUAL)


def first_draw(draw: Draw) -> list[Run]:
    """At the best temperature the points that are labelled first, and only then, lie in each other's class."""
    return designed(draw, FIRST, swapped="mean")


def designed(draw: Draw, wanted: Mapping[str, tuple[float, ...]], swapped: str = "") -> list[Run]:
    labels = torch.tensor(draw.permutation(CLASSES * EACH)) % CLASSES
    classes = [(labels == c).nonzero().squeeze(1)[torch.tensor(draw.permutation(EACH))] for c in range(CLASSES)]
    labelled = torch.stack([mine[[0] + [draw.integer(1, NAMED - 1) for _ in range(11)]] for mine in classes], dim=1)
    free = torch.cat([mine[NAMED:] for mine in classes])
    centers = torch.linalg.qr(draw.rows(5, 5, torch.float64)).Q[:CLASSES]
    known = [draw.numbers(low, 1.5 * low) for low in (0.04, 0.1, 0.2, 0.4, 0.8)][: len(wanted)]
    names = [list(wanted)[k] for k in draw.permutation(len(wanted))]
    while names[0] == "mean":  # the lowest temperature has the lowest loss
        names = [names[k] for k in draw.permutation(len(names))]
    runs = []
    for k, name in enumerate(names):
        for seed, accuracy in enumerate(wanted[name]):
            where = labels.clone()
            moved = free[torch.tensor(draw.permutation(len(free)))][: round((1 - accuracy) * (len(labels) - CLASSES))]
            where[moved] = (where[moved] + 1) % CLASSES
            if name == swapped:
                where[labelled[0, :2]] = labels[labelled[0, [1, 0]]]
            z = unit(centers[where] + 0.05 * draw.rows(len(labels), 5, torch.float64))
            about = {"temperature": known[k], "seed": seed, "loss": round(3 + k + 0.1 * seed, 2)}
            runs.append({**about, "z": z, "labels": labels, "labelled": labelled})
    return [runs[k] for k in draw.permutation(len(runs))]
