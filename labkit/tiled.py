"""Sums over all pairs in O(n * block) memory: a tile of the n x m products at a time, made again for the gradient.

`x` and `y` bring their temperature along: `x @ y.T` are the logits, so autograd carries the gradient on to the temperature.
Without `y` the rows are compared among themselves, and of the symmetric tiles only one half is made.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

DENSE = 2**20  # as many logits are kept as they are: 4 MiB in float32
TILE = 1024  # rows and columns of a tile: 4 MiB, which a processor's cache holds
SHARE = 16  # of the free memory a tile may take
Wanted = tuple[bool, bool]  # whether x has a gradient to find, and y
BOTH = (True, True)
PLAIN = {torch.float32: 40.0, torch.float64: 300.0}  # exp of these, and sums of them, are numbers: no maximum to subtract
ONCE = "a loss made in tiles has no second derivative; pass block_size=n, the number of rows or more, and it is made whole"


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
        buffer = x.new_empty(min(size, len(x)) * min(size, len(other)))
        ranges = [[(int(some.min()), int(some.max())) for some in ids.split(size)] for ids in self.sides()]
        for i in range(0, len(x), size):
            for j in range(i if y is None else 0, len(other), size):
                if ranges and apart(ranges[0][i // size], ranges[1][j // size]):
                    continue
                rows, columns = slice(i, min(i + size, len(x))), slice(j, min(j + size, len(other)))
                height, width = rows.stop - i, columns.stop - j
                tile = buffer[: height * width].view(height, width)
                yield rows, columns, torch.addmm(tile, x[rows], other[columns].T, beta=0, alpha=scale, out=tile)

    def blank(self, tile: Tensor, rows: slice, columns: slice, m: int, value: float) -> Tensor:
        """The tile with `value` at the pairs that do not count."""
        for offset in {s % m - k for s in self.skip for k in range(0, rows.stop + m, m)}:
            start = rows.start + offset - columns.start  # where the diagonal meets the first row
            if -tile.shape[0] < start < tile.shape[1]:
                tile.diagonal(start).fill_(value)
        if self.ids is not None:
            ids, others = self.sides()
            tile.masked_fill_(ids[rows, None] != others[columns], value)
        return tile

    def sides(self) -> tuple[Tensor, ...]:
        """The ids of the rows, and those of the columns; nothing where all count."""
        return () if self.ids is None else (self.ids, self.ids if self.others is None else self.others)


def apart(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two ranges of ids have none in common."""
    return one[1] < other[0] or other[1] < one[0]


class Kernel(NamedTuple):
    """A function of `scale` times the logits, and its slope; both overwrite the tile that they are given."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    scale: float = 1.0


EXP = Kernel(torch.exp2_, torch.exp2_, math.log2(math.e))  # of base 2, which takes a third of the time
SOFTPLUS = Kernel(lambda tile: torch.logaddexp(tile, tile.new_zeros(()), out=tile), torch.sigmoid_)
SMALL_SOFTPLUS = Kernel(lambda tile: tile.exp_().log1p_(), torch.sigmoid_)  # for logits whose exp is a number


def sums(x: Tensor, y: Tensor | None, tiles: Tiles, kernel: Kernel) -> tuple[Tensor, Tensor]:
    """`sum_j f(x_i . y_j)` and `sum_i f(x_i . y_j)`; without `y` they are the same."""
    rows, columns = (x.new_zeros(len(z), dtype=wide(x)) for z in (x, x if y is None else y))
    for r, c, tile in tiles.over(x, y, kernel.scale):
        tiles.blank(kernel.value(tile), r, c, len(columns), 0.0)
        rows[r] += tile.sum(1)
        if y is not None:
            columns[c] += tile.sum(0)
        elif r != c:
            rows[c] += tile.sum(0)
    return rows, rows if y is None else columns


def sums_slopes(
    x: Tensor, y: Tensor | None, by_rows: Tensor, by_columns: Tensor, tiles: Tiles, kernel: Kernel, wanted: Wanted = BOTH
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of x and y, where those of `sums` are `by_rows` and `by_columns`."""
    by_rows, by_columns = by_rows.to(x.dtype), by_columns.to(x.dtype)

    def slope(tile: Tensor, r: slice, c: slice) -> Tensor:
        tiles.blank(kernel.slope(tile), r, c, len(by_columns), 0.0)
        return tile.mul_(by_rows[r, None] + by_columns[c])

    return spread(x, y, tiles, slope, wanted, kernel.scale)


