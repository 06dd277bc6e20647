"""What was known before a run, held against what came of it: over runs whose owners cannot be asked any more."""

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from labkit import results
from labkit.grading.a8.inputs import only
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

SIGNS, RANKS = "signs", "ranks"
SIGN_KEYS = ("right", "baseline", "warned", "holds")
RANK_KEYS = ("ratio rank", "ches rank")
Runs = list[dict[str, Any]]
Told = dict[str, dict[str, Any]]


def held_back(draw: Draw, seeds: int = 4) -> Runs:
    """Runs of ours that no lesson shows."""
    kept = results.load("course_displacement")
    picked = draw.rng.permutation(np.unique(kept["seed"]))[:seeds]
    rows = draw.rng.permutation(np.flatnonzero(np.isin(kept["seed"], picked)))
    columns = ("ratio", "ches", "margin", "change")
    return [{"optimizer": str(kept["optimizer"][i]), **{name: float(kept[name][i]) for name in columns}} for i in rows]


def run(draw: Draw, name: str, ratio: float, change: float) -> dict[str, Any]:
    margin, ches = draw.rng.uniform(3, 5), draw.rng.normal(-0.3 * change, 1)
    return {"optimizer": name, "ratio": ratio, "ches": ches, "margin": margin, "change": change}


def made(draw: Draw, name: str, fell: bool, warned: bool) -> dict[str, Any]:
    ratio = draw.rng.uniform(1.2, 1.6) if warned else draw.rng.uniform(0.6, 0.9)
    return run(draw, name, ratio, (-1 if fell else 1) * draw.rng.uniform(0.1, 0.5))


def made_up(draw: Draw) -> Runs:
    """Three optimisers: one obeys the ratio, one falls nearly always, and one does what the ratio says in 12 of 20 runs."""

    found = []
    for name, border in (("SGD", 1.0), ("RMSprop", -0.3)):
        for _ in range(draw.integer(10, 14)):
            ratio = draw.rng.uniform(-0.6, 1.6)
            found.append(run(draw, name, ratio, (border - ratio) * draw.rng.uniform(0.3, 1.5) + draw.rng.normal(0, 0.15)))
        found += [made(draw, name, fell, warned) for fell in (True, False) for warned in (True, False)]
    found += [made(draw, "Lion", k < 10, (k < 10) == (k % 10 < 6)) for k in range(20)]
    return [found[i] for i in draw.permutation(len(found))]


def borderline(draw: Draw) -> Runs:
    """Under Muon nobody fell; under Lion the ratio is right in 6 of 8 runs, a share that floats hold without an error."""
    found = [made(draw, "Muon", False, k == 0) for k in range(8)]
    found += [made(draw, "Lion", k < 5, k < 4 or k == 7) for k in range(8)]
    return [found[i] for i in draw.permutation(len(found))]


def cases(draw: Draw) -> list[Case]:
    found = []
    for runs, says in ((held_back(draw), "half of our held-back runs"), (made_up(draw), "made-up runs of three optimisers")):
        inputs = {"runs": runs, "demanded": draw.numbers(0.7, 0.9)}
        right = functools.cache(partial(foretold, **inputs))
        found += [
            Case(part, inputs, accepts=keyed(right, keys), says=says) for part, keys in ((SIGNS, SIGN_KEYS), (RANKS, RANK_KEYS))
        ]
    inputs = {"runs": borderline(draw), "demanded": 0.75}
    right = functools.cache(partial(foretold, **inputs))
    says = "an optimiser under which nobody fell, and one that does exactly what is demanded"
    return [*found, Case(SIGNS, inputs, accepts=keyed(right, SIGN_KEYS), says=says)]


def keyed(right: Callable[[], Told], keys: tuple[str, ...]) -> Any:
    """Accepts answers that are right at these keys, of every optimiser."""

    def accepts(got: Any) -> bool | str:
        if not isinstance(got, dict) or set(got) != set(right()):
            return f"a dict is asked for, with the keys {', '.join(right())}"
        whys = ((name, only(partial(dict, row), keys)(got[name])) for name, row in right().items())
        return next((why if why is False else f"{name}: {why}" for name, why in whys if why is not True), True)

    return accepts


