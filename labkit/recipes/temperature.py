"""One really trained model for each temperature, on a toy, on digits and on clothes.

What is stored of each is what a fixed probe of 256 instances looks like through it, twice: two views of every instance.
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
from labkit.losses import nt_xent
from labkit.progress import bar
from labkit.results import result
from labkit.training import Config, Run, call, fit

PROBE = 256
RECIPES = {
    "circle": Config(
        data=call("circle", n=1024, classes=5, concentration=20.0, ambient=8),
        model=call("mlp", width=64, out=2, projector=False),
        loss=call("nt_xent", temperature=0.5),
        augment=call("noise", sigma=0.2),
        optimizer=call("adamw", lr=1e-2),
        steps=400,
    ),
    "digits": Config(
        data=call("digits"),
        model=call("mlp"),
        loss=call("nt_xent", temperature=0.5),
        augment=call("digits"),
        optimizer=call("adamw", lr=2e-3),
        steps=300,
    ),
    "fashion": Config(
        data=call("fashion-mnist"),
        model=call("mlp"),
        loss=call("nt_xent", temperature=0.5),
        augment=call("fashion"),
        optimizer=call("adamw", lr=2e-3),
        steps=300,
    ),
}
TEMPERATURES = {
    "circle": (0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0),
    "digits": (0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0),
    "fashion": (0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
}
METERS = ("uniformity", "alignment", "same_class", "mean_norm", "push_same", "push_near", "loss")


def recipe(name: str, temperature: float, seed: int = 0) -> Config:
    """What is trained: the same Config for every temperature but for that number."""
    return RECIPES[name].replace(loss=call("nt_xent", temperature=temperature), seed=seed)


def views(run: Run, n: int = PROBE) -> tuple[Tensor, Tensor]:
    """Two augmented views of the first `n` training instances, through the model, as unit rows; always the same views."""
    x, draw = run.data.x[:n], torch.Generator().manual_seed(0)
    augmented, model = augment.build(run.config.augment), run.model()
    with torch.no_grad():
        z1, z2 = (unit(model(augmented(x, draw))) for _ in range(2))
    return z1, z2


def meters(z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> dict[str, float]:
    """Where the embeddings lie, and who is pushed at this temperature (which need not be the one they were trained with)."""
    values = {
        "uniformity": metrics.uniformity(z1),
        "alignment": metrics.alignment(z1, z2),
        "same_class": metrics.tolerance(z1, labels),
        "mean_norm": metrics.mean_norm(z1),
        "push_same": metrics.push_share(z1, labels, temperature=temperature),
        "push_near": metrics.push_share(z1, temperature=temperature),
        "loss": nt_xent(z1, z2, temperature=temperature),
    }
    return {name: float(value) for name, value in values.items()}


def measured(run: Run) -> dict[str, float]:
    """The meters of a run, at the temperature that it was trained with."""
    return meters(*views(run), run.data.y[:PROBE], run.config.loss.kwargs["temperature"])


def probe(run: Run) -> float:
    """Accuracy on the test split of a linear probe that sees two labels of each class, on h."""
    test = data.load(run.config.data.name, "test", **run.config.data.kwargs)
    h, y = run.embed(run.data.x, features=True), run.data.y
    return float(metrics.few_label_probe(h, y, run.embed(test.x, features=True), test.y))


def measure(name: str, temperatures: Sequence[float], seeds: Sequence[int]) -> dict[str, Any]:
    """Train every model of a grid and measure it: embeddings of the first seed, meters `(seeds, temperatures)` of all.

    The last column, beyond the temperatures, is the untrained model.
    """
    table = {meter: np.zeros((len(seeds), len(temperatures) + 1), np.float32) for meter in (*METERS, "probe")}
    embedded: list[tuple[Tensor, Tensor]] = []
    cells = list(itertools.product(enumerate(seeds), enumerate((*temperatures, None))))
    for (row, seed), (column, temperature) in bar(iterable=cells, desc=name, unit="model"):
        config = recipe(name, temperature or 0.1, seed)
        run = fit(config if temperature else config.replace(steps=0), progress=False)
        z1, z2 = views(run)
        found = {**meters(z1, z2, run.data.y[:PROBE], temperature or 0.1), "probe": probe(run)}
        for meter, value in found.items():
            table[meter][row, column] = value
        if row == 0 and temperature:
            embedded.append((z1, z2))
    z1s, z2s = (torch.stack(each).numpy().astype(np.float16) for each in zip(*embedded, strict=True))
    labels = run.data.y[:PROBE].numpy().astype(np.uint8)
    made = {"temperatures": np.array(temperatures), "seeds": np.array(seeds), "labels": labels, "z1": z1s, "z2": z2s}
    return {**made, **table}


@result("temperature_circle")
def temperature_circle(temperatures: Sequence[float] = TEMPERATURES["circle"], seeds: Sequence[int] = (0, 1, 2)) -> dict:
    """Five clusters, bent into eight dimensions, through a small MLP onto the circle; about a minute and a half."""
    return measure("circle", temperatures, seeds)


@result("temperature_digits")
def temperature_digits(temperatures: Sequence[float] = TEMPERATURES["digits"], seeds: Sequence[int] = (0, 1, 2)) -> dict:
    """Digits through an MLP onto the sphere of R^32; about four minutes."""
    return measure("digits", temperatures, seeds)


@result("temperature_fashion")
def temperature_fashion(temperatures: Sequence[float] = TEMPERATURES["fashion"], seeds: Sequence[int] = (0, 1, 2)) -> dict:
    """Clothes in 28 x 28 grey pixels through the same MLP; about eight minutes."""
    return measure("fashion", temperatures, seeds)
