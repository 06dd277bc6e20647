"""Two models, or the layers of one, as rows of the same inputs: read, checked, and drawn together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.report.pieces import Given, Sample
from labkit.report.result import Described, Report
from labkit.report.rows import Classes, Rows, Scan, read, scan


@dataclass(frozen=True, eq=False)
class Model:
    """What one model made of the rows: one view, or two."""

    name: str
    views: Mapping[str, Rows]  # "z1", "z2"
    scans: Mapping[str, Scan] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return self.views["z1"].n

    @property
    def good(self) -> Tensor:
        """`(n,)`: which rows are finite and not zero in every view."""
        lengths = [self.scans[key].norms > 0 for key in self.views]
        return torch.stack(lengths).all(0)

    def described(self) -> list[Described]:
        two = len(self.views) > 1
        return [
            Described(f"{self.name}.{key}" if two else self.name, r.source, (r.n, r.d), r.dtype, self.scans[key].sha256)
            for key, r in self.views.items()
        ]


def model(value: Any, argument: str, name: str | None = None) -> Model:
    """One model's rows, from whatever `report` takes, a pair (z1, z2) of it, or a Report.

    Raises:
        ValueError, TypeError: what cannot be read, by the name of the argument; views of different lengths.
    """
    if isinstance(value, Report):
        if value.rows is None:
            raise ValueError(f"{argument} is a report of which no row could be read")
        value, name = (value.rows.z1 if value.rows.z2 is None else (value.rows.z1, value.rows.z2)), name or value.name
    if is_pair(value):
        views = {key: read(each, f"{argument}.{key}") for key, each in zip(("z1", "z2"), value, strict=True)}
    elif isinstance(value, Mapping) and "z1" in value:
        views = {key: read(value[key], f"{argument}.{key}") for key in ("z1", "z2") if key in value}
    else:
        views = {"z1": read(value, argument)}
    lengths = {each.n for each in views.values()}
    if len(lengths) > 1:
        raise ValueError(
            f"{argument} has views of {' and '.join(f'{v.n:,}' for v in views.values())} rows: they must be row by row"
        )
    return Model(name or argument, views)


def is_pair(value: Any) -> bool:
    """Two arrays or two files, rather than an array as a list of rows."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return False
    return all(isinstance(each, (str, Path, Rows)) or len(getattr(each, "shape", ())) == 2 for each in value)


def called(given: Sequence[Any], names: Any) -> list[str]:
    """What the two are called: as they are told, as their files are, or "a" and "b".

    Raises:
        ValueError, TypeError: names that are not two different words.
    """
    if names is not None:
        if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(n, str) and n for n in names):
            raise TypeError(f"names must be words, one for each model, got {names!r}")
        if len(names) != len(given) or len(set(names)) != len(names):
            raise ValueError(f"names must be {len(given)} different words, got {list(names)!r}")
        return list(names)
    found = [Path(str(each)).stem if isinstance(each, (str, Path)) else getattr(each, "name", None) for each in given]
    plain = all(isinstance(name, str) and name for name in found) and len(set(found)) == len(found)
    return [str(name) for name in found] if plain else ["a", "b"]


def scanned(given: Model, progress: bool = True) -> Model:
    return Model(given.name, given.views, {key: scan(each, progress=progress) for key, each in given.views.items()})


@dataclass(frozen=True, eq=False)
class Drawn:
    """The rows that are seen of one model: `(n,)` numbers of them, and the views there."""

    model: Model
    rows: Tensor
    views: Mapping[str, Tensor]
    labels: Tensor | None
    groups: Tensor | None
    total: int  # rows that there were to draw from

    def __len__(self) -> int:
        return len(self.rows)


def together(models: Sequence[Model], labels: Classes | None, groups: Classes | None, size: int, seed: int) -> list[Drawn]:
    """The same rows of every model, those that can be used in all; of models that have not one length, rows of each its own."""
    if len({each.n for each in models}) == 1:
        good = torch.stack([each.good for each in models]).all(0).nonzero().squeeze(1)
        rows = some(good, size, seed)
        return [drawn(each, rows, labels, groups, len(good)) for each in models]
    goods = [each.good.nonzero().squeeze(1) for each in models]
    size = min(size, *map(len, goods))
    return [
        drawn(each, some(good, size, seed + place), labels, groups, len(good))
        for place, (each, good) in enumerate(zip(models, goods, strict=True))
    ]


def some(rows: Tensor, size: int, seed: int) -> Tensor:
    if len(rows) <= size:
        return rows
    picked = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:size]
    return rows[picked.sort().values]


def drawn(given: Model, rows: Tensor, labels: Classes | None, groups: Classes | None, total: int) -> Drawn:
    mine, grouped = (None if each is None or len(each) != given.n else each.values[rows] for each in (labels, groups))
    grouped = None if grouped is None else torch.unique(grouped, return_inverse=True)[1]
    return Drawn(given, rows, {key: each.take(rows) for key, each in given.views.items()}, mine, grouped, total)


def as_report(found: Drawn, labels: Classes | None, seed: int) -> tuple[Given, Sample]:
    """The same as `report` knows it, so that its faults can be looked for."""
    views = {key: Rows(key, each.source, each.store, each.notes) for key, each in found.model.views.items()}
    mine = labels if labels is not None and len(labels) == found.model.n else None
    given = Given(views["z1"], views.get("z2"), mine, name=found.model.name, seed=seed, scans=found.model.scans)
    sample = Sample(
        z1=found.views["z1"],
        z2=found.views.get("z2"),
        labels=found.labels,
        groups=found.groups,
        untrained=None,
        rows=found.rows,
        total=int(found.model.good.sum()),
        seed=seed,
        class_names=mine.names if mine else (),
        modal="z2" in views,
    )
    return given, sample


def widths(found: Drawn) -> dict[str, int]:
    return {key: int(z.shape[1]) for key, z in found.views.items()}


def alike(a: np.ndarray | Tensor, b: np.ndarray | Tensor) -> bool:
    return a.shape == b.shape and bool((torch.as_tensor(a) == torch.as_tensor(b)).all())
