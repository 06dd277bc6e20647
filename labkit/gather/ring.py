"""One's own rows against everyone's, a block of them at a time: blocks go round, and what they gather comes home."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from labkit import tiled
from labkit.gather.processes import Group, sizes, together
from labkit.tiled import Kernel, Tiles


def shifted(mine: list[Tensor], by: int, count: int, group: Group) -> tuple[list[Tensor], Callable[[], None]]:
    """Send to the process so many places on, and receive `count` rows of each from so many places back; and how to wait."""
    coming = [x.new_empty(count, *x.shape[1:]) for x in mine]
    operations = [dist.P2POp(dist.isend, x, group.peer(by), group.group) for x in mine if x.numel()]
    operations += [dist.P2POp(dist.irecv, x, group.peer(-by), group.group) for x in coming if x.numel()]
    works = dist.batch_isend_irecv(operations) if operations else []

    def wait() -> None:
        for work in works:
            work.wait()

    return coming, wait


def ring(
    mine: list[Tensor],
    counts: list[int],
    visit: Callable[[int, list[Tensor]], list[Tensor]],
    join: Callable[[Tensor, Tensor], Tensor],
    group: Group,
    hops: int,
    carrying: int,
) -> list[Tensor]:
    """Each process's tensors pass by the others; what `visit(hop, theirs)` makes for their owner is joined and brought home.

    While one block is looked at the next one is under way. hop: how many places before mine the owner is.

    Args:
        counts: how many rows each process has.
        hops: so many blocks are seen, my own first; for the first `carrying` of them something goes home.
    """
    mine = [x.contiguous() for x in mine]
    held, carried = mine, list[Tensor]()
    for hop in range(hops):
        before = counts[(group.rank - hop - 1) % group.size]
        coming, arrive = shifted(held, 1, before, group) if hop + 1 < hops else (held, lambda: None)
        found = visit(hop, held)
        if 0 < hop < carrying:
            carried, wait = shifted(carried, 1, counts[(group.rank - hop) % group.size], group)
            wait()
            carried = [join(so_far, new) for so_far, new in zip(carried, found, strict=True)]
        elif hop == 0:
            carried = [x.contiguous() for x in found]
        arrive()
        held = coming
    if carrying > 1:
        carried, wait = shifted(carried, 1 - carrying, counts[group.rank], group)
        wait()
    return carried


class Kind(NamedTuple):
    """What is made of the logits of two blocks: totals by rows and by columns, their slopes, and how totals are joined.

    nothing: the total of no logits at all.
    """

    totals: Callable[[Tensor, Tensor | None, Tiles], tuple[Tensor, Tensor]]
    slopes: Callable[..., tuple[Any, Tensor | None]]
    join: Callable[[Tensor, Tensor], Tensor]
    nothing: float


def logs(x: Tensor, y: Tensor | None, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """Log-partitions of one block, by the shorter way where no exponential can leave the range of its numbers."""
    if not tiled.plain(x, y):
        return tiled.partitions(x, y, tiles)
    rows, columns = tiled.sums(x, y, tiles, tiled.EXP)
    return tiled.logs(rows), tiled.logs(columns)


def logs_slopes(x: Tensor, y: Tensor | None, totals: Any, by_rows: Tensor, by_columns: Tensor, tiles: Tiles) -> Any:
    if not tiled.plain(x, y):
        return tiled.partitions_slopes(x, y, totals, by_rows, by_columns, tiles)
    rows, columns = (
        given * torch.where(torch.isneginf(total), 0.0, torch.exp(-total))  # where nobody counts there is no slope
        for given, total in zip((by_rows, by_columns), totals, strict=True)
    )
    return tiled.sums_slopes(x, y, rows, columns, tiles, tiled.EXP)


def yes_no(x: Tensor, y: Tensor | None) -> Kernel:
    return tiled.SMALL_SOFTPLUS if tiled.plain(x, y) else tiled.SOFTPLUS


LOGS = Kind(logs, logs_slopes, torch.logaddexp, -torch.inf)
SOFTPLUS = Kind(
    lambda x, y, tiles: tiled.sums(x, y, tiles, yes_no(x, y)),
    lambda x, y, _, by_rows, by_columns, tiles: tiled.sums_slopes(x, y, by_rows, by_columns, tiles, yes_no(x, y)),
    torch.add,
    0.0,
)


def between(tiles: Tiles, hop: int, ids: list[Tensor]) -> Tiles:
    """`skip` is about my own rows alone; an id means the same everywhere."""
    return tiles if not hop else tiles._replace(skip=(), others=ids[0] if ids else None)


class Last(torch.autograd.Function):
    """Passes the slopes of x and y on, and says that there is no further one in whatever they came from."""

    @staticmethod
    def forward(ctx: Any, dx: Tensor, dy: Tensor | None, *came_from: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return dx, dy

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        raise RuntimeError("inside gather.across() a loss has no second derivative; give it gather.rows(...), outside")


class Around(torch.autograd.Function):
    """Totals of my rows `x` over everyone's `y`, and of my `y` over everyone's `x`; without `y` they are the same.

    Without `y` every two processes meet once: half of the ring is enough. Where their number is even, those that are opposite
    come to see each other at the same hop, and each keeps what is its own.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor | None, tiles: Tiles, kind: Kind, group: Group) -> tuple[Tensor, ...]:
        rows, ids = x.new_empty(0), [] if tiles.ids is None else [tiles.ids]

        def visit(hop: int, theirs: list[Tensor]) -> list[Tensor]:
            nonlocal rows
            other = theirs[0] if hop or y is not None else None
            found, back = kind.totals(x, other, between(tiles, hop, theirs[1:]))
            rows = kind.join(rows, found) if hop else found
            return [torch.full_like(back, kind.nothing) if other is None else back]

        ctx.rounds = (group.size // 2 + 1, (group.size + 1) // 2) if y is None else (group.size, group.size)
        sent = x if y is None else y
        ctx.counts = sizes(sent, group)
        (columns,) = ring([sent, *ids], ctx.counts, visit, kind.join, group, *ctx.rounds)
        if y is None:
            rows = columns = kind.join(rows, columns)
        ctx.save_for_backward(x, y, rows, columns)
        ctx.tiles, ctx.kind, ctx.group, ctx.ids = tiles, kind, group, ids
        return (rows,) if y is None else (rows, columns)

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        with torch.no_grad():
            slopes = Around.slopes(ctx, given[0], given[-1])
        if torch.is_grad_enabled():  # somebody may differentiate again
            slopes = Last.apply(*slopes, *ctx.saved_tensors[:2], *given)
        return *slopes, None, None, None

    @staticmethod
    def slopes(ctx: Any, by_rows: Tensor, by_columns: Tensor) -> tuple[Tensor, Tensor | None]:
        (x, y, rows, columns), tiles, kind = ctx.saved_tensors, ctx.tiles, ctx.kind
        dx = torch.zeros_like(x)

        def visit(hop: int, theirs: list[Tensor]) -> list[Tensor]:
            other, totals, asked, *ids = theirs
            given = x, other if hop or y is not None else None
            found, back = kind.slopes(*given, (rows, totals), by_rows, asked, between(tiles, hop, ids))
            dx.add_(found)
            return [torch.zeros_like(x) if back is None else back]

        mine = [x if y is None else y, columns, by_columns, *ctx.ids]
        (home,) = ring(mine, ctx.counts, visit, torch.add, ctx.group, *ctx.rounds)
        return (dx.add_(home), None) if y is None else (dx, home)


def log_partitions(x: Tensor, y: Tensor | None, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """`tiled.log_partitions` over the rows of all processes; `tiles.skip` is about this process's own."""
    totals = Around.apply(x, y, tiles, LOGS, together())
    return totals[0], totals[-1]


def softplus_sums(x: Tensor, y: Tensor, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """`tiled.softplus_sums` over the rows of all processes."""
    rows, columns = Around.apply(x, y, tiles, SOFTPLUS, together())
    return rows, columns


class Alike(torch.autograd.Function):
    """For each of my rows the sum of all processes' rows with the same id; the slope is the same sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ids: Tensor, counts: list[int], group: Group) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.sent = counts, group
        total = torch.zeros_like(x)

        def visit(_: int, theirs: list[Tensor]) -> list[Tensor]:
            classes, place = torch.cat([ids, theirs[1]]).unique(return_inverse=True)
            sums = x.new_zeros(len(classes), *x.shape[1:]).index_add(0, place[len(ids) :], theirs[0])
            total.add_(sums[place[: len(ids)]])
            return []

        ring([x, ids], counts, visit, torch.add, group, group.size, 0)
        return total

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        return Alike.apply(given, *ctx.saved_tensors, *ctx.sent), None, None, None


def alike(x: Tensor, ids: Tensor) -> Tensor:
    """For each of my rows the sum of all processes' rows with the same id, its own included."""
    return Alike.apply(x, ids, sizes(x, group := together()), group)
