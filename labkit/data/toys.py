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
    shared, own = streams(seed, split)
    centers = evenly(classes) if dim == 2 else directions(shared, classes, dim)
    y = own.permutation(np.arange(n) % classes)
    points = around(own, centers, y, concentration)
    factors = {"point": points, "center": centers[y]}
    if dim == 2:
        factors["angle"] = np.arctan2(points[:, 1], points[:, 0])
    return dataset(points if ambient is None else bend(shared, points, ambient), y, **factors)


def nested(
    split: Split = "train",
    *,
    n: int = 1024,
    classes: int = 4,
    subclasses: int = 4,
    dim: int = 32,
    spread: float = 0.5,
    noise: float = 0.15,
    styles: int = 0,
    style_size: float = 1.0,
    seed: int = 0,
) -> Dataset:
    """Classes made of subclasses, and a style that has nothing to do with either.

    `x = class centre + subclass offset + style + noise`, all Gaussian in R^dim with standard deviations 1, `spread`,
    `style_size` and `noise` per number. Views are made by the augmentation "noise" (the trials used sigma = 0.35).

    Args:
        classes, subclasses: subclasses of each class.
        styles: 0 has none; a number draws one of so many styles, independently of the class.

    Returns:
        y is the class; factors "subclass" `(n,)` numbered through (0 to classes * subclasses - 1), "style" `(n,)`,
        and "noise" `(n, dim)`: what tells instances of one subclass and style apart.
    """
    shared, own = streams(seed, split)
    centers = shared.standard_normal((classes, dim))
    offsets = spread * shared.standard_normal((classes * subclasses, dim))
    looks = style_size * shared.standard_normal((max(styles, 1), dim)) * (styles > 0)
    subclass = own.permutation(np.arange(n) % (classes * subclasses))
    style = own.integers(max(styles, 1), size=n)
    rest = noise * own.standard_normal((n, dim))
    y = subclass // subclasses
    return dataset(centers[y] + offsets[subclass] + looks[style] + rest, y, subclass=subclass, style=style, noise=rest)


def gaussian(split: Split = "train", *, n: int = 4096, dim: int = 16, seed: int = 0) -> Dataset:
    """A unit Gaussian without classes: with the augmentation "dim_noise" the toy in which noise kills directions.

    Every direction carries the same information, so whatever a linear map prefers, the augmentation made it prefer.
    """
    _, own = streams(seed, split)
    return dataset(own.standard_normal((n, dim)), np.zeros(n, dtype=np.int64))


def long_tailed(
    split: Split = "train",
    *,
    n: int = 1000,
    classes: int = 10,
    imbalance: float = 100.0,
    concentration: float = 30.0,
    dim: int = 8,
    seed: int = 0,
) -> Dataset:
    """Clusters on a sphere whose sizes fall geometrically: the first is `imbalance` times as large as the last.

    The test split is balanced, so that its accuracy counts every class alike.

    Returns:
        `x (n, dim)`; factors "center" `(n, dim)` and "share" `(n,)`: the share of the training set that the class has.
    """
    shared, own = streams(seed, split)
    centers = directions(shared, classes, dim)
    weights = imbalance ** -(np.arange(classes) / max(classes - 1, 1))
    shares = weights / weights.sum()
    # every class gets the whole number just below its share, at least one; what is left over goes to the first
    sizes = np.maximum(1, np.floor(n * (shares if split == "train" else 1 / classes)).astype(int) * np.ones(classes, dtype=int))
    sizes[0] += n - sizes.sum()
    y = own.permutation(np.repeat(np.arange(classes), sizes))
    return dataset(around(own, centers, y, concentration), y, center=centers[y], share=shares[y])


def xor(split: Split = "train", *, n: int = 1024, dim: int = 8, noise: float = 0.3, seed: int = 0) -> Dataset:
    """Three modalities, each of one bit in noise, the third bit the exclusive or of the first two.

    Any two of the three are independent: no loss on pairs can learn anything, only a comparison of all three.

    Returns:
        `x (n, 3 * dim)`, the modalities side by side; y is the third bit; factors "bits" `(n, 3)` and "views" `(n, 3, dim)`.
    """
    shared, own = streams(seed, split)
    pairs = own.permutation(np.arange(n) % 4)  # the four cases equally often
    bits = np.stack([pairs // 2, pairs % 2, (pairs // 2) ^ (pairs % 2)], axis=1)
    axes = directions(shared, 3, dim)
    views = (2 * bits - 1)[:, :, None] * axes + noise * own.standard_normal((n, 3, dim))
    return dataset(views.reshape(n, -1), bits[:, 2], bits=bits, views=views)


def dataset(x: np.ndarray, y: np.ndarray, **factors: np.ndarray) -> Dataset:
    return Dataset(tensor(x), tensor(y), license=OWN, factors={name: tensor(rows) for name, rows in factors.items()})


def tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.int64 if values.dtype.kind in "iu" else np.float32))


def evenly(k: int) -> np.ndarray:
    angles = 2 * np.pi * np.arange(k) / k
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def directions(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    rows = rng.standard_normal((n, dim))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def around(rng: np.random.Generator, centers: np.ndarray, y: np.ndarray, concentration: float) -> np.ndarray:
    """A von Mises-Fisher draw about each row's centre."""
    from scipy.stats import vonmises_fisher

    points = np.empty((len(y), centers.shape[1]))
    for k in np.unique(y):
        mine = y == k
        points[mine] = vonmises_fisher(centers[k], concentration).rvs(int(mine.sum()), random_state=rng)
    return points


def bend(rng: np.random.Generator, points: np.ndarray, ambient: int) -> np.ndarray:
    """A fixed random smooth map, injective because it keeps the points themselves beside their waves."""
    if ambient <= points.shape[1]:
        raise ValueError(f"ambient must be > dim = {points.shape[1]}, got {ambient}")
    frequencies = 2 * rng.standard_normal((points.shape[1], ambient - points.shape[1]))
    phases = 2 * np.pi * rng.random(ambient - points.shape[1])
    wide = np.concatenate([points, np.sin(points @ frequencies + phases)], axis=1)
    rotation, _ = np.linalg.qr(rng.standard_normal((ambient, ambient)))
    return wide @ rotation
