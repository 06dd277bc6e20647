"""Numbers that take longer to compute than a lesson may: stored in `data/results/`, each with the one command that makes it.

A topic registers a function; `python -m labkit results NAME` runs it and writes what it returns, `load(name)` reads it back:

    @result("temperature_circle")
    def temperature_circle(temperatures=TEMPERATURES, seeds=(0, 1, 2)) -> dict: ...

Its arguments have defaults, so that a test can ask `compute(name, temperatures=[0.5], seeds=[0])` for one slice and compare.
"""

import functools
import importlib
import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from labkit.paths import shipped

RESULTS: dict[str, Callable[..., dict[str, Any]]] = {}
# The files that register results. They train models, so they are imported only when something is to be computed.
TOPICS: tuple[str, ...] = (
    "labkit.recipes.alignment_uniformity",
    "labkit.recipes.augmentation",
    "labkit.recipes.bridge",
    "labkit.recipes.clinic",
    "labkit.recipes.course_collapse",
    "labkit.recipes.course_supervised",
    "labkit.recipes.course_displacement",
    "labkit.recipes.course_plane",
    "labkit.recipes.course_temperature",
    "labkit.recipes.dimensional_collapse",
    "labkit.recipes.displacement",
    "labkit.recipes.large_batches",
    "labkit.recipes.likelihood_displacement",
    "labkit.recipes.maps",
    "labkit.recipes.real_language_model",
    "labkit.recipes.remedies",
    "labkit.recipes.temperature",
    "labkit.recipes.time_machine",
    "labkit.recipes.temperature_grid",
)


def result(name: str) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    """Register the function that computes `name`: a dict of arrays (kept as .npz) or of plain numbers and lists (.json)."""

    def register(fn: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        if name in RESULTS and RESULTS[name].__module__ != fn.__module__:
            raise ValueError(f"two results are called {name}: in {RESULTS[name].__module__} and in {fn.__module__}")
        RESULTS[name] = fn
        return fn

    return register


def names() -> list[str]:
    """Every result that can be computed."""
    for topic in TOPICS:
        importlib.import_module(topic)
    return sorted(RESULTS)


def compute(name: str, **options: Any) -> dict[str, Any]:
    """Compute a result now, and write nothing; `options` ask for a part of it."""
    if name not in RESULTS and name not in names():
        raise ValueError(f"name must be one of {', '.join(names()) or 'nothing yet'}; got {name!r}")
    return RESULTS[name](**options)


def run(name: str, *, folder: Path | None = None) -> Path:
    """Compute a result and write it where `load` finds it; a reader never sees half a file."""
    made = compute(name)
    folder = shipped("results") if folder is None else Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(isinstance(value, np.ndarray) for value in made.values()):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **made)
        path, content = folder / f"{name}.npz", buffer.getvalue()
    else:
        path, content = folder / f"{name}.json", (json.dumps(made, indent=1, sort_keys=True) + "\n").encode()
    replace(path, content)
    load.cache_clear()
    return path


def replace(path: Path, content: bytes) -> None:
    """Write beside `path`, then rename."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


@functools.cache
def load(name: str) -> dict[str, Any]:
    """What `run(name)` stored: arrays from an .npz, plain numbers and lists from a .json; not to be written to."""
    path = shipped("results") / f"{name}.npz"
    if path.exists():
        with np.load(path) as stored:
            arrays = dict(stored)
        for array in arrays.values():
            array.setflags(write=False)  # every reader shares them
        return arrays
    path = path.with_suffix(".json")
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    raise FileNotFoundError(f"there is no stored result {name!r}; make it with: python -m labkit results {name}")
