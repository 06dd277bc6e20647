"""What the temperature does, in two modes that answer opposite questions.

*re-weigh*: the same embeddings, another temperature. Nothing moves but the shares of the push; exact.
*re-train*: another really trained model for each temperature, from a stored grid.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.contrast import unit
from labkit.explorers.angles import pairs
from labkit.explorers.core import Control, Explorer, Shown, State, Track
from labkit.explorers.grids import Grid, available, stored
from labkit.metrics import hardness
from labkit.recipes.temperature import METERS, meters
from labkit.registry import ENTRIES

MODES = ("re-train", "re-weigh")
STEPS = (1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4, 5, 6, 7, 8.5)
WEIGHTS = tuple(t for power in (-2, -1, 0) for step in STEPS if 0.02 <= (t := float(f"{step}e{power}")) <= 2)
ALT = (
    "Linked views of trained embeddings at one temperature: the embeddings, with each point as large as its share of the push "
    "on one anchor; how far apart positives, same-class and other pairs are; at which of these angles the push is; "
    "and meters against temperature with the loss between its chance line and its floor. Lowering the temperature on fixed "
    "embeddings moves the push to the most similar points, most of them of the anchor's own class; models trained at lower "
    "temperatures spread their classes out."
)


@dataclass(frozen=True)
class Temperature(State):
    """Which data, which mode, the temperature of the softmax, and the temperature the model was trained with."""

    data: str = "circle"
    mode: str = "re-train"
    temperature: float = 0.5
    trained: float = 0.5


@dataclass(frozen=True)
class Models:
    """The grids that the explorer can look at, by name."""

    grids: Mapping[str, Grid]

    def grid(self, state: Temperature) -> Grid:
        return self.grids[state.data]

    def model(self, state: Temperature) -> int:
        return int(np.abs(self.grid(state).temperatures - state.trained).argmin())

    def temperatures(self, state: Temperature) -> tuple[float, ...]:
        """What the slider can be: the models there are, or any temperature to weigh one of them with."""
        if state.mode == "re-train":
            return tuple(self.grid(state).temperatures.tolist())
        return tuple(sorted({*WEIGHTS, *([state.trained] if state.trained else [])}))

    def settle(self, state: Temperature, changed: str) -> Temperature:
        """In re-train mode the model follows the slider; in re-weigh mode it stays what it was."""
        known = self.grid(state).temperatures
        if not known.all():  # nobody knows how these embeddings were trained
            state = replace(state, mode="re-weigh", trained=0.0)
        elif state.mode == "re-train":
            state = replace(state, trained=nearest(known, state.temperature))
            return replace(state, temperature=state.trained)
        else:
            state = replace(state, trained=nearest(known, state.trained or state.temperature))
        return replace(state, temperature=nearest(self.temperatures(state), state.temperature))

    @functools.cached_property
    def measured(self) -> dict[tuple[str, int, float], dict[str, float]]:
        return {}

    def meters(self, state: Temperature, temperature: float) -> dict[str, float]:
        """Meters of the state's model, weighed with this temperature; each computed once."""
        key = (state.data, self.model(state), temperature)
        if key not in self.measured:
            grid = self.grid(state)
            self.measured[key] = meters(*grid.views(key[1]), torch.tensor(grid.labels, dtype=torch.long), temperature)
        return self.measured[key]

    # ------------------------------------------------------------------ what is shown

    def show(self, state: Temperature) -> Shown:
        grid, model = self.grid(state), self.model(state)
        z1, z2 = grid.views(model)
        labels = torch.tensor(grid.labels)
        cosines = (z1 @ z1.T).fill_diagonal_(-math.inf)
        push, anchor = hardness(cosines, state.temperature), grid.anchor
        return {
            **{name: getattr(state, name) for name in ("data", "mode", "temperature", "trained")},
            "plane": grid.plane[model].copy(),
            "labels": grid.labels.copy(),
            "anchor": anchor,
            "push": push[anchor].numpy(),
            **pairs(cosines, (z1 * z2).sum(-1), push, labels),
            **self.curves(state),
            **{f"{name}_now": value for name, value in self.meters(state, state.temperature).items()},
        }

    def curves(self, state: Temperature) -> Shown:
        """Meters against temperature: of another model each, or of this model weighed with each."""
        over = self.temperatures(state)
        own = state.mode == "re-train"
        rows = [self.meters(replace(state, trained=t) if own else state, t) for t in over]
        chance, floor = frame_of_the_loss(len(self.grid(state).labels), over)
        lines = {"over": np.array(over), "chance": np.array(chance), "floor": np.array(floor)}
        return lines | {name: np.array([row[name] for row in rows]) for name in METERS}

    # ------------------------------------------------------------------ what is said

    def explain(self, before: Temperature, after: Temperature) -> str:
        old, new = self.meters(before, before.temperature), self.meters(after, after.temperature)
        if before.data != after.data or before == after:
            return (
                f"{self.whose(after)}: {new['push_same']:.0%} of an anchor's push falls on its own class, "
                f"which is {self.even(after):.0%} of the other points."
            )
        if before.mode != after.mode:
            if after.mode == "re-train":
                return "Re-train: every temperature on the slider is a model of its own."
            return f"Re-weigh: the model trained at {after.trained:g} stays; the slider only changes how its push is shared."
        return self.weighed(before, after, old, new) if after.mode == "re-weigh" else self.retrained(before, after, old, new)

    def weighed(self, before: Temperature, after: Temperature, old: dict[str, float], new: dict[str, float]) -> str:
        how = "gathers on the nearest" if after.temperature < before.temperature else "spreads over all"
        return (
            f"Same embeddings, weighed at {after.temperature:g} instead of {before.temperature:g}: no point moved, but the "
            f"push {how}: {told(old, new, 'push_near')} on the nearest twentieth, "
            f"{told(old, new, 'push_same')} on the same class."
        )

    def retrained(self, before: Temperature, after: Temperature, old: dict[str, float], new: dict[str, float]) -> str:
        spread = "spread out" if new["same_class"] < old["same_class"] else "draw together"
        more = new["mean_norm"] - old["mean_norm"]
        cosine, uniformity = (f"{old[m]:.2f} → {new[m]:.2f}".replace("-", "−") for m in ("same_class", "uniformity"))
        cone = f" All points lean to one side: their mean has length {new['mean_norm']:.2f}." if more > 0.1 else ""
        return (
            f"Another model, trained at {after.temperature:g} instead of {before.temperature:g}: "
            f"{told(old, new, 'push_same')} of the push on the same class; classes {spread} "
            f"(same-class cosine {cosine}, uniformity {uniformity}).{cone}"
        )

    def whose(self, state: Temperature) -> str:
        if not state.trained:
            return "Your embeddings, which are not re-trained"
        return f"{state.data.capitalize()}, model trained at {state.trained:g}, weighed at {state.temperature:g}"

    def even(self, state: Temperature) -> float:
        """The part of an anchor's negatives that are of its class: its share of the push, were all pushed alike."""
        counts = np.bincount(self.grid(state).labels)
        n = counts.sum()
        return float((counts * (counts - 1)).sum() / (n * (n - 1)))


