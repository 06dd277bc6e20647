"""One pass over all rows: what is broken, what is equal, how long rows are, how columns vary, and the input's hash."""

import contextlib
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.progress import bar
from labkit.report.rows.equal import Equal, fingerprints
from labkit.report.rows.table import Rows

PIECE = 2**20  # bytes that fit the processor's cache: a block is gone through in pieces of this size
HUGE, TINY = 1e150, 1e-150  # lengths between which squares, and sums of many of them, are exact in float64
HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Scan:
    """What one pass over all rows of an input found.

    sha256: of type, shape and numbers in the order of rows, so that a tensor and its file have the same.
    bad_rows: rows with NaN or infinity, or longer than 1e150. zero_rows: rows of zeros, or shorter than 1e-150.
    huge_rows, tiny_rows: those among them that are finite and too long, not zero and too short: squares over- or underflow.
    mean, variance, low, high: of each column over the good rows (zero rows among them); variance with n - 1.
    norms: length of each row, NaN on bad ones, 0 on zero rows.
    duplicates: rows equal to an earlier row; -0.0 equals 0.0; bad rows and zero rows, which are told apart, do not count.
    largest_group: (how many rows, the first of them) of the largest set of equal rows; (0, -1) where no two are equal.
    halves: of "bfloat16" and "float16" those that hold every finite number exactly, whatever type they are kept in.
    """

    n: int
    d: int
    sha256: str
    bad_rows: Tensor
    zero_rows: Tensor
    mean: Tensor
    variance: Tensor
    low: Tensor
    high: Tensor
    norms: Tensor
    duplicates: Tensor
    largest_group: tuple[int, int]
    halves: tuple[str, ...]
    huge_rows: Tensor
    tiny_rows: Tensor

    @property
    def bad_count(self) -> int:
        return len(self.bad_rows)

    @property
    def good(self) -> Tensor:
        """Numbers of the rows that meters may see: finite and not zero."""
        return (self.norms > 0).nonzero().squeeze(1)


def scan(rows: Rows, *, progress: bool = True) -> Scan:
    """Read every row once: memory is bounded by a block and a few numbers for each row."""
    digest = hashlib.sha256(f"{rows.dtype} {rows.n} x {rows.d}\n".encode())
    columns, halves = Columns(rows.d), dict(HALVES)
    norms = torch.empty(rows.n, dtype=torch.float64)
    prints = torch.empty(rows.n, 2, dtype=torch.int64)
    piece = max(1, PIECE // (4 * rows.d))
    told = bar(total=rows.n, desc=f"reading {rows.name}", disable=not progress)
    with told, one_thread(), ThreadPoolExecutor(1) as second:
        for start, block in rows.raw():
            hashing = second.submit(digest.update, block.view(torch.uint8).numpy().data)
            for at in range(0, len(block), piece):
                part, here = _plain(block[at : at + piece]), slice(start + at, start + min(at + piece, len(block)))
                norms[here] = columns.add(part)
                prints[here] = fingerprints(part)
                halves = {name: kind for name, kind in halves.items() if fits(part, kind)}
            hashing.result()
            told.update(len(block))
    equal = Equal.among(prints, norms)
    return Scan(
        n=rows.n,
        d=rows.d,
        sha256=digest.hexdigest(),
        bad_rows=norms.isnan().nonzero().squeeze(1),
        zero_rows=(norms == 0).nonzero().squeeze(1),
        mean=columns.mean,
        variance=columns.squares / max(columns.count - 1, 1),
        low=columns.low,
        high=columns.high,
        norms=norms,
        duplicates=equal.later,
        largest_group=equal.largest,
        halves=tuple(halves),
        huge_rows=torch.tensor(columns.huge, dtype=torch.int64),
        tiny_rows=torch.tensor(columns.tiny, dtype=torch.int64),
    )


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Pieces that fit a cache are too small to share: on a busy machine, threads that wait for each other cost 20 times."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fits(part: Tensor, kind: torch.dtype) -> bool:
    """Whether this half precision holds every finite number of `part` exactly."""
    return bool(((part.to(kind).to(part.dtype) == part) | ~part.isfinite()).all())


def _plain(part: Tensor) -> Tensor:
    """Types that have an arithmetic stay as they are; the others, in which there is none, become the next that holds them."""
    if part.dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        return part
    return part.float() if part.element_size() < 4 else part.double()


class Columns:
    """Mean, squares about it, smallest and largest of each column, gathered piece by piece (Chan, Golub & LeVeque 1983)."""

    def __init__(self, d: int):
        self.count, self.seen = 0, 0
        self.huge: list[int] = []  # numbers of rows
        self.tiny: list[int] = []
        self.mean = torch.zeros(d, dtype=torch.float64)
        self.squares = torch.zeros(d, dtype=torch.float64)
        self.low = torch.full((d,), torch.inf, dtype=torch.float64)
        self.high = torch.full((d,), -torch.inf, dtype=torch.float64)

    def add(self, part: Tensor) -> Tensor:
        """Take these rows in, without the bad ones; returns their lengths, NaN where bad and 0 where zero."""
        x = part.double()
        norms = self._lengths(x)
        good = norms.isfinite()
        if not good.all():
            norms[~good] = torch.nan
            part, x = part[good], x[good]
        if len(x):
            self.low = torch.minimum(self.low, part.amin(0).double())
            self.high = torch.maximum(self.high, part.amax(0).double())
            self._merge(x)
        return norms

    def _lengths(self, x: Tensor) -> Tensor:
        """Of each row; those out of reach are noted as what they are."""
        norms = torch.linalg.vector_norm(x, dim=1)
        far = (~(norms <= HUGE)).nonzero().squeeze(1)
        near = (norms < TINY).nonzero().squeeze(1)
        if len(far):
            self.huge += (self.seen + far[x[far].isfinite().all(1)]).tolist()
            norms[far] = torch.nan
        if len(near):
            self.tiny += (self.seen + near[(x[near] != 0).any(1)]).tolist()
            norms[near] = 0
        self.seen += len(x)
        return norms

    def _merge(self, x: Tensor) -> None:
        mean = x.mean(0)
        step, total = mean - self.mean, self.count + len(x)
        self.squares += (x - mean).square_().sum(0) + step.square() * (self.count * len(x) / total)
        self.mean = self.mean + step * (len(x) / total)
        self.count = total
