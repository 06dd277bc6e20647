"""What the temperature slider knows: models side by side, what was measured of them, and whom their loss pushes.

The same names and values come out of `web/models/temperature.js`, which is handed `plain()`.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.contrast import unit
from labkit.recipes import pushes

BINS = 36  # of 5 degrees
METERS = ("knn", "few_label", "mean_norm", "uniformity", "alignment", "same_class", "rank")
BOUNDS = ("chance", "floor", "even")
WEIGHED = ("loss", "push_same", "push_near")


@dataclass(frozen=True, eq=False)
class Models:
    """Models of one data set side by side: `(losses, models)` of them, each seen through the same n instances.

    Args:
        labels: classes `(n,)`.
        z: two views of every instance `(losses, models, 2, n, d)`, of any length: only their direction counts.
        meters: tables `(losses, models)`, NaN where something is not known.
        untrained: the same of the model before training, `(losses,)`.
        weighed: `(losses, models, temperatures)`: each model's loss and push at every temperature.
        spectrum: singular values `(losses, models, k)`, the largest first.
        bounds: "chance" and "floor" `(losses, temperatures)`; "even" `(losses,)`.
    """

    name: str
    labels: np.ndarray
    z: np.ndarray
    meters: Mapping[str, np.ndarray]
    untrained: Mapping[str, np.ndarray]
    weighed: Mapping[str, np.ndarray]
    spectrum: np.ndarray
    bounds: Mapping[str, np.ndarray]
    whose: str = ""

    @functools.cached_property
    def directions(self) -> np.ndarray:
        """`(losses, models, d, 2)`: the plane that each model is looked at in.

        On the circle it is the circle; else that in which the class centres lie furthest apart. Each picture is turned (and
        mirrored) to match its neighbour's, so that a drag does not spin it.
        """
        return np.stack([side_by_side(row, self.labels) for row in self.z]).astype(np.float32)

    @functools.cached_property
    def lift(self) -> np.ndarray:
        """On the circle, points stand a little outside, each by its own length: those that coincide are then all seen."""
        outside = 0.16 if self.z.shape[-1] == 2 else 0.0
        return (1 + outside * np.random.default_rng(0).random(len(self.labels))).astype(np.float32)

    def rows(self, loss: int, model: int) -> tuple[Tensor, Tensor]:
        z1, z2 = unit(torch.tensor(self.z[loss, model], dtype=torch.float64))
        return z1, z2

    def plain(self) -> dict[str, Any]:
        """What the browser is told."""
        return {
            "labels": self.labels,
            "z": self.z.reshape(*self.z.shape[:2], -1),
            "d": self.z.shape[-1],
            "directions": self.directions.reshape(*self.directions.shape[:2], -1),
            "lift": self.lift,
            "meters": dict(self.meters),
            "untrained": dict(self.untrained),
            "weighed": dict(self.weighed),
            "spectrum": self.spectrum,
            "bounds": dict(self.bounds),
            "whose": self.whose,
        }


def side_by_side(models: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The planes `(models, d, 2)` of one loss's models `(models, 2, n, d)`."""
    rows = unit(torch.tensor(models[:, 0], dtype=torch.float64)).numpy()
    planes = [np.eye(2) if z.shape[1] == 2 else widest_plane(z, labels) for z in rows]
    for here in range(len(rows) - 2, -1, -1):
        planes[here] = planes[here] @ turn(rows[here] @ planes[here], rows[here + 1] @ planes[here + 1])
    return np.stack(planes)


