"""From a value to an array: what is in memory stays there, what is a path is opened."""

from pathlib import Path
from typing import Any

import numpy as np

from labkit.report.rows.memory import held
from labkit.report.rows.stores import Flat, Held, Store, mapped


def opened(value: Any, name: str, what: str) -> tuple[Store, str]:
    """The array that `value` is or names, and where it came from, in words that may be printed."""
    if not isinstance(value, (str, Path)):
        return held(value, name)
    path = Path(value).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{name}: there is no file {value}")
    return _npy(path), path.name


def _npy(path: Path) -> Store:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.flags.c_contiguous:
        return Flat(path, array.offset, array.shape, array.dtype)
    return Held(array, release=mapped(array))
