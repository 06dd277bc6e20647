"""Cures, compared where they have won the same margin."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.grading.a8.courses import Course, Courses, made_up, ours, uneven, wobbling
from labkit.grading.compare import difference, numbers
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

VALUES, REFUSALS, CURES = "values", "refusals", "cures"


def cases(draw: Draw) -> list[Case]:
    little, much = draw.numbers(0.1, 0.25), draw.numbers(0.6, 0.8)
    tried = [
        (VALUES, ours(draw), draw.numbers(1.5, 4), little, "losses of ours, each at a learning rate of its own"),
        (VALUES, wobbling(draw), 2.0, little, "margins that do not grow at every step"),
        (REFUSALS, made_up(draw), draw.numbers(1.2, 1.6), little, "losses that never win this margin, or not in all runs"),
        (CURES, made_up(draw), draw.numbers(1.2, 1.6), little, "fast and slow losses over the same steps"),
        (CURES, uneven(draw, little), draw.numbers(1.2, 1.6), little, "a loss that helps on average and harms in one run"),
        (CURES, uneven(draw, much), draw.numbers(1.2, 1.6), much, f"the same, where {much:g} nats are asked for"),
    ]
    found = []
    for part, courses, margin, least, says in tried:
        inputs = {"courses": courses, "margin": margin, "least": least}
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
                value = numbers(change)
                nan = change is not None and value is not None and bool(value.isnan().all())
                if nan and part == REFUSALS:
                    return f"{name}: it is NaN; where there is no number, None is asked for"
                why = (
                    ""
                    if (nan or change is None) == (row["change"] is None)
                    else "a number belongs there where every run wins the margin, and only there"
                )
            else:
                why = difference(change, row["change"], 1e-4)
            if why:
                return f"{name}: {why}"
        return True

    return accepts


def flawed(
    courses: Courses, margin: float, least: float, *, where: str = "", helps: Any = "every run", seeds: str = "each"
) -> dict[str, Any]:
    """Every usual mistake as a switch."""
    steps = min(len(run["margin"]) for runs in courses.values() for run in runs) - 1
    fastest = [crossing(run["margin"], margin) for run in courses["DPO"]]

    def value(run: Course, k: int) -> float | None:
        m, c = run["margin"], run["chosen"]
        if where in ("last step", "same step", "DPO's step"):
            at = {"last step": len(m) - 1, "same step": steps, "DPO's step": min(fastest[k] or 0, len(m) - 1)}[where]
            return c[at].item()
        if where == "blindly":
            return float(np.interp(margin, m.numpy(), c.numpy()))
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
        if helps in ("above", "fixed"):
            better = all(x > (0.2 if helps == "fixed" else 0) for x in ahead)
        if helps in (max, np.mean) and both:
            better = min(v for v, _ in both) - helps([d for _, d in both]) > least
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
        "interpolated-blindly",
        "you handed whole columns to an interpolation, which takes for granted that margins grow at every step and reach yours",
        (
            "What does that function give for a margin beyond the last one? And where margins fall back?",
            "Try it on three points by hand, with margins 0, 2 and 1, and ask for 1.5.",
            "Find the first step at which the margin is won, if there is one. Then two steps are enough.",
        ),
        (partial(flawed, where="blindly"),),
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
        "runs-not-paired",
        "you hold each run against DPO's best one, or its mean: how hard its own start was then counts against the loss",
        (
            "With which run of DPO do you compare a run?",
            "One start is easy and one is hard, and a loss beats DPO by one nat at both. Take its number at the hard one "
            "and DPO's at the easy one: what has their difference to do with the loss?",
            "Runs with the same place in the two lists began at the same weights. First subtract, then look for the worst.",
        ),
        (partial(flawed, helps=max), partial(flawed, helps=np.mean)),
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
        "bound-of-your-own",
        "your bound for a cure is not the one that was given: by how much it has to help was part of the question",
        (
            "What does the last argument do in your function?",
            "Two ways to win the same margin differ in their rounding of steps. Is one a cure of the other?",
            "The difference has to pass what was asked for, in every run.",
        ),
        (partial(flawed, helps="above"), partial(flawed, helps="fixed")),
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
