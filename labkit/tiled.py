"""Large batches in O(n * block) memory: rows in blocks, each computed again in the backward pass. Exact, not yet fast."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

DENSE_ROWS = 4096  # up to here the whole matrix of similarities is kept: at most 64 MiB in float32
BLOCK_ROWS = 1024


def by_blocks(loss: Callable[[slice], Float[Tensor, "_"]], n: int, block_size: int | None = None) -> Float[Tensor, "n"]:
    """`loss(slice)` over blocks of rows, joined: the same values and gradients as `loss(slice(None))`, in less memory.

    Args:
        loss: one value for each row of the slice.
        n: the number of rows.
        block_size: rows of a block; None takes one block up to 4,096 rows, and blocks of 1,024 above.
    """
    size = block_size or (n if n <= DENSE_ROWS else BLOCK_ROWS)
    if size >= n:
        return loss(slice(None))
    return torch.cat([checkpoint(loss, slice(start, start + size), use_reentrant=False) for start in range(0, n, size)])
