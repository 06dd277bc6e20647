"""How all pairs are gone through: tiles of the matrix of logits, their size, and which pairs do not count."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

DENSE = 2**20  # as many logits are kept as they are: 4 MiB in float32
TILE = 1024  # rows and columns of a tile: 4 MiB, which a processor's cache holds
SHARE = 16  # of the free memory a tile may take


class Tiles(NamedTuple):
    """How the pairs are gone through: tiles of `size`, and which pairs do not count.

    skip: row i is not compared with columns `i + s` modulo the number of columns, for every s of these.
    ids, others: `(n,)` and, of the rows of `y`, `(m,)`: only pairs with the same id count.
    """

    size: int
    skip: tuple[int, ...] = ()
    ids: Int[Tensor, "n"] | None = None
    others: Int[Tensor, "m"] | None = None

    def over(self, x: Tensor, y: Tensor | None, scale: float = 1.0) -> Iterator[tuple[slice, slice, Tensor]]:
        """Rows, columns and logits (times `scale`) of every tile, in one buffer; without `y` the upper half of them."""
        other, size = x if y is None else y, self.size
        buffer = x.new_empty(self.numbers(x, other))
        ranges = [[(int(some.min()), int(some.max())) for some in ids.split(size)] for ids in self.sides()]
        for i in range(0, len(x), size):
            for j in range(i if y is None else 0, len(other), size):
                if ranges and apart(ranges[0][i // size], ranges[1][j // size]):
                    continue
                rows, columns = slice(i, min(i + size, len(x))), slice(j, min(j + size, len(other)))
                height, width = rows.stop - i, columns.stop - j
                tile = buffer[: height * width].view(height, width)
                yield rows, columns, torch.addmm(tile, x[rows], other[columns].T, beta=0, alpha=scale, out=tile)

    def numbers(self, x: Tensor, y: Tensor) -> int:
        """Of the largest tile."""
        return min(self.size, len(x)) * min(self.size, len(y))

    def blank(self, tile: Tensor, rows: slice, columns: slice, m: int, value: float, foreign: float | None = None) -> Tensor:
        """The tile with `value` at the pairs that do not count, or `foreign` where their ids say so."""
        for offset in {s % m - k for s in self.skip for k in range(0, rows.stop + m, m)}:
            start = rows.start + offset - columns.start  # where the diagonal meets the first row
            if -tile.shape[0] < start < tile.shape[1]:
                tile.diagonal(start).fill_(value)
        if self.ids is not None:
            ids, others = self.sides()
            tile.masked_fill_(ids[rows, None] != others[columns], value if foreign is None else foreign)
        return tile

    def sides(self) -> tuple[Tensor, ...]:
        """The ids of the rows, and those of the columns; nothing where all count."""
        return () if self.ids is None else (self.ids, self.ids if self.others is None else self.others)


def apart(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two ranges of ids have none in common."""
    return one[1] < other[0] or other[1] < one[0]


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
