"""The triangle that policies are drawn in: chosen at the left, rejected at the right, all other answers together on top.

With three answers it shows every policy. With more, a point stands for the policy whose other answers share as at the start; a
path is drawn where its own probabilities put it, and there the shares are what the flow has made of them.
"""

import math

import numpy as np

from labkit.recipes.simplex import Flow, spread

TOP = math.sqrt(3) / 2
SIDES = 19  # arrows stand at the corners of so many small triangles along a side
COLUMNS, SAMPLES, HALVINGS = 72, 32, 16
EDGE = 1e-6  # of a column's height: where its first and last sample stand
LEAST = 0.01  # of each corner: a point that the reader moves stays inside


def place(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where chosen, rejected and the rest `(..., 3)` lie: across and up."""
    return point[..., 1] + point[..., 2] / 2, point[..., 2] * TOP


def mixture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Chosen, rejected and the rest `(..., 3)` at a place."""
    rest = np.asarray(y) / TOP
    rejected = x - rest / 2
    return np.stack([1 - rejected - rest, rejected, rest], -1)


def inside(point: np.ndarray) -> np.ndarray:
    """The same, brought back into the triangle."""
    held = np.maximum(point, LEAST)
    return held / held.sum(-1, keepdims=True)


def grid() -> np.ndarray:
    """Points spread evenly over the inside of the triangle, `(153, 3)`."""
    steps = range(1, SIDES)
    return np.array([(SIDES - i - j, i, j) for j in steps for i in steps if i + j < SIDES]) / SIDES


def columns() -> tuple[np.ndarray, np.ndarray]:
    """Places across the triangle, and how high it is there."""
    x = (np.arange(COLUMNS) + 0.5) / COLUMNS
    return x, 2 * TOP * np.minimum(x, 1 - x)


def region(flow: Flow) -> tuple[np.ndarray, np.ndarray]:
    """Where chosen and rejected both fall: in each column one run or two, from `low` to `high`, both `(2, COLUMNS)`.

    Edges are found by halving, to a millionth of the height. A run that a column does not have is a point: in the middle of the
    nearest column's that does, or on the triangle's side, so that areas taper off.
    """
    x, height = columns()
    answers = len(flow.kernel)

    def both(column: np.ndarray, share: np.ndarray) -> np.ndarray:
        return flow.falling(spread(mixture(x[column], share * height[column]), answers)) < 0

    share = EDGE + (1 - 2 * EDGE) * np.arange(SAMPLES) / (SAMPLES - 1)
    found = both(np.arange(COLUMNS)[:, None], share[None, :])
    edges = np.argwhere(found[:, 1:] != found[:, :-1])
    column, low, high = edges[:, 0], share[edges[:, 1]], share[edges[:, 1] + 1]
    first = found[column, edges[:, 1]]
    for _ in range(HALVINGS if len(edges) else 0):
        middle = (low + high) / 2
        same = both(column, middle) == first
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return runs(found, column, (low + high) / 2, height)


def runs(found: np.ndarray, column: np.ndarray, edges: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.full((2, COLUMNS), np.nan), np.full((2, COLUMNS), np.nan)
    for k in range(COLUMNS):
        ends = [*([0.0] if found[k, 0] else []), *edges[column == k], *([1.0] if found[k, -1] else [])]
        for r, (start, end) in enumerate(zip(ends[::2][:2], ends[1::2][:2], strict=True)):
            low[r, k], high[r, k] = start * height[k], end * height[k]
    return tapered(low, high, height)


def tapered(low: np.ndarray, high: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    for r in range(2):
        known = np.flatnonzero(np.isfinite(low[r]))
        for k in np.flatnonzero(np.isnan(low[r])):
            nearest = known[np.abs(known - k).argmin()] if len(known) else -1
            middle = (low[r, nearest] + high[r, nearest]) / 2 if len(known) else 0.0
            low[r, k] = high[r, k] = min(middle, height[k])
    return low, high


def share_of(low: np.ndarray, high: np.ndarray) -> float:
    """The part of the triangle that lies in these runs."""
    return float((high - low).sum() / COLUMNS / (TOP / 2))
