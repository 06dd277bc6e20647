"""Cures, compared where they have won the same margin."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit import results
from labkit.grading.compare import difference
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

VALUES, REFUSALS, CURES = "values", "refusals", "cures"
Course = dict[str, Tensor]
Courses = dict[str, list[Course]]


def cases(draw: Draw) -> list[Case]:
    tried = [
        (VALUES, ours(draw), draw.numbers(1.5, 4), "losses of ours, each at a learning rate of its own"),
        (VALUES, wobbling(draw), 2.0, "margins that do not grow at every step"),
        (
            REFUSALS,
            made_up(draw),
            draw.numbers(1.2, 1.6),
            "a loss that never wins this margin, and one that does so in some runs",
        ),
        (CURES, made_up(draw), draw.numbers(1.2, 1.6), "fast and slow losses over the same steps"),
        (CURES, uneven(draw), draw.numbers(1.2, 1.6), "a loss that helps on average and harms in one run"),
    ]
    found = []
    for part, courses, margin, says in tried:
        inputs = {"courses": courses, "margin": margin, "least": 0.2}
        found.append(Case(part, inputs, accepts=looked_at(part, at_equal_margin(**inputs)), says=says))
    return found


def looked_at(part: str, right: dict[str, Any]) -> Callable[[Any], bool | str]:
    """Accepts answers in which this part is right: numbers, who has none, or who is called a cure."""

    def accepts(got: Any) -> bool | str:
        if not isinstance(got, dict) or set(got) != set(right):
            return f"a dict is asked for, with the keys {', '.join(right)}"
        for name, row in right.items():
            if not isinstance(got[name], dict) or not {"change", "cure"} <= set(got[name]):
                return f"{name}: a dict is asked for, with the keys change and cure"
            change, cure = got[name]["change"], got[name]["cure"]
            if part == CURES:
                why = difference(cure, row["cure"], 0)
            elif row["change"] is None or part == REFUSALS:
                none = change is None or (isinstance(change, float) and np.isnan(change))
                why = "" if none == (row["change"] is None) else "who has not won the margin everywhere has no number there"
            else:
                why = difference(change, row["change"], 1e-4)
            if why:
                return f"{name}: {why}"
        return True

    return accepts


def ours(draw: Draw, seeds: int = 3) -> Courses:
    """Courses of the stored runs, cut where each ends."""
    kept = results.load("course_displacement")
    picked = draw.permutation(kept["courses"].shape[1])[:seeds]
    return {str(name): [cut(kept["courses"][i, k]) for k in picked] for i, name in enumerate(kept["losses"])}


def cut(both: np.ndarray) -> Course:
    margin, chosen = torch.tensor(both[:, np.isfinite(both[0])], dtype=torch.float64)
    return {"margin": margin, "chosen": chosen}


def course(speed: float, fate: Callable[[Tensor], Tensor], steps: int, ceiling: float = 9.0) -> Course:
    """A margin that grows at this speed, up to a ceiling, and a chosen answer whose fate hangs on the margin alone."""
    margin = ceiling * (1 - torch.exp(-speed / ceiling * torch.arange(steps, dtype=torch.float64)))
    return {"margin": margin, "chosen": fate(margin)}


def made_up(draw: Draw, runs: int = 3) -> Courses:
    """IPO is DPO at two thirds of its speed, SimPO twice as fast; DPOP will not move; RPO falls as well, but by far less."""
    found: Courses = {name: [] for name in ("DPO", "IPO", "SimPO", "DPOP", "RPO", "hinge")}
    for k in range(runs):
        steps, speed, fall = draw.integer(28, 34), draw.numbers(0.11, 0.13), draw.numbers(0.5, 0.7)

        def falls(m: Tensor, fall: float = fall) -> Tensor:
            return -fall * m**1.3

        found["DPO"].append(course(speed, falls, steps))
        found["IPO"].append(course(0.65 * speed, falls, steps))
        found["SimPO"].append(course(2 * speed, falls, steps))
        found["DPOP"].append(course(speed, lambda m: 0.05 * m, steps, ceiling=0.3))
        found["RPO"].append(course(speed, lambda m: -0.1 * m, steps))
        found["hinge"].append(course(speed if k else 0.2 * speed, falls, steps))  # the first run does not get there
    return found


def uneven(draw: Draw) -> Courses:
    """KTO is far above DPO in two runs and a little below it in one; in all, both rise. NCA rises by less than asked for."""
    found: Courses = {name: [] for name in ("KTO", "NCA", "DPO")}
    odd = draw.integer(0, 2)
    for k in range(3):
        steps, speed, rise = draw.integer(30, 36), draw.numbers(0.12, 0.15), draw.numbers(0.3, 0.4)
        found["DPO"].append(course(speed, lambda m, r=rise: r * m, steps))  # type: ignore[misc]
        found["KTO"].append(course(speed, lambda m, r=rise, k=k: (r + (-0.2 if k == odd else 1.5)) * m, steps))  # type: ignore
        found["NCA"].append(course(1.5 * speed, lambda m, r=rise: r * m + 0.05, steps))  # type: ignore[misc]
    return found


def wobbling(draw: Draw) -> Courses:
    """The margin passes 2, falls back below it, and passes it again."""
    found: Courses = {"DPO": [], "IPO": []}
    for name, runs in found.items():
        for _ in range(2):
            lead = torch.tensor([0.0, 0.9, 1.7, 2.6, 1.4, 1.1, 1.8, 2.9, 3.5], dtype=torch.float64)
            fate = -(torch.linspace(0, 1 if name == "DPO" else 0.8, 9, dtype=torch.float64) ** 1.5)
            noise = 0.05 * draw.rows(2, 9, torch.float64)
            noise[:, 0] = 0
            runs.append({"margin": lead + noise[0], "chosen": fate + noise[1]})
    return found


def flawed(
    courses: Courses, margin: float, least: float, *, where: str = "", helps: str = "every run", seeds: str = "each"
) -> dict[str, Any]:
    """Every usual mistake as a switch."""
    steps = min(len(run["margin"]) for runs in courses.values() for run in runs) - 1
    fastest = [crossing(run["margin"], margin) for run in courses["DPO"]]

    def value(run: Course, k: int) -> float | None:
        m, c = run["margin"], run["chosen"]
        if where in ("last step", "same step", "DPO's step"):
            at = {"last step": len(m) - 1, "same step": steps, "DPO's step": min(fastest[k] or 0, len(m) - 1)}[where]
            return c[at].item()
        if where in ("clamped", "sorted"):
            if where == "sorted" and m.max() < margin:
                return None
            order = m.argsort() if where == "sorted" else torch.arange(len(m))
            return float(np.interp(margin, torch.cummax(m[order], 0).values.numpy(), c[order].numpy()))
        if where == "nearest":
            return c[(m - margin).abs().argmin()].item() if m.max() >= margin else None
        won = crossing(m, margin)
        if won is None:
            return None
        at = won
        if where == "last crossing":
            at = int((m < margin).nonzero().max()) + 1
            if at == len(m):
                return None
        if where in ("first past", "last before"):
            return c[at - (where == "last before")].item()
        share = (margin - m[at - 1]) / (m[at] - m[at - 1])
        return (c[at - 1] + share * (c[at] - c[at - 1])).item()

    found = {name: [value(run, k) for k, run in enumerate(runs)] for name, runs in courses.items()}
    answer: dict[str, Any] = {}
    for name, values in found.items():
        won = [v for v in values if v is not None]
        whole = len(won) == len(values) or (seeds == "those that won" and bool(won))
        mean = float(np.mean(won)) if whole else None
        both = [(v, d) for v, d in zip(values, found["DPO"], strict=True) if v is not None and d is not None]
        ahead = [v - (0 if helps == "rises" else d) for v, d in both]
        better = np.mean(ahead) > least if helps == "on average" and ahead else all(x > least for x in ahead)
        if helps == "above":
            better = all(x > 0 for x in ahead)
        answer[name] = {"change": mean, "cure": bool(whole and better and len(ahead) > 0)}
    return answer


def crossing(margin: Tensor, wanted: float) -> int | None:
    """The first step at which the margin is won."""
    at = (margin >= wanted).nonzero()
    return int(at[0]) if len(at) else None


MISTAKES = (
    Mistake(
        "compared-at-equal-steps",
        "you compare cures after equal steps: a slow loss looks like a cure, because it has hardly won anything yet",
        (
            "At the place where you look, which margin has each loss won?",
            "Take one loss twice, at two learning rates. Should one be a cure of the other?",
            "Fix what was won, and let each loss take as many steps as it takes.",
        ),
        (partial(flawed, where="last step"), partial(flawed, where="same step"), partial(flawed, where="DPO's step")),
        (VALUES, REFUSALS, CURES),
        38,
    ),
    Mistake(
        "refusal-counted-as-cure",
        "a loss that never wins the margin got a number: interpolation stops at its last value without saying so",
        (
            "Look at the largest margin of each course. Is the asked one below it?",
            "What would a loss of 0 everywhere score in your comparison? It keeps the chosen answer very well.",
            "Where nothing was won there is nothing to compare. A refusal to move needs another word.",
        ),
        (partial(flawed, where="clamped"),),
        (REFUSALS, CURES),
        38,
    ),
    Mistake(
        "losers-left-out",
        "you average over the runs that won the margin, and leave out those that did not",
        (
            "How many runs enter the mean of each loss?",
            "If a treatment is judged by those who finished it, who is missing?",
            "One run without the margin, and the loss has no number at this margin.",
        ),
        (partial(flawed, seeds="those that won"),),
        (REFUSALS,),
    ),
    Mistake(
        "no-interpolation",
        "you take a step next to the margin: steps differ in length, so the losses are still compared at different margins",
        (
            "Which margin stands at the step that you picked?",
            "One loss oversteps by 0.4 nats, another by 0.01. Is what is left a difference of losses?",
            "The asked margin lies between two steps; so does the answer.",
        ),
        (partial(flawed, where="first past"), partial(flawed, where="last before"), partial(flawed, where="nearest")),
        (VALUES,),
        38,
    ),
    Mistake(
        "later-crossing",
        "margins can fall back: you did not take the first time that the margin was won",
        (
            "Draw a margin that passes 2, falls to 1 and passes 2 again. Where do you look?",
            "A function that interpolates takes for granted that its first column grows. Does it here?",
            "Find the first step at which it is won, and look between it and the step before.",
        ),
        (partial(flawed, where="last crossing"), partial(flawed, where="sorted")),
        (VALUES,),
    ),
    Mistake(
        "cure-on-average",
        "you call a cure what helps on average: it was to help in every run",
        (
            "Look at the single runs of what you call a cure.",
            "Two runs gain a nat each, one loses a tenth. Does it help in every run?",
            "Each run is compared with the run of DPO that started where it did.",
        ),
        (partial(flawed, helps="on average"),),
        (CURES,),
    ),
    Mistake(
        "cure-without-comparison",
        "you ask whether the chosen answer rose; the question was whether it ends higher than with DPO",
        (
            "Where the chosen answer rises with DPO, too: is every loss a cure there?",
            "DPO loses a nat, another loss a tenth. Did the other one help?",
            "A treatment is compared with what would have happened without it.",
        ),
        (partial(flawed, helps="rises"),),
        (CURES,),
    ),
    Mistake(
        "hair-breadth-cure",
        "you call a cure what ends a hair above DPO: by how much it has to help was part of the question",
        (
            "What does the last argument do in your function?",
            "Two ways to win the same margin differ in their rounding of steps. Is one a cure of the other?",
            "The difference has to pass what was asked for, in every run.",
        ),
        (partial(flawed, helps="above"),),
        (CURES,),
    ),
)


@exercise("a8.at_equal_margin", parts={VALUES: 2, REFUSALS: 1, CURES: 2}, cases=cases, mistakes=MISTAKES)
def at_equal_margin(courses: Courses, margin: float, least: float) -> dict[str, Any]:
    """For each loss, the chosen answers' mean change where its runs first win this margin, and whether it is a cure."""
    found = {name: [between(run, margin) for run in runs] for name, runs in courses.items()}
    answer = {}
    for name, values in found.items():
        ahead = [v is not None and d is not None and v - d > least for v, d in zip(values, found["DPO"], strict=True)]
        whole = not any(v is None for v in values)
        answer[name] = {"change": float(np.mean(values)) if whole else None, "cure": all(ahead)}  # type: ignore[arg-type]
    return answer


def between(run: Course, margin: float) -> float | None:
    """The chosen answers' change at this margin, between the two steps around its first crossing."""
    after = crossing(run["margin"], margin)
    if after is None or after == 0:
        return None if after is None else run["chosen"][0].item()
    two = slice(after - 1, after + 1)
    return float(np.interp(margin, run["margin"][two], run["chosen"][two]))
