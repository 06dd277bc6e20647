"""Models side by side, as the explorer sees them: the same instances through each of them."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.paths import shipped
from labkit.results import load

METERS = ("uniformity", "alignment", "same_class", "mean_norm", "push_same", "push_near", "loss", "probe")


@dataclass(frozen=True, eq=False)
class Grid:
    """Models side by side: `z1, z2 (g, n, d)` are two views of the same n instances through each of g models.

    `temperatures (g,)` says what each was trained with, 0 where nobody knows; `meters` holds what was measured over seeds.
    """

    name: str
    temperatures: np.ndarray
    z1: np.ndarray
    z2: np.ndarray
    labels: np.ndarray
    meters: Mapping[str, np.ndarray]

    def views(self, model: int) -> tuple[Tensor, Tensor]:
        return torch.tensor(self.z1[model], dtype=torch.float32), torch.tensor(self.z2[model], dtype=torch.float32)

    @property
    def anchor(self) -> int:
        """The instance whose push is drawn: the first 3, or the first of the last class where there are fewer."""
        return int(np.flatnonzero(self.labels == min(3, self.labels.max()))[0])

    @functools.cached_property
    def plane(self) -> np.ndarray:
        """`(g, n, 2)`: the circle itself, or the plane in which the class centres lie furthest apart.

        Each model's picture is turned (and mirrored) to match its neighbour's, so that a drag does not spin it.
        """
        flat = self.z1.astype(np.float64)
        if flat.shape[-1] > 2:
            flat = np.stack([rows @ widest_plane(rows, self.labels) for rows in flat])
        for here in range(len(flat) - 2, -1, -1):
            flat[here] = flat[here] @ turn(flat[here], flat[here + 1])
        return flat


def widest_plane(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`(d, 2)`: the two orthogonal directions along which the class centres vary most."""
    centers = np.stack([z[labels == c].mean(0) for c in np.unique(labels)])
    return np.linalg.svd(centers - centers.mean(0))[2][:2].T


def turn(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """The rotation or reflection that brings `points` closest to `onto` (orthogonal Procrustes)."""
    u, _, v = np.linalg.svd(points.T @ onto)
    return u @ v


def available() -> list[str]:
    """The grids that ship with labkit."""
    return [name for name in ("circle", "digits", "fashion") if (shipped("results") / f"temperature_{name}.npz").exists()]


@functools.cache
def stored(name: str) -> Grid:
    """A grid that ships with labkit."""
    kept = load(f"temperature_{name}")
    measured = {meter: kept[meter] for meter in METERS}
    return Grid(name, kept["temperatures"], kept["z1"], kept["z2"], kept["labels"], measured)
