"""Rows of numbers, read when they are needed: what every input becomes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from labkit.report.rows.stores import Store

BLOCK = 2**26  # bytes of float64 rows in memory at a time


class Rows:
    """(n, d) numbers that lie somewhere: nothing is read before it is asked for, and never all of it at once.

    name: "z1". source: the file's name without its folder, or "torch tensor". dtype: as it came, "bfloat16".
    notes: what a reader must be told of how it was read: "column 'label' holds words and was left out".
    """

    def __init__(self, name: str, source: str, store: Store, notes: tuple[str, ...] = ()):
        self.name, self.source, self.store, self.notes = name, source, store, notes
        self.n, self.d = store.shape
        self.dtype = store.dtype

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"Rows({self.name}: {self.n:,} x {self.d:,} {self.dtype} from {self.source})"

    def blocks(self, rows: int | None = None) -> Iterator[tuple[int, Tensor]]:
        """(number of the first row, (k, d) float64) over all rows in order; about 64 MiB each unless `rows` says how many."""
        for start, block in self.raw(rows):
            yield (
                start,
                block.to(torch.float64, copy=True),
            )  # the user's own numbers stay as they are, whatever is done to these

    def raw(self, rows: int | None = None) -> Iterator[tuple[int, Tensor]]:
        """The same in the type it came in, and perhaps in the user's own memory: to be read only."""
        step = rows or max(1, BLOCK // (8 * self.d))
        for start in range(0, self.n, step):
            yield start, self.store.read(start, min(start + step, self.n))

    def take(self, index: Tensor) -> Tensor:
        """These rows, float64, in this order."""
        return self.store.pick(torch.as_tensor(index, dtype=torch.int64, device="cpu")).double()


def checked(store: Store, name: str) -> Store:
    """The store, if it holds at least four rows of at least two real numbers.

    Raises:
        ValueError: what it holds instead, and what to pass.
    """
    shape, kind = store.shape, store.dtype
    if not kind.startswith(("float", "bfloat", "int", "uint")) or kind in ("float128", "float96"):
        raise ValueError(f"{name} must hold real numbers, got {kind}{_instead(kind, name)}")
    if len(shape) == 3:
        raise ValueError(
            f"{name} must be (n, d), one row for each embedding, got {shape}: if axis 1 are views, pass two of them, "
            f"{name}[:, 0] and {name}[:, 1]; if tokens or patches, one of them or their mean, {name}.mean(1)"
        )
    if len(shape) != 2:
        hint = f"a vector of one number per row says nothing about directions: got {shape}"
        raise ValueError(f"{name} must be (n, d), one row for each embedding; {hint if len(shape) == 1 else f'got {shape}'}")
    if shape[0] < 4:
        raise ValueError(f"{name} must have at least 4 rows, got {shape[0]}: a report speaks of many embeddings")
    if shape[1] < 2:
        raise ValueError(f"{name} must have at least 2 dimensions, got {shape[1]}: a direction needs two")
    return store


def _instead(kind: str, name: str) -> Any:
    if kind == "bool":
        return f" (binary codes?): pass numbers, 2.0 * {name} - 1"
    if kind.startswith("complex"):
        return f": pass its parts side by side, or {name}.real"
    if kind in ("float128", "float96"):
        return f": pass {name}.astype('float64')"
    if kind == "object":
        return ": rows of different lengths, missing values or words are among them"
    if kind.startswith(("str", "bytes")):
        return ": these are words; labels= takes words"
    if kind.startswith("void"):
        return ": raw bytes or a structured array; if it was bfloat16, save it as float32"
    return ""
