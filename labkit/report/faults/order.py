"""Rows and their partners, or labels, that belong together some rows further on: every shift at once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

WINDOW = 2**15  # rows in order that are looked at
CLEAR = 8.0  # standard deviations by which a shift must stick out
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


def candidates(curve: Tensor, many: int = 3) -> list[int]:
    """Shifts other than 0 that stick out of the curve: as spikes, or (where rows are sorted) as the top of a hill."""
    n = len(curve)
    spikes = curve - (curve.roll(1) + curve.roll(-1)) / 2
    usual = spikes.abs().median() / 0.6745
    found = [i for i in spikes.topk(min(many, n)).indices.tolist() if spikes[i] > CLEAR * usual]
    found.append(int(curve.argmax()))
    return list(dict.fromkeys(i if i <= n // 2 else i - n for i in found if i != 0))


def stretch(won: Tensor) -> tuple[int, int]:
    """The rows, from a first to a last, over which the sum of `won` is largest."""
    total = torch.cat([won.new_zeros(1), won.cumsum(0)])
    lowest, at = total.cummin(0)
    stop = int((total - lowest).argmax())
    return int(at[stop]), stop


def best_shift(n: int, shifts: list[int], won: Callable[[int], Tensor]) -> Shift | None:
    """Of these shifts the one that wins most over a stretch of rows, if it does so beyond doubt.

    won: shift -> (n,) how much better each row matches under it than as given.
    """
    found = []
    for by in shifts:
        gains = won(by)
        start, stop = stretch(gains)
        part = gains[start:stop]
        moved = part[part != 0]
        if len(moved) < LEAST or float(part.mean()) <= 0:
            continue
        certain = float(moved.mean()) / max(float(moved.std()), 1e-12) * len(moved) ** 0.5
        most = float((moved > 0).double().mean())
        if certain > CLEAR and most > 0.7:
            found.append((float(part.sum()), Shift(by, start, stop, float(part.mean()))))
    return max(found)[1] if found else None
