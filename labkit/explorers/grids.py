"""The grids of the lesson on temperature: one model for each temperature, measured over seeds, seen through one probe."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.results import load

METERS = ("uniformity", "alignment", "same_class", "mean_norm", "push_same", "push_near", "loss", "probe")


@dataclass(frozen=True, eq=False)
class Grid:
    """Models side by side: `z1, z2 (g, n, d)` are two views of the same n instances through each of g models.

    `temperatures (g,)` says what each was trained with; `meters` holds what was measured over seeds `(seeds, g + 1)`, the last
    column of the untrained model.
    """

    name: str
    temperatures: np.ndarray
    z1: np.ndarray
    z2: np.ndarray
    labels: np.ndarray
    meters: Mapping[str, np.ndarray]

    def views(self, model: int) -> tuple[Tensor, Tensor]:
        return torch.tensor(self.z1[model], dtype=torch.float32), torch.tensor(self.z2[model], dtype=torch.float32)


@functools.cache
def stored(name: str) -> Grid:
    """A grid that ships with labkit: "circle", "digits" or "fashion"."""
    kept = load(f"temperature_{name}")
    measured = {meter: kept[meter] for meter in METERS}
    return Grid(name, kept["temperatures"], kept["z1"], kept["z2"], kept["labels"], measured)
