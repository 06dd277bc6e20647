"""Rows and their partners, or labels, that belong together some rows further on: every shift at once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Scores = Callable[[int], Tensor]
WINDOW = 2**15  # rows in order that are looked at
CLEAR = 8.0  # standard deviations by which a shift must stick out
MOST = 0.55  # of the rows must fit better
LEAST = 12  # rows that a shifted part must have


class Shift(NamedTuple):
    """by: row i belongs to row i + by of the other. start, stop: the rows that this holds for. gain: mean score won per row."""

    by: int
    start: int
    stop: int
    gain: float


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """sum_i <a_i, b_(i + r)> for every r, circular: (n,)."""
    n = len(a)
    spectrum = torch.fft.rfft(a, dim=0).conj() * torch.fft.rfft(b, dim=0)
    return torch.fft.irfft(spectrum.sum(1), n)


USUAL = (1, -1, 2, -2)  # a header, a dropped row


def candidates(curve: Tensor, many: int = 4) -> list[int]:
    """Shifts other than 0 worth a look: the sharpest spikes, the highest, and the top of the hill that 0 lies on."""
    n = len(curve)
    spikes = curve - (curve.roll(1) + curve.roll(-1)) / 2
    highest = [i for z in (spikes, curve) for i in z.topk(min(many, n)).indices.tolist()]
    found = [*(i if i <= n // 2 else i - n for i in [*highest, top(curve)]), *USUAL]
    return [i for i in dict.fromkeys(found) if i != 0 and abs(i) < n]


def top(curve: Tensor, reach: int = 8) -> int:
    """Uphill from 0, in both directions, as long as there is something higher within reach."""
    n, at = len(curve), 0
    for _ in range(n // reach):
        near = torch.arange(at - reach, at + reach + 1) % n
        higher = int(near[curve[near].argmax()])
        if higher == at:
            break
        at = higher
    return at


def stretch(won: Tensor) -> tuple[int, int]:
    """The rows, from a first to a last, over which the sum of `won` is largest."""
    total = torch.cat([won.new_zeros(1), won.cumsum(0)])
    lowest, at = total.cummin(0)
    stop = int((total - lowest).argmax())
    return int(at[stop]), stop


def sureness(values: Tensor) -> float:
    """Of a mean above 0, in its standard errors."""
    if len(values) < LEAST:
        return 0.0
    return float(values.mean()) / max(float(values.std()), 1e-12) * len(values) ** 0.5


def best_shift(n: int, shifts: list[int], won: Scores, confirm: Callable[[int, slice], Tensor]) -> Shift | None:
    """Of these shifts the one that wins most over a stretch of rows, if it does so beyond doubt.

    won: shift -> (n,) how much better each row matches under it than as given.
    confirm: shift, stretch -> (k,) the same on that stretch, by a stricter measure.
    """
    found = []
    for by in shifts:
        gains = won(by)
        start, stop = stretch(gains)
        part = gains[start:stop]
        moved = part[part != 0]
        if len(moved) < LEAST or float(part.mean()) <= 0:
            continue
        certain = sureness(moved)
        most = float((moved > 0).double().mean())
        every = len(moved) > 0.9 * int((gains != 0).sum())  # where rows are sorted, most of them cannot tell
        start, stop = (0, n) if every else (start, stop)
        if certain > CLEAR and most > MOST and sureness(confirm(by, slice(start, stop))) > CLEAR:
            found.append((float(part.sum()), Shift(by, start, stop, float(part.mean()))))
    return max(found)[1] if found else None
