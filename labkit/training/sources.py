"""Where somebody's own batches come from: arrays, a torch Dataset, or a stream of items.

A `Table` draws views by an augmentation. Where the data yields its own views, a source hands over a batch of them.
"""

import contextlib
import hashlib
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.data import Dataset
from labkit.data.augment import to_float
from labkit.progress import bar
from labkit.training.run import PROBE, VIEWED

MEMORY = 1 << 30  # bytes: a data set that would take more is read item by item
STREAMED = 256  # of a stream, snapshots show so many of the first items
Views = tuple[list[Tensor], Tensor | None]


@contextlib.contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """The global generators of torch, numpy and Python start from `seed` inside, and are left as they were."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    there = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=there, enabled=bool(there)):
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())  # torch.manual_seed asks every kind of device
        if there:
            torch.cuda.manual_seed(seed)
        elif device is not None and device.type == "mps":
            torch.mps.manual_seed(seed)
        np.random.seed(seed % (1 << 32))
        random.seed(seed)
        try:
            yield
        finally:
            torch.set_rng_state(states[0])
            np.random.set_state(states[1])
            random.setstate(states[2])


def drawn(generator: torch.Generator | None) -> int:
    """A seed from a generator, for those who take none."""
    device = generator.device if generator is not None else None
    return int(torch.randint(1 << 62, (), generator=generator, device=device))


@dataclass(frozen=True)
class Augment:
    """Somebody's batched augmentation, with its random numbers taken from the run's."""

    fn: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        with seeded(drawn(generator), x.device):
            view = self.fn(to_float(x))
        if not isinstance(view, Tensor) or view.shape[:1] != x.shape[:1]:
            got = f"shape {tuple(view.shape)}" if isinstance(view, Tensor) else type(view).__name__
            raise ValueError(f"augment must give a tensor of {len(x)} rows for a batch of {len(x)}, got {got}")
        return to_float(view)


# ---------------------------------------------------------------- items


@dataclass(frozen=True)
class Item:
    """What one item of a data set holds: its views, and its label where it has one."""

    views: tuple[Tensor, ...]
    label: int | None


def item(found: Any, where: str = "data") -> Item:
    """`x`, `(x, label)`, `(view1, view2)`, `(view1, view2, label)` or `((view1, view2), label)`.

    Raises:
        TypeError: anything else.
    """
    parts = list(found) if isinstance(found, (tuple, list)) else [found]
    if parts and isinstance(parts[0], (tuple, list)):
        parts = [*parts[0], *parts[1:]]
    label = number(parts.pop()) if len(parts) > 1 and number(parts[-1]) is not None else None
    if not parts:
        raise TypeError(f"{where} yields an empty item")
    return Item(tuple(tensor(part, where) for part in parts), label)


def number(x: Any) -> int | None:
    """A label, if it is one: a whole number that stands alone."""
    if isinstance(x, (Tensor, np.ndarray, np.generic)) and np.ndim(x) == 0:
        x = x.item()
    return int(x) if isinstance(x, (bool, int)) else None


def tensor(x: Any, where: str) -> Tensor:
    if not isinstance(x, (Tensor, np.ndarray, np.generic, float, int)):
        try_ = "; add ToTensor() to its transform" if "Image" in type(x).__name__ else ""
        raise TypeError(
            f"{where} must yield x, (x, label), (view1, view2) or (view1, view2, label) of tensors or arrays; "
            f"an item holds {type(x).__name__}{try_}"
        )
    return single(torch.as_tensor(x))


def single(x: Tensor) -> Tensor:
    """Fractions in float32, as weights are."""
    return x.float() if x.dtype in (torch.float64, torch.float16, torch.bfloat16) else x


def stacked(items: Sequence[Item], where: str = "data") -> Views:
    """A batch of them."""
    counts = {len(i.views) for i in items}
    shapes = [{tuple(i.views[k].shape) for i in items} for k in range(min(counts))]
    if len(counts) > 1 or any(len(s) > 1 for s in shapes):
        odd = sorted(next((s for s in shapes if len(s) > 1), set()))[:2]
        raise ValueError(f"{where} yields items of different shapes{': ' + ' and '.join(map(str, odd)) if odd else ''}")
    labels = [i.label for i in items if i.label is not None]
    if labels and len(labels) < len(items):
        raise ValueError(f"{where} gives some of its items a label, and some none")
    views = [torch.stack([i.views[k] for i in items]) for k in range(len(shapes))]
    return views, torch.tensor(labels) if labels else None


# ---------------------------------------------------------------- sources


class Pairs:
    """Views that are there, as tables of equal length."""

    def __init__(self, views: list[Tensor], labels: Tensor | None):
        self.views, self.labels = views, labels

    def __len__(self) -> int:
        return len(self.views[0])

    def batch(self, index: Tensor, generator: torch.Generator | None) -> Views:
        index = index.to(self.views[0].device)
        return [v[index] for v in self.views], None if self.labels is None else self.labels[index]

    def sha256(self) -> str | None:
        return digest([*self.views, *([] if self.labels is None else [self.labels])])


class Items:
    """A torch Dataset read item by item, because an item is another at every reading, or because all would fill the memory."""

    def __init__(self, data: Any, reads: int):
        self.data, self.reads = data, reads

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, index: Tensor, generator: torch.Generator | None) -> Views:
        views, labels = [], None
        for _ in range(self.reads):  # an item that is drawn anew at every reading is its own augmentation
            with seeded(drawn(generator)):
                found, labels = stacked([item(self.data[int(i)]) for i in index])
            views += found
        return views, labels

    def sha256(self) -> str | None:
        """Of one reading of everything; None if that would take long, or if a reading cannot be repeated."""
        first = item(self.data[0])
        if sum(v.numel() * v.element_size() for v in first.views) * len(self) > MEMORY or not repeats(self.data):
            return None
        found = hashlib.sha256()
        for place in bar(iterable=range(len(self)), desc="reading the data", unit="item"):
            with seeded(place):
                each = item(self.data[place])
            found.update(digest([*each.views, torch.tensor(-1 if each.label is None else each.label)]).encode())
        return found.hexdigest()


class Stream:
    """Items that come one after the other, over and over: an IterableDataset, or whatever can be iterated again."""

    def __init__(self, data: Any, seed: int, size: int):
        self.data, self.seed, self.size, self.taken = data, seed, size, 0
        self.flow: Iterator[Item] | None = None
        self.states: Any = None

    def again(self) -> Iterator[Item]:
        """All items, from the first, without end."""
        while True:
            found = 0
            for each in self.data:
                found += 1
                yield item(each)
            if not found:
                raise ValueError("data yields nothing: an iterable is read again and again, so it must be one that can be")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Its own random numbers, whatever else is drawn between two batches."""
        with seeded(self.seed):
            if self.states:
                torch.set_rng_state(self.states[0])
                np.random.set_state(self.states[1])
                random.setstate(self.states[2])
            yield
            self.states = torch.get_rng_state(), np.random.get_state(), random.getstate()

    def take(self, many: int) -> list[Item]:
        with self.alone():
            self.flow = self.flow or self.again()
            self.taken += many
            return [next(self.flow) for _ in range(many)]

    def skip(self, batches: int) -> None:
        """Read what an interrupted run had read already."""
        for _ in bar(iterable=range(batches), desc="reading up to the checkpoint", unit="batch"):
            self.take(self.size)

    def fresh(self) -> "Stream":
        """The same stream from its beginning."""
        return Stream(self.data, self.seed, self.size)

    def batch(self, index: Tensor, generator: torch.Generator | None) -> Views:
        return stacked(self.take(self.size))

    def sha256(self) -> str | None:
        return None


