"""What changed between two figures in plain values: the only thing worth sending to a browser."""

from typing import Any

import numpy as np

Path = tuple[Any, ...]


def leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Every value inside lists of traces and their settings under its path, such as (1, "marker", "size")."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if not path else None
    if inside is None:
        return {path: value}
    return {deep: leaf for key, inner in inside for deep, leaf in leaves(inner, (*path, key)).items()}


def nested(found: dict[Path, Any]) -> dict[Any, Any]:
    """The settings that `leaves` took apart.

    >>> nested({(1, "marker", "size"): 5, (1, "x"): 2})
    {1: {'marker': {'size': 5}, 'x': 2}}
    """
    made: dict[Any, Any] = {}
    for path, value in found.items():
        inner = made
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = value
    return made


def ranges(layout: dict[str, Any]) -> dict[Path, Any]:
    return {(name, "range"): axis["range"] for name, axis in layout.items() if "axis" in name and "range" in axis}


def unlike(old: dict[Path, Any], new: dict[Path, Any]) -> dict[Path, Any]:
    """What is new under a path that both have."""
    return {path: value for path, value in new.items() if not np.array_equal(value, old[path])}


def difference(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """What has to be set to make the old traces (or annotations) the new ones, by their number."""
    return nested(unlike(leaves(old), leaves(new)))


def changing(figures: list[dict[Path, Any]]) -> list[Path]:
    """The paths whose value is not the same in all figures: frames hold nothing else."""
    first = figures[0]
    return [path for path in first if any(not np.array_equal(f[path], first[path]) for f in figures[1:])]
