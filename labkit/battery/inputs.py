"""Inputs made from a signature, and the changes of them under which an objective's value is compared."""

from math import inf
from typing import Any

import torch
from torch import Tensor

from labkit.registry import Entry

SIZES = {"n": 6, "m": 5, "d": 4, "v": 3, "k": 4, "t": 4, "s": 3, "p": 7, "vocab": 5}
# The same two views, the other way round.
SWAPS: tuple[dict[str, str], ...] = (
    {"z1": "z2", "z2": "z1"},
    {"a": "b", "b": "a"},
    {"p1": "p2", "z2": "z1", "p2": "p1", "z1": "z2"},
    {"scores1": "scores2", "scores2": "scores1"},
)


def inputs(
    entry: Entry, *, dtype: torch.dtype = torch.float64, seed: int = 0, optional: bool = False, **sizes: int
) -> dict[str, Tensor]:
    """Tensors for what a call needs, and with `optional` for what it may take."""
    draw = torch.Generator().manual_seed(seed)
    names = [n for n, p in entry.checker.parameters.items() if p.is_tensor and (optional or p.required)]
    return {name: one_input(entry, name, dtype, draw, {**SIZES, **sizes}) for name in names}


def one_input(entry: Entry, name: str, dtype: torch.dtype, draw: torch.Generator, sizes: dict[str, int]) -> Tensor:
    parameter = entry.checker.parameters[name]
    shape = tuple(sizes[letter] for letter in letters(entry, name))
    if name.endswith("mask"):
        mask = torch.rand(shape, generator=draw) < 0.7
        mask[..., 0] = True  # no answer is empty
        return mask
    if name.endswith("lengths"):
        return torch.randint(1, 9, shape, generator=draw)
    if parameter.integral:
        return torch.arange(shape[0]) // 2 if len(shape) == 1 else torch.rand(shape, generator=draw).argsort(-1)
    if name.endswith("logps"):
        return (-0.1 - 3 * torch.rand(shape, generator=draw, dtype=torch.float64)).to(dtype)
    return inside(parameter.interval, torch.randn(shape, generator=draw, dtype=torch.float64)).to(dtype)


def inside(interval: Any, x: Tensor) -> Tensor:
    """Normal numbers, moved to where an argument may hold them, if it may not; between two ends, well away from either."""
    if interval is None or (interval.low < -5 and interval.high > 5):
        return x
    if interval.low == -inf or interval.high == inf:
        return interval.low + 0.1 + x.abs() if interval.high == inf else interval.high - 0.1 - x.abs()
    return interval.low + (interval.high - interval.low) * (0.1 + 0.8 * x.sigmoid())


def letters(entry: Entry, name: str) -> list[str]:
    """The axes of an argument, in its first form: `["n", "d"]`."""
    return entry.checker.parameters[name].shapes[0].dim_str.split()


def leaves(entry: Entry, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The arguments that a model would be trained through: those that must be floating."""
    return {n: x.detach().clone().requires_grad_() for n, x in given.items() if entry.checker.parameters[n].floating}


def along(entry: Entry, given: dict[str, Tensor], letter: str, change: Any) -> dict[str, Tensor]:
    """`change(tensor, axis)` of every argument that has the axis."""
    return {n: change(x, letters(entry, n).index(letter)) if letter in letters(entry, n) else x for n, x in given.items()}


def size(entry: Entry, given: dict[str, Tensor], letter: str) -> int:
    """How long this axis is in these arguments; 0 if none has it."""
    return next((x.shape[letters(entry, n).index(letter)] for n, x in given.items() if letter in letters(entry, n)), 0)


def doubled(given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same numbers in float64."""
    return {n: x.double() if x.is_floating_point() else x for n, x in given.items()}


# ---------------------------------------------------------------- the same batch, told otherwise


def shuffled(entry: Entry, given: dict[str, Tensor], seed: int = 1) -> dict[str, Tensor]:
    """Rows in another order, the same for all arguments."""
    for letter in ("n", "m"):
        order = torch.randperm(size(entry, given, letter), generator=torch.Generator().manual_seed(seed))
        given = along(entry, given, letter, lambda x, axis, order=order: x.index_select(axis, order))
    return given


def turned(entry: Entry, given: dict[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Everything rotated by the same rotation of R^d (of the k prototypes, where there is no d)."""
    letter = "d" if size(entry, given, "d") else "k"
    d = size(entry, given, letter)
    turn = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))).Q
    return along(entry, given, letter, lambda x, axis: x @ turn.to(x.dtype))


def swapped(entry: Entry, given: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """The views in another order, or None for an entry that has none."""
    if "views" in given:
        return {**given, "views": given["views"].flip(1)}
    names = next((s for s in SWAPS if set(s) == set(given)), None)
    return {name: given[other] for name, other in names.items()} if names else None


def stretched(entry: Entry, given: dict[str, Tensor], decades: int = 30) -> dict[str, Tensor]:
    """Every row times a length of its own, from 10^-decades to 10^decades."""
    lengths = torch.logspace(-decades, decades, size(entry, given, "n"), dtype=torch.float64)
    return {
        n: (lengths.view(-1, *[1] * (x.ndim - 1)) * x).to(x.dtype) if x.is_floating_point() else x for n, x in given.items()
    }
