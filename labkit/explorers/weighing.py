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

from labkit.directions import unit
from labkit.recipes import pushes
from labkit.recipes.planes import turn

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
        span: `(losses, 2)`, between which temperatures the push spreads out, NaN where nobody asked; told: the same in words.
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
    span: np.ndarray | None = None
    told: Sequence[str] = ()

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

    @property
    def counted(self) -> np.ndarray:
        """Which singular values are numbered."""
        k = self.spectrum.shape[2]
        return np.unique([1, *np.linspace(0, k, 5)[1:].round()] if k > 5 else np.arange(1, k + 1)).astype(np.int32)

    @functools.cached_property
    def top(self) -> np.ndarray:
        """Of each loss, the largest that its models or its chance line are; and some room."""
        least = self.bounds["floor"].min(1)
        most = np.maximum(self.bounds["chance"].max(1), np.diagonal(self.weighed["loss"], axis1=1, axis2=2).max(1))
        return (most + 0.04 * (most - least)).astype(np.float32)

    @functools.cached_property
    def frame(self) -> np.ndarray:
        """Of each loss, how much of the plane its models need: the largest alignment, and both ends of uniformity."""
        far, values = 1.15 * self.meters["alignment"].max(1), self.meters["uniformity"]
        far[far < 1e-3] = 0.1  # views that coincide
        middle, half = (values.max(1) + values.min(1)) / 2, np.maximum(0.58 * np.ptp(values, 1), 0.15)
        return np.stack([far, middle - half, middle + half], 1).astype(np.float32)

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
            "counted": self.counted,
            "frame": self.frame,
            "top": self.top,
            "frame_ticks": [few(low, high) for _, low, high in self.frame],
            "loss_ticks": [few(low, high) for low, high in zip(self.bounds["floor"].min(1), self.top, strict=True)],
            "bounds": dict(self.bounds),
            "whose": self.whose,
            "span": self.spans,
            "told": list(self.told) or [""] * len(self.z),
        }

    @property
    def spans(self) -> np.ndarray:
        return np.full((len(self.z), 2), np.nan, np.float32) if self.span is None else self.span


