"""What could have been computed before the first step: entanglement and CHES. No verdict rests on it."""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit import metrics
from labkit.paths import shipped
from labkit.training.answers import blocks, spoken

CHEAP = 2e10  # parameters that learn, times tokens: gradients of so much take seconds
ADAPTIVE = ("adam", "adamw", "rmsprop")


def at_the_start(
    model: Any, data: Any, rows: Tensor, optimizer: str | None = None, wanted: bool | None = None
) -> tuple[dict[str, float], list[str]]:
    """Entanglement and CHES before the first step, and their sentences; gradients if they are wanted, or cheap."""
    about: dict[str, float] = {}
    said = []
    size = sum(p.numel() for p in model.parameters() if p.requires_grad) * data.chosen_mask[rows].sum().item()
    if wanted or (wanted is None and 0 < size < CHEAP):
        up, down = (
            mean_gradient(model, getattr(data, s)[rows], getattr(data, f"{s}_mask")[rows]) for s in ("chosen", "rejected")
        )
        if up.any():
            about = {"ratio": float(metrics.entanglement(up, down)), "sign_ratio": float(metrics.sign_entanglement(up, down))}
            said.append(foretold(about, optimizer))
    if hasattr(model, "hidden"):
        about |= {name: x.mean().item() for name, x in similarity(model, data, rows).items()}
        scores = f"length-normalised {about['ln_ches']:+.3g}, raw {about['ches']:+.3g}"
        said.append(f"CHES at the start: {scores}. No verdict rests on it; raw CHES cannot rank pairs of unequal lengths.")
    return about, said


def foretold(about: dict[str, float], optimizer: str | None) -> str:
    side, fate = ("above", "fall") if about["ratio"] > 1 else ("below", "rise")
    text = (
        f"For plain gradient descent, at this point: <g+, g->/|g+|^2 = {about['ratio']:.2f} at the start, {side} 1: the chosen "
        f"answers would {fate}. With signs in the gradient's place, as Adam's first step: {about['sign_ratio']:.2f}."
    )
    if right := agreement():
        told = " and ".join(f"{share:.0%} with {name}" for name, share in right.items())
        text += f" In labkit's stored runs of a tiny transformer the first told the sign in {told}."
    if optimizer is None or optimizer in ADAPTIVE:
        text += f" {'Most runs use Adam' if optimizer is None else f'This run used {optimizer}'}, for which it is a poor guide."
    return text


@functools.cache
def agreement() -> dict[str, float]:
    """In how many stored runs "above 1" went with "fell", by optimiser."""
    path = shipped("results/likelihood_displacement.npz")
    if not path.exists():
        return {}
    with np.load(path) as runs:
        right = (runs["entanglement"] > 1) == (runs["change"] < 0)
        return {str(name): float(right[runs["optimizer"] == name].mean()) for name in np.unique(runs["optimizer"])[::-1]}


def mean_gradient(model: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
    """Of the mean log-probability, with respect to everything that learns; a row at a time."""
    learned = [p for p in model.parameters() if p.requires_grad]
    total = [torch.zeros_like(p) for p in learned]
    for row, marked in zip(tokens.split(1), mask.split(1), strict=True):
        found = torch.autograd.grad(spoken(model, row, marked).sum(), learned, allow_unused=True)
        for t, g in zip(total, found, strict=True):
            if g is not None:
                t += g / len(tokens)
    return nn.utils.parameters_to_vector(total)


@torch.no_grad()
def similarity(model: Any, data: Any, rows: Tensor) -> dict[str, Tensor]:
    """ "ln_ches" and "ches" of every pair `(n,)`."""
    found: dict[str, list[Tensor]] = {"ln_ches": [], "ches": []}
    for block in blocks(data, rows):
        hidden = [model.hidden(getattr(data, side)[block]).float() for side in ("chosen", "rejected")]
        masks = [metrics.predicting(getattr(data, f"{side}_mask")[block]) for side in ("chosen", "rejected")]
        for name, parts in found.items():
            parts.append(metrics.ches(*hidden, *masks, length_normalized=name == "ln_ches").double())
    return {name: torch.cat(parts) for name, parts in found.items()}


def output_vectors(model: Any) -> Tensor | None:
    """The vectors that the last states are multiplied with, if they can be found."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else getattr(model, "head", None)
    head = getattr(model, "unembedding", getattr(head, "weight", head))
    return head.detach().cpu() if isinstance(head, Tensor) and head.ndim == 2 else None
