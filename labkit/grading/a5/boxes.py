"""Three losses with a fault each, as they stand in published code, written anew; and the loss that they were to be.

Images and K captions for each; `keep` says which captions an image is compared with, and which images a caption. Masking by
multiplication: DCLR and MultiCSR multiply by 0, CompA by -100,000. A binary cross-entropy over the cells of a softmax: DCLR and
MultiCSR. One direction divided by K once more: 1-to-K.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.contrast import contrast, log_partition
from labkit.directions import unit
from labkit.grading.draw import Draw

Loss = Callable[[Tensor, Tensor, Tensor, float], Tensor]
KINDS = {"mask": ("times zero", "times a large negative number"), "softmax": ("cells",), "reduction": ("captions", "images")}
NAMES = {
    "mask": "what is masked still counts",
    "softmax": "a binary cross-entropy over the cells of a softmax",
    "reduction": "the two directions are not averages of the same kind: one is summed, or divided, once too often",
    "temperature": "the temperature multiplies",
    "direction": "only one of the two directions is there",
    "positive": "the positive is missing from the denominator",
    "length": "rows are not normalised",
}


def owners(images: Tensor, captions: Tensor) -> Tensor:
    """Which captions are an image's own: the first K the first image's, and so on."""
    each = len(captions) // len(images)
    return torch.arange(len(images))[:, None] == torch.arange(len(captions)) // each


def sound(images: Tensor, captions: Tensor, keep: Tensor, temperature: float) -> Tensor:
    """The loss that was meant: both directions, each the mean over its anchors of the mean over their positives."""
    own, logits = owners(images, captions).to(images.dtype), unit(images) @ unit(captions).T / temperature
    there = contrast(logits, own / own.sum(1, keepdim=True), log_partition(logits, keep))
    back = contrast(logits.T, own.T, log_partition(logits.T, keep.T))
    return (there + back) / 2


def flawed(
    images: Tensor,
    captions: Tensor,
    keep: Tensor,
    temperature: float,
    *,
    mask: str = "",
    softmax: str = "",
    reduction: str = "",
    direction: str = "",
    hot: bool = False,
    raw: bool = False,
    decoupled: bool = False,
    inside: bool = False,
    interleaved: bool = False,
    exp_first: bool = False,
) -> Tensor:
    """The loss with one of its faults, or several."""
    own, each = owners(images, captions), len(captions) // len(images)
    if interleaved:
        own = torch.arange(len(images))[:, None] == torch.arange(len(captions)) % len(images)
    a, b = (images, captions) if raw else (F.normalize(images, dim=1), F.normalize(captions, dim=1))
    logits = a @ b.T * (temperature if hot else 1 / temperature)
    kinds = {"cells": bool(softmax), "decoupled": decoupled, "inside": inside, "exp_first": exp_first}
    there = one_direction(masked(logits, keep, mask), own, **kinds)
    back = one_direction(masked(logits, keep, "none" if mask == "images only" else mask).T, own.T, **kinds)
    there = there * each if reduction == "images" else there
    back = back / each if reduction == "captions" else back
    return {"": (there + back) / 2, "images": there, "captions": back, "sum": there + back}[direction]


def masked(logits: Tensor, keep: Tensor, how: str) -> Tensor:
    if how == "none":
        return logits
    if how == "times zero":
        return logits * keep
    if how == "less a hundred":
        return logits - 100 * ~keep
    if how == "times a large negative number":
        return logits * torch.where(keep, 1.0, -1e5).to(logits.dtype)
    return logits.masked_fill(~keep, -math.inf)


def one_direction(logits: Tensor, own: Tensor, cells: bool, decoupled: bool, inside: bool, exp_first: bool) -> Tensor:
    found = logits.log_softmax(1)
    if exp_first:
        found = logits - logits.exp().sum(1, keepdim=True).log()
    if decoupled:
        found = logits - logits.masked_fill(own, -math.inf).logsumexp(1, keepdim=True)
    if cells:
        others = torch.log1p(-found.exp().masked_fill(own, 0.0))
        return -torch.where(own, found, others).mean()
    if inside:
        return -(found.masked_fill(~own, -math.inf).logsumexp(1) - own.sum(1).log()).mean()
    return -(found.masked_fill(~own, 0.0).sum(1) / own.sum(1)).mean()


def faults(variant: str) -> dict[str, tuple[str, str]]:
    """Which fault each box of a variant has, and of which kind."""
    draw = Draw(variant, "a5/boxes", variant)
    found = [(fault, draw.pick(kinds)) for fault, kinds in KINDS.items()]
    return {box: found[k] for box, k in zip("ABC", draw.permutation(3), strict=True)}


def faulty(variant: str) -> dict[str, Loss]:
    """The loss with each fault, of the kind that this variant has."""
    return {fault: partial(flawed, **{fault: kind}) for fault, kind in faults(variant).values()}  # type: ignore[arg-type]


class Box:
    """A loss that says nothing about itself."""

    def __init__(self, name: str, loss: Loss):
        self._name, self._loss = name, loss

    def __repr__(self) -> str:
        return f"box {self._name}: loss(images, captions, keep, temperature)"

    def __call__(self, images: Tensor, captions: Tensor, keep: Tensor, temperature: float) -> Tensor:
        return self._loss(images, captions, keep, temperature)


def boxed(variant: str) -> dict[str, Box]:
    losses = faulty(variant)
    return {name: Box(name, losses[fault]) for name, (fault, _) in faults(variant).items()}
