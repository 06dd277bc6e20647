"""Numbers that were rounded to few levels: eight bits, by type or in disguise."""

from typing import NamedTuple

import torch
from torch import Tensor

LEVELS = 256  # that eight bits can tell apart
FEWEST = 24  # different values: fewer are classes, bits, counts
ENTRIES = 2**18
LINES = 64  # columns, and rows, that are looked at one by one
KINDS = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}


class Levels(NamedTuple):
    """many: different values, 0 left out. kind: the type that holds them, "" where it is not told. among: which numbers."""

    many: int
    kind: str
    among: str


def eighths(rows: Tensor, kind: str) -> Levels | None:
    """The eight bits that hold these numbers, if they do and if the numbers are no counts or pixels.

    rows: (m, d) numbers in float64; kind: the type they came as.
    """
    some = rows[:: max(rows.numel() // ENTRIES, 1)]
    values = some.unique()
    values = values[values != 0]
    among = f"among {some.numel():,} numbers"
    if kind in KINDS:
        return Levels(len(values), kind, among)
    if len(values) < FEWEST or natural(values) or not kind.startswith(("float", "bfloat", "int8", "int16")):
        return None
    for name, eight in KINDS.items():
        if bool((values.float().to(eight).double() == values).all()):
            return Levels(len(values), name, among)
    if len(values) <= min(LEVELS, some.numel() // 5):
        return Levels(len(values), kind if kind == "int8" else "", among)
    return stepped(some.T, "column") or stepped(some, "row")


def natural(values: Tensor) -> bool:
    """Whether values are positive in even steps from 0 on: counts, pixels, shares of a whole."""
    if bool((values < 0).any()):
        return False
    return any(bool(((grid - grid.round()).abs() < 1e-3).all()) for grid in (values, values / values.min()))


def stepped(lines: Tensor, over: str) -> Levels | None:
    """Whether each line lies on an even grid of its own, of no more steps than eight bits have."""
    some = lines[torch.linspace(0, len(lines) - 1, min(len(lines), LINES)).long()]
    counts = torch.tensor([on_grid(line) for line in some])
    if float((counts > 0).double().mean()) < 0.9:
        return None
    return Levels(int(counts[counts > 0].max()), "", f"in a {over}, on an even grid")


def on_grid(line: Tensor) -> int:
    """How many different values there are if they lie on an even grid of few steps, and on both sides of 0; else 0."""
    values = line.unique()
    if len(values) < FEWEST or float(values[0]) >= 0 or float(values[-1]) <= 0:
        return 0
    grid = (values - values[0]) / values.diff().min()
    return len(values) if float(grid[-1]) < LEVELS and bool(((grid - grid.round()).abs() < 0.02).all()) else 0
