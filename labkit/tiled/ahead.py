"""InfoNCE's rows, each finished at once: the gradient is found on the way forward, with three products in place of four.

Whoever is recognised among others has a loss with one weight for each row, and that is known as soon as the row is complete.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.tiled.gradients import once
from labkit.tiled.plan import Tiles, wide
from labkit.tiled.sums import EXP, partitions_slopes, plain

THIN = 64  # rows of a strip at least, where there are as many: products of fewer are slow


class Recognised(torch.autograd.Function):
    """`log(e^own + sum_j e^(x_i . y_j)) - own`, and its gradient as if all rows weighed the same, which backward scales."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, own: Tensor, tiles: Tiles) -> Tensor:
        wanted, safe = any(ctx.needs_input_grad), plain(x, y)
        dx, dy = (torch.zeros_like(z) if wanted else None for z in (x, y))
        others = torch.empty(len(x), dtype=wide(x))
        for r, tile in strips(x, y, tiles):
            top = tile.new_zeros(len(tile), 1) if safe else tile.amax(1, keepdim=True)
            total = EXP.value(tile if safe else tile.sub_(top)).sum(1)
            others[r] = total.to(others).log() + top[:, 0].to(others) / EXP.scale
            if dx is not None and dy is not None:
                weight = (torch.sigmoid(others[r] - own[r]).to(x.dtype) / total)[:, None]
                torch.mm(tile, y, out=dx[r]).mul_(weight)
                dy.addmm_(tile.T, weight * x[r])
        ctx.save_for_backward(x, y, own, others, dx, dy)
        ctx.tiles = tiles
        return -F.logsigmoid(own - others)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        x, y, own, others, dx, dy = ctx.saved_tensors
        pushed = given * torch.sigmoid(others - own)
        if given.min() == given.max():
            weight = given[0].to(x.dtype)
            slopes: tuple[Tensor | None, Tensor | None] = (dx * weight, dy * weight)
        else:  # rows that weigh differently are gone through once more
            none = torch.zeros(len(y), dtype=others.dtype)
            slopes = partitions_slopes(x, y, (others, none + torch.inf), pushed, none, ctx.tiles)
        return *once(*slopes, -pushed.to(own.dtype), of=(x, y, own, given)), None


def strips(x: Tensor, y: Tensor, tiles: Tiles) -> Iterator[tuple[slice, Tensor]]:
    """Some rows against all columns, twice as many numbers as a tile's; -inf where a pair does not count."""
    height = max(2 * tiles.size**2 // len(y), min(tiles.size, THIN))
    strip, columns = x.new_empty(min(height, len(x)) * len(y)), slice(0, len(y))
    for start in range(0, len(x), height):
        rows = slice(start, min(start + height, len(x)))
        tile = strip[: (rows.stop - start) * len(y)].view(-1, len(y))
        torch.addmm(tile, x[rows], y.T, beta=0, alpha=EXP.scale, out=tile)
        yield rows, tiles.blank(tile, rows, columns, len(y), -torch.inf)