def widest_plane(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`(d, 2)`: the two orthogonal directions along which the class centres vary most."""
    centers = np.stack([z[labels == c].mean(0) for c in np.unique(labels)])
    found = np.linalg.svd(centers - centers.mean(0))[2][:2].T
    return np.pad(found, [(0, 0), (0, 2 - found.shape[1])])


def turn(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """The rotation or reflection that brings `points` closest to `onto` (orthogonal Procrustes)."""
    u, _, v = np.linalg.svd(points.T @ onto)
    return u @ v


# ---------------------------------------------------------------- by similarity

ANGLES = np.linspace(0, math.pi, BINS + 1)
SIMILARITY = -np.degrees(ANGLES)  # from 0 (alike) down to -180 (opposite)


def histogram(cosines: Tensor, weights: Tensor) -> np.ndarray:
    """How much weight lies at which angle; each is divided between the two nearest marks, so that nothing jumps."""
    place = cosines.clamp(-1, 1).acos().flatten() / math.pi * BINS
    low = place.floor().clamp(max=BINS - 1)
    weights, part = weights.flatten(), place - low
    found = torch.bincount(low.long(), weights * (1 - part), BINS + 1)
    return (found + torch.bincount(low.long() + 1, weights * part, BINS + 1)).numpy()


def ridge(cosines: Tensor, mask: Tensor) -> np.ndarray:
    """Where these pairs are, as high as 0.9 at most."""
    found = histogram(cosines, mask.double())
    return 0.9 * found / max(found.max(), 1e-12)


# ---------------------------------------------------------------- what is shown


@dataclass(frozen=True)
class Grid:
    """Everything the explorer may look at: data sets, losses, and the temperatures of training and of weighing."""

    sets: Mapping[str, Models]
    losses: Mapping[str, str]  # and what they are called
    temperatures: Sequence[float]

    def plain(self) -> dict[str, Any]:
        specs = {name: dict(pushes.SPECS[name]._asdict()) for name in self.losses}
        told = {"bins": BINS, "temperatures": list(self.temperatures), "losses": dict(self.losses), "specs": specs}
        return {**told, "sets": {name: models.plain() for name, models in self.sets.items()}}

    def show(self, state: Any) -> dict[str, Any]:
        models, loss = self.sets[state.data], list(self.losses).index(state.loss)
        at, model = self.temperatures.index(state.temperature), self.temperatures.index(state.trained)
        if models.z.shape[1] == 1:
            model = 0  # somebody's own: one model, and nobody knows how it was trained
        own = state.mode == "re-train"
        curve = [(i if own else model, i) for i in range(len(self.temperatures))]
        return {
            **self.pictured(models, loss, model, state),
            **{name: float(models.weighed[name][loss, model, at]) for name in WEIGHED},
            **{name: float(models.meters[name][loss, model]) for name in METERS},
            **{f"{name}_all": models.meters[name][loss] for name in ("knn", "few_label", "mean_norm")},
            **{f"{name}_all": models.meters[name][loss] for name in ("uniformity", "alignment")},
            **{f"{name}_untrained": float(models.untrained[name][loss]) for name in METERS[:-1]},
            "loss_all": np.array([models.weighed["loss"][loss, i, j] for i, j in curve]),
            "chance_all": models.bounds["chance"][loss],
            "floor_all": models.bounds["floor"][loss],
            "chance": float(models.bounds["chance"][loss, at]),
            "floor": float(models.bounds["floor"][loss, at]),
            "loss_low": float(models.bounds["floor"][loss].min()),
            "loss_high": float(max(models.bounds["chance"][loss].max(), np.diagonal(models.weighed["loss"][loss]).max())),
            "even": float(models.bounds["even"][loss]),
            "spectrum": models.spectrum[loss, model] / models.spectrum[loss, model, 0],
            "number": np.arange(1, models.spectrum.shape[2] + 1),
            "taus": np.array(self.temperatures),
            "loss_name": self.losses[state.loss],
            "whose": models.whose,
            "dimensions": models.z.shape[-1],
        }

    def pictured(self, models: Models, loss: int, model: int, state: Any) -> dict[str, Any]:
        """What depends on every pair: the picture, and where pairs and push are."""
        z1, z2 = models.rows(loss, model)
        labels, n = torch.tensor(models.labels, dtype=torch.long), len(models.labels)
        cosines, terms = pushes.cosines(z1, z2), pushes.terms(state.loss, labels)
        push, same = pushes.push(cosines, terms, state.temperature), (labels[:, None] == labels).repeat(1, 2)
        place = (z1 @ torch.tensor(models.directions[loss, model]).double()) * torch.tensor(models.lift).double()[:, None]
        mine = push[state.anchor, :n] + push[state.anchor, n:]
        itself = torch.eye(n, dtype=torch.bool)
        partner = torch.cat([torch.zeros_like(itself), itself], 1)
        other = ~torch.cat([itself, itself], 1)
        near, far = histogram(cosines, push * same / n), histogram(cosines, push * ~same / n)
        return {
            "x": place[:, 0].numpy(),
            "y": place[:, 1].numpy(),
            "anchor_x": float(place[state.anchor, 0]),
            "anchor_y": float(place[state.anchor, 1]),
            "labels": models.labels,
            "anchor_class": int(models.labels[state.anchor]),
            "share": mine.numpy(),
            "size": (4 + 26 * mine.sqrt()).numpy(),
            "cosine": cosines[state.anchor, :n].numpy(),
            "anchor_same": float((mine * same[state.anchor, :n]).sum()),
            "similarity": SIMILARITY,
            "push_by_same": near,
            "push_by_all": near + far,
            "ridge_positive": 2 + ridge(cosines, partner),
            "ridge_same": 1 + ridge(cosines, same & other),
            "ridge_other": ridge(cosines, ~same),
        }
