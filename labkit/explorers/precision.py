"""One loss in four types and three forms, against temperature: where exp overflows, and the NaN is born.

Everything is computed here and now, by torch in the type itself, so it holds for this machine.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch

from labkit.explorers.core import Control, Explorer, Sentence, Shown, State, nearest
from labkit.figures.scene import Axis, Panel, Scene, categories, line, points, rects, rule, text
from labkit.recipes.precision import (
    BROKEN,
    FORMS,
    INPUTS,
    OFF,
    STUCK,
    TEMPERATURES,
    TOLERATED,
    TYPES,
    Computed,
    blamed,
    computed,
    exact,
    far,
    judged,
    limit,
)

VALUES, SLOPES = (1e-4, 1e4), (1e-8, 1e4)  # where numbers are drawn; smaller ones lie on the floor
LOST = 10**5.5  # and what is no number, far above them all
NAMES = [f"{dtype}, {form}" for dtype in TYPES for form in FORMS]
COLORS = ("blue", "yellow", "purple", "vermilion")
ALT = (
    "The loss and its gradient against temperature, in the chosen type and form, beside the exact curve; crosses on a line "
    "of their own, on top, mark temperatures at which they are infinite or no number. Beside them the largest logit against "
    "the logarithm of the type's largest number, and a table of all types and forms at the chosen temperature. The naive "
    "forms break where the logit crosses that line; the stable form never does."
)


@dataclass(frozen=True)
class Precision(State):
    """The type that everything is computed in, how the loss is written, how the pairs lie, and the temperature."""

    dtype: str = "float16"
    form: str = "naive"
    inputs: str = "random"
    temperature: float = 0.056


# ------------------------------------------------------------------ what is shown


def show(state: Precision) -> Shown:
    found = computed(state.dtype, state.form, state.inputs, state.temperature)
    true, most = exact(state.inputs, state.temperature), limit(state.dtype)
    verdict = judged(found, true)
    return {
        **curves(state.dtype, state.form, state.inputs),
        **table(state.inputs, state.temperature),
        "now": state.temperature,
        "value": found.value,
        "gradient": float(found.gradient.norm()),
        "logit": float(f"{found.logit:.3g}"),  # rounded once, or a browser would round a half the other way
        "limit": most,
        "true": true.value,
        "error": abs(found.value - true.value),
        "verdict": verdict,
        "cause": blamed(state.dtype, state.form, state.inputs, state.temperature) if verdict == OFF else "",
        "why": why(state, found, true, most, verdict),
    }


@functools.cache
def curves(dtype: str, form: str, inputs: str) -> Shown:
    """Against temperature: value and gradient as computed, as they should be, and where they are no numbers."""
    found = [computed(dtype, form, inputs, t) for t in TEMPERATURES]
    true = [exact(inputs, t) for t in TEMPERATURES]
    values, slopes = np.array([c.value for c in found]), np.array([float(c.gradient.norm()) for c in found])
    drawn = {"values": (values, VALUES), "slopes": (slopes, SLOPES)}
    drawn["true_values"] = (np.array([c.value for c in true]), VALUES)
    drawn["true_slopes"] = (np.array([float(c.gradient.norm()) for c in true]), SLOPES)
    shown: Shown = {name: floored(y, *ends) for name, (y, ends) in drawn.items()}
    for name in ("values", "slopes"):
        y, exactly = drawn[name][0], drawn[f"true_{name}"][0]
        shown[f"{name}_lost"] = np.where(np.isfinite(y), np.nan, LOST)
        told = zip(TEMPERATURES, y, exactly, strict=True)
        shown[f"{name}_told"] = [f"temperature {t:g}: {number(a)}, exactly {number(b)}" for t, a, b in told]
    return shown | {"logits": np.array([exact(inputs, t).logit for t in TEMPERATURES])}


def floored(y: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.where(np.isfinite(y), np.clip(y, low, high), np.nan)


@functools.cache
def table(inputs: str, temperature: float) -> Shown:
    """Every type and form at one temperature: a verdict and two lines of words each."""
    true = exact(inputs, temperature)
    cells = [computed(dtype, form, inputs, temperature) for dtype in TYPES for form in FORMS]
    limits = [limit(dtype) for dtype in TYPES for _ in FORMS]
    verdicts = [judged(cell, true) for cell in cells]
    return {
        "verdicts": np.array(verdicts, dtype=np.int8),
        "cells": [number(cell.value) for cell in cells],
        "told": [f"{name}: {number(cell.value)}" for name, cell in zip(NAMES, cells, strict=True)],
        "notes": [note(*cell, true) for cell in zip(cells, verdicts, limits, strict=True)],
    }


def number(x: float) -> str:
    if not math.isfinite(x):
        return "NaN" if math.isnan(x) else "∞"
    return f"{abs(x):.1e}" if 0 < abs(x) < 1e-3 else f"{abs(x):.4g}"


def note(cell: Computed, verdict: int, most: float, true: Computed) -> str:
    """What is wrong, in two words."""
    if verdict == BROKEN and not math.isfinite(cell.value):
        return "overflow" if cell.logit > most else "log of 0"
    if verdict == BROKEN:
        return "slope NaN"
    if verdict == STUCK:
        return "slope 0"
    if verdict == OFF:
        off = far(torch.tensor(cell.value), torch.tensor(true.value))
        return f"off by {off:.0%}" if off > TOLERATED else f"slope off\nby {far(cell.gradient, true.gradient):.0%}"
    return ""


def why(state: Precision, found: Computed, true: Computed, most: float, verdict: int) -> str:
    """One sentence on what came out, which holds in every state."""
    what = f"{state.dtype}, {state.form}, temperature {state.temperature:g}"
    if state.form == "stable":
        off = f"{abs(found.value - true.value):.1g}"
        return f"{what}: the largest logit is taken out before exp, so nothing overflows; rounding moves the loss by {off}."
    if verdict == BROKEN:
        return f"{what}: {born(found, most)}"
    if verdict == STUCK:
        stopped = f"the loss stops at {found.value:.4g} and its slope is gone"
        return f"{what}: the positive's share has vanished beside eps, so {stopped}."
    cause = blamed(state.dtype, state.form, state.inputs, state.temperature) if verdict == OFF else ""
    if cause == "eps":
        wide = computed("float64", state.form, state.inputs, state.temperature)
        slope = f"its slope is off by {far(wide.gradient, true.gradient):.0%}"
        return f"{what}: eps itself changes the loss, even in float64 to {wide.value:.4g} from {true.value:.4g}; {slope}."
    room = f"the largest logit, {found.logit:.3g}, fits below {most:.3g}, the log of the type's maximum"
    if verdict == OFF:
        return f"{what}: {room}, but {LOSES[cause]}."
    return f"{what}: {room}; value and slope are right to 1 %."


LOSES = {
    "zero": "share / sum, a part of the slope, is too small for the type and becomes 0: the slope is off by more than 1 %",
    "rounding": "more than 1 % of the value or of the slope is rounded away",
}


def born(found: Computed, most: float) -> str:
    """How the NaN, or the infinity, came about."""
    value = "∞" if math.isinf(found.value) else "NaN" if math.isnan(found.value) else f"{found.value:.4g}"
    if found.logit > most:
        return (
            f"exp of the largest logit, {found.logit:.3g}, is ∞, for it lies above {most:.3g}, the log of the type's maximum: "
            f"the loss is {value}, its slope NaN."
        )
    if math.isinf(found.value):
        return "exp of the positive is 0 beside the others, and log 0 is −∞: the loss is ∞, its slope NaN."
    return f"the logits fit, but a sum or a square of their exps does not: the loss is {value}, its slope NaN."


# ------------------------------------------------------------------ how it is drawn


def reading(name: str, title: str, label: str, ends: tuple[float, float], at: tuple[float, float, float, float]) -> Panel:
    over = np.array(TEMPERATURES)
    marks = (
        rule(x="$now", color="ink", dash="dot"),
        line(over, f"$true_{name}", color="muted", dash="dash"),
        line(over, f"${name}", color="blue", width=2.5),
        points(over, f"${name}", size=5, color="blue", hover=f"{{{name}_told}}"),
        points(over, f"${name}_lost", size=8, symbol="cross", color="vermilion", hover=f"{{{name}_told}}"),
    )
    powers = [k for k in range(-8, 5, 4) if ends[0] <= 10.0**k <= ends[1]]
    ticks, words = [10.0**k for k in powers], [POWERS[k] for k in powers]
    axis = Axis(label, ends[0], 10 * LOST, log=True, ticks=[*ticks, LOST], words=[*words, "no number"])
    return Panel(at, marks, title, x=TAU, y=axis, cursor="temperature")


POWERS = {-8: "10⁻⁸", -4: "10⁻⁴", 0: "1", 4: "10⁴"}
TAU = Axis("temperature", TEMPERATURES[0], TEMPERATURES[-1], log=True)
ROWS, COLUMNS = range(len(TYPES)), range(len(FORMS))
X = np.array([c for _ in ROWS for c in COLUMNS], dtype=float)
Y = np.array([len(TYPES) - 1 - r for r in ROWS for _ in COLUMNS], dtype=float)
LOGITS = Panel(
    (0.52, 0.0, 1.0, 0.42),
    (
        rule(x="$now", color="ink", dash="dot"),
        rule(y="$limit", color="vermilion"),
        line(np.array(TEMPERATURES), "$logits", color="green", width=2.5),
        points(np.array(TEMPERATURES), "$logits", size=4, color="green", hover="largest logit {logits:.3g}"),
        points("$now", "$logit", size=9, color="green", symbol="diamond"),
    ),
    "Largest logit {logit:.3g}, limit {limit:.3g}",
    x=TAU,
    y=Axis("largest logit", 0.3, 2000, log=True, ticks=[1, 10, 100, 1000]),
    cursor="temperature",
)
TABLE = Panel(
    (0.52, 0.42, 1.0, 1.0),
    (
        rects(
            X - 0.48,
            X + 0.48,
            Y - 0.45,
            Y + 0.45,
            color=categories("$verdicts", COLORS),
            opacity=0.22,
            hover="{told}, exactly {true:.4g}",
        ),
        text(X, Y + 0.22, "$cells", anchor="middle", bold=True),
        text(X, Y - 0.1, "$notes", anchor="middle", size=12),
        text(np.full(len(TYPES), -0.58), Y[:: len(FORMS)], list(TYPES), anchor="end", size=12, color="muted"),
        text(X[: len(FORMS)], len(TYPES) - 0.28, ["naive", "+ eps", "stable"], anchor="middle", size=12, color="muted"),
    ),
    "All of them at temperature {temperature:g}",
    x=Axis("", -1.35, len(FORMS) - 0.5, hidden=True),
    y=Axis("", -0.5, len(TYPES) - 0.1, hidden=True),
)
SCENE = Scene(
    (
        reading("values", "Loss {value:.4g}, exactly {true:.4g}", "loss", VALUES, (0.0, 0.0, 0.52, 0.5)),
        reading("slopes", "Length of its gradient {gradient:.3g}", "length of the gradient", SLOPES, (0.0, 0.5, 0.52, 1.0)),
        LOGITS,
        TABLE,
    ),
    height=580,
)
SENTENCES = (
    Sentence("Every logit is divided by {after.temperature:g} now. {after.why}", changed="temperature"),
    Sentence("The same numbers in another type. {after.why}", changed="dtype"),
    Sentence("The same loss, written in another way. {after.why}", changed="form"),
    Sentence("Other pairs: the largest logit is {after.logit:.3g}. {after.why}", changed="inputs"),
    Sentence("{after.why}"),
)


def precision(
    *,
    dtype: str = "float16",
    form: str = "naive",
    inputs: str = "random",
    temperature: float = 0.056,
    hide: tuple[str, ...] = (),
) -> Explorer[Precision]:
    """The precision lab: one loss in four types and three forms, against temperature.

    Args:
        dtype: "float16", "bfloat16", "float32" or "float64".
        form: "naive" (exp, then log), "log(x + eps)", or "stable" (labkit's).
        inputs: pairs that are "aligned", "random" or "opposite".
        temperature: 0.001 to 1; the nearest that there is.
        hide: names of controls that are not offered.

    Raises:
        ValueError: a start that does not exist, or an unknown control.
    """
    controls = (
        Control("dtype", "type", tuple(TYPES), kind="toggle"),
        Control("form", "form", FORMS, kind="toggle"),
        Control("inputs", "pairs", INPUTS, kind="menu"),
        Control("temperature", "temperature", TEMPERATURES),
    )
    return Explorer(
        name="precision",
        title="Precision lab",
        start=Precision(dtype, form, inputs, nearest(TEMPERATURES, temperature, "temperature")),
        controls=controls,
        show=show,
        scene=SCENE,
        sentences=SENTENCES,
        alt=ALT,
    ).hidden(hide)
