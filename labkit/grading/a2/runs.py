"""Held-back runs: really trained at five temperatures each, on two data sets that want opposite ones, at seeds of their own."""

from typing import Any

import torch
from torch import Tensor

from labkit import results
from labkit.directions import unit
from labkit.grading.draw import Draw, givens

KINDS = ("digits", "nested")
SHOTS = 12  # draws of one labelled point of each class

Run = dict[str, Any]


def shots(draw: Draw, labels: Tensor, count: int = SHOTS) -> Tensor:
    """For each draw one row of every class, as `(count, classes)`."""
    rows = [(labels == c).nonzero().squeeze(1) for c in labels.unique()]
    return torch.stack([torch.stack([mine[draw.integer(0, len(mine) - 1)] for mine in rows]) for _ in range(count)])


def held_back(draw: Draw, kind: str, seeds: int = 3) -> list[Run]:
    """Some of the stored seeds, all temperatures, in an order of their own; and which points are labelled.

    Drawn again where two temperatures come out equal, so that no rounding decides.
    """
    while True:
        runs = drawn(draw, kind, seeds)
        if decided(table(runs)):
            return runs


def table(runs: list[Run]) -> dict[float, dict[int, float]]:
    """Accuracies by temperature and seed."""
    found: dict[float, dict[int, float]] = {}
    for run in runs:
        found.setdefault(run["temperature"], {})[run["seed"]] = few_label_accuracy(run["z"], run["labels"], run["labelled"])
    return found


def decided(accuracies: dict[float, dict[int, float]]) -> bool:
    """Whether no two temperatures have the same accuracy, at any seed or on average."""
    rows = torch.tensor([[row[seed] for seed in sorted(row)] for row in accuracies.values()], dtype=torch.float64)
    ordered = torch.cat([rows, rows.mean(1, keepdim=True)], dim=1).sort(dim=0).values
    return bool((ordered.diff(dim=0) > 1e-6).all())


def best(accuracies: dict[float, dict[int, float]]) -> float:
    """The temperature with the best mean accuracy."""
    return max(accuracies, key=lambda t: sum(accuracies[t].values()) / len(accuracies[t]))


def drawn(draw: Draw, kind: str, seeds: int) -> list[Run]:
    stored = results.load("course_temperature")
    labels = torch.from_numpy(stored[f"{kind}_labels"].astype("int64"))
    labelled = shots(draw, labels)
    chosen = sorted(draw.permutation(len(stored["seeds"]))[:seeds])
    runs = [
        {
            "temperature": float(temperature),
            "seed": int(stored["seeds"][s]),
            "loss": round(float(stored[f"{kind}_loss"][t, s]), 4),
            "z": unit(torch.tensor(stored[f"{kind}_z"][t, s], dtype=torch.float64)),
            "labels": labels,
            "labelled": labelled,
        }
        for t, temperature in enumerate(stored["temperatures"])
        for s in chosen
    ]
    return [runs[k] for k in draw.permutation(len(runs))]


def few_label_accuracy(z: Tensor, labels: Tensor, labelled: Tensor) -> float:
    """How many of the other points lie nearest to the labelled point of their own class; the mean over draws."""
    others = torch.ones(len(labelled), len(z), dtype=torch.bool).scatter(1, labelled, False)
    return float((found(z, labels, labelled) & others).sum(1).div(others.sum(1)).mean())


def found(z: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """For each draw of labelled points, who lies nearest to the one of their own class: `(draws, points)`."""
    z = unit(z)
    nearest = (z @ z[labelled].transpose(1, 2)).argmax(2)
    return labels[labelled].gather(1, nearest) == labels


@givens("a2")
def data(draw: Draw) -> dict[str, Any]:
    z1, z2 = draw.rows(6, 3, torch.float64), draw.rows(6, 3, torch.float64)
    return {"z1": z1, "z2": z1 + 0.7 * z2, **{kind: held_back(draw, kind) for kind in KINDS}}
