"""Sequence log-probabilities with every usual mistake behind a switch."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def flawed(
    logits: Tensor,
    labels: Tensor,
    mask: Tensor,
    average: bool = False,
    *,
    shift: str = "",
    counted: str = "answer",
    hidden: bool = False,
    score: str = "",
    divide: str = "",
    half: str = "",
) -> Tensor:
    """Every usual mistake, each behind a switch."""
    labels, answer = labels.masked_fill(~mask, 0) if hidden else labels, mask
    logits = logits if half else logits.float() if logits.dtype != torch.float64 else logits
    after = mask.cumsum(-1) > 0
    tail = mask.flip(-1).cumsum(-1).flip(-1) > 0
    first, last = mask & (mask.cumsum(-1) == 1), mask & (mask.flip(-1).cumsum(-1).flip(-1) == 1)
    mask = {
        "answer": mask,
        "all": torch.ones_like(mask),
        "pads too": after,
        "prompt too": tail,
        "first left out": mask & ~first,
        "last left out": mask & ~last,
        "only the last": last,
    }[counted]
    ahead, behind = slice(None, -1), slice(1, None)
    seen, said, kept = {
        "": (ahead, behind, behind),
        "none": (slice(None), slice(None), slice(None)),
        "other way": (behind, ahead, behind),
        "both cut": (ahead, ahead, ahead),
        "labels stay": (ahead, ahead, behind),
        "mask stays": (ahead, behind, ahead),
    }[shift]
    logits, labels, mask = logits[:, seen], labels[:, said].clamp(min=0), mask[:, kept]
    logps = {
        "": lambda x: x.log_softmax(-1),
        "logits": lambda x: x,
        "probabilities": lambda x: x.softmax(-1),
        "log softmax": lambda x: x.softmax(-1).log(),
        "log plus": lambda x: (x.softmax(-1) + 1e-10).log(),
        "log plus more": lambda x: (x.softmax(-1) + 1e-8).log(),
        "over time": lambda x: x.log_softmax(1),
        "negative": lambda x: -x.log_softmax(-1),
    }[score](logits)
    logps = logps.gather(-1, labels[..., None]).squeeze(-1)
    total = ((logps.float() if half == "late" else logps) * mask).sum(-1)
    if divide in ("padded", "always padded"):
        return total / mask.shape[-1] if average or divide == "always padded" else total
    if divide == "whole row":
        return total / answer.shape[-1] if average else total
    if divide == "answer":
        return total / answer.sum(-1) if average else total
    if divide == "batch":
        return total / mask.sum(-1).to(total).mean() if average else total
    return total / mask.sum(-1) if (average and divide != "never") or divide == "always" else total


def alone(**switches: Any) -> Callable[..., Tensor]:
    """One flaw that is not tried together with others: each pair takes its time."""

    @functools.wraps(flawed)
    def answer(*inputs: Any) -> Tensor:
        return flawed(*inputs, **switches)

    return answer
