"""The reader's own policy and pairs: displaced, foretold and cured, at equal margin."""

import functools
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit import preferences
from labkit.data.preferences import OPENERS, VOCABULARY, load
from labkit.grading.a8.courses import ours
from labkit.grading.a8.foretold import held_back
from labkit.grading.a8.inputs import OPTIMIZERS, SIDES, gradients, learned, only, policy_of, spoken
from labkit.grading.draw import Draw, drawn, givens
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.recipes.course_displacement import MODELS

DISPLACED, RATIO, CURED = "displaced", "ratio", "cured"
KEYS = {DISPLACED: ("adam", "sgd"), RATIO: ("ratio",), CURED: ("cured",)}
EVERY = (DISPLACED, RATIO, CURED)
STEPS = {"adam": 60, "sgd": 25, "cured": 90}


@givens("a8")
def data(draw: Draw) -> dict[str, Any]:
    """A transformer that has learned the small language, four preferences and how to train; and runs to judge."""
    pairs = load("grammar", part="same suffix", seed=draw.integer(0, 10**6), endings=1)
    rates = {"adam": draw.numbers(2.7e-4, 3.5e-4), "sgd": draw.numbers(0.04, 0.06)}
    return {
        "weights": learned(draw.pick(MODELS)),
        "pairs": dict(pairs.tensors),
        "words": list(VOCABULARY),
        "openers": {word: OPENERS.index(word) for word in OPENERS},
        "rates": rates,
        "beta": 0.1,
        "eta": draw.numbers(0.04, 0.08),
        "margin": draw.numbers(2.5, 3.2),
        "steps": STEPS,
        "runs": held_back(draw, 5),
        "courses": ours(draw, 4),
    }


@functools.lru_cache(16)
def run(variant: str, kind: str, whole: bool = False) -> np.ndarray:
    """Margin and change of the chosen answers, step by step, of one of three runs: whole, or until it has won its margin."""
    mine = SimpleNamespace(**drawn("a8", variant))
    optimizer, eta = ("sgd", 0.0) if kind == "sgd" else ("adam", mine.eta if kind == "cured" else 0.0)
    policy = policy_of(mine.weights)
    stepper = OPTIMIZERS[optimizer](policy.parameters(), lr=mine.rates[optimizer])
    both = [torch.cat([mine.pairs[side + what] for side in SIDES]) for what in ("", "_mask")]

    def now() -> Tensor:
        return preferences.sequence_logps(policy(both[0]), *both).unflatten(0, (2, -1))

    logps = now()
    start, path = logps.detach(), [(0.0, 0.0)]
    while len(path) <= mine.steps[kind] and (whole or path[-1][0] < mine.margin):
        loss = preferences.dpo(*logps, *start, beta=mine.beta) - eta * logps[0].mean()
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        logps = now()
        chosen, rejected = (logps.detach() - start).mean(1).tolist()
        path.append((chosen - rejected, chosen))
    return np.array(path).T


@functools.lru_cache(16)
def ratio(variant: str, how: str = "of means") -> float:
    """Of the gradients at the start, before any training."""
    mine = SimpleNamespace(**drawn("a8", variant))
    policy = policy_of(mine.weights)
    each = [
        [torch.cat([g.flatten() for g in gradients(x, list(policy.parameters()))]) for x in side]
        for side in spoken(policy, mine.pairs)
    ]
    up, down = (torch.stack(side) for side in each)
    if how == "mean of ratios":
        return ((up * down).sum(1) / up.square().sum(1)).mean().item()
    u, v = up.mean(0), down.mean(0)
    length = {"cosine": u.norm() * v.norm(), "rejected": v @ v, "unsquared": u.norm()}.get(how, u @ u)
    return (u @ v / length).item()


def numbers(
    variant: str, *, where: str = "", how: str = "of means", cured: str = "cured", whose: str = "", sign: float = 1.0
) -> dict[str, float]:
    """The four numbers, with every usual mistake as a switch."""
    mine = SimpleNamespace(**drawn("a8", whose or variant))

    def at(kind: str) -> float:
        margin, chosen = run(whose or variant, kind, where == "last")
        first = int(np.argmax(margin >= mine.margin))
        two = slice(first - 1, first + 1)
        found = {"last": chosen[-1], "past": chosen[first]}
        return float(sign * found.get(where, np.interp(mine.margin, margin[two], chosen[two])))

    return {"adam": at("adam"), "sgd": at("sgd"), "ratio": ratio(whose or variant, how), "cured": at(cured)}


MISTAKES = (
    Mistake(
        "another-variant",
        "these are the numbers of another variant of this assignment: other weights, other words, another margin",
        (
            "Where do these numbers come from?",
            "Run your notebook from the top, with the data that it was given.",
            "Nothing is wrong with the method. It was somebody else's run.",
        ),
        (partial(numbers, whose="practice"),),
        EVERY,
    ),
    Mistake(
        "at-the-last-step",
        "you compare your runs where they end, after equal or arbitrary steps, and not where they have won your margin",
        (
            "Which margin had each of your runs won where you read its number?",
            "The margin that was given to you is not the one that you happened to stop at.",
            "Find the step before and the step after the margin is won, and look between them.",
        ),
        (partial(numbers, where="last"), partial(numbers, where="past")),
        (DISPLACED, CURED),
        38,
    ),
    Mistake(
        "not-the-ratio",
        "your ratio is not the one whose border is 1: its denominator must be the squared length of the chosen gradient",
        (
            "Whose length do you divide by, and is it squared?",
            "If the rejected gradient were twice the chosen one, the ratio would be 2. What would yours be?",
            "A cosine is at most 1, and so can never warn of anything.",
        ),
        (partial(numbers, how="cosine"), partial(numbers, how="rejected"), partial(numbers, how="unsquared")),
        (RATIO,),
        37,
    ),
    Mistake(
        "mean-of-ratios",
        "you took a ratio for each pair and averaged: the step follows the mean gradients, and so does the ratio asked for",
        (
            "How many ratios do you compute?",
            "One step moves the parameters by all pairs at once. Which two gradients say what it does to the mean answers?",
            "Average first, divide after.",
        ),
        (partial(numbers, how="mean of ratios"),),
        (RATIO,),
    ),
    Mistake(
        "cure-left-out",
        "your cured run is the plain run once more: the absolute term had no weight",
        (
            "In which argument does the cured run differ from the first one?",
            "Both runs have the same change of the chosen answers. Is that a cure?",
            "The weight of the absolute term was given to you.",
        ),
        (partial(numbers, cured="adam"),),
        (CURED,),
    ),
    Mistake(
        "sign-of-change",
        "your changes have the wrong sign: a fall is a negative change",
        (
            "What does a positive change of a log-probability mean?",
            "Under plain gradient descent the chosen answers should rise a little here. What does your number say?",
            "After minus before.",
        ),
        (partial(numbers, sign=-1.0),),
        (DISPLACED, CURED),
    ),
)


def cases(draw: Draw) -> list[Case]:
    right = functools.cache(partial(numbers, draw.variant))
    return [Case(part, {}, accepts=only(right, keys, 1e-3)) for part, keys in KEYS.items()]


@exercise("a8.mine", parts={DISPLACED: 2, RATIO: 1, CURED: 2}, cases=cases, mistakes=MISTAKES)
def mine(variant: str) -> dict[str, float]:
    """The chosen answers' change at your margin, under Adam, plain gradient descent and the cure; and the ratio."""
    return numbers(variant)
