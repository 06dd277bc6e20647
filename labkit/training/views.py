"""An encoder's batch: views drawn or read, embedded, and called by every name that an objective may have for them."""

from typing import Any

import torch
from torch import Tensor, nn

from labkit.data.augment import to_float
from labkit.models import heads
from labkit.registry import Entry
from labkit.training.given import Given, OwnLoss
from labkit.training.sources import Source

Batch = tuple[Tensor, Tensor | None, int]


def drawn(
    given: Given, data: Any, source: Source | None, index: Tensor, many: int, noise: torch.Generator, by_index: bool
) -> Batch:
    """The views of these instances, one view after the other, their labels, and how many views there are."""
    if source is not None:
        views, y = source.batch(index, noise)
        shapes = {tuple(v.shape) for v in views}
        if len(shapes) > 1:
            raise ValueError(f"data yields views of different shapes, {shapes}: one encoder takes one kind of input")
        return to_float(torch.cat(views).to(index.device)), None if y is None else y.to(index.device), len(views)
    if by_index:
        x = index.repeat(many)
    else:
        assert given.augment is not None
        x = torch.cat([given.augment(data.x[index], noise) for _ in range(many)])
    return x, data.y[index] if given.labelled else None, many


def tensors(model: nn.Module, target: heads.Ema | None, entry: Entry | OwnLoss, batch: Batch) -> dict[str, Tensor]:
    """The embeddings of a batch, under every name."""
    x, y, many = batch
    z = encoded(model, x)
    found = {"z": z.unflatten(0, (many, -1)).transpose(0, 1)} | ({} if y is None else {"labels": y})
    found["views"] = found["z"]
    if isinstance(entry, OwnLoss) and entry.takes("z"):  # rows, as one would write it: one view after the other
        found |= {"z": z} | ({} if y is None else {"labels": y.repeat(many)})
    if {"p1", "p2"} & set(entry.tensors):
        p = able(model, "predict")(z).chunk(many)
        found |= {"p1": p[0], "p2": p[1 % len(p)]}
    if {"scores1", "scores2"} & set(entry.tensors):
        scores = able(model, "scores")(z).chunk(many)
        found |= {"scores1": scores[0], "scores2": scores[1 % len(scores)]}
    parts = (target(x) if target else z).chunk(many)
    first, second = parts[0], parts[1 % len(parts)]
    return found | {"z1": first, "z2": second, "a": first, "b": second, "anchors": first, "positives": second}


def encoded(model: nn.Module, x: Tensor) -> Tensor:
    """The embeddings `(n, d)` of a batch."""
    return embeddings(model(x), x)


def embeddings(z: Any, x: Tensor) -> Tensor:
    """What an encoder made of `x`, if it is `(n, d)`; or an error that says what came instead."""
    if not isinstance(z, Tensor) or z.ndim != 2 or len(z) != len(x) or not z.is_floating_point():
        got = f"{tuple(z.shape)} in {z.dtype}" if isinstance(z, Tensor) else type(z).__name__
        raise ValueError(f"encoder must map a batch of {len(x)} inputs to ({len(x)}, d) floating numbers, got {got}")
    return z


def able(model: nn.Module, what: str) -> Any:
    """A method that this loss needs of the encoder."""
    if not hasattr(model, what):
        raise ValueError(f"this loss needs an encoder with a method {what}(z); {type(model).__name__} has none")
    return getattr(model, what)
