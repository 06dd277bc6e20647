"""What `data` may be: arrays, a labkit Dataset, a torch Dataset, or anything that can be iterated again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit import data as datasets
from labkit.data import Dataset
from labkit.progress import bar
from labkit.training.sources import MEMORY, Item, Items, Pairs, Source, Stream, item, probed, seeded, single, stacked, varies

FORMS = "data must be arrays x or (x, y), a Dataset of labkit or torch, or an iterable of (view1, view2[, label])"


@dataclass(frozen=True, eq=False)
class Feed:
    """What a run is fed with; the fields are those of `Given`. sha256: None where nobody can know it."""

    data: Dataset
    sha256: str | None
    size: int | None = None
    source: Source | None = None
    pair: Tensor | None = None
    labelled: bool = True


def feed(data: Any, seed: int, batch: int) -> Feed:
    """What can be learned of the data, with the random numbers of whoever asks left alone.

    Raises:
        TypeError: nothing that can be read. ValueError: rows that do not fit together, an unknown name, nothing at all.
    """
    with seeded(0):
        return found(data, seed, batch)


def found(data: Any, seed: int, batch: int) -> Feed:
    if isinstance(data, torch.utils.data.DataLoader):
        data = unpacked(data)
    if isinstance(data, str):
        data = datasets.load(data)
    if isinstance(data, Dataset):
        return table(data, True)
    if isinstance(data, torch.utils.data.TensorDataset):
        return arrays(list(data.tensors))
    if isinstance(data, (Tensor, np.ndarray)):
        return arrays([data])
    if isinstance(data, (tuple, list)) and len(data) in (2, 3) and all(isinstance(part, (Tensor, np.ndarray)) for part in data):
        return arrays(list(data))
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (dict, bytes)):
        return from_items(data)
    if hasattr(data, "__iter__") and not isinstance(data, (dict, bytes)):
        if iter(data) is data:
            raise TypeError(
                f"data is a {type(data).__name__}, which can be read only once; hand over list(data), or an IterableDataset"
            )
        return placed(Stream(data, seed, batch))
    raise TypeError(f"{FORMS}; got {type(data).__name__}")


def unpacked(loader: Any) -> Any:
    """What a DataLoader loads: the batches are drawn here, so that the run can be repeated and taken up again."""
    if loader.collate_fn is not torch.utils.data.default_collate:
        raise TypeError(
            "data is a DataLoader with a collate_fn of its own; hand over its dataset, with items that can be stacked"
        )
    return loader.dataset


def arrays(parts: list[Any]) -> Feed:
    """`x`, `(x, y)`, `(view1, view2)` or `(view1, view2, y)`: labels are whole numbers or words, in one dimension."""
    many = {len(part) for part in parts}
    if len(many) > 1:
        raise ValueError(f"data has parts of different lengths: {', '.join(str(len(p)) for p in parts)}")
    if many == {0}:
        raise ValueError("data is empty")
    y = labels(parts.pop()) if len(parts) > 1 and is_labels(parts[-1]) else None
    views = [numbers(part) for part in parts]
    if len(views) == 1:
        return alone(views[0], y)
    return placed(Pairs(views, y))


def is_labels(part: Any) -> bool:
    kind = part.dtype.kind if isinstance(part, np.ndarray) else "f" if part.is_floating_point() else "i"
    return part.ndim == 1 and kind in "iubUSO"


def labels(part: Any) -> Tensor:
    if isinstance(part, np.ndarray) and part.dtype.kind in "USO":
        return torch.from_numpy(np.unique(part.astype(str), return_inverse=True)[1]).long()
    return torch.as_tensor(part).long()


def numbers(part: Any) -> Tensor:
    if isinstance(part, np.ndarray) and part.dtype.kind not in "fiub":
        raise TypeError(f"data must hold numbers, got an array of {part.dtype}")
    x = single(torch.as_tensor(part).detach().cpu())
    if x.ndim < 1:
        raise ValueError(f"data must have one row for each instance, got shape {tuple(x.shape)}")
    if x.is_floating_point() and not torch.isfinite(x).all():
        raise ValueError(f"data holds {int((~torch.isfinite(x)).sum())} NaN or infinite values of {x.numel()}")
    return x


def alone(x: Tensor, y: Tensor | None) -> Feed:
    return table(Dataset(x, torch.zeros(len(x), dtype=torch.long) if y is None else y), y is not None)


def table(data: Dataset, labelled: bool) -> Feed:
    return Feed(data, data.sha256, len(data), labelled=labelled)


def placed(source: Source) -> Feed:
    """A source, with what snapshots are to look at."""
    shown, pair, labelled = probed(source)
    size = None if isinstance(source, Stream) else len(source)
    return Feed(shown, source.sha256(), size, source, pair, labelled)


def from_items(data: Any) -> Feed:
    """Read into memory, unless an item is another at every reading, or all of them are too many."""
    if not len(data):
        raise ValueError("data is empty")
    first = item(data[0])
    large = sum(v.numel() * v.element_size() for v in first.views) * len(data) > MEMORY
    if large or varies(data):
        reads = 1 if len(first.views) > 1 or not varies(data) else 2
        return placed(Items(data, reads))
    views, y = stacked(list(read(data)))
    return alone(views[0], y) if len(views) == 1 else placed(Pairs(views, y))


def read(data: Any) -> Iterator[Item]:
    with seeded(0):
        for place in bar(iterable=range(len(data)), desc="reading the data", unit="item"):
            yield item(data[place])