def partitions(x: Tensor, y: Tensor | None, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """`log sum_j exp(x_i . y_j)` and `log sum_i exp(x_i . y_j)`, at any size of logits; -inf where nobody counts."""
    rows, columns = (x.new_full((len(z),), -torch.inf, dtype=wide(x)) for z in (x, x if y is None else y))
    for r, c, tile in tiles.over(x, y):
        tiles.blank(tile, r, c, len(columns), -torch.inf)
        torch.logaddexp(rows[r], tile.logsumexp(1), out=rows[r])
        if y is not None:
            torch.logaddexp(columns[c], tile.logsumexp(0), out=columns[c])
        elif r != c:
            torch.logaddexp(rows[c], tile.logsumexp(0), out=rows[c])
    return rows, rows if y is None else columns


def partitions_slopes(
    x: Tensor,
    y: Tensor | None,
    totals: tuple[Tensor, Tensor],
    by_rows: Tensor,
    by_columns: Tensor,
    tiles: Tiles,
    wanted: Wanted = BOTH,
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of x and y, where `totals` are the `partitions` and `by_rows` and `by_columns` their gradients."""
    rows, columns = (t.masked_fill(torch.isneginf(t), 0.0).to(x.dtype) for t in totals)  # nobody counts: exp(-inf - 0) = 0
    by_rows, by_columns = by_rows.to(x.dtype), by_columns.to(x.dtype)

    def slope(tile: Tensor, r: slice, c: slice) -> Tensor:
        tiles.blank(tile, r, c, len(columns), -torch.inf)
        down = (tile - columns[c]).exp_().mul_(by_columns[c])
        return tile.sub_(rows[r, None]).exp_().mul_(by_rows[r, None]).add_(down)

    return spread(x, y, tiles, slope, wanted)


@torch.no_grad()
def spread(
    x: Tensor,
    y: Tensor | None,
    tiles: Tiles,
    slope: Callable[[Tensor, slice, slice], Tensor],
    wanted: Wanted = BOTH,
    scale: float = 1.0,
) -> tuple[Tensor | None, Tensor | None]:
    """From the slopes of the logits, tile by tile, to the gradients of x and y, those that are wanted."""
    dx, dy = (torch.zeros_like(z) if z is not None and want else None for z, want in zip((x, y), wanted, strict=True))
    other = x if y is None else y
    for r, c, tile in tiles.over(x, y, scale):
        slope(tile, r, c)
        if dx is not None:
            dx[r].addmm_(tile, other[c])
        if dy is not None:
            dy[c].addmm_(tile.T, x[r])
        elif y is None and dx is not None and r != c:
            dx[c].addmm_(tile.T, x[r])
    return dx, dy


class Sums(torch.autograd.Function):
    """`sums` with a gradient; by rows alone where there is no `y`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor | None, tiles: Tiles, kernel: Kernel) -> tuple[Tensor, ...]:
        ctx.save_for_backward(x, y)
        ctx.tiles, ctx.kernel = tiles, kernel
        return sums(x, y, tiles, kernel)[: 1 if y is None else 2]

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        slopes = sums_slopes(x, y, given[0], given[-1], ctx.tiles, ctx.kernel, ctx.needs_input_grad[:2])
        return *once(*slopes, of=(x, y, *given)), None, None


class Partitions(torch.autograd.Function):
    """`partitions` with a gradient; by rows alone where there is no `y`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor | None, tiles: Tiles) -> tuple[Tensor, ...]:
        totals = partitions(x, y, tiles)
        ctx.save_for_backward(x, y, *totals)
        ctx.tiles = tiles
        return totals[: 1 if y is None else 2]

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        x, y, *totals = ctx.saved_tensors
        slopes = partitions_slopes(x, y, (totals[0], totals[-1]), given[0], given[-1], ctx.tiles, ctx.needs_input_grad[:2])
        return *once(*slopes, of=(x, y, *given)), None


class Kept(torch.autograd.Function):
    """The sums of exponentials in one tile that holds all pairs and is kept for the gradient instead of made again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor | None, tiles: Tiles) -> tuple[Tensor, ...]:
        (r, c, tile), m = next(tiles.over(x, y, EXP.scale)), len(x if y is None else y)
        tiles.blank(EXP.value(tile), r, c, m, 0.0)
        ctx.save_for_backward(x, y, tile)
        ctx.tiles = tiles
        return tuple(tile.sum(axis).to(wide(x)) for axis in (1, 0)[: 1 if y is None else 2])

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        x, y, tile = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: autograd goes through the definition
            logits = whole_logits(x, y, ctx.tiles).exp()
            totals = [logits.sum(axis).to(wide(x)) for axis in (1, 0)[: len(given)]]
            inputs = [z for z, need in zip((x, y), ctx.needs_input_grad, strict=False) if need]
            found = iter(torch.autograd.grad(totals, inputs, given, create_graph=True))
            return *(next(found) if need else None for need in ctx.needs_input_grad[:2]), None
        slopes = tile * (given[0][:, None] + given[-1]).to(x.dtype)
        dx = slopes @ (x if y is None else y) if ctx.needs_input_grad[0] else None
        return dx, slopes.T @ x if ctx.needs_input_grad[1] else None, None