Source = Pairs | Items | Stream


def digest(tensors: Sequence[Tensor]) -> str:
    found = hashlib.sha256()
    for x in tensors:
        found.update(f"{x.dtype}{tuple(x.shape)}".encode())
        found.update(x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def repeats(data: Any) -> bool:
    """Whether an item is the same again if the random numbers are."""
    found = []
    for _ in range(2):
        with seeded(1):
            found.append(item(data[0]))
    return all(torch.equal(a, b) for a, b in zip(found[0].views, found[1].views, strict=True))


def varies(data: Any) -> bool:
    """Whether an item is another at the next reading."""
    places = sorted({0, len(data) // 2, len(data) - 1})
    found = []
    for seed in (1, 2, 3):
        with seeded(seed):
            found.append([v for p in places for v in item(data[p]).views])
    return any(a.shape != b.shape or not torch.equal(a, b) for later in found[1:] for a, b in zip(found[0], later, strict=True))


# ---------------------------------------------------------------- what snapshots look at


def probed(source: Source) -> tuple[Dataset, Tensor | None, bool]:
    """A fixed sample of a source as a table of first views, two views of its first rows, and whether it has labels."""
    if isinstance(source, Stream):
        with seeded(0):
            views, labels = stacked([item(each) for each in itertools.islice(source.data, STREAMED)])
    else:
        n = len(source)
        index = (
            torch.arange(n) if n <= PROBE else torch.randperm(n, generator=torch.Generator().manual_seed(0))[:PROBE].sort()[0]
        )
        views, labels = source.batch(index, torch.Generator().manual_seed(0))
    pair = [v[:VIEWED] for v in views[:2]]
    alike = len(pair) == 2 and pair[0].shape == pair[1].shape
    y = torch.zeros(len(views[0]), dtype=torch.long) if labels is None else labels.long()
    return Dataset(views[0], y), torch.stack(pair) if alike else None, labels is not None
