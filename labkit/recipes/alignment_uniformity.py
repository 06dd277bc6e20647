"""Many small runs in the plane of alignment and uniformity, and what their embeddings are worth by several measures."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labkit import data
from labkit.data import augment
from labkit.data.augment import to_float
from labkit.metrics import alignment, few_label_probe, knn_accuracy, uniformity
from labkit.results import result
from labkit.training import Call, Config, Run, call, fit

LOSSES = (
    *(call("nt_xent", temperature=t) for t in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)),
    *(call("align_uniform", weight=w) for w in (0.1, 0.3, 1.0, 3.0, 10.0)),
)
# How hard the two views are changed, and for how many steps the network is trained.
SETTINGS = ((1.0, 300), (1.0, 100), (0.3, 300), (2.0, 300))
METERS = ("alignment", "uniformity", "kNN", "probe")
VIEWS = {"digits": call("digits", strength=1.0), "fashion-mnist": call("fashion")}
# alignment alone, uniformity all but alone (its weight is 1,000 times the other's), the two together
REAL = {
    "untrained network": (call("align_uniform", weight=1.0), 0),
    "alignment only": (call("align_uniform", weight=0.0), 300),
    "uniformity only": (call("align_uniform", weight=1000.0), 300),
    "both": (call("align_uniform", weight=0.3), 300),
}
ROWS = (8000, 2000)  # so many training and test images are measured, at most


def small(loss: Call, *, strength: float = 1.0, steps: int = 300, seed: int = 0) -> Config:
    """One of the plane's runs: an MLP 64-256-256 with a projector 128-32, on digits."""
    return Config(data=call("digits"), loss=loss, augment=call("digits", strength=strength), steps=steps, seed=seed)


def real(name: str, kind: str, *, seed: int = 0, steps: int | None = None) -> Config:
    """A network trained on real images by one of `REAL`."""
    loss, full = REAL[kind]
    return Config(data=call(name), loss=loss, augment=VIEWS[name], steps=full if steps is None else min(steps, full), seed=seed)


def sample(name: str) -> tuple[data.Dataset, data.Dataset]:
    """The training and the test images that are measured."""
    train, test = data.load(name), data.load(name, "test")
    return train.subset(slice(0, ROWS[0])), test.subset(slice(0, ROWS[1]))


def scores(views: Sequence[Tensor], z: Sequence[Tensor], y: Sequence[Tensor]) -> dict[str, float]:
    """The two meters on two views of the test images, and two kinds of accuracy of the embeddings without augmentation."""
    values = (
        alignment(*views),
        uniformity(views[0]),
        knn_accuracy(z[0], y[0], z[1], y[1]),
        few_label_probe(z[0], y[0], z[1], y[1], per_class=2, draws=10),
    )
    return dict(zip(METERS, map(float, values), strict=True))


def measured(run: Run) -> dict[str, float]:
    """`scores` of a trained network's z."""
    (train, test), model = sample(run.config.data.name), run.model()
    change, generator = augment.build(run.config.augment), torch.Generator().manual_seed(0)
    with torch.no_grad():
        views = [model(to_float(change(test.x, generator))) for _ in range(2)]
    return scores(views, [run.embed(train.x), run.embed(test.x)], [train.y, test.y])


def lookup_table(name: str, *, seed: int = 0, width: int = 32) -> dict[str, float]:
    """`scores` of a table that gives every image a random direction, the same for all its views."""
    train, test = sample(name)
    generator = torch.Generator().manual_seed(seed)
    z = F.normalize(torch.randn(len(train) + len(test), width, dtype=torch.float64, generator=generator), dim=-1)
    mine = z[len(train) :]
    return {**scores([mine, mine], [z[: len(train)], mine], [train.y, test.y]), "uniformity": float(uniformity(z))}


def table(rows: Iterable[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Rows to columns."""
    rows = list(rows)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@result("alignment_uniformity_plane")
def plane(
    losses: Sequence[Call] = LOSSES, settings: Sequence[tuple[float, int]] = SETTINGS, seeds: Sequence[int] = (0, 1)
) -> dict[str, np.ndarray]:
    """88 runs on digits: 11 losses, four settings of the views and steps, two seeds. About ten minutes on two cores."""
    rows = []
    for (strength, steps), seed, loss in itertools.product(settings, seeds, losses):
        run = fit(small(loss, strength=strength, steps=steps, seed=seed), progress=False)
        about = {"loss": loss.name, "option": loss.options[0][1], "strength": strength, "steps": steps, "seed": seed}
        rows.append({**about, **measured(run)})
    return table(rows)


@result("alignment_uniformity_real")
def on_real_images(
    names: Sequence[str] = ("digits", "fashion-mnist"),
    kinds: Sequence[str] = ("lookup table", *REAL),
    seeds: Sequence[int] = (0, 1, 2),
) -> dict[str, np.ndarray]:
    """Five ways to embed real images, three seeds each. About fifteen minutes on two cores."""
    rows = []
    for name, kind, seed in itertools.product(names, kinds, seeds):
        if kind == "lookup table":
            found = lookup_table(name, seed=seed)
        else:
            found = measured(fit(real(name, kind, seed=seed), progress=False))
        rows.append({"data": name, "kind": kind, "seed": seed, **found})
    return table(rows)
