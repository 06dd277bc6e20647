"""What the exercises of a7 are tried on: batches of token ids with masks, and log-probabilities of pairs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from labkit.grading.compare import difference
from labkit.grading.draw import Draw

FOUR = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")


def logits(draw: Draw, n: int, t: int, v: int, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Tensor:
    return (scale * draw.rows(n * t, v, torch.float64)).view(n, t, v).to(dtype)


def labels(draw: Draw, n: int, t: int, v: int) -> Tensor:
    return torch.from_numpy(draw.rng.integers(0, v, (n, t)))


def everything(n: int, t: int) -> Tensor:
    """A mask without a prompt and without padding: only the first token, which nothing predicts, is left out."""
    mask = torch.ones(n, t, dtype=torch.bool)
    mask[:, 0] = False
    return mask


def answers(draw: Draw, n: int, t: int) -> Tensor:
    """A mask of answers of unequal lengths, after prompts of at least two tokens; every other row is padded on the left."""
    mask, lengths = torch.zeros(n, t, dtype=torch.bool), draw.permutation(t - 5)
    for row in range(n):
        length = 2 + lengths[row % len(lengths)]
        last = t if row % 2 else t - 1 - draw.integer(0, t - 4 - length)
        mask[row, last - length : last] = True
    return mask


def four(draw: Draw, n: int, dtype: torch.dtype = torch.float32, spread: float = 5.0) -> dict[str, Tensor]:
    """Summed log-probabilities under a policy and its reference; margins of both signs."""
    start = -20 - 5 * draw.rows(n, 2, torch.float64).abs()
    moved = spread * draw.rows(n, 2, torch.float64)
    sign = torch.tensor([1.0 if k % 2 else -1.0 for k in range(n)], dtype=torch.float64)
    margin = (moved[:, 0] - moved[:, 1]).abs() + 0.3 * spread
    moved[:, 1] = moved[:, 0] - sign * margin
    now = start + moved - (start + moved).amax().clamp(min=0) - 1  # a log-probability is negative
    return dict(zip(FOUR, (x.to(dtype) for x in (*now.T, *start.T)), strict=True))


def still(draw: Draw, n: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The policy is still its reference."""
    rows = four(draw, n, dtype)
    return rows | {"ref_chosen_logps": rows["chosen_logps"], "ref_rejected_logps": rows["rejected_logps"]}


def agrees(right: dict[str, Any], *keys: str, tolerance: float = 1e-5) -> Callable[[Any], bool | str]:
    """Judges only these entries of an answer that is a dict: the others belong to other parts."""
    wanted = {key: right[key] for key in keys}

    def accepts(got: Any) -> bool | str:
        return difference(got, wanted, tolerance) or True

    return accepts
