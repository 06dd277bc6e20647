"""What a reader hands to an explorer, checked by name: whole numbers, and embeddings with their classes."""

import os
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor


def whole(value: Any, name: str, least: int) -> int:
    """A whole number of at least so much.

    Raises:
        TypeError: no whole number.
        ValueError: too small a one.

    >>> whole(np.int64(3), "step", 0)
    3
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be {least} or more, got {value}")
    return int(value)


def array(value: Any, name: str) -> np.ndarray:
    """A tensor (of any kind, with or without a gradient), an array, or lists.

    Raises:
        TypeError: nothing of these.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value
    try:
        return np.asarray(value)
    except ValueError:
        raise TypeError(f"{name} must be a tensor or an array, got {type(value).__name__} of uneven rows") from None


def embeddings(value: Any, name: str) -> Tensor:
    """A tensor on the processor, without a gradient; floating numbers in double precision. Shapes are checked elsewhere.

    Raises:
        TypeError: a file, or what is no array of numbers.
    """
    if isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a tensor or an array, got a path: labkit.report(path, ...).explore() reads files")
    rows = array(value, name)
    if rows.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be a tensor or an array of numbers, got {type(value).__name__}")
    return torch.from_numpy(rows.astype(np.float64) if rows.dtype.kind == "f" else rows.astype(np.int64))


def numbered(labels: Any) -> Tensor:
    """Classes as whole numbers: those that they are, or the places of words in their order.

    Raises:
        TypeError: numbers that are not whole.
    """
    found = array(labels, "labels")
    if found.dtype.kind in "OUSb" or (found.dtype.kind == "i" and found.size and found.min() < 0):
        found = np.unique(found.astype(str) if found.dtype.kind == "O" else found, return_inverse=True)[1].reshape(found.shape)
    return torch.from_numpy(np.ascontiguousarray(found.astype(np.int64) if found.dtype.kind in "iu" else found))


def rows_and_classes(z: Any, labels: Any, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows and the numbers of their classes; without labels one class for all.

    Raises:
        TypeError: z holds no numbers.
        ValueError: too few rows or dimensions, rows that have no direction, labels that do not fit.
    """
    rows = array(z, "z")
    if rows.dtype.kind not in "fiu":
        raise TypeError(f"z must be a tensor or an array of numbers, got {type(z).__name__}")
    if rows.ndim != 2 or len(rows) < least or rows.shape[1] < 2:
        raise ValueError(f"z must be embeddings (n, d) with n >= {least} and d >= 2, got shape {rows.shape}")
    rows = rows.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and norms.all()):
        raise ValueError("z holds NaN, infinite numbers or a row of zeros: such rows lie nowhere on the sphere")
    classes = np.zeros(len(rows), np.int64) if labels is None else array(labels, "labels")
    if classes.shape != (len(rows),):
        raise ValueError(f"labels must be one for each of the {len(rows)} rows of z, got shape {classes.shape}")
    return rows / norms, np.unique(classes, return_inverse=True)[1]
