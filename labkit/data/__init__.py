"""What models are trained on: real images, and toys whose truth is known.

`load(name)` is the one way in; `CATALOG` says where each name is made.
"""

import functools
import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

Split = Literal["train", "test", "all"]
CATALOG = {
    **dict.fromkeys(("digits", "fashion-mnist", "cifar10", "cifar100", "stl10"), "labkit.data.images"),
    **dict.fromkeys(("circle", "nested", "gaussian", "long-tailed", "xor"), "labkit.data.toys"),
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs, labels, and what they were made from.

    `x` holds images `(n, c, h, w)` as uint8, or points `(n, d)` as float32; `y (n,)` int64 labels, whose names are `names`
    (empty when the classes have none). `factors` has one tensor with n rows for each thing a toy was built from.
    """

    x: Tensor
    y: Tensor
    names: tuple[str, ...] = ()
    license: str = ""
    citation: str = ""
    factors: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        kind = str(self.x.dtype).removeprefix("torch.")
        return f"Dataset({len(self)} x {tuple(self.x.shape[1:])} {kind}, {len(self.y.unique())} classes)"

    @property
    def images(self) -> bool:
        return self.x.ndim == 4

    @functools.cached_property
    def sha256(self) -> str:
        """The fingerprint of what is in it: part of the name under which a run is cached."""
        digest = hashlib.sha256()
        for name, tensor in {"x": self.x, "y": self.y, **dict(sorted(self.factors.items()))}.items():
            digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def to(self, device: torch.device | str) -> "Dataset":
        """The same data on another device."""
        return replace(
            self,
            x=self.x.to(device),
            y=self.y.to(device),
            factors={name: rows.to(device) for name, rows in self.factors.items()},
        )

    def subset(self, index: Tensor | slice) -> "Dataset":
        """The rows that `index` picks, factors included.

        >>> load("digits").subset(slice(0, 100))
        Dataset(100 x (1, 8, 8) uint8, 10 classes)
        """
        return replace(
            self, x=self.x[index], y=self.y[index], factors={name: rows[index] for name, rows in self.factors.items()}
        )


def load(
    name: str, split: Split = "train", *, root: str | Path | None = None, download: bool = True, **options: Any
) -> Dataset:
    """A data set by name.

    Args:
        name: one of `labkit.data.CATALOG`.
        split: "train", "test", or "all" (both).
        root: the folder to look in first for files that were downloaded; default `labkit.paths.home() / "data"`.
        download: whether files that are not there may be fetched.
        options: what a toy is made of (`n`, `seed`, ...).

    Raises:
        ValueError: a name or a split that does not exist.
        FileNotFoundError: the files are nowhere and could not be fetched; says where to put them by hand.

    >>> load("digits")
    Dataset(1437 x (1, 8, 8) uint8, 10 classes)
    """
    if name not in CATALOG:
        raise ValueError(f"there is no data set called {name!r}; there are {', '.join(sorted(CATALOG))}")
    if split not in ("train", "test", "all"):
        raise ValueError(f"split must be 'train', 'test' or 'all', got {split!r}")
    make = getattr(importlib.import_module(CATALOG[name]), name.replace("-", "_"))
    if CATALOG[name] == "labkit.data.toys":
        return both(make, split, **options)
    return both(make, split, root=Path(root) if root else None, download=download, **options)


def both(make: Any, split: Split, **options: Any) -> Dataset:
    """One split, or the two of them one after the other."""
    if split != "all":
        return make(split, **options)
    return join(make("train", **options), make("test", **options))


def join(first: Dataset, second: Dataset) -> Dataset:
    factors = {name: torch.cat([rows, second.factors[name]]) for name, rows in first.factors.items()}
    return replace(first, x=torch.cat([first.x, second.x]), y=torch.cat([first.y, second.y]), factors=factors)
