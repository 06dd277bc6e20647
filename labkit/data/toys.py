"""Toys with known truth: each is drawn from a few factors, and returns them."""

import numpy as np
import torch
from torch import Tensor

from labkit.data import Dataset, Split

OWN = "made by labkit"


def streams(seed: int, split: Split) -> tuple[np.random.Generator, np.random.Generator]:
    """What the two splits share (centres, maps), and what each draws anew."""
    return np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1 if split == "train" else 2])


def circle(
    split: Split = "train",
    *,
    n: int = 512,
    classes: int = 4,
    concentration: float = 20.0,
    dim: int = 2,
    ambient: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Von Mises-Fisher clusters on the circle (`dim=2`) or sphere, as they are or bent into a wider space.

    Args:
        n: points, spread over the classes as evenly as they can be.
        classes: clusters; on the circle their centres are evenly spaced, on spheres they are random.
        concentration: > 0; 1 is nearly uniform, 1,000 nearly a point.
        dim: 2 is the circle, 3 the sphere.
        ambient: None gives the points themselves; a number maps them smoothly and injectively into that many dimensions.

    Returns:
        `x (n, dim or ambient)`; factors "point" `(n, dim)`, "center" `(n, dim)` and, on the circle, "angle" `(n,)` in radians.
    """
    from scipy.stats import vonmises_fisher

    shared, own = streams(seed, split)
    centers = evenly(classes) if dim == 2 else directions(shared, classes, dim)
    y = own.permutation(np.arange(n) % classes)
    points = np.empty((n, dim))
    for k in range(classes):
        points[y == k] = vonmises_fisher(centers[k], concentration).rvs(int((y == k).sum()), random_state=own)
    factors = {"point": tensor(points), "center": tensor(centers[y])}
    if dim == 2:
        factors["angle"] = tensor(np.arctan2(points[:, 1], points[:, 0]))
    x = points if ambient is None else bend(shared, points, ambient)
    return Dataset(tensor(x), torch.from_numpy(y.astype(np.int64)), license=OWN, factors=factors)


def evenly(k: int) -> np.ndarray:
    angles = 2 * np.pi * np.arange(k) / k
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def directions(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    rows = rng.standard_normal((n, dim))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def bend(rng: np.random.Generator, points: np.ndarray, ambient: int) -> np.ndarray:
    """A fixed random smooth map, injective because it keeps the points themselves beside their waves."""
    if ambient <= points.shape[1]:
        raise ValueError(f"ambient must be > dim = {points.shape[1]}, got {ambient}")
    frequencies = 2 * rng.standard_normal((points.shape[1], ambient - points.shape[1]))
    wide = np.concatenate([points, np.sin(points @ frequencies)], axis=1)
    rotation, _ = np.linalg.qr(rng.standard_normal((ambient, ambient)))
    return wide @ rotation


def tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
