"""Sums over all pairs, tile by tile, and their slopes: plain functions, which autograd does not look into."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from labkit.tiled.plan import Tiles, wide

Wanted = tuple[bool, bool]  # whether x has a gradient to find, and y
BOTH = (True, True)
Made = Iterable[tuple[slice, slice, Tensor]]  # rows, columns and logits of tiles
BLOCK = 256  # rows that are looked at in float64 at a time
SMALL = 3.0  # logits of temperatures from 1/3
PLAIN = {torch.float32: 40.0, torch.float64: 300.0}  # exp of these, and sums of them, are numbers: no maximum to subtract


class Kernel(NamedTuple):
    """A function of `scale` times the logits, and its slope; both overwrite the tile that they are given."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    scale: float = 1.0
    level: float = 0.0  # what the slopes of small logits have in common


EXP = Kernel(torch.exp2_, torch.exp2_, math.log2(math.e))  # of base 2, which takes a third of the time
SOFTPLUS = Kernel(lambda tile: torch.logaddexp(tile, tile.new_zeros(()), out=tile), torch.sigmoid_)
SMALL_SOFTPLUS = Kernel(lambda tile: tile.exp_().log1p_(), torch.sigmoid_)  # for logits whose exp is a number


def reach(x: Tensor, y: Tensor | None) -> float:
    """What no logit exceeds. On a GPU, to look would be to wait for it: infinity."""
    if x.device.type != "cpu":
        return math.inf
    with torch.no_grad():
        longest = [torch.linalg.vector_norm(z, dim=-1).max().item() for z in (x, x if y is None else y)]
    return longest[0] * longest[1]


def plain(x: Tensor, y: Tensor | None) -> bool:
    """Whether every exp of a logit is a number, and so are their sums."""
    return reach(x, y) < PLAIN[x.dtype]


def exponentials(x: Tensor, y: Tensor | None) -> Kernel:
    """`EXP`; of small logits all slopes have 1 in common, and what is left is small."""
    return EXP._replace(level=1.0) if reach(x, y) < SMALL else EXP


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


@torch.no_grad()
def sums_slopes(
    x: Tensor,
    y: Tensor | None,
    by_rows: Tensor,
    by_columns: Tensor,
    tiles: Tiles,
    kernel: Kernel,
    wanted: Wanted = BOTH,
    made: Made | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of x and y, where those of `sums` are `by_rows` and `by_columns`."""
    weights, heights = by_rows.to(x.dtype), by_columns.to(x.dtype)
    level = kernel.level  # added at the end and in float64, because pushes nearly cancel

    def slope(tile: Tensor, r: slice, c: slice, room: Tensor) -> None:
        kernel.slope(tile)
        tiles.blank(tile.sub_(level) if level else tile, r, c, len(heights), -level, foreign=0.0)
        tile.mul_(torch.add(weights[r, None], heights[c], out=room))

    dx, dy = spread(x, y, tiles, slope, wanted, made or tiles.over(x, y, kernel.scale))
    ids, others = tiles.sides() or (None, None)
    if level and dx is not None:
        evenly_(dx, level, by_rows, by_columns, x if y is None else y, ids, others, tiles.apart)
    if level and dy is not None:
        evenly_(dy, level, by_columns, by_rows, x, others, ids, tiles.apart)
    return dx, dy


def evenly_(
    found: Tensor,
    level: float,
    own: Tensor,
    across: Tensor,
    rows: Tensor,
    ids: Tensor | None,
    others: Tensor | None,
    apart: bool = False,
) -> None:
    """Adds `level sum_j (own_i + across_j) row_j` over those with the id of i, or another: what all slopes have in common."""
    asked, mine = (torch.zeros(len(z), dtype=torch.long, device=own.device) for z in (own, rows))
    if ids is not None and others is not None:
        asked, mine = torch.cat([ids, others]).unique(return_inverse=True)[1].split([len(ids), len(others)])
    many = 1 if ids is None else 1 + int(torch.maximum(asked.max(), mine.max()))
    every, weighed = (torch.zeros(many, rows.shape[1], dtype=wide(rows), device=own.device) for _ in range(2))
    for some, who, weight in zip(rows.split(BLOCK), mine.split(BLOCK), across.split(BLOCK), strict=True):
        every.index_add_(0, who, some.to(every))
        weighed.index_add_(0, who, weight.to(every)[:, None] * some)
    if apart:
        every, weighed = every.sum(0) - every, weighed.sum(0) - weighed
    for some, who, weight in zip(found.split(BLOCK), asked.split(BLOCK), own.split(BLOCK), strict=True):
        some.add_((weight.to(every)[:, None] * every[who] + weighed[who]).to(some), alpha=level)


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

    def slope(tile: Tensor, r: slice, c: slice, room: Tensor) -> None:
        tiles.blank(tile, r, c, len(columns), -torch.inf)
        down = torch.sub(tile, columns[c], out=room).exp_().mul_(by_columns[c])
        tile.sub_(rows[r, None]).exp_().mul_(by_rows[r, None]).add_(down)

    return spread(x, y, tiles, slope, wanted, tiles.over(x, y))


@torch.no_grad()
def spread(
    x: Tensor,
    y: Tensor | None,
    tiles: Tiles,
    slope: Callable[[Tensor, slice, slice, Tensor], None],
    wanted: Wanted,
    made: Made,
) -> tuple[Tensor | None, Tensor | None]:
    """From the slopes of the logits, which `slope` writes into the tile, to the gradients of x and y that are wanted."""
    dx, dy = (torch.zeros_like(z) if z is not None and want else None for z, want in zip((x, y), wanted, strict=True))
    other = x if y is None else y
    room = x.new_empty(0)  # of the largest tile: made once, or the heap is torn to pieces
    for r, c, tile in made:
        if room.numel() < tile.numel():
            room = x.new_empty(max(tile.numel(), tiles.numbers(x, other)))
        slope(tile, r, c, room[: tile.numel()].view_as(tile))
        if dx is not None:
            dx[r].addmm_(tile, other[c])
        if dy is not None:
            dy[c].addmm_(tile.T, x[r])
        elif y is None and dx is not None and r != c:
            dx[c].addmm_(tile.T, x[r])
    return dx, dy