def flawed(
    runs: Runs,
    demanded: float,
    *,
    groups: str = "optimizer",
    fell_by: str = "change",
    border: float = 1.0,
    turned: bool = False,
    baseline: str = "",
    warned: str = "fallen",
    rank: str = "spearman",
    against: str = "change",
    holds: str = "",
    nobody: float | None = None,
) -> Told:
    """Every usual mistake as a switch."""
    found = {}
    for name in dict.fromkeys(run["optimizer"] for run in runs):
        mine = [run for run in runs if groups == "all" or run["optimizer"] == ("SGD" if groups == "SGD" else name)]
        ratio, ches, change, margin = (np.array([run[key] for run in mine]) for key in ("ratio", "ches", "change", "margin"))
        fell = {"margin": margin < 0, "margin too": (change < 0) & (margin < 0)}.get(fell_by, change < 0)
        called = (ratio > border) != turned
        right = float((called == fell).mean())
        bases = {
            "half": 0.5,
            "called": float(max(called.mean(), 1 - called.mean())),
            "rose": float(1 - fell.mean()),
            "fell": float(fell.mean()),
        }
        base = bases.get(baseline, float(max(fell.mean(), 1 - fell.mean())))
        seen = {"fallen": called[fell], "calls": fell[called], "all": called & fell}[warned]
        goal = {"change": change, "margin": margin, "size": np.abs(change)}[against]
        by = {"spearman": spearmanr, "pearson": pearsonr}.get(rank, spearmanr)
        goal, columns = (places(goal), [places(ratio), places(ches)]) if rank == "ties" else (goal, [ratio, ches])
        ranks = [float(by(x, goal).statistic) for x in columns]
        ranks = [abs(r) if rank == "size" else -r if rank == "turned" else r for r in ranks]
        verdict = {"not all wrong": right > 0.5, "above baseline": right > base, "more": right > demanded}.get(
            holds, right >= demanded
        )
        share = float(seen.mean()) if len(seen) else nobody
        row = {"right": right, "baseline": base, "warned": share, "holds": bool(verdict)}
        found[name] = {**row, "ratio rank": ranks[0], "ches rank": ranks[1]}
    return found


def places(x: np.ndarray) -> np.ndarray:
    """Places in the order of the values; equal ones as they come."""
    return np.argsort(np.argsort(x, kind="stable"))


