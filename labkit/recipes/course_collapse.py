"""What the assignment on collapse is graded with: a ward of its own, embeddings of runs whose fate is known, one sick run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.recipes.clinic import LABELS, OBJECTIVES, admitted, fingerprint, healthy
from labkit.recipes.clinic import ward as examined
from labkit.recipes.clinic_runs import METERS, SNAPSHOTS
from labkit.recipes.dimensional_collapse import together
from labkit.results import load, result
from labkit.training import Config, call, fit

WARD = admitted(300, LABELS[1:], 8, 23)  # every disease twice, eight who are well
ROWS = 128  # of every embedding that is stored


@result("course_clinic")
def clinic_ward(count: int = len(WARD)) -> dict[str, np.ndarray]:
    """The patients that the assignment's variants draw from; what they have is stored as a fingerprint only. A minute."""
    found = examined(WARD[:count], "ward")
    prints = [fingerprint(number, label) for number, (label, _) in enumerate(WARD[:count], start=1)]
    return {**found, "answers": np.array(prints)}


def patients() -> list[dict[str, Any]]:
    """Everyone in the ward: objective, and each meter over the snapshots."""
    found, names = load("course_clinic"), list(OBJECTIVES)
    return [
        {"objective": names[kind], **dict(zip(METERS, curves, strict=True))}
        for kind, curves in zip(found["objective"], found["curves"], strict=True)
    ]


def beds(numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The patients in beds 1, 2 and so on: "objective", "steps", each meter `(12,)`, and "low" and "high", the ends of the
    bands of healthy runs with the same objective, meter by meter."""
    everyone, (low, high) = patients(), healthy()
    made = {}
    for bed, number in enumerate(numbers, start=1):
        kind = list(OBJECTIVES).index(everyone[number]["objective"])
        ends = {
            name: {meter: tensor(values) for meter, values in zip(METERS, band[kind], strict=True)}
            for name, band in (("low", low), ("high", high))
        }
        curves = {meter: tensor(everyone[number][meter]) for meter in METERS}
        made[bed] = {"objective": everyone[number]["objective"], "steps": list(SNAPSHOTS), **curves, **ends}
    return made


def tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float64))


def answer(number: int) -> str:
    """What the patient of this number, counted from 0, has."""
    kept = load("course_clinic")["answers"][number]
    return next(label for label in LABELS if fingerprint(number + 1, label) == kept)


# ---------------------------------------------------------------- embeddings whose fate is known

FATES = ("digits, well", "digits, complete", "toy, well", "toy, dimensional")


def fated(fate: str, seed: int) -> Config:
    """Digits with and without anything against alignment; a linear map whose views disagree in twelve of sixteen directions."""
    if fate.startswith("digits"):
        return together(seed=seed, wish="InfoNCE" if fate.endswith("well") else "alignment only", steps=200)
    return Config(
        data=call("gaussian", n=8192, seed=seed),
        model=call("linear"),
        augment=call("dim_noise", sigma=0.1 if fate.endswith("well") else 2.0, first=4),
        loss=call("info_nce", temperature=0.1),
        optimizer=call("sgd", lr=0.5),
        steps=400,
        seed=seed,
    )


@result("course_embeddings")
def embeddings(fates: Sequence[str] = FATES, seeds: Sequence[int] = (10, 11, 12)) -> dict[str, np.ndarray]:
    """Outputs, as they are, of runs with each fate: `(seeds, rows, width)`. Half a minute."""
    made = {}
    for fate in fates:
        runs = [fit(fated(fate, seed), progress=False) for seed in seeds]
        made[fate] = np.stack([run.embed(run.data.x[:ROWS]).numpy() for run in runs]).astype(np.float16)
    return made
