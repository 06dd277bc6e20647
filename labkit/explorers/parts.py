"""What an explorer is declared with: a state, controls, sentences, and the script that computes in the browser."""

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np

from labkit.figures.words import said

Shown = dict[str, Any]
Moved = tuple[int, float, float]  # which point the reader moved, and where to: within [-2, 2], three decimals


@dataclass(frozen=True)
class State:
    """Where the controls stand: a frozen dataclass of words and numbers, and at most one `moved` point."""


@dataclass(frozen=True)
class Control:
    """One field of the state that the reader can change.

    Args:
        name: the field.
        label: what stands beside it.
        options: what it can be, in order.
        kind: "slider" for numbers in order, "toggle" for two or three words, "menu" for more, "player" for steps in time.
        words: what the options are called, where that is not what they are.
        when: another field and the values at which this control is seen and means something.
        follows: the field whose value this one takes while it is not seen; without it, the value at the start.
        resets: fields that go back to where they began when this control changes, such as "moved".
    """

    name: str
    label: str
    options: Sequence[Any]
    kind: Literal["slider", "toggle", "menu", "player"] = dataclasses.field(default="slider", kw_only=True)
    words: Sequence[str] = dataclasses.field(default=(), kw_only=True)
    when: tuple[str, Sequence[Any]] | None = dataclasses.field(default=None, kw_only=True)
    follows: str = dataclasses.field(default="", kw_only=True)
    resets: Sequence[str] = dataclasses.field(default=(), kw_only=True)
    hidden: bool = dataclasses.field(default=False, kw_only=True)

    def called(self) -> list[str]:
        """The options in words."""
        return list(self.words) or [said(option) for option in self.options]


@dataclass(frozen=True)
class Sentence:
    """What is said of a change: the first sentence that fits.

    Args:
        text: a template over `after` and `before`, which hold what is shown and the state: "{after.loss:.2f}".
        changed: the control that the reader moved; "" fits any, and the opening.
        when: values that fields, or shown words and numbers, must have.
        rises, falls: numbers, shown or of the state, that must have gone up or down.
    """

    text: str
    changed: str = dataclasses.field(default="", kw_only=True)
    when: Mapping[str, Any] = dataclasses.field(default_factory=dict, kw_only=True)
    rises: str = dataclasses.field(default="", kw_only=True)
    falls: str = dataclasses.field(default="", kw_only=True)

    def fits(self, changed: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        return (
            self.changed in ("", changed)
            and all(after[name] == value for name, value in self.when.items())
            and (not self.rises or after[self.rises] > before[self.rises])
            and (not self.falls or after[self.falls] < before[self.falls])
        )


@dataclass(frozen=True)
class Model:
    """How the browser computes what is shown: `models.NAME(data)` in `web/models/NAME.js` gives `state -> shown`."""

    name: str
    data: Mapping[str, Any]


def jsonable(shown: Shown) -> Shown:
    """What is shown, as plain lists, numbers and words.

    >>> jsonable({"x": np.array([1.5, 2.0]), "n": np.int64(2), "title": "Push"})
    {'x': [1.5, 2.0], 'n': 2, 'title': 'Push'}
    """
    return {name: value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value for name, value in shown.items()}


def nearest(options: Sequence[float], value: float, name: str = "value") -> float:
    """The option closest to a number that the reader gave, by factor where all are positive.

    Raises:
        ValueError: not a number, or beyond the first and last option.
    """
    low, high = min(options), max(options)
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    if low > 0:
        return min(options, key=lambda option: abs(np.log(option / float(value))))
    return min(options, key=lambda option: abs(option - float(value)))


def digest(*arrays: Any) -> str:
    """A name for the reader's own data, for the codes of an explorer on them.

    >>> digest(np.zeros(3)) == digest(np.zeros(3)), digest(np.zeros(3)) == digest(np.ones(3))
    (True, False)
    """
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
    return f"{found:08x}"
