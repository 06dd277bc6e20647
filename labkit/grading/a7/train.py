"""The whole of it: a tiny transformer that learns to prefer, and a reference that must not."""

from typing import Any

import torch
from torch import Tensor

from labkit.data.preferences import load
from labkit.grading.a7.inputs import agrees
from labkit.grading.a7.train_loop import trained
from labkit.grading.a7.train_mistakes import MISTAKES
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, exercise
from labkit.models.tiny_lm import TinyLM

KEYS = {
    "curve": ("losses",),
    "policy": ("chosen_logps", "rejected_logps"),
    "end": ("margin", "accuracy"),
    "reference": ("ref_chosen_logps", "ref_rejected_logps"),
}


def cases(draw: Draw) -> list[Case]:
    seed, beta, lr = draw.integer(0, 10**6), draw.numbers(0.3, 0.5), draw.numbers(0.1, 0.16)
    inputs: dict[str, Any] = {"start": weights(seed), **pairs(seed), "beta": beta, "lr": lr, "steps": draw.integer(4, 6)}
    right, says = trained(**inputs), f"8 pairs of unequal lengths, beta {beta:g}"
    # Preferring the rejected answers instead gives losses that differ in the fourth digit only: each of two right loops agrees
    # with the other to the sixth.
    close = {"curve": 5e-6}
    return [
        Case(part, inputs, accepts=agrees(right, *keys, tolerance=close.get(part, 1e-4)), says=says)
        for part, keys in KEYS.items()
    ]


def pairs(seed: int) -> dict[str, Tensor]:
    """Pairs of the small language, half of them near-duplicates; answers are cut to unequal lengths, the rest is padding."""
    kinds = [load("grammar", part=ending, endings=1, seed=seed) for ending in ("same suffix", "other suffix")]
    generator, found = torch.Generator().manual_seed(seed), dict[str, Tensor]()
    for side in ("chosen", "rejected"):
        tokens = torch.cat([getattr(kind, side) for kind in kinds])
        mask = torch.cat([getattr(kind, f"{side}_mask") for kind in kinds])
        last = torch.randint(2, tokens.shape[1], (len(tokens), 1), generator=generator)
        last[0] = tokens.shape[1] - 1 if side == "chosen" else 2  # whatever is learned, its chosen answer stays less likely
        beyond = torch.arange(tokens.shape[1]) > last
        found |= {side: tokens.masked_fill(beyond, 0), f"{side}_mask": mask & ~beyond}
    return found


def weights(seed: int) -> dict[str, Tensor]:
    """A tiny transformer that knows nothing yet: good enough to see whether a loop is right."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: x.detach().clone() for name, x in TinyLM(63, 7).state_dict().items()}


@exercise(
    "a7.train",
    parts={"curve": 3, "policy": 1, "end": 2, "reference": 2},
    cases=cases,
    mistakes=MISTAKES,
    seconds=60,
)
def train(
    start: dict[str, Tensor],
    chosen: Tensor,
    chosen_mask: Tensor,
    rejected: Tensor,
    rejected_mask: Tensor,
    beta: float,
    lr: float,
    steps: int,
) -> dict[str, Any]:
    """A DPO run of the tiny transformer: its losses, and where policy and reference stand when it is over."""
    return trained(start, chosen, chosen_mask, rejected, rejected_mask, beta, lr, steps)
