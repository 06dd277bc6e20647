"""What is wrong with columns and directions: constant, dead, far larger than the rest."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from labkit.report.faults.look import Look, View
from labkit.report.faults.words import columns_that, counted, percent, times
from labkit.report.pieces import Finding
from labkit.report.rows import Scan

FAINT = 1e-2  # of the usual spread, and
GAP = 30.0  # times below the next column: a column is dead, not merely the last of a falling spectrum
SOME = 0.01  # of all columns: some good sentence encoders have that many dead ones
LARGE = 0.5  # of all variance in one column


class Columns(NamedTuple):
    """Numbers of the columns that are constant (not 0), all zeros, and alive but thousands of times smaller than the others."""

    constant: Tensor
    zero: Tensor
    faint: Tensor

    @property
    def dead(self) -> Tensor:
        return torch.cat([self.zero, self.faint]).sort().values


def columns(scan: Scan, spread: Tensor) -> Columns:
    """spread: standard deviation of each column, of rows of equal weight."""
    still = scan.low == scan.high
    size = torch.maximum(scan.low.abs(), scan.high.abs())
    # a value that was rounded differently in each row varies by a few parts in ten million
    still |= (scan.high - scan.low <= 1e-6 * size) & (size > 0)
    zero = still & (scan.low == 0) & (scan.high == 0)
    moving = (~still).nonzero().squeeze(1)
    order = moving[spread[moving].argsort()]
    faint = order[: below_gap(spread[order])]
    return Columns((still & ~zero).nonzero().squeeze(1), zero.nonzero().squeeze(1), faint.sort().values)


def below_gap(rising: Tensor, gap: float = GAP, faint: float = FAINT) -> int:
    """How many of the rising values lie below a jump, and far below what lies above it; 0 where there is no such jump."""
    if len(rising) < 2:
        return 0
    jumps = rising[1:] / rising[:-1].clamp(min=1e-300)
    for at in (jumps >= gap).nonzero().squeeze(1).flip(0).tolist():
        above = rising[at + 1 :]
        if len(above) > 1 and float(rising[at]) < faint * float(above.median()):
            return at + 1
    return 0


def rectified(scan: Scan) -> bool:
    """Whether nothing is negative and every column reaches zero: what a rectifier, or counting pixels, leaves behind."""
    return bool((scan.low == 0).double().mean() > 0.5) and bool((scan.low >= 0).all())


def still(look: Look) -> Iterator[Finding]:
    """Constant and dead columns."""
    for view in look.apart:
        if view.variance < 1e-12:
            continue
        found, d, sparse = columns(view.scan, column_spread(view)), view.scan.d, rectified(view.scan)
        if len(found.constant):
            first = int(found.constant[0])
            value = f"column {first:,} is {float(view.scan.mean[first]):.4g} everywhere"
            yield Finding(
                "constant-dimensions",
                True,
                view.name,
                "sanity",
                f"{columns_that(found.constant, d, 'is', 'are', 'the same in all rows')} ({value}).",
                "Drop them: a row number, a bias or a padding value that came along. They pull all cosines together.",
                {"columns": len(found.constant), "first": first},
            )
        if len(found.dead):
            yield dead(view, found, sparse)


def dead(view: View, found: Columns, sparse: bool) -> Finding:
    d, parts = view.scan.d, []
    if len(found.zero):
        parts.append(columns_that(found.zero, d, "is", "are", "zero in every row"))
    if len(found.faint):
        spread = column_spread(view)
        rest = torch.ones(d, dtype=torch.bool).index_fill(0, torch.cat([found.dead, found.constant]), False)
        ratio = float(spread[rest].median() / spread[found.faint].median())
        less = f"{times(ratio)} times" if ratio < 1e6 else "more than a million times"
        parts.append(columns_that(found.faint, d, "varies", "vary", f"{less} less than the others"))
    why = (
        "units that never fire, or pixels that are never lit" if sparse else "dead units, padding, or a layer that was cut off"
    )
    return Finding(
        "dead-dimensions",
        not sparse and len(found.dead) > SOME * d,
        view.name,
        "sanity",
        f"{'; '.join(parts)}.",
        f"Look for {why}. The report counts them as dimensions: compare ranks with {d - len(found.dead):,}, not {d:,}.",
        {"columns": len(found.dead), "share": len(found.dead) / d},
    )


def column_spread(view: View) -> Tensor:
    """Of the sampled unit rows, so that one long row does not speak for the column."""
    return view.centred.square().mean(0).sqrt()


def directions(look: Look) -> Iterator[Finding]:
    """Directions, not columns, along which nothing varies."""
    for view in look.apart:
        if len(view.distinct) < 16 or view.variance < 1e-12:
            continue
        alive, room = rank(view)
        known = len(columns(view.scan, column_spread(view)).dead)
        missing = room - alive - known
        if missing < 1 or (missing == 1 and len(view.distinct) < 1.5 * view.scan.d):
            continue
        yield Finding(
            "dead-dimensions",
            False,  # a wide layer after a narrow one has as many, and is not broken
            view.name,
            "sanity",
            f"{counted(missing, 'direction')} carry nothing, beside columns: the rows lie in a subspace of {alive:,} "
            f"dimensions, where n and d allow {room:,}."
            if missing > 1
            else "One direction (a mix of columns) carries nothing: the columns obey a linear relation, as a layer norm or a "
            "softmax leaves behind.",
            f"Compare ranks with {alive:,}. The narrowest layer on the way here may be the reason; if there is none, the "
            "dimensions have collapsed.",
            {"directions": missing, "rank": alive},
        )


def rank(view: View) -> tuple[int, int]:
    """(directions that vary, directions that could): at a jump of the spectrum far below the rest."""
    values = view.spectrum[0]
    rows = len(view.distinct) if view.scan.d <= 1024 else min(len(view.distinct), 1024)
    room = min(rows - 1, view.scan.d)
    rising = values[:room].flip(0).sqrt()
    return room - below_gap(rising.clamp(min=1e-9 * float(values[0]) ** 0.5), GAP, 1e-3), room


def loud(look: Look) -> Iterator[Finding]:
    """One column that holds most of what varies, or most of the length."""
    for view in look.apart:
        varied = view.centred.square().mean(0)
        length = view.unit.square().mean(0)
        by_variance, by_length = varied / varied.sum().clamp(min=1e-300), length / length.sum()
        which, share = int(by_variance.argmax()), float(by_variance.max())
        at, part = int(by_length.argmax()), float(by_length.max())
        if max(share, part) < LARGE or view.scan.d < 8:
            continue
        column, says = (
            (which, f"{percent(share)} of the variance") if share >= LARGE else (at, f"{percent(part)} of the length")
        )
        both = f", and {percent(part)} of the squared length" if share >= LARGE and column == at and part >= LARGE else ""
        yield Finding(
            "dominating-dimension",
            False,
            view.name,
            "sanity",
            f"Column {column:,} of {view.scan.d:,} holds {says} of the unit rows{both}.",
            "Usual in language models (a few dimensions are hundreds of times larger); then standardise the columns before you "
            "compare cosines. Elsewhere look for a feature in other units.",
            {"column": column, "variance": share, "length": part},
        )
