"""A study that passes its checklist, small enough to be computed at once: how much less a mean spreads than a single draw."""

from typing import Any

import numpy as np
import torch

from labkit.grading.capstone.study import named
from labkit.grading.draw import given
from labkit.metrics import interval

QUESTION = "Does contrastive training without labels help to classify digits when only two labels per digit are known?"
OWN = "How much less does the mean of sixteen normal draws spread than a single draw does?"
CONDITIONS = ("one draw", "mean of 16")
THREATS = (
    "Draws are normal by construction; heavy tails would need more of them, and were not tried.",
    "A thousand draws leave an error of two per cent in each spread, which the interval shows.",
    "The generator is one and the same for every seed; another one was not compared with it.",
)


def example(variant: str) -> dict[str, Any]:
    """Everything that a study's log holds, for a study of a thousand draws."""
    seeds = [given("capstone", variant).seed + k for k in range(3)]
    drawn = [np.random.default_rng(seed).standard_normal((1000, 16)) for seed in seeds]
    one, mean = [float(d[:, 0].std()) for d in drawn], [float(d.mean(1).std()) for d in drawn]
    low, high = interval(lambda x: x.std(correction=0), torch.from_numpy(drawn[0][:, 0]))[1:]
    axes = {"x": "draws in a mean (number)", "y": "spread (standard deviations)", "lines": ["one draw", "chance"]}
    return {
        "question": OWN,
        "predictions": [{"words": "Four times less, within 10 %.", "date": "2026-11-02T09:00:00Z"}],
        "runs": [noted(name, seed) for name in CONDITIONS for seed in seeds],
        "measures": [
            {
                "metric": "spread",
                "values": dict(zip(CONDITIONS, (one, mean), strict=True)),
                "unit": "standard deviations",
                "chance": 1.0,
                "baseline": "one draw",
                "range": [0.0, 10.0],
            }
        ],
        "claims": [
            claimed("a mean spreads less", [a - b for a, b in zip(one, mean, strict=True)], 0.5, "ordering", 0.0),
            claimed("three times less at least", [a / b for a, b in zip(one, mean, strict=True)], 3.0, "size", 1.0),
        ],
        "intervals": [{"what": "spread of one draw", "value": one[0], "low": low, "high": high, "n": 1000}],
        "figures": [{"axes": [axes], "alt": "The spread falls from one to a quarter as sixteen draws are averaged."}],
        "threats": list(THREATS),
    }


def noted(name: str, seed: int) -> dict[str, Any]:
    words = f"{name} of normal numbers, n=1000"
    return {
        "name": named(f"{words}, {seed}"),
        "condition": name,
        "config": words,
        "seed": seed,
        "date": "2026-11-02T10:00:00Z",
    }


def claimed(text: str, values: list[float], bound: float, kind: str, null: float) -> dict[str, Any]:
    return {"text": text, "values": values, "op": ">", "bound": bound, "kind": kind, "null": null}
