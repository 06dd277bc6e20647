"""A figure as data: panels with axes, and marks that name the numbers they show. A browser and matplotlib draw the same scene.

A slot of a mark takes numbers, or "$name": an entry of what an explorer shows. Words are templates: "{push:.0%} of the push".
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Slot = Any  # a number, an array, or "$name"
Color = str | dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """What an axis says and where it begins and ends; a bound of None follows the marks.

    Args:
        label: with its unit.
        low, high: numbers or "$name".
        ticks, words: where the ticks stand, and what they are called.
        format: of the numbers at the ticks, such as ".0%".
    """

    label: str = ""
    low: Slot = None
    high: Slot = None
    log: bool = False
    ticks: Slot = None
    words: Slot = None
    format: str = "g"
    hidden: bool = False


@dataclass(frozen=True)
class Mark:
    """One kind of thing in a panel, and its slots."""

    kind: str
    slots: dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """Axes with marks.

    Args:
        at: left, top, right, bottom in shares of the figure, with the room for title and labels.
        title: a template; one line, or two.
        equal: one step is as long across as it is up.
        cursor: the control that a click or a drag sets to its option nearest in x.
    """

    at: tuple[float, float, float, float]
    marks: tuple[Mark, ...]
    title: str = ""
    x: Axis = Axis()
    y: Axis = Axis()
    equal: bool = False
    cursor: str = ""


@dataclass(frozen=True)
class Scene:
    """Panels in a figure of so many pixels up; across, it takes what room there is."""

    panels: tuple[Panel, ...]
    height: int = 520

    def plain(self) -> dict[str, Any]:
        """The scene in lists, dictionaries, words and numbers."""
        return dataclasses.asdict(self)


# ---------------------------------------------------------------- marks


def line(
    x: Slot,
    y: Slot,
    *,
    color: Color = "blue",
    width: float = 2,
    dash: str = "solid",
    label: str = "",
    opacity: float = 1,
) -> Mark:
    """A line, broken where a number is missing; its label stands at its right end. Two-dimensional `y` is several lines."""
    return Mark("line", {"x": x, "y": y, "color": color, "width": width, "dash": dash, "label": label, "opacity": opacity})


def area(x: Slot, low: Slot, high: Slot, *, color: Color = "blue", opacity: float = 0.3) -> Mark:
    """What lies between two heights."""
    return Mark("area", {"x": x, "low": low, "high": high, "color": color, "opacity": opacity})


def bars(
    x: Slot,
    height: Slot,
    *,
    base: Slot = 0,
    width: float = 0.8,
    color: Color = "blue",
    opacity: Slot = 1,
    hover: str = "",
) -> Mark:
    """Upright bars, `width` wide in units of x, from `base` up (or down) by `height`."""
    slots = {"x": x, "height": height, "base": base, "width": width, "color": color, "opacity": opacity, "hover": hover}
    return Mark("bars", slots)


def points(
    x: Slot,
    y: Slot,
    *,
    size: Slot = 7,
    color: Color = "blue",
    symbol: str = "circle",
    opacity: Slot = 1,
    hover: str = "",
    drag: bool = False,
    pick: str = "",
) -> Mark:
    """Points, `size` pixels across: "circle", "star", "square", "diamond" or "cross".

    `drag`: the reader moves them. `pick`: a click sets this field of the state to the point's number.
    """
    look = {"size": size, "color": color, "symbol": symbol, "opacity": opacity}
    return Mark("points", {"x": x, "y": y, **look, "hover": hover, "drag": drag, "pick": pick})


def arrows(
    x: Slot,
    y: Slot,
    dx: Slot,
    dy: Slot,
    *,
    color: Color = "vermilion",
    width: float = 2,
    opacity: Slot = 1,
    hover: str = "",
) -> Mark:
    """Arrows from (x, y) to (x + dx, y + dy); one without length is not drawn."""
    slots = {"x": x, "y": y, "dx": dx, "dy": dy, "color": color, "width": width, "opacity": opacity, "hover": hover}
    return Mark("arrows", slots)


def text(
    x: Slot,
    y: Slot,
    words: Slot,
    *,
    color: Color = "ink",
    size: int = 13,
    anchor: str = "start",
    bold: bool = False,
    halo: bool = False,
) -> Mark:
    """Words at a place, or a list of them at several; "start", "middle" or "end" of them is there.

    Of several lines the first is there. `halo`: the paper shows around the letters, where they stand on other marks.
    """
    look = {"color": color, "size": size, "anchor": anchor, "bold": bold, "halo": halo}
    return Mark("text", {"x": x, "y": y, "words": words, **look})


def rects(
    x0: Slot, x1: Slot, y0: Slot, y1: Slot, *, color: Color = "blue", opacity: Slot = 1, hover: str = "", pick: str = ""
) -> Mark:
    """Filled rectangles."""
    slots = {"x0": x0, "x1": x1, "y0": y0, "y1": y1, "color": color, "opacity": opacity, "hover": hover, "pick": pick}
    return Mark("rects", slots)


def image(
    values: Slot,
    extent: tuple[float, float, float, float],
    *,
    map: str = "viridis",
    low: float = 0,
    high: float = 1,
    opacity: float = 1,
) -> Mark:
    """A table of values `(rows, columns)` as pixels, the first row on top; `extent` is left, right, bottom, top.

    A missing value is not drawn.
    """
    slots = {"values": values, "extent": extent, "map": map, "low": low, "high": high, "opacity": opacity}
    return Mark("image", slots)


def rule(
    *, x: Slot = None, y: Slot = None, color: Color = "muted", width: float = 1.5, dash: str = "dash", label: str = ""
) -> Mark:
    """A line across the whole panel, at `x` or at `y`."""
    return Mark("rule", {"x": x, "y": y, "color": color, "width": width, "dash": dash, "label": label})


# ---------------------------------------------------------------- colours


def categories(values: Slot, palette: Sequence[str]) -> dict[str, Any]:
    """A colour for each whole number."""
    return {"by": values, "palette": list(palette)}


def ramp(values: Slot, low: float, high: float, map: str = "viridis") -> dict[str, Any]:
    """A colour for each value, from `low` to `high` along a map: "viridis", "gray", or "diverging" about the middle."""
    return {"by": values, "low": low, "high": high, "map": map}
