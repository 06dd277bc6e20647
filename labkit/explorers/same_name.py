"""One name, several libraries, one input: what each computes, why it differs, and the rule that leads from ours to theirs."""

import textwrap
from dataclasses import dataclass

import numpy as np

from labkit.explorers.core import Control, Explorer, Sentence, Shown, State
from labkit.figures.scene import Axis, Panel, Scene, categories, points, rects, rule, text
from labkit.recipes import same_name as recipe

SLOTS = 4  # libraries that there is room for
WIDE = 46  # letters in a line of reasons
HEIGHT = 560
ALT = (
    "For one name of a loss, a bar for each library with the number that it computes on the same input, a dashed line at "
    "labkit's number, and a diamond where labkit's number lands after the stated rule: always at the end of the bar. Beside "
    "each bar stands the reason for the difference, and the rule."
)


@dataclass(frozen=True)
class SameName(State):
    """Which name."""

    name: str = "SupCon"


def show(state: SameName) -> Shown:
    rows, ours = recipe.rows(state.name), recipe.ours(state.name)
    values = np.array([row.value for row in rows])
    alike = np.isclose(values, ours, rtol=0, atol=1e-6)
    off = [row for row, same in zip(rows, alike, strict=True) if not same]
    low, high = min(0.0, ours, *values), max(0.0, ours, *values)
    places = np.arange(len(rows)) * -1.0
    left = low - 0.02 * (high - low)
    return {
        "ours": ours,
        "call": recipe.NAMES[state.name].call,
        "values": values,
        "bridged": np.array([row.bridged for row in rows]),
        "worst": max(abs(row.bridged - row.value) for row in rows),
        "alike": alike.astype(np.int8),
        "libraries": [f"{row.library}: {told(row.value)}" for row in rows],
        "sources": [f"{row.function}, {row.source}" for row in rows],
        **reasons(rows, alike, places),
        "middles": places,
        "tops": places + 0.16,
        "bottoms": places - 0.16,
        "heads": places + 0.24,
        "low": left,
        "high": high + 0.04 * (high - low),
        "differ": len(off),
        "several": len(rows),
        "example": f"{off[0].library}: {off[0].why}; rule: {off[0].rule}." if off else "All compute the same.",
    }


def reasons(rows: tuple[recipe.Row, ...], alike: np.ndarray, places: np.ndarray) -> Shown:
    """Why, and the rule, in lines that fit, each with its place."""
    lines, heights = [], []
    for row, same, place in zip(rows, alike, places, strict=True):
        why = row.why if same else f"{row.why}. Rule: {row.rule}"
        for k, line in enumerate(textwrap.wrap(why[0].upper() + why[1:] + ".", WIDE)):
            lines.append(line)
            heights.append(place + 0.06 - 0.14 * k)
    return {"reasons": lines, "heights": np.array(heights)}


def told(value: float) -> str:
    return f"{value:.5g}".replace("-", "−")


TITLE = Panel(
    (0.0, 0.0, 1.0, 0.085),
    (),
    "labkit, the dashed line: {call} = {ours:.5g}",
    x=Axis("", 0, 1, hidden=True),
    y=Axis("", 0, 1, hidden=True),
)
ROWS = Axis("", -SLOTS + 0.45, 0.55, hidden=True)
NUMBERS = Panel(
    (0.0, 0.085, 0.42, 1.0),
    (
        rule(x=0.0, color="muted", dash="solid", width=1),
        rects(
            0.0,
            "$values",
            "$bottoms",
            "$tops",
            color=categories("$alike", ("vermilion", "blue")),
            opacity=0.8,
            hover="{libraries}, from {sources}",
        ),
        rule(x="$ours", color="ink"),
        points("$bridged", "$middles", size=12, symbol="diamond", color="ink", hover="labkit's, by the rule: {bridged:.6g}"),
    ),
    x=Axis("value; diamond: ours, by the rule", "$low", "$high"),
    y=ROWS,
)
REASONS = Panel(
    (0.42, 0.085, 1.0, 1.0 - 33 / HEIGHT),  # as high as the bars beside it, which have an axis
    (
        text(0.0, "$heads", "$libraries", bold=True),
        text(0.0, "$heights", "$reasons", color="muted", size=12),
    ),
    x=Axis("", 0, 1, hidden=True),
    y=ROWS,
)
SENTENCES = (
    Sentence("{after.name}, one input: {after.differ:d} of {after.several:d} answers are not labkit's. {after.example}"),
)


def same_name(*, name: str = "SupCon", hide: tuple[str, ...] = ()) -> Explorer[SameName]:
    """What libraries compute under one name, on one input, and why they differ.

    Args:
        name: such as "NT-Xent", "SupCon", "IPO" or "SimPO".
        hide: names of controls that are not offered.

    Raises:
        ValueError: a name that we did not look at, or an unknown control.
    """
    return Explorer(
        name="same_name",
        title="Same name, different loss",
        start=SameName(name),
        controls=(Control("name", "name", tuple(recipe.NAMES), kind="menu"),),
        show=show,
        scene=Scene((TITLE, NUMBERS, REASONS), height=HEIGHT),
        sentences=SENTENCES,
        alt=ALT,
    ).hidden(hide)
