"""What is done row by row, a block of rows at a time: nothing of the size of all rows is kept but what comes out."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK_NUMBERS = 2**15  # of rows that are looked at one by one: 256 KiB in float64, which a cache holds


def in_turn(fn: Callable[..., Tensor], *tensors: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """`fn(*tensors)`, where fn sees rows one by one: blocks of them in turn, and again for the gradient, in little memory."""
    rows = max(1, BLOCK_NUMBERS // max(1, tensors[0][0].numel()))
    return fn(*tensors) if rows >= len(tensors[0]) else InTurn.apply(fn, rows, *tensors)


class InTurn(torch.autograd.Function):
    """`fn` of one block of rows after the other. (As `checkpoint` does it, which imports a compiler first: 70 MiB.)"""

    @staticmethod
    def forward(ctx: Any, fn: Callable[..., Tensor], rows: int, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        ctx.fn, ctx.rows = fn, rows
        parts = (fn(*block) for block in zip(*(t.split(rows) for t in tensors), strict=True))
        return filled(parts, len(tensors[0]))

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        tensors, (slope,), wanted = ctx.saved_tensors, given, ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():  # somebody may ask for a second derivative: all rows at once, and what led to them
            chosen = [t for t, want in zip(tensors, wanted, strict=True) if want]
            found = iter(torch.autograd.grad((ctx.fn(*tensors) * slope).sum(), chosen, create_graph=True))
            return None, None, *(next(found) if want else None for want in wanted)
        slopes = [torch.empty_like(t) if want else None for t, want in zip(tensors, wanted, strict=True)]
        for start in range(0, len(slope), ctx.rows):
            block = slice(start, start + ctx.rows)
            parts = [t[block].detach().requires_grad_(want) for t, want in zip(tensors, wanted, strict=True)]
            with torch.enable_grad():
                value = (ctx.fn(*parts) * slope[block]).sum()  # a scalar: grad() would import a compiler for more
            found = iter(torch.autograd.grad(value, [p for p in parts if p.requires_grad]))
            for whole in slopes:
                if whole is not None:
                    whole[block] = next(found)
        return None, None, *slopes


def filled(parts: Iterable[Tensor], n: int) -> Tensor:
    """The parts one below the other, n rows in all, without holding them twice."""
    whole, start = None, 0
    for part in parts:
        whole = part.new_empty(n, *part.shape[1:]) if whole is None else whole
        whole[start : start + len(part)] = part
        start += len(part)
    assert whole is not None
    return whole
