"""Who takes part, all their rows in one tensor, and what a loss of one's own anchors is to weigh."""

import contextlib
import zlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor


class Group(NamedTuple):
    """Processes that share a loss: their number, which of them I am, and what torch calls them."""

    group: Any
    size: int
    rank: int

    def peer(self, offset: int) -> int:
        """The process so many places after mine, as torch numbers all processes."""
        return dist.get_global_rank(self.group, (self.rank + offset) % self.size)


def members(group: Any = None) -> Group | None:
    """The processes of this group, or None where I am alone.

    Raises:
        ValueError: I am no member of it.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return None
    group = dist.group.WORLD if group is None else group
    rank = dist.get_rank(group)
    if rank < 0:
        raise ValueError("group must hold this process; a process outside of it has no rows to give")
    size = dist.get_world_size(group)
    return Group(group, size, rank) if size > 1 else None


# ---------------------------------------------------------------- all rows at once


def rows(x: Tensor, group: Any = None) -> Tensor:
    """The rows of all processes in the order of their ranks; they may have different numbers of rows.

    The gradient of my rows is the sum of what all processes ask of them: exact, to any order. Numbers without a gradient
    (labels, masks) are gathered just so. Alone, `x` itself.

    Args:
        x: `(n, ...)`; everything but n is the same in all processes, which must all call.
        group: a group of `torch.distributed`; None is everyone.

    Raises:
        ValueError: rows of different shapes or types; this process is not in the group.

    >>> rows(torch.ones(2, 3)).shape                # alone
    torch.Size([2, 3])
    """
    found = members(group)
    if found is None:
        return x
    counts = sizes(x, found)
    return Rows.apply(x, counts, found) if x.is_floating_point() else gathered(x, counts, found)


def sizes(x: Tensor, group: Group) -> list[int]:
    """How many rows each process has, where they are of one kind."""
    mine = torch.tensor([len(x), zlib.crc32(f"{x.dtype} {tuple(x.shape[1:])}".encode())], device=x.device)
    every = [torch.empty_like(mine) for _ in range(group.size)]
    dist.all_gather(every, mine, group=group.group)
    counts, kinds = torch.stack(every).T.tolist()
    odd = [str(rank) for rank, kind in enumerate(kinds) if kind != kinds[group.rank]]
    if odd:
        kind = f"rows of shape {tuple(x.shape[1:])} in {x.dtype}"
        raise ValueError(f"x must hold the same kind of rows in all processes: here {kind}, not so in {', '.join(odd)}")
    return counts


def gathered(x: Tensor, counts: list[int], group: Group) -> Tensor:
    """All rows; they travel padded to the same number of them, and as bytes."""
    padded = x.new_zeros(max(counts), *x.shape[1:])
    padded[: len(x)] = x
    every = [torch.empty_like(padded) for _ in counts]
    dist.all_gather([block.view(torch.uint8) for block in every], padded.view(torch.uint8), group=group.group)
    return torch.cat([block[:n] for block, n in zip(every, counts, strict=True)])


def summed(x: Tensor, counts: list[int], group: Group) -> Tensor:
    """My part of the sum over processes of tensors that hold everyone's rows."""
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group.group)
    return total.split(counts)[group.rank].clone()


class Rows(torch.autograd.Function):
    """All rows; backward is `Home`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, counts: list[int], group: Group) -> Tensor:
        ctx.sent = counts, group
        return gathered(x.detach(), counts, group)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        return Home.apply(given, *ctx.sent), None, None


class Home(torch.autograd.Function):
    """My rows of the sum over all processes; backward is `Rows`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, counts: list[int], group: Group) -> Tensor:
        ctx.sent = counts, group
        return summed(x.detach(), counts, group)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        return Rows.apply(given, *ctx.sent), None, None


# ---------------------------------------------------------------- one's own anchors against everyone's rows

ACTIVE: ContextVar[Group | None] = ContextVar("across", default=None)


def active() -> Group | None:
    """The processes whose rows are compared, inside `across`."""
    return ACTIVE.get()


def together() -> Group:
    """The same, for those who ask only inside."""
    group = ACTIVE.get()
    assert group is not None, "outside of across()"
    return group


@contextlib.contextmanager
def across(group: Any = None) -> Iterator[None]:
    """Inside, losses that take a `block_size` compare this process's anchors with the rows of all processes.

    All processes must enter, and call the same losses in the same order. Values: "mean" and "sum" are such that their mean
    over the processes is the loss of all rows in one process, and so is the mean of the gradients, which is what
    DistributedDataParallel takes; "none" gives this process's own anchors. `negatives` that all anchors share are those of all
    processes. Labels must mean the same everywhere, and temperatures be the same. Losses without a `block_size` refuse: give
    them `rows` of what they take, outside. Alone, nothing changes.

    >>> from labkit import losses
    >>> with across():
    ...     loss = losses.nt_xent(torch.eye(2), torch.eye(2), temperature=1.0)
    >>> loss
    tensor(0.5514)
    """
    token = ACTIVE.set(members(group))
    try:
        yield
    finally:
        ACTIVE.reset(token)


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """My anchors' part of the loss, times W: the mean over processes is the loss."""
    group = together()
    if reduction == "none":
        return loss
    return loss.sum() * group.size / (everybody(loss, group) if reduction == "mean" else 1)


def everybody(x: Tensor, group: Group) -> Tensor:
    """How many numbers all processes have."""
    many = torch.tensor(float(x.numel()), dtype=torch.float64, device=x.device)
    dist.all_reduce(many, group=group.group)
    return many.to(x.dtype)
