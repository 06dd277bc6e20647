"""Held-back runs for the assignment on temperature: two data sets that want opposite temperatures, at seeds no lesson shows.

Of each run is stored what the assignment asks about: where test points lie, without augmentation, and the loss that training
ended with.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit import data
from labkit.progress import bar
from labkit.recipes.temperature import RECIPES
from labkit.recipes.temperature_grid import balanced, rounded
from labkit.results import result
from labkit.training import Config, call, fit

TEMPERATURES = (0.05, 0.1, 0.2, 0.5, 1.0)
SEEDS = (100, 101, 102, 103, 104)
POINTS = 80  # test points, each class equally often
LAST = 20  # steps whose losses are averaged
NESTED = Config(  # classes made of subclasses; the views blur what tells instances of a subclass apart
    data=call("nested"),
    model=call("mlp", width=128, out=8, projector=False),
    loss=call("nt_xent", temperature=0.5),
    augment=call("noise", sigma=0.35),
    optimizer=call("adamw", lr=2e-3),
    steps=500,
)
KINDS = {"digits": RECIPES["digits"], "nested": NESTED}


def held_back(kind: str, temperature: float, seed: int) -> dict[str, Any]:
    """One run: its test points, rounded to bytes (only their direction is kept), their classes, and its last loss."""
    config = KINDS[kind].replace(loss=call("nt_xent", temperature=temperature), seed=seed)
    run = fit(config, progress=False)
    test = data.load(config.data.name, "test", **config.data.kwargs)
    rows = balanced(test.y, POINTS)
    z = rounded(run.embed(test.x[rows]), "digits")  # in bytes for both
    return {"z": z, "labels": test.y[rows].numpy().astype(np.uint8), "loss": np.mean(run.history["loss"][-LAST:])}


@result("course_temperature")
def course_temperature(
    kinds: Sequence[str] = tuple(KINDS), temperatures: Sequence[float] = TEMPERATURES, seeds: Sequence[int] = SEEDS
) -> dict[str, Any]:
    """Fifty small runs: two data sets, five temperatures, five seeds; about ten minutes of one core.

    Of each data set: points `(temperatures, seeds, points, d)`, labels `(points,)`, losses `(temperatures, seeds)`.
    """
    made: dict[str, Any] = {"temperatures": np.array(temperatures), "seeds": np.array(seeds)}
    cells = list(itertools.product(kinds, temperatures, seeds))
    runs = {cell: held_back(*cell) for cell in bar(iterable=cells, desc="held-back runs", unit="model")}
    for kind in kinds:
        table = [[runs[kind, t, s] for s in seeds] for t in temperatures]
        made[f"{kind}_labels"] = table[0][0]["labels"]
        made[f"{kind}_z"] = np.stack([[run["z"] for run in row] for row in table])
        made[f"{kind}_loss"] = np.array([[run["loss"] for run in row] for row in table], np.float32)
    return made
