"""What a user holds: tensors, arrays, frames, lists, whatever offers `__array__` or dlpack."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.report.rows.stores import Held, mapped


def held(value: Any, name: str) -> tuple[Held, str]:
    """An array over what was given, of any shape, and what it was: "torch tensor".

    Raises:
        TypeError: nothing that is an array.
        ValueError: an array of a kind that has no rows of numbers: sparse, ragged, without data.
    """
    if isinstance(value, Tensor):
        return Held(_dense(value, name)), "torch tensor"
    if isinstance(value, np.ndarray):
        return Held(_filled(value), release=mapped(value)), "numpy array"
    module = type(value).__module__.split(".")[0]
    if module in ("pandas", "polars"):
        return Held(_frame(value, name)), f"{module} {type(value).__name__}"
    if isinstance(value, (list, tuple)):
        return Held(_listed(value, name)), type(value).__name__
    if hasattr(value, "toarray"):
        raise ValueError(f"{name} is sparse ({type(value).__name__}): pass {name}.toarray()")
    for convert in _ways(value):
        try:
            found = convert(value)
            array = _dense(found, name) if isinstance(found, Tensor) else _filled(np.asarray(found))
            return Held(array), f"{module} {type(value).__name__}"
        except (TypeError, ValueError, RuntimeError, BufferError):
            continue
    raise TypeError(
        f"{name} must be a tensor, an array, a frame, a list, or the path of a .npy, .npz, .pt, .safetensors, .parquet or "
        f".csv file; got {type(value).__name__}"
    )


def _ways(value: Any) -> list[Any]:
    """How an array of another library may be had, the plainest way first."""
    ways: list[Any] = []
    if hasattr(value, "to_numpy"):
        ways.append(lambda v: v.to_numpy())
    if hasattr(value, "__array__"):
        ways.append(np.asarray)
    if hasattr(value, "__dlpack__"):
        ways.append(torch.from_dlpack)
    return ways


def _dense(value: Tensor, name: str) -> Tensor:
    if value.is_meta:
        raise ValueError(f"{name} is on the meta device: it has a shape and no numbers")
    if value.layout != torch.strided:
        raise ValueError(f"{name} is sparse ({value.layout}): pass {name}.to_dense()")
    if value.is_quantized:
        raise ValueError(f"{name} is quantised: pass {name}.dequantize(), or its whole numbers, {name}.int_repr()")
    return value.detach()


def _filled(value: np.ndarray) -> np.ndarray:
    """Masked entries are missing: NaN, so that their rows are counted as bad and never read as numbers."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        return np.ma.filled(value.astype(np.float64), np.nan)
    return value


def _frame(value: Any, name: str) -> np.ndarray:
    array = np.asarray(value.to_numpy())
    if array.dtype == object and array.ndim == 2:
        wrong = [str(c) for c, kind in zip(value.columns, value.dtypes, strict=True) if not _numeric(kind)]
        raise ValueError(
            f"{name} is a frame with columns that hold no numbers: {', '.join(wrong[:5])}; "
            f"pass the columns of the embedding alone, {name}[columns], and words as labels="
        )
    return array


def _numeric(kind: Any) -> bool:
    numeric = getattr(kind, "is_numeric", None)  # polars
    return bool(numeric()) if numeric else getattr(kind, "kind", "O") in "iuf"


def _listed(value: Any, name: str) -> Tensor | np.ndarray:
    try:
        if value and all(isinstance(row, Tensor) for row in value):
            return torch.stack([row.detach().cpu() for row in value])
        if any(isinstance(item, str) for item in value):  # numpy would make words of the numbers among them
            return np.asarray(value, None if all(isinstance(item, str) for item in value) else object)
        return np.asarray(value)
    except (ValueError, RuntimeError, TypeError):
        lengths = sorted({len(row) if hasattr(row, "__len__") else 1 for row in value})
        says = f"{name} is a list of rows that are not alike, of {', '.join(map(str, lengths[:4]))} numbers"
        raise ValueError(f"{says}: every row needs as many") from None
