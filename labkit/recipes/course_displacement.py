"""Held-back runs of the course's last assignment: seeds that no lesson shows, and models whose preferences are its reader's.

As in lesson 04: a transformer learns the small language, then No is preferred to Never.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from labkit.data.preferences import load
from labkit.models.tiny_lm import Part, TinyLM
from labkit.recipes.likelihood_displacement import OPTIMIZERS, language, preferring, signs
from labkit.recipes.remedies import LOSSES
from labkit.results import result
from labkit.training import Run, call, fit

SEEDS = tuple(range(40, 48))
MODELS = (40, 41, 42)  # whose weights are kept
SUFFIXES = ("same suffix", "other suffix")
# Of Adam. Papers set them loss by loss, so that equal steps are not equal margins.
RATES = {"DPO": 3e-4, "IPO": 1e-4, "SimPO": 2e-4, "DPOP": 3e-4, "RPO": 3e-4}
FAR = 5.0  # the courses of the remedies go on to this margin


@result("course_displacement")
def held_back(
    seeds: Sequence[int] = SEEDS,
    suffixes: Sequence[str] = SUFFIXES,
    parts: Sequence[Part] = ("all", "head", "body"),
    losses: Sequence[str] = tuple(LOSSES),
    models: Sequence[int] = MODELS,
) -> dict[str, np.ndarray]:
    """What was known before each run and what came of it, the courses of five losses, and some learned weights.

    A row a run (`seed, suffix, part, optimizer, ratio, ches, change, margin, account`). `opened, closed (runs, 4, v)`: logits
    where the answers to the four prompts open, of runs in which all learns; `opened_run` says which rows these are.
    `courses (losses, seeds, 2, steps)` holds margin and gain of the chosen answers, NaN after the end. About ten minutes.
    """
    rows: list[dict[str, Any]] = []
    opened: list[tuple[int, np.ndarray, np.ndarray]] = []
    for seed, suffix, part in itertools.product(seeds, suffixes, parts):
        policy = learned(seed).train_only(part)
        known = signs(policy, load("grammar", part=suffix, seed=seed))
        for optimizer in OPTIMIZERS:
            run = fit(replace(preferring(seed, suffix, optimizer, train=part), account=True), progress=False)
            if part == "all":
                opened.append((len(rows), openers(policy, run), openers(cast(TinyLM, run.model()), run)))
            about = {"seed": seed, "suffix": suffix, "part": part, "optimizer": optimizer}
            rows.append({**about, "ratio": known["entanglement"], "ches": known["ches"], **came_of(run)})
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    number, before, after = zip(*opened, strict=True)
    places = {"opened_run": np.array(number), "opened": np.stack(before), "closed": np.stack(after)}
    kept = {f"weights_{seed}": weights(learned(seed)) for seed in models}
    return {**table, **places, "losses": np.array(losses), "courses": courses(seeds, losses), **kept}


def learned(seed: int) -> TinyLM:
    return cast(TinyLM, fit(language(seed), progress=False).model())


def came_of(run: Run) -> dict[str, float]:
    """Where the run ended; `account` is the sum over its steps of <gradient of the chosen, update>."""
    history = run.history
    change = history["chosen_logps"][-1] - history["chosen_logps"][0]
    return {"change": change, "margin": history["margin"][-1], "account": float(np.sum(history["account_chosen"]))}


@torch.no_grad()
def openers(policy: TinyLM, run: Run) -> np.ndarray:
    """Logits of every word after each of the four prompts."""
    prompts: Tensor = cast(Any, run.data).chosen[:, :1].unique(dim=0)
    return policy(prompts)[:, 0].half().numpy()


def courses(seeds: Sequence[int], losses: Sequence[str]) -> np.ndarray:
    """Margin and gain of the chosen answers, step by step, for each loss at a learning rate of its own."""
    found = {}
    for (i, name), (k, seed) in itertools.product(enumerate(losses), enumerate(seeds)):
        config = preferring(seed, "same suffix", "Adam", loss=LOSSES[name], margin=FAR)
        history = fit(replace(config, optimizer=call("adam", lr=RATES[name])), progress=False).history
        found[i, k] = np.array([history["margin"], history["chosen_gain"]])
    every = np.full((len(losses), len(seeds), 2, max(x.shape[1] for x in found.values())), np.nan, np.float32)
    for (i, k), x in found.items():
        every[i, k, :, : x.shape[1]] = x
    return every


def weights(policy: TinyLM) -> np.ndarray:
    """All numbers of a policy in a row, at half precision."""
    return torch.nn.utils.parameters_to_vector(policy.parameters()).detach().half().numpy()