def few(low: float, high: float) -> np.ndarray:
    """Two to four round numbers between the two.

    >>> few(-43.2, 62.0), few(-1.7, -1.4)
    (array([-40.,   0.,  40.]), array([-1.7, -1.6, -1.5, -1.4]))
    """
    power = 10 ** math.floor(math.log10(float(high - low) / 4))
    for step in (power * s for s in (1, 2, 4, 5, 10)):
        numbers = np.arange(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        if len(numbers) <= 4:
            break
    return np.round(1.0 * numbers * step, 6)


def side_by_side(models: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The planes `(models, d, 2)` of one loss's models `(models, 2, n, d)`."""
    rows = unit(torch.tensor(models[:, 0], dtype=torch.float64)).numpy()
    planes = [np.eye(2) if z.shape[1] == 2 else widest_plane(z, labels) for z in rows]
    for here in range(len(rows) - 2, -1, -1):
        planes[here] = planes[here] @ turn(rows[here] @ planes[here], rows[here + 1] @ planes[here + 1])
    return np.stack(planes)


def widest_plane(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`(d, 2)`: the two orthogonal directions along which the class centres vary most; of one class, those of its points."""
    classes = np.unique(labels)
    centers = np.stack([z[labels == c].mean(0) for c in classes]) if len(classes) > 1 else z
    found = np.linalg.svd(centers - centers.mean(0))[2][:2].T
    return np.pad(found, [(0, 0), (0, 2 - found.shape[1])])


# ---------------------------------------------------------------- by similarity

ANGLES = np.linspace(0, math.pi, BINS + 1)
SIMILARITY = -np.degrees(ANGLES)  # from 0 (alike) down to -180 (opposite)
OTHERS = 10  # colours of classes that are not the anchor's
PUSH = 1.9  # how high the push is drawn, over three ridges of height 0.9


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

SEEDS_SD = 0.04  # no more than this do seeds scatter the same-class cosine of models alike in all else
STEP = 2 * SEEDS_SD
NOTHING = 1e-5  # rows have length 1; less than this is left of equal ones by rounding


def levels(close: float) -> dict[str, float]:
    """Steps of the same-class cosine on two grids, one of them shifted by half and counted downwards.

    Where both change, the cosine changed by more than SEEDS_SD; where neither does, by less.
    """
    return {"closer": float(np.floor(close / STEP)), "apart": -float(np.floor(close / STEP + 0.5))}


def widths(spectrum: np.ndarray) -> dict[str, Any]:
    """Singular values beside the largest; none of them where all rows are equal, and a word that says so."""
    equal = spectrum[0] < NOTHING
    return {"spectrum": spectrum * 0 if equal else spectrum / spectrum[0], "no_width": "all rows are equal" if equal else ""}


@dataclass(frozen=True)
class Grid:
    """Everything the explorer may look at: data sets, losses, and the temperatures of training and of weighing."""

    sets: Mapping[str, Models]
    losses: Mapping[str, str]  # and what they are called
    temperatures: Sequence[float]

    def plain(self) -> dict[str, Any]:
        specs = {name: dict(pushes.SPECS[name]._asdict()) for name in self.losses}
        told = {
            "bins": BINS,
            "step": STEP,
            "nothing": NOTHING,
            "temperatures": list(self.temperatures),
            "losses": dict(self.losses),
            "specs": specs,
        }
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
            "value": float(models.weighed["loss"][loss, model, at]),
            **{name: float(models.weighed[name][loss, model, at]) for name in WEIGHED[1:]},
            **{name: float(models.meters[name][loss, model]) for name in METERS},
            **{f"{name}_all": models.meters[name][loss] for name in ("knn", "few_label", "mean_norm")},
            **{f"{name}_all": models.meters[name][loss] for name in ("uniformity", "alignment")},
            **{f"{name}_untrained": float(models.untrained[name][loss]) for name in METERS[:-1]},
            "loss_all": np.array([models.weighed["loss"][loss, i, j] for i, j in curve]),
            "near_all": np.array([models.weighed["push_near"][loss, i, j] for i, j in curve]),
            "span_low": float(models.spans[loss, 0]),
            "span_high": float(models.spans[loss, 1]),
            "span_told": models.told[loss] if models.told else "",
            "chance_all": models.bounds["chance"][loss],
            "floor_all": models.bounds["floor"][loss],
            "chance": float(models.bounds["chance"][loss, at]),
            "floor": float(models.bounds["floor"][loss, at]),
            "loss_low": float(models.bounds["floor"][loss].min()),
            "loss_high": float(models.top[loss]),
            "even": float(models.bounds["even"][loss]),
            **widths(models.spectrum[loss, model]),
            **levels(float(models.meters["same_class"][loss, model])),
            "number": np.arange(1, models.spectrum.shape[2] + 1),
            "last": models.spectrum.shape[2] + 0.5,
            "counted": models.counted,
            "taus": np.array(self.temperatures),
            "now": state.temperature,
            "made": state.trained if models.z.shape[1] > 1 else math.nan,
            **dict(zip(("far", "low", "high"), models.frame[loss].tolist(), strict=True)),
            "ticks": few(*models.frame[loss, 1:]),
            "loss_ticks": few(models.bounds["floor"][loss].min(), models.top[loss]),
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
        near = histogram(cosines, push * same / n)
        everywhere = near + histogram(cosines, push * ~same / n)
        alike = terms.pushed / terms.pushed.sum(1, keepdim=True)
        even = histogram(cosines, alike / n)
        top = max(everywhere.max(), even.max()) / PUSH
        return {
            "x": place[:, 0].numpy(),
            "y": place[:, 1].numpy(),
            "anchor_x": float(place[state.anchor, 0]),
            "anchor_y": float(place[state.anchor, 1]),
            "labels": models.labels,
            "anchor_class": int(models.labels[state.anchor]),
            "color": np.where(models.labels == models.labels[state.anchor], 0, 1 + models.labels % OTHERS),
            "share": mine.numpy(),
            "size": (4 + 26 * mine.sqrt()).numpy(),
            "cosine": cosines[state.anchor, :n].numpy(),
            "anchor_same": float((mine * same[state.anchor, :n]).sum()),
            "similarity": SIMILARITY,
            "peak": float(everywhere.max()),
            "peak_x": float(SIMILARITY[everywhere.argmax()]),
            "push_by_same": near,
            "push_by_all": everywhere,
            "ridge_push_same": 3 + near / top,
            "ridge_push": 3 + everywhere / top,
            "ridge_even": 3 + even / top,
            "ridge_positive": 2 + ridge(cosines, partner),
            "ridge_same": 1 + ridge(cosines, same & other),
            "ridge_other": ridge(cosines, ~same),
        }
