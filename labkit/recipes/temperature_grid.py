"""The models behind the temperature slider: 25 temperatures x two data sets x four losses, one really trained model each.

Of each model is stored what a fixed probe looks like through it, rounded, and what is measured on exactly these rounded rows;
so what the slider draws and what it says are about the same numbers. The probe holds each class equally often, because only
then is the floor of SupCon known.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit import data, metrics
from labkit.data import augment
from labkit.directions import unit
from labkit.progress import bar
from labkit.recipes import pushes
from labkit.recipes.temperature import RECIPES, probe
from labkit.results import result
from labkit.training import Config, Run, call, fit

LOW = (0.02, 0.024, 0.03, 0.037, 0.045, 0.055, 0.067, 0.082)
HIGH = (0.1, 0.12, 0.14, 0.17, 0.2, 0.25, 0.32, 0.4, 0.5, 0.59, 0.71, 0.84, 1.0, 1.2, 1.4, 1.7, 2.0)
TEMPERATURES = LOW + HIGH
DATA = ("circle", "digits")
# The first three know only which views belong together. SupCon knows the classes: with it the push on the own class, which is
# what temperature is about, nearly vanishes. A fourth that takes views alone (MACL) would look like DCL at another temperature.
LOSSES = ("nt_xent", "dcl", "dhel", "sup_con")
PROBE = 140  # instances: 28 of each cluster, 14 of each digit
ROUNDED: dict[str, Any] = {"circle": np.int16, "digits": np.int8}


def recipe(name: str, loss: str, temperature: float) -> Config:
    """What is trained: the lesson's Config with this loss."""
    return RECIPES[name].replace(loss=call(loss, temperature=temperature))


def rounded(z: Tensor, name: str) -> np.ndarray:
    """Rows as whole numbers, their largest entry as large as can be: only their direction is kept."""
    kind = ROUNDED[name]
    largest = z.abs().amax(-1, keepdim=True)
    return (z / largest * np.iinfo(kind).max).round().numpy().astype(kind)


def restored(stored: np.ndarray) -> Tensor:
    """Unit rows again."""
    return unit(torch.tensor(stored, dtype=torch.float64))


def balanced(labels: Tensor, n: int = PROBE) -> Tensor:
    """The first instances of every class, equally many of each, `n` in all."""
    classes = labels.unique().tolist()
    return torch.cat([(labels == c).nonzero().squeeze(1)[: n // len(classes)] for c in classes]).sort().values


def views(run: Run) -> tuple[Tensor, Tensor]:
    """`(2, n, d)`: two augmented views of the probe through the model, always the same views; and their labels."""
    rows = balanced(run.data.y)
    draw, augmented, model = torch.Generator().manual_seed(0), augment.build(run.config.augment), run.model()
    with torch.no_grad():
        z = torch.stack([model(augmented(run.data.x[rows], draw)) for _ in range(2)])
    return unit(z.double()), run.data.y[rows]


def quality(run: Run) -> dict[str, float]:
    """On the test split: nearest neighbours on z, and the few-label probe on h."""
    test = data.load(run.config.data.name, "test", **run.config.data.kwargs)
    z, y = run.embed(run.data.x), run.data.y
    return {"knn": float(metrics.knn_accuracy(z, y, run.embed(test.x), test.y)), "few_label": probe(run)}


def geometry(z: Tensor, labels: Tensor) -> dict[str, Any]:
    """Where the rows of both views lie; the spectrum is that of the centred first view."""
    return {
        "uniformity": float(metrics.uniformity(z[0])),
        "alignment": float(metrics.alignment(z[0], z[1])),
        "same_class": float(metrics.tolerance(z[0], labels)),
        "mean_norm": float(metrics.mean_norm(z[0])),
        "rank": float(metrics.effective_rank(z[0], center=True)),
        "spectrum": metrics.singular_spectrum(z[0]).tolist(),
    }


def measured(name: str, loss: str, temperature: float | None, over: Sequence[float]) -> dict[str, Any]:
    """One model, trained if need be: its probe as it is stored, and what is measured on that; None is the untrained model."""
    config = recipe(name, loss, temperature or 0.1)
    run = fit(config if temperature else recipe(name, LOSSES[0], 0.1).replace(steps=0), progress=False)
    exact, labels = views(run)
    kept = rounded(exact, name)
    z = restored(kept)
    off = max(float((a @ a.T - b @ b.T).abs().max()) for a, b in zip(z, exact, strict=True))
    found = {**geometry(z, labels), **quality(run), **pushes.weighed(loss, z[0], z[1], labels, over)}
    return {**found, "z": kept, "rounding": off, "labels": labels}


@result("temperature_grid")
def temperature_grid(
    temperatures: Sequence[float] = TEMPERATURES, names: Sequence[str] = DATA, losses: Sequence[str] = LOSSES
) -> dict[str, Any]:
    """Two hundred small models: 25 temperatures, two data sets, four losses; about twenty minutes of one core.

    Of each data set, tables `(losses, temperatures + 1)`, whose last column is the untrained model; of what depends on the
    temperature that one weighs with, `(losses, temperatures + 1, temperatures)`.
    """
    made: dict[str, Any] = {"temperatures": np.array(temperatures), "losses": np.array(losses)}
    cells = list(itertools.product(names, losses, (*temperatures, None)))
    rows = {
        (n, loss, t): measured(n, loss, t, temperatures)
        for n, loss, t in bar(iterable=cells, desc="temperature grid", unit="model")
    }
    for name in names:
        table = [[rows[name, loss, t] for t in (*temperatures, None)] for loss in losses]
        made[f"{name}_labels"] = table[0][0]["labels"].numpy().astype(np.uint8)
        made[f"{name}_z"] = np.stack([[row["z"] for row in line[:-1]] for line in table])
        bounds = pushes.bounds(losses, table[0][0]["labels"], temperatures)
        made |= {f"{name}_{bound}": np.array(values, np.float32) for bound, values in bounds.items()}
        for meter in table[0][0].keys() - {"z", "labels"}:
            made[f"{name}_{meter}"] = np.array([[row[meter] for row in line] for line in table], np.float32)
    return made
