"""What a loss will cost before it is run: memory counted and seconds measured on small batches, carried over to large ones."""

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from labkit.registry import ENTRIES, Entry, catalog
from labkit.tiled import TILE, free_memory, in_tiles

LINEAR = (1024, 2048)  # rows at which a loss without a matrix of logits is counted
SQUARE = (256, 512, 768)  # at which one with a whole matrix is
TILED = (2048, 3072)  # at which one in tiles is


@dataclass(frozen=True)
class Forecast:
    """One forward and backward pass: bytes at the peak beside the inputs, and seconds.

    block_size: of the tiles, or None where the whole matrix of logits is kept. whole: bytes if it were kept.
    free: bytes there are now, or None where the system does not say.
    """

    loss: str
    n: int
    d: int
    dtype: torch.dtype
    device: str
    memory: int
    seconds: float
    block_size: int | None
    whole: int
    free: int | None

    @property
    def fits(self) -> bool:
        return self.free is None or self.memory < self.free

    def __str__(self) -> str:
        how = f", in tiles of {self.block_size:,} (whole: {amount(self.whole)})" if self.block_size else ""
        free = "" if self.free is None else f"; {amount(self.free)} free{'' if self.fits else ': IT DOES NOT FIT'}"
        return (
            f"{self.loss} of {self.n:,} x {self.d} in {str(self.dtype).removeprefix('torch.')}: about {amount(self.memory)}"
            f" and {duration(self.seconds)} for a step's loss and gradient on {self.device}{how}{free}"
        )


def forecast(
    loss: Any,
    n: int,
    d: int = 128,
    dtype: torch.dtype = torch.float32,
    *,
    device: str = "cpu",
    block_size: int | None = None,
    **options: Any,
) -> Forecast:
    """What one forward and backward pass of `loss` on `n` rows (pairs, instances, examples) of width `d` will take.

    Memory is what the loss allocates on a few thousand rows, carried over: it is linear in the rows, or a square where all
    logits are kept. Seconds are those of a small batch on this machine as it is now, times the pairs: right within a factor
    of about two where nothing else is running. The forecast itself takes a second or two.

    Args:
        loss: a name of `labkit.catalog()`, the function itself, or `labkit.call("nt_xent", temperature=0.1)`.
        n, d: rows of each view, and their width.
        dtype: of the embeddings; half precision is computed in float32.
        device: a torch device that is there.
        block_size: as the loss would be called; None chooses by size and by the memory that is free.
        options: the loss's other arguments.

    Raises:
        ValueError: an unknown loss, a size below 2. TypeError: a dtype that is not a floating one.

    >>> tiles, whole = forecast("nt_xent", 65536), forecast("nt_xent", 65536, block_size=2 * 65536)
    >>> tiles.block_size, tiles.memory < whole.memory / 100
    (1024, True)
    """
    entry, options = asked(loss, options)
    for name, value in (("n", n), ("d", d)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 2:
            raise ValueError(f"{name} must be a whole number >= 2, got {value!r}")
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating torch.dtype, got {dtype!r}")
    run = partial(cost, entry, dtype=dtype, device=device, options=options)
    bytes_of = dtype.itemsize if dtype.itemsize > 4 else 4
    side = (run(SQUARE[0], 2).largest / bytes_of) ** 0.5 / SQUARE[0]  # of the largest tensor: one or two where it is the logits
    squares = side > 0.9
    size = None
    if entry.takes("block_size"):
        like = torch.empty(0, dtype=torch.promote_types(dtype, torch.float32), device=device)
        size = in_tiles(round(side) * n, round(side) * n, like, block_size)
    whole = carried(lambda rows: run(rows, d).peak, SQUARE if squares else LINEAR, n)
    memory = whole if size is None else carried(lambda rows: run(rows, d, block_size=size).peak, TILED, n)
    small = min(n, 2 * TILE)
    seconds = min(run(small, d, block_size=size, counted=False).seconds for _ in range(3))
    return Forecast(
        loss=entry.name,
        n=n,
        d=d,
        dtype=dtype,
        device=device,
        memory=memory,
        seconds=seconds * (n / small) ** (2 if squares else 1),
        block_size=size,
        whole=whole,
        free=free_memory(device),
    )


def asked(loss: Any, options: dict[str, Any]) -> tuple[Entry, dict[str, Any]]:
    """The entry of the catalog, and what it is to be called with."""
    name = loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", repr(loss))
    if name not in ENTRIES:
        catalog()  # importing the rooms registers their objectives
    if name not in ENTRIES:
        raise ValueError(f"loss must be one of labkit.catalog(), got {name!r}")
    return ENTRIES[name], {**getattr(loss, "kwargs", {}), **options}


# -------------------------------------------------------------------------------------------------- one small batch


class Cost(NamedTuple):
    """Bytes at the peak and of the largest tensor, beside the inputs; seconds."""

    peak: int
    largest: int
    seconds: float


def cost(
    entry: Entry,
    n: int,
    d: int,
    *,
    dtype: torch.dtype,
    device: str,
    options: dict[str, Any],
    block_size: int | None = None,
    counted: bool = True,
) -> Cost:
    """One forward and backward pass on random rows, counted or timed."""
    draw = torch.Generator().manual_seed(0)

    def rows(shape: tuple[int, ...]) -> Tensor:
        x = torch.randn(shape, generator=draw)
        return (-x.abs() if entry.kind == "preference" else x).to(device, dtype).requires_grad_()

    if entry.takes("block_size"):
        options = {**options, "block_size": block_size or 4 * n}
    given = {name: x.to(device) if not x.is_floating_point() else x for name, x in entry.arguments(rows, n, d).items()}
    watch = Allocations() if counted else None
    begun = time.perf_counter()
    if watch is None:
        passes(entry, given, options)
    else:
        with watch:
            passes(entry, given, options)
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return Cost(watch.peak if watch else 0, watch.largest if watch else 0, time.perf_counter() - begun)


def passes(entry: Entry, given: dict[str, Tensor], options: dict[str, Any]) -> None:
    value = entry.fn(**given, **options)
    if value.requires_grad:
        value.sum().backward()


class Allocations(TorchDispatchMode):
    """Counts the bytes of the tensors made while it is on: live now, at the peak, and of the largest."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = self.largest = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.seen((args, kwargs), new=False)
        out = func(*args, **(kwargs or {}))
        self.seen(out, new=True)
        return out

    def seen(self, tensors: Any, new: bool) -> None:
        for storage in [x.untyped_storage() for x in tree_iter(tensors) if isinstance(x, Tensor)]:
            if storage._cdata not in self.known:
                size = storage.nbytes() if new else 0
                self.known.add(storage._cdata)
                self.live += size
                self.peak, self.largest = max(self.peak, self.live), max(self.largest, size)
                weakref.finalize(storage, self.freed, storage._cdata, size)

    def freed(self, key: int, size: int) -> None:
        self.live -= size
        self.known.discard(key)


# -------------------------------------------------------------------------------------------------- to the size asked


def carried(count: Callable[[int], int], sizes: tuple[int, ...], n: int) -> int:
    """The count of `n` rows; of more than the largest size, by the polynomial through all sizes."""
    if n <= sizes[-1]:
        return count(n)
    return round(float(np.polyval(np.polyfit(sizes, [count(size) for size in sizes], len(sizes) - 1), n)))


def amount(size: float) -> str:
    """Bytes, as people say it."""
    return f"{size / 2**20:,.0f} MiB" if size < 2**30 else f"{size / 2**30:,.1f} GiB"


def duration(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:,.0f} ms"
    return f"{seconds:,.1f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