class Once(torch.autograd.Function):
    """Passes a gradient on, and says why it has none itself."""

    @staticmethod
    def forward(ctx: Any, why: str, many: int, *slopes: Tensor | None) -> tuple[Tensor | None, ...]:
        ctx.why = why
        return slopes[:many]

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        raise RuntimeError(ctx.why)


def once(*slopes: Tensor | None, of: tuple[Tensor | None, ...] = (), why: str = ONCE) -> tuple[Tensor | None, ...]:
    """The slopes, which refuse to be differentiated where somebody may try: with respect to what they are made `of`."""
    if not torch.is_grad_enabled():
        return slopes
    found = [s.requires_grad_() for s in slopes if s is not None]
    passed = iter(Once.apply(why, len(found), *found, *of))
    return tuple(None if s is None else next(passed) for s in slopes)


def log_partitions(x: Tensor, y: Tensor | None, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """`partitions`, by the shorter way where no exponential can leave the range of its numbers."""
    if plain(x, y):
        totals = tuple(logs(total) for total in Sums.apply(x, y, tiles, EXP))
    else:
        totals = Partitions.apply(x, y, tiles)
    return totals[0], totals[-1]


def whole_partitions(x: Tensor, y: Tensor | None, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """The same with all logits at once: with second derivatives, and in small batches faster than tiles."""
    if plain(x, y):
        totals = tuple(logs(total) for total in Kept.apply(x, y, tiles))
        return totals[0], totals[-1]
    logits = whole_logits(x, y, tiles)
    rows = log_sums(logits, 1)
    return rows, rows if y is None else log_sums(logits, 0)


def log_sums(logits: Tensor, axis: int) -> Tensor:
    """`logsumexp`, with no gradient where it is -inf; torch's is NaN there."""
    nobody = torch.isneginf(logits).all(axis, keepdim=True)
    return logits.masked_fill(nobody, 0.0).logsumexp(axis).masked_fill(nobody.squeeze(axis), -torch.inf)


def whole_logits(x: Tensor, y: Tensor | None, tiles: Tiles) -> Tensor:
    """All logits, -inf where a pair does not count: added to them, it costs no second matrix in the gradient."""
    n, m = len(x), len(x if y is None else y)
    uncounted = tiles.blank(x.new_zeros(n, m), slice(0, n), slice(0, m), m, -torch.inf)
    return torch.addmm(uncounted, x, (x if y is None else y).T)


def logs(totals: Tensor) -> Tensor:
    """The logarithm, with no gradient where it is -inf."""
    nobody = totals == 0
    return totals.masked_fill(nobody, 1.0).log().masked_fill(nobody, -torch.inf)


def softplus_sums(x: Tensor, y: Tensor, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """`sum_j log(1 + exp(x_i . y_j))`, and by columns."""
    rows, columns = Sums.apply(x, y, tiles, SMALL_SOFTPLUS if plain(x, y) else SOFTPLUS)
    return rows, columns


def plain(x: Tensor, y: Tensor | None) -> bool:
    """Whether every exp of a logit is a number, and so are their sums. On a GPU, to look would be to wait for it."""
    if x.device.type != "cpu":
        return False
    with torch.no_grad():
        longest = [torch.linalg.vector_norm(z, dim=-1).max().item() for z in (x, x if y is None else y)]
    return longest[0] * longest[1] < PLAIN[x.dtype]


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
