"""One class for each row, and which rows belong together."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.report.rows.files import opened
from labkit.report.rows.stores import Flat, Held, Store


@dataclass(frozen=True)
class Classes:
    """Labels or groups: `values` (n,) in 0 .. k - 1, and the k names in order: as numbers if they were, else as words.

    source: the file's name without its folder, or "list". sha256: over the names and values, wherever they came from.
    """

    name: str
    source: str
    values: Tensor
    names: tuple[str, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.values)


def read_classes(value: Any, name: str, n: int) -> Classes:
    """One class for each of n rows: whole numbers, words, booleans, or floats that are whole.

    Raises:
        ValueError: another length, missing values, floats that are not whole, one-hot rows.
    """
    if isinstance(value, Classes):
        return value
    entry = opened(value, name, "classes")
    words = _one_each(entry.store, name, n)
    if words.dtype.kind == "f":
        words = _whole(words, name)
    if words.dtype.kind not in "iubUS":
        words = _plain(words, name)
    found, inverse = np.unique(words, return_inverse=True)
    names = tuple(str(w, "utf-8", "replace") if isinstance(w, bytes) else str(w) for w in found.tolist())
    numbers = inverse.reshape(-1).astype(np.int64)
    digest = hashlib.sha256("\x1f".join(names).encode())
    digest.update(numbers.tobytes())
    return Classes(name, entry.source, torch.from_numpy(numbers), names, digest.hexdigest())


def read_pairs(value: Any, n1: int, n2: int) -> Tensor:
    """Which rows are pairs: (m, 2) numbers of a row of z1 and of its partner, or (n1,) the partner of each row.

    Raises:
        ValueError: another shape, numbers that are not whole or that no row has.
    """
    store = opened(value, "pairs", "pairs").store
    if len(store.shape) not in (1, 2) or (len(store.shape) == 2 and store.shape[1] != 2):
        raise ValueError(f"pairs must be (m, 2), a row of z1 and its partner, or (n,), each row's partner; got {store.shape}")
    numbers = whole(store)
    if numbers.dtype.kind == "f":
        numbers = _whole(numbers, "pairs")
    if numbers.dtype.kind not in "iu":
        raise ValueError(f"pairs must be whole numbers, got {store.dtype}")
    pairs = torch.from_numpy(numbers.astype(np.int64))
    if pairs.ndim == 1:
        if len(pairs) != n1:
            raise ValueError(f"pairs names a partner for each of {n1} rows of z1, got {len(pairs)}")
        pairs = torch.stack([torch.arange(n1), pairs], 1)
    if len(pairs) < 4:
        raise ValueError(f"pairs must name at least 4 pairs, got {len(pairs)}")
    for side, n in ((0, n1), (1, n2)):
        low, high = int(pairs[:, side].min()), int(pairs[:, side].max())
        if low < 0 or high >= n:
            raise ValueError(f"pairs[:, {side}] must be row numbers in 0 .. {n - 1}, got {low} .. {high}; the first row is 0")
    return pairs


def whole(store: Store) -> np.ndarray:
    """All of an array that is small: labels and pairs."""
    if isinstance(store, Flat) and store.torch_kind is None:
        return store.words()
    if isinstance(store, Held) and isinstance(store.array, np.ndarray):
        return store.array
    values = store.read(0, store.shape[0])
    return (values.double() if values.is_floating_point() else values).numpy()


def _one_each(store: Store, name: str, n: int) -> np.ndarray:
    shape = store.shape
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(f"{name} must be ({n},), one for each row, got {shape}; if it is one-hot, pass {name}.argmax(1)")
    if shape != (n,) and shape != (n, 1):
        raise ValueError(f"{name} must be one for each of {n} rows of z1, got {shape}")
    return whole(store).reshape(-1)


def _whole(values: np.ndarray, name: str) -> np.ndarray:
    missing = np.flatnonzero(~np.isfinite(values))
    if len(missing):
        raise ValueError(f"{name} has {len(missing)} missing values, the first at row {missing[0]}: drop these rows")
    odd = np.flatnonzero(values != np.round(values))
    if len(odd):
        kinds = "whole row numbers" if name == "pairs" else "whole numbers or words"
        raise ValueError(f"{name} must be {kinds}, got {values.flat[odd[0]]:g} at row {odd[0]}")
    return values.astype(np.int64)


def _plain(words: np.ndarray, name: str) -> np.ndarray:
    """Objects that are all words, or all numbers; nothing may be missing."""
    found = words.astype(object).tolist()
    missing = [i for i, w in enumerate(found) if w is None or w != w]
    if missing:
        raise ValueError(f"{name} has {len(missing)} missing values, the first at row {missing[0]}: drop these rows")
    kinds = {type(w) for w in found}
    if not kinds <= {str, int, bool, float} or (str in kinds and len(kinds) > 1):
        kind = ", ".join(sorted(k.__name__ for k in kinds))
        raise ValueError(f"{name} must be whole numbers or words, got {kind}")
    array = np.array(found)
    return _whole(array, name) if array.dtype.kind == "f" else array
