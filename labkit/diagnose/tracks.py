"""The columns of a trainer's log that tell about chosen and rejected answers, whoever named them."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str, bool]
STEPS = ("step", "Step", "_step", "train/global_step", "global_step")
TRAINED = (
    "loss",
    "learning_rate",
    "grad_norm",
    "train/loss",
    "train/learning_rate",
    "train/grad_norm",
)  # of a row that trained


def role(column: str) -> Key | None:
    """A column as (what, side, evaluated on held-out pairs), whatever trainer named it; None for something else.

    >>> role("eval_rewards/chosen"), role("logps_train/rejected"), role("train/rewards/margins")
    (('rewards', 'chosen', True), ('logps', 'rejected', False), None)
    """
    words = set(re.split(r"[^a-z]+", re.sub(r"log_?p(rob)?s?(?![a-z])", "logps", column.lower())))
    side = "chosen" if "chosen" in words else "rejected" if words & {"rejected", "reject"} else None
    what = "rewards" if words & {"reward", "rewards"} else "gain" if "gain" in words else "logps" if "logps" in words else None
    if side is None or what is None or words & {"accuracy", "accuracies", "margin", "margins", "std", "max", "min"}:
        return None
    return ("ref" if words & {"ref", "reference"} else what), side, bool(words & {"eval", "val", "validation", "test"})


@dataclass
class Track:
    """One column of a log, in the order of its steps.

    at: step -> number; of a step that was logged twice, the later row.
    twice: how many rows were replaced so, as when a run is resumed from an earlier checkpoint.
    broken: the steps at which the trainer logged NaN or infinity.
    """

    column: str
    at: dict[float, float] = field(default_factory=dict)
    twice: int = 0
    broken: list[float] = field(default_factory=list)

    @property
    def values(self) -> list[float]:
        return [self.at[step] for step in sorted(self.at)]

    @property
    def ended_broken(self) -> bool:
        return bool(self.broken) and max(self.broken) > max(self.at, default=-math.inf)


def tracks(history: dict[str, list]) -> dict[Key, Track]:
    """(what, side, held out) -> its column; the first, where several could be meant."""
    steps = next((history[name] for name in STEPS if name in history), [])
    found: dict[Key, Track] = {}
    for name, values in history.items():
        if (key := role(name)) and key not in found:
            track = Track(name)
            for row, value in enumerate(values):
                if (x := number(value)) is None or not (math.isfinite(x) or trained(history, row)):
                    continue
                step = number(steps[row]) if row < len(steps) else None
                put(track, float(row) if step is None or not math.isfinite(step) else step, x)
            if track.at or track.broken:
                found[key] = track
    for side in ("chosen", "rejected"):
        add_gain(found, side)
    return found


def put(track: Track, step: float, x: float) -> None:
    if step in track.at or step in track.broken:
        track.twice += 1
        track.at.pop(step, None)
        track.broken = [s for s in track.broken if s != step]
    if math.isfinite(x):
        track.at[step] = x
    else:
        track.broken.append(step)


def add_gain(found: dict[Key, Track], side: str) -> None:
    """Whoever logs the reference too has logged the gain."""
    now, then = found.get(("logps", side, False)), found.get(("ref", side, False))
    if now and then and now.at.keys() == then.at.keys():
        found.setdefault(("gain", side, False), Track(now.column, {s: now.at[s] - then.at[s] for s in now.at}))


def number(x: Any) -> float | None:
    """A cell as a number, also one that was written as a word; None where there is none."""
    if isinstance(x, str):
        try:
            return float(x)
        except ValueError:
            return None
    return float(x) if isinstance(x, (int, float)) and not isinstance(x, bool) else None


def trained(history: dict[str, list], row: int) -> bool:
    """Whether this row says that a step was taken: then a NaN beside it was computed, and is no empty cell."""
    cells = (number(history[name][row]) for name in TRAINED if name in history)
    return any(x is not None and math.isfinite(x) for x in cells)


def told(found: dict[Key, Track]) -> list[str]:
    """What a reader must know of these rows before their numbers."""
    said = []
    if twice := max((track.twice for track in found.values()), default=0):
        said.append(f"{twice} steps were logged twice, as by a run that was resumed: the later rows count.")
    for track in found.values():
        if track.broken:
            n = len(track.broken) + len(track.at)
            said.append(
                f"{track.column} is NaN or infinite in {len(track.broken)} of {n} rows, first at step {track.broken[0]:g}."
            )
    return said
