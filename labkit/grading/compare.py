"""Whether two answers are the same, and if not, in words, how they differ."""

import math
from typing import Any

import torch
from torch import Tensor

Number = bool | int | float


def difference(got: Any, right: Any, tolerance: float) -> str:
    """Empty if the answers agree; else how they differ. Lenient on form (lists, arrays, one-number tensors), not on numbers."""
    if isinstance(right, str):
        return (
            ""
            if isinstance(got, str) and got.strip().lower() == right.strip().lower()
            else f"got {shown(got)}, expected a different word"
        )
    if isinstance(right, dict):
        return within_dict(got, right, tolerance)
    if right is None:
        return "" if got is None else f"got {shown(got)}, expected None"
    ours = numbers(right)
    if ours is None:
        return within_list(got, right, tolerance)
    theirs = numbers(got)
    if theirs is None:
        return f"got {shown(got)}, expected {described(ours)}"
    return within_tensor(theirs, ours, tolerance)


def within_dict(got: Any, right: dict[Any, Any], tolerance: float) -> str:
    if not isinstance(got, dict):
        return f"got {shown(got)}, expected a dict with the keys {', '.join(map(str, right))}"
    for key, value in right.items():
        if key not in got:
            return f"the key {key!r} is missing"
        if why := difference(got[key], value, tolerance):
            return f"at {key!r}: {why}"
    return ""


def within_list(got: Any, right: Any, tolerance: float) -> str:
    if not isinstance(got, (list, tuple)) or len(got) != len(right):
        return f"got {shown(got)}, expected {len(right)} entries"
    return next(
        (f"entry {k}: {why}" for k, pair in enumerate(zip(got, right, strict=True)) if (why := difference(*pair, tolerance))),
        "",
    )


def within_tensor(got: Tensor, right: Tensor, tolerance: float) -> str:
    if got.shape != right.shape:
        if got.numel() == right.numel() == 1:
            got, right = got.reshape(()), right.reshape(())
        else:
            return f"its shape is {tuple(got.shape)}, expected {tuple(right.shape)}"
    if bool(torch.isnan(got).any()):
        count = int(torch.isnan(got).sum())
        return "it is NaN" if got.ndim == 0 else f"{count} of {got.numel()} numbers are NaN"
    if bool((torch.isinf(got) & (got != right)).any()):
        return "it is infinite"
    wrong = ~((got == right) | ((got - right).abs() <= tolerance * (1 + right.abs())))
    if not bool(wrong.any()):
        return ""
    if right.ndim == 0:
        return f"got {got.item():.6g}, expected {right.item():.6g}"
    where = tuple(int(i) for i in wrong.nonzero()[0])
    one = f"at {list(where)} got {got[where].item():.6g}, expected {right[where].item():.6g}"
    return f"{int(wrong.sum())} of {right.numel()} numbers differ; {one}"


def numbers(value: Any) -> Tensor | None:
    """As float64, or None if these are not numbers in a regular array."""
    if isinstance(value, Tensor):
        return None if value.is_complex() else value.detach().double()
    if isinstance(value, (bool, int, float)):
        return torch.tensor(as_float(value), dtype=torch.float64)
    if isinstance(value, (list, tuple)) and value:
        parts = [numbers(item) for item in value]
        if all(part is not None and part.shape == parts[0].shape for part in parts):  # type: ignore[union-attr]
            return torch.stack(parts)  # type: ignore[arg-type]
    return None


def as_float(value: Number) -> float:
    try:
        return float(value)
    except OverflowError:  # Python's whole numbers have no end
        return math.inf if value > 0 else -math.inf


def finite(value: Any) -> bool:
    """Whether every number in it is finite."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(finite, value))
    if isinstance(value, Tensor):
        return bool(torch.isfinite(value).all())
    return not isinstance(value, float) or math.isfinite(value)


def described(value: Tensor) -> str:
    return "a number" if value.ndim == 0 else f"numbers of shape {tuple(value.shape)}"


def shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return described(value)
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