def nearest(known: Any, value: float) -> float:
    """The one of the known temperatures that differs from `value` by the smallest factor."""
    return float(min(known, key=lambda t: abs(math.log(t / value))))


def told(old: dict[str, float], new: dict[str, float], meter: str) -> str:
    return f"{old[meter]:.0%} → {new[meter]:.0%}"


@functools.cache
def frame_of_the_loss(n: int, over: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """Chance line and floor of NT-Xent for `n` pairs."""
    entry = ENTRIES["nt_xent"]
    return [entry.chance(n)] * len(over), [float(entry.floor(n, t) or 0.0) for t in over]


def explorer(models: Models, start: Temperature) -> Explorer[Temperature]:
    from labkit.figures.linked import linked

    start = models.settle(start, "")
    own = replace(start, mode="re-train", temperature=start.trained)
    labels = {"re-train": "re-train: another model each", "re-weigh": "re-weigh: the same model"}
    tracks = [Track(labels["re-weigh"], replace(start, mode="re-weigh"), "temperature")]
    if start.trained:
        tracks.insert(int(start.mode == "re-weigh"), Track(labels["re-train"], own, "temperature"))
    modes = MODES if start.trained else ("re-weigh",)
    return Explorer(
        name="temperature",
        start=start,
        controls=(
            Control("data", "data", lambda state: tuple(models.grids), kind="menu"),
            Control("mode", "mode", lambda state: modes, kind="toggle"),
            Control("temperature", "temperature", models.temperatures),
        ),
        show=models.show,
        explain=models.explain,
        draw=linked,
        tracks=tuple(tracks),
        alt=ALT,
        settle=models.settle,
    )


def temperature(
    z1: Tensor | None = None,
    z2: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    data: str = "circle",
    mode: str = "re-train",
    temperature: float = 0.5,
) -> Explorer[Temperature]:
    """The temperature explorer, on models that ship with labkit, or on your own embeddings.

    Args:
        z1, z2, labels: two views `(n, d)` of your instances and their classes; they are not re-trained, only re-weighed.
        data: "circle", "digits" or "fashion", where no embeddings are given.
        mode: "re-train" or "re-weigh".
        temperature: where the slider begins.

    Raises:
        ValueError: an unknown data set or mode, or only some of `z1, z2, labels`.
    """
    mine = [t for t in (z1, z2, labels) if t is not None]
    if len(mine) not in (0, 3):
        raise ValueError("z1, z2 and labels belong together: give all three, or none for the models that ship")
    if mode not in MODES:
        raise ValueError(f"mode must be {' or '.join(map(repr, MODES))}, got {mode!r}")
    if z1 is not None and z2 is not None and labels is not None:
        one, two = (unit(z.double()).numpy()[None] for z in (z1, z2))
        grids = {"yours": Grid("yours", np.zeros(1), one, two, labels.numpy(), {})}
        return explorer(Models(grids), Temperature("yours", "re-weigh", temperature, 0.0))
    if data not in available():
        raise ValueError(f"data must be one of {', '.join(available())}, got {data!r}")
    return explorer(Models({name: stored(name) for name in available()}), Temperature(data, mode, temperature, temperature))
