"""Gaussian potentials between points: what uniformity is made of, as a loss and as a meter."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from labkit.tiled import Tiles, in_tiles, log_partitions, once, plain, whole_logits, wide

FEW = 128  # points that are taken by their differences


def squared_distances(z: Float[Tensor, "n d"]) -> Float[Tensor, "pairs"]:
    """`||z_i - z_j||^2` for i < j by differences, not products: exact for near duplicates, gradient 0 at duplicates."""
    return F.pdist(z).square()


def log_mean_potential(z: Float[Tensor, "n d"], t: float | Tensor, *, block_size: int | None = None) -> Float[Tensor, ""]:
    """`log mean_{i<j} exp(-t ||z_i - z_j||^2)`: it does not underflow at large t.

    Few points by their differences, many by their products: exact enough where points are not much further from their mean
    than from each other, as on the sphere.
    """
    n = len(z)
    size = in_tiles(n, n, z, block_size)
    x = (z - z.detach().mean(0)) * (2 * t) ** 0.5  # distances stay, and products get small
    if (size or n > FEW) and plain(x, None):
        total = Potential.apply(x, Tiles(size or n, (0,)), size is None).log()
    elif size is None:
        energies = -t * squared_distances(z)
        return torch.logsumexp(energies, 0) - math.log(len(energies))
    else:
        total = log_partitions(*with_heights(x), Tiles(size, (0,)))[0].logsumexp(0)
    return total - math.log(n * (n - 1))


def with_heights(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d+2"], Float[Tensor, "n d+2"]]:
    """Rows whose products are `-||x_i - x_j||^2 / 2`."""
    height = -x.square().sum(-1, keepdim=True) / 2
    one = torch.ones_like(height)
    return torch.cat([x, height, one], 1), torch.cat([x, one, height], 1)


class Potential(torch.autograd.Function):
    r"""`sum_{i != j} exp(-||x_i - x_j||^2 / 2)`, and on the way its gradient `2 sum_j K_ij (x_j - x_i)`: no tile is made twice.

    `K_ij = w_i w_j exp(x_i . x_j)` with `w_i = exp(-||x_i||^2 / 2)`, so a tile of exponentials times the rows `[w x, w]` gives
    everything.
    """

    @staticmethod
    def forward(ctx: Any, x: Float[Tensor, "n d"], tiles: Tiles, whole: bool) -> Float[Tensor, ""]:
        w = (-x.square().sum(-1, keepdim=True) / 2).exp()
        rows = torch.cat([w * x, w], 1) if ctx.needs_input_grad[0] else w
        found = torch.zeros_like(rows)
        for r, c, tile in tiles.over(x, None):
            tiles.blank(tile.exp_(), r, c, len(x), 0.0)
            found[r].addmm_(tile, rows[c])
            if r != c:
                found[c].addmm_(tile.T, rows[r])
        mass = found[:, -1:] * w
        if ctx.needs_input_grad[0]:
            ctx.tiles, ctx.whole = tiles, whole
            ctx.save_for_backward(x, found[:, :-1].mul_(w).addcmul_(mass, x, value=-1).mul_(2))
        return mass.sum(dtype=wide(x))

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        x, slope = ctx.saved_tensors
        if torch.is_grad_enabled() and ctx.whole:  # a second derivative is wanted: autograd sees the formula
            kernel = whole_logits(*with_heights(x), ctx.tiles).exp()
            slope = 2 * (kernel @ x - kernel.sum(1, keepdim=True) * x)
            return slope * given[0].to(slope.dtype), None, None
        return *once(slope * given[0].to(slope.dtype), of=(x, *given)), None, None
