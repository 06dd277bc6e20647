"""A number on one axis with its interval and its null rows: a small inline SVG whose colours turn with the page."""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from labkit.report.paper.words import counted, measured, shown
from labkit.report.pieces import Number

WIDE, HIGH, EDGE = 260, 40, 10  # of the picture, and what is left free at both ends
LINE, TICK, TEXT = 14, 19, 34  # heights of the axis, its ticks' ends and their numbers


# Meters that are read against the whole of their range: a model has collapsed near 0, whatever lies beside it.
WHOLE = {"variance": (0.0, 1.0), "mean_norm": (0.0, 1.0)} | dict.fromkeys(
    ("knn_accuracy", "linear_probe", "few_label_probe", "retrieval", "retrieval_5", "retrieval_10"), (0.0, 1.0)
)


class Axis(NamedTuple):
    """From where to where; the same for all numbers of a meter, so that they can be compared."""

    low: float
    high: float

    def place(self, x: float) -> float:
        share = (min(max(x, self.low), self.high) - self.low) / (self.high - self.low)
        return round(EDGE + share * (WIDE - 2 * EDGE), 2)

    def ticks(self) -> list[float]:
        """Two to five round numbers.

        >>> Axis(-4.0, 0.2).ticks()
        [-4.0, -2.0, 0.0]
        """
        reach = self.high - self.low
        unit = 10.0 ** math.floor(math.log10(reach / 2))
        step = next(k * unit for k in (5, 2, 1, 0.5) if reach / (k * unit) >= 2)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(k * step, 12) + 0.0 for k in range(first, last + 1)]


def axis(numbers: Sequence[Number]) -> Axis | None:
    """Wide enough for all values, intervals and null rows; None where there is but one place."""
    every = [*WHOLE.get(numbers[0].meter, ())]
    every += [x for n in numbers for e in (n.estimate, *(null.estimate for null in n.nulls)) for x in e if math.isfinite(x)]
    if not every or max(every) - min(every) <= 1e-9 * max(1.0, *map(abs, every)):
        return None
    margin = 0.04 * (max(every) - min(every))
    return Axis(min(every) - margin, max(every) + margin)


def strip(number: Number, on: Axis) -> str:
    """The picture."""
    nulls = "".join(mark(k, on.place(null.estimate.value), LINE) for k, null in enumerate(number.nulls))
    low, value, high = (on.place(x) for x in (number.estimate.low, number.value, number.estimate.high))
    bar = "" if counted(number.estimate) else f'<path class="lk-ci" d="M{low} {LINE}H{max(high, low + 1)}"/>'
    return (
        f'<svg class="lk-strip" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{html.escape(said(number), quote=True)}">'
        f'<path class="lk-line" d="M2 {LINE}H{WIDE - 2}"/>{"".join(map(tick, on.ticks(), map(on.place, on.ticks())))}'
        f'{bar}{nulls}<circle class="lk-dot" cx="{value}" cy="{LINE}" r="4.2"/></svg>'
    )


def tick(x: float, at: float) -> str:
    anchor = "start" if at < 24 else "end" if at > WIDE - 24 else "middle"
    edge = {"start": -5, "end": 5, "middle": 0}[anchor]
    return (
        f'<path class="lk-line" d="M{at} {LINE}V{TICK}"/>'
        f'<text class="lk-tick" x="{at + edge:g}" y="{TEXT}" text-anchor="{anchor}">{shown(x).replace("-", "−")}</text>'
    )


SHAPES = (
    "M0 -6L6 0L0 6L-6 0Z",
    "M0 -6L5.5 5L-5.5 5Z",
    "M-4.8 -4.8H4.8V4.8H-4.8Z",
    "M-5.5 -5L5.5 -5L0 6Z",
    "M-5 -5L5 5M-5 5L5 -5",
)


def mark(k: int, x: float, y: float) -> str:
    """The sign of the k-th null row: a diamond is the floor."""
    k %= len(SHAPES)
    return f'<path class="lk-null lk-null{k}" transform="translate({x} {y})" d="{SHAPES[k]}"/>'


def sign(k: int) -> str:
    """The same sign beside a null row's words."""
    return f'<svg class="lk-sign" viewBox="-8 -8 16 16" aria-hidden="true">{mark(k, 0, 0)}</svg>'


def said(number: Number) -> str:
    nulls = "; ".join(f"{null.name} {shown(null.estimate.value)}" for null in number.nulls)
    return f"{number.of}: {measured(number.estimate)}; {nulls}"
