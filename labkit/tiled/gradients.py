"""The sums as functions that autograd knows: tiles are made again for the gradient, or the one tile there is is kept."""

from typing import Any

import torch
from torch import Tensor

from labkit.tiled.plan import Tiles, wide
from labkit.tiled.sums import (
    BLOCK,
    EXP,
    SMALL_SOFTPLUS,
    SOFTPLUS,
    Kernel,
    exponentials,
    partitions,
    partitions_slopes,
    plain,
    sums,
    sums_slopes,
)

ONCE = "a loss made in tiles has no second derivative; pass block_size=n, the number of rows or more, and it is made whole"


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
        other = x if y is None else y
        tile = torch.addmm(x.new_empty(len(x), len(other)), x, other.T, beta=0, alpha=EXP.scale)
        tiles.blank(EXP.value(tile), slice(0, len(x)), slice(0, len(other)), len(other), 0.0)
        ctx.save_for_backward(x, y, tile)
        ctx.tiles = tiles
        return tuple(tile.sum(axis).to(wide(x)) for axis in (1, 0)[: 1 if y is None else 2])

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        x, y, tile = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *defined(x, y, ctx.tiles, given, ctx.needs_input_grad[:2]), None
        made, wanted = exponentials(x, y)._replace(slope=lambda tile: tile), ctx.needs_input_grad[:2]
        if made.level:
            everything = [(slice(0, tile.shape[0]), slice(0, tile.shape[1]), tile.clone())]
            return *sums_slopes(x, y, given[0], given[-1], ctx.tiles, made, wanted, everything), None
        slope = torch.add(given[0].to(x.dtype)[:, None], given[-1].to(x.dtype)).mul_(tile)
        return slope @ (x if y is None else y) if wanted[0] else None, slope.T @ x if wanted[1] else None, None


class Near(torch.autograd.Function):
    """The same over rows with the same id: tiles of these alone, and made again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tiles: Tiles) -> Tensor:
        ctx.save_for_backward(x)
        ctx.tiles = tiles
        return sums(x, None, tiles, EXP)[0]

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, None]:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return defined(x, None, ctx.tiles, given, (True, False))[0], None
        return sums_slopes(x, None, given[0], given[0], ctx.tiles, EXP)[0], None


def defined(
    x: Tensor, y: Tensor | None, tiles: Tiles, given: tuple[Tensor, ...], wanted: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """The gradient of sums of exponentials where a second one is wanted: autograd goes through the definition."""
    logits = whole_logits(x, y, tiles).exp()
    totals = [logits.sum(axis).to(wide(x)) for axis in (1, 0)[: len(given)]]
    inputs = [z for z, want in zip((x, y), wanted, strict=True) if z is not None and want]
    found = iter(torch.autograd.grad(totals, inputs, given, create_graph=True))
    return tuple(next(found) if want else None for want in wanted)


class Kinship(torch.autograd.Function):
    """`sum_j x_i . x_j` over those with the id of i, itself among them; `ids` count from 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ids: Tensor) -> Tensor:
        total = x.new_zeros(int(ids.max()) + 1, x.shape[1]).index_add_(0, ids, x)
        ctx.save_for_backward(x, ids, total)
        blocks = zip(x.split(BLOCK), ids.split(BLOCK), strict=True)
        return torch.cat([torch.linalg.vecdot(rows, total[who]) for rows, who in blocks])

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, None]:
        (x, ids, total), weight = ctx.saved_tensors, given[0][:, None]
        if torch.is_grad_enabled():
            total, weighed = (torch.zeros_like(total).index_add(0, ids, rows) for rows in (x, weight * x))
            return weight * total[ids] + weighed[ids], None
        found, weighed = torch.empty_like(x), torch.zeros_like(total)
        blocks = [slice(start, start + BLOCK) for start in range(0, len(x), BLOCK)]
        for some in blocks:
            weighed.index_add_(0, ids[some], weight[some] * x[some])
        for some in blocks:
            torch.addcmul(weighed[ids[some]], weight[some], total[ids[some]], out=found[some])
        return found, None


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
        totals = tuple(logs(total) for total in Sums.apply(x, y, tiles, exponentials(x, y)))
    else:
        totals = Partitions.apply(x, y, tiles)
    return totals[0], totals[-1]


def whole_partitions(x: Tensor, y: Tensor | None, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """The same with all logits at once: with second derivatives, and in small batches faster than tiles."""
    if plain(x, y):
        near = y is None and tiles.ids is not None and not tiles.apart
        totals = tuple(logs(total) for total in ([Near.apply(x, tiles)] if near else Kept.apply(x, y, tiles)))
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
