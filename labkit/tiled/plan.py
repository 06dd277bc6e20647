"""How all pairs are gone through: tiles of the matrix of logits, their size, and which pairs do not count."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from labkit.tiled.ids import ALIKE, Span, blank_alike, disjoint, ended, spans

DENSE = 2**20  # as many logits are kept as they are: 4 MiB in float32
TILE = 1024  # rows and columns of a tile: 4 MiB, which a processor's cache holds
SHARE = 16  # of the free memory a tile may take


class Tiles(NamedTuple):
    """How the pairs are gone through: tiles of `size`, and which pairs do not count.

    skip: row i is not compared with columns `i + s` modulo the number of columns, for every s of these.
    ids, others: `(n,)` and, of the rows of `y`, `(m,)`, both ascending: only pairs with the same id count.
    apart: only pairs with different ids count.
    """

    size: int
    skip: tuple[int, ...] = ()
    ids: Int[Tensor, "n"] | None = None
    others: Int[Tensor, "m"] | None = None
    apart: bool = False

    def over(self, x: Tensor, y: Tensor | None, scale: float = 1.0) -> Iterator[tuple[slice, slice, Tensor]]:
        """Rows, columns and logits (times `scale`) of every tile, in one buffer; without `y` the upper half of them."""
        other, sides = x if y is None else y, self.sides() or (None, None)
        buffer = x.new_empty(self.numbers(x, other))
        across = self.cut(other, sides[1])
        for i, (rows, mine) in enumerate(across if y is None else self.cut(x, sides[0])):
            for columns, theirs in across[i if y is None else 0 :]:
                if self.empty(mine, theirs):
                    continue
                height, width = rows.stop - rows.start, columns.stop - columns.start
                tile = buffer[: height * width].view(height, width)
                yield rows, columns, torch.addmm(tile, x[rows], other[columns].T, beta=0, alpha=scale, out=tile)

    def cut(self, x: Tensor, ids: Tensor | None) -> list[Span]:
        """The rows of the tiles, and the first and last id among them; at ids, where only those with the same one count."""
        starts = list(range(0, len(x), self.size))
        if ids is None:
            return [(slice(start, min(start + self.size, len(x))), (0, 0)) for start in starts]
        return ended(ids, starts) if self.apart else spans(ids, min(self.size, ALIKE))

    def numbers(self, x: Tensor, y: Tensor) -> int:
        """Of the largest tile."""
        size = self.size if self.ids is None or self.apart else min(self.size, ALIKE)
        return min(size, len(x)) * min(size, len(y))

    def blank(self, tile: Tensor, rows: slice, columns: slice, m: int, value: float, foreign: float | None = None) -> Tensor:
        """The tile with `value` at the pairs that do not count, or `foreign` where their ids say so."""
        for offset in {s % m - k for s in self.skip for k in range(0, rows.stop + m, m)}:
            start = rows.start + offset - columns.start  # where the diagonal meets the first row
            if -tile.shape[0] < start < tile.shape[1]:
                tile.diagonal(start).fill_(value)
        if self.ids is not None:
            mine, theirs = (side[some] for side, some in zip(self.sides(), (rows, columns), strict=True))
            instead = value if foreign is None else foreign
            if self.apart:
                blank_alike(tile, mine, theirs, instead)
            elif not mine[0] == mine[-1] == theirs[0] == theirs[-1]:
                tile.masked_fill_(mine[:, None] != theirs, instead)
        return tile

    def empty(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        """Whether no pair of two ranges of ids counts."""
        if self.ids is None:
            return False
        return one == other and one[0] == one[1] if self.apart else disjoint(one, other)

    def sides(self) -> tuple[Tensor, ...]:
        """The ids of the rows, and those of the columns; nothing where all count."""
        return () if self.ids is None else (self.ids, self.ids if self.others is None else self.others)


def wide(like: Tensor) -> torch.dtype:
    """The precision of what there are few of: float64, where the device has it."""
    return torch.float32 if like.device.type == "mps" else torch.float64


def in_tiles(n: int, m: int, like: Tensor, block_size: int | None) -> int | None:
    """The size of the tiles of n x m logits, or None where all of them are kept at once.

    Args:
        block_size: what the caller asks for; None keeps up to 2^20 logits, and takes tiles of 1,024 above, smaller ones where
            memory is short.
    """
    if block_size is not None:
        return block_size if block_size < max(n, m) else None
    if n * m <= DENSE:
        return None
    size, free = TILE, free_memory(like.device)
    while free is not None and size > 64 and size * size * like.element_size() > free / SHARE:
        size //= 2
    return size


def free_memory(device: torch.device | str = "cpu") -> int | None:
    """Bytes that can still be had on this device, or None where the system does not say."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            lines = dict(line.split(":") for line in file)
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError):
        return None
