"""Rows of length one and the cosines of partners, in float64 and a block of rows at a time, with their gradients by hand."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.tiled import wide

BLOCK = 2**16  # numbers that are looked at in float64 at a time: 512 KiB, which a cache holds


def unit(z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Rows of length one; lengths are taken in float64, and the rows rounded once."""
    return Unit.apply(z.flatten(0, -2), z.dtype).view_as(z)


def exact(z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Rows of length one, left in float64."""
    return Unit.apply(z.flatten(0, -2), wide(z)).view_as(z)


def paired(
    a: Float[Tensor, "n d"], b: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"], Float[Tensor, "n"]]:
    """`unit(a)`, `unit(b)`, and the cosine of each row and its partner, in float64.

    Partners pull along the line between them. Where they are nearly alike, this is the small difference of two rows, and the
    rounding of unit rows would drown it.
    """
    return Paired.apply(a, b)


def direction(z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Rows of length one in float64."""
    return measured(z)[0]


def measured(z: Float[Tensor, "*n d"]) -> tuple[Float[Tensor, "*n d"], Float[Tensor, "*n 1"]]:
    """Rows of length one, and the lengths that they had, in float64."""
    scale = torch.ones((), dtype=wide(z), device=z.device)
    if z.dtype == torch.float64:  # a square of these may over- or underflow
        scale = z.detach().abs().amax(-1, keepdim=True).clamp(min=torch.finfo(z.dtype).tiny)
        z = z / scale
    z = z.to(wide(z))
    length = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
    return z / length, length * scale


def tangent(given: Tensor, direction: Tensor, length: Tensor) -> Tensor:
    """The gradient of rows, where that of their directions is given: what is along a row does not turn it."""
    return torch.addcmul(given, (given * direction).sum(-1, keepdim=True), direction, value=-1).div_(length)


def blocks(z: Tensor) -> Iterator[slice]:
    """Of rows."""
    many = max(1, BLOCK // max(1, z.shape[1]))
    return (slice(start, start + many) for start in range(0, len(z), many))


class Unit(torch.autograd.Function):
    """Each row over its length."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(z)
        found = torch.empty_like(z, dtype=dtype)
        for some in blocks(z):
            found[some] = direction(z[some])
        return found

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor, None]:
        (z,), (g,) = ctx.saved_tensors, given
        if torch.is_grad_enabled():  # a second derivative may be wanted: all rows at once, in steps that autograd knows
            return tangent(g.to(wide(z)), *measured(z)).to(z.dtype), None
        slope = torch.empty_like(z)
        for some in blocks(z):
            u, length = measured(z[some])
            slope[some] = tangent(g[some].to(u), u, length)
        return slope, None


class Paired(torch.autograd.Function):
    """Rows and their partners over their lengths, and the products of the two."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(a, b)
        found, other = torch.empty_like(a), torch.empty_like(b)
        cosine = a.new_empty(len(a), dtype=wide(a))
        for some in blocks(a):
            u, v = direction(a[some]), direction(b[some])
            found[some], other[some], cosine[some] = u, v, (u * v).sum(-1)
        fixed = [z for z, want in zip((found, other), ctx.needs_input_grad, strict=True) if not want]
        ctx.mark_non_differentiable(*fixed)
        return found, other, cosine

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        if torch.is_grad_enabled():
            return Paired.slopes(a, b, *given)
        slopes = [torch.empty_like(z) if want else None for z, want in zip((a, b), ctx.needs_input_grad, strict=True)]
        for some in blocks(a):
            for slope, new in zip(slopes, Paired.slopes(a[some], b[some], *(g[some] for g in given)), strict=True):
                if slope is not None:
                    slope[some] = new
        return slopes[0], slopes[1]

    @staticmethod
    def slopes(a: Tensor, b: Tensor, by_a: Tensor, by_b: Tensor, by_cosine: Tensor) -> tuple[Tensor, Tensor]:
        (u, length), (v, height), pull = measured(a), measured(b), by_cosine[:, None]
        return (
            tangent(torch.addcmul(by_a.to(u), pull, v), u, length).to(a.dtype),
            tangent(torch.addcmul(by_b.to(v), pull, u), v, height).to(b.dtype),
        )
