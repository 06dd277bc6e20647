"""Rows in the order of their ids: where they are cut into tiles, and which pairs of a tile have the same id."""

from itertools import pairwise

import torch
from torch import Tensor

ALIKE = 256  # rows of a tile of pairs with the same id: larger ones would hold many that do not count
SEVERAL = 64  # the same, of several small ids

Span = tuple[slice, tuple[int, int]]  # rows, and the first and the last id among them


def spans(ids: Tensor, size: int) -> list[Span]:
    """Rows cut where ids change, no more than `size` together: small ids share a span, large ones take several."""
    starts, end = [0], 0
    for count in ids.unique_consecutive(return_counts=True)[1].tolist():
        if end > starts[-1] and end + count > starts[-1] + min(size, SEVERAL):
            starts.append(end)
        end += count
        starts.extend(range(starts[-1] + size, end, size))
    return ended(ids, starts)


def ended(ids: Tensor, starts: list[int]) -> list[Span]:
    """Rows between these starts, with their first and last ids."""
    last = [stop - 1 for stop in [*starts[1:], len(ids)]]
    ends = zip(ids[starts].tolist(), ids[last].tolist(), strict=True)
    return [(slice(start, stop), end) for (start, stop), end in zip(pairwise([*starts, len(ids)]), ends, strict=True)]


def disjoint(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two ranges of ids have none in common."""
    return one[1] < other[0] or other[1] < one[0]


def blank_alike(tile: Tensor, mine: Tensor, theirs: Tensor, value: float) -> None:
    """Writes `value` where ids are the same, which is near the diagonal."""
    for rows, (first, last) in spans(mine, ALIKE):
        ends = theirs.new_tensor([first, last])
        start, stop = int(torch.searchsorted(theirs, ends)[0]), int(torch.searchsorted(theirs, ends, right=True)[1])
        part = tile[rows, start:stop]
        if first == last:
            part.fill_(value)
        elif start < stop:
            part.masked_fill_(mine[rows, None] == theirs[start:stop], value)