MISTAKES = (
    Mistake(
        "optimisers-pooled",
        "one verdict for all optimisers: the ratio speaks of an infinitesimal step of plain gradient descent, "
        "and you let it speak for Adam",
        (
            "Your numbers do not differ between optimisers. Should they?",
            "Take the runs of each optimiser by themselves, and count how often the ratio calls the fate.",
            "What holds for the optimiser of the theory is no evidence for another one: each is judged by its own runs.",
        ),
        (partial(flawed, groups="all"), partial(flawed, groups="SGD")),
        (SIGNS, RANKS),
        37,
    ),
    Mistake(
        "margin-for-fate",
        "you read the fate of the chosen answer off the margin, which grew in every run",
        (
            "By your count, how many of the chosen answers fell?",
            "Find a run with a margin above 4 and a negative change. In which column does the fate stand?",
            "The margin tells of a difference between two answers. What was foretold is about one of them.",
        ),
        (partial(flawed, fell_by="margin", against="margin"), partial(flawed, fell_by="margin too", against="margin")),
        (SIGNS, RANKS),
        36,
    ),
    Mistake(
        "border-at-zero",
        "your border is not at 1: at a ratio of 0 the two gradients have nothing in common, and the chosen answer rises",
        (
            "From which ratio on should a step of gradient descent lower the chosen answer?",
            "Write the step as a difference of two gradients, and multiply it with the chosen one's.",
            "What the rejected answer's push takes away must be more than what the own push gives.",
        ),
        (partial(flawed, border=0.0), partial(flawed, border=0.5)),
        (SIGNS,),
    ),
    Mistake(
        "call-turned-round",
        "your call is the wrong way round: a high ratio was to warn of a fall",
        (
            "For plain gradient descent, how often is your call right? Can that be?",
            "A rejected answer with the very gradient of the chosen one: does the margin's push raise either of them?",
            "Above the border the push on the rejected answer takes more than the own push gives.",
        ),
        (partial(flawed, turned=True),),
        (SIGNS,),
    ),
    Mistake(
        "baseline-not-the-commoner-fate",
        "your baseline is not what somebody scores who always foretells the fate that is more common",
        (
            "What does someone score who looks at no ratio at all, and knows only how such runs usually end?",
            "If 85 of 100 runs rise, what does always saying so score? And if 85 of 100 fall?",
            "The baseline is a property of the fates, not of the calls, and it is never below a half.",
        ),
        tuple(partial(flawed, baseline=baseline) for baseline in ("half", "called", "rose", "fell")),
        (SIGNS,),
    ),
    Mistake(
        "warnings-counted-from-the-wrong-side",
        "you answered how many of the warnings came true; asked was how many of the fallen had been warned",
        (
            "Which runs are in your denominator?",
            "A doctor who warns one patient of a hundred is right about that one. How many of the ill were warned?",
            "Begin with the runs whose chosen answers fell, and look back at what their ratio had said.",
        ),
        (partial(flawed, warned="calls"), partial(flawed, warned="all")),
        (SIGNS,),
    ),
    Mistake(
        "better-than-a-coin",
        "your verdict does not ask for the share that was demanded",
        (
            "When should your verdict be yes?",
            "A rule that is right in 60 of 100 runs: does it hold if 85 of 100 are demanded?",
            "A good ranking does not make a border right, and better than a coin is not what was demanded.",
        ),
        (partial(flawed, holds="not all wrong"), partial(flawed, holds="above baseline")),
        (SIGNS,),
        37,
    ),
    Mistake(
        "more-than-demanded",
        "a rule that is right exactly as often as was demanded does not hold in your verdict",
        (
            "When should your verdict be yes?",
            "Three runs of four are demanded, and a rule is right in six of eight. Has it done what was demanded?",
            "Look for the word in the text that says whether the border itself is enough.",
        ),
        (partial(flawed, holds="more"),),
        (SIGNS,),
    ),
    Mistake(
        "share-of-nobody",
        "nobody fell under one of the optimisers, and you still say which share of the fallen had been warned",
        (
            "Look at an optimiser under which every chosen answer rose. What do you say of its warnings?",
            "A share of 0 would mean that some fell and none of them had been warned. Did anyone fall?",
            "There is nobody to take a share of, and the text has a word for that, which is not a number.",
        ),
        tuple(partial(flawed, nobody=share) for share in (0.0, 1.0, float("nan"))),
        (SIGNS,),
    ),
    Mistake(
        "values-not-ranks",
        "you correlate values; a rank correlation was asked for",
        (
            "Does your correlation change when you take the exponential of one column?",
            "One run with an extreme ratio: how much does it weigh?",
            "Replace every column by the places in its order first; or look for the function that does.",
        ),
        (partial(flawed, rank="pearson"),),
        (RANKS,),
    ),
    Mistake(
        "ties-broken-by-position",
        "equal scores got different places in your ranking, by the order in which they came",
        (
            "Which runs have the same CHES? It is known before anybody decides what may learn.",
            "Shuffle the runs. Your rank correlation should stay.",
            "Runs that share a score share the mean of their places.",
        ),
        (partial(flawed, rank="ties"),),
        (RANKS,),
    ),
    Mistake(
        "direction-lost",
        "your rank correlation has lost its direction, or it is turned: does a high score go with a fall or with a rise?",
        (
            "Which sign should the correlation of a warning with the change have?",
            "A score that ranks the runs in exactly the wrong order: what does yours say of it?",
            "The change itself is one column, the score the other, both with their signs.",
        ),
        (partial(flawed, rank="size"), partial(flawed, rank="turned"), partial(flawed, against="size")),
        (RANKS,),
    ),
)


@exercise("a8.foretold", parts={SIGNS: 3, RANKS: 2}, cases=cases, mistakes=MISTAKES)
def foretold(runs: Runs, demanded: float) -> Told:
    """For each optimiser: how often the ratio called the chosen answers' fate, against what, and how the scores rank it."""
    found = {}
    for name in dict.fromkeys(run["optimizer"] for run in runs):
        ratio, ches, change = (
            np.array([run[key] for run in runs if run["optimizer"] == name]) for key in ("ratio", "ches", "change")
        )
        fell, called = change < 0, ratio > 1
        right = float((called == fell).mean())
        found[name] = {
            "right": right,
            "baseline": float(max(fell.mean(), 1 - fell.mean())),
            "warned": float(called[fell].mean()) if fell.any() else None,
            "holds": right >= demanded,
            "ratio rank": float(spearmanr(ratio, change).statistic),
            "ches rank": float(spearmanr(ches, change).statistic),
        }
    return found
