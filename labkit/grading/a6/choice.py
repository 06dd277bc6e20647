"""Which share to choose, and what shows it: both factors, on held-back runs; class accuracy alone says nothing here."""

from collections.abc import Callable
from typing import Any

from labkit.grading.a6 import made
from labkit.grading.a6.choosing import FACTORS, HELD_BACK, MISTAKES, Run, Way, by, reads, worst
from labkit.grading.draw import Draw, given, givens
from labkit.grading.exercise import Case, Mistake, exercise

GAP = 0.03  # no second share comes as near to the best
# Accuracies of the two factors, that on the rows to fit on, and the loss: for every way to choose, a run that it takes.
PLAN = {
    "worse": (0.73, 0.70, 0.85, 3.0),
    "mean": (0.97, 0.59, 0.8, 3.2),
    "product": (0.88, 0.66, 0.82, 3.4),
    "one": (1.0, 0.4, 0.88, 2.9),
    "other": (0.3, 0.95, 0.86, 2.8),
    "training": (0.62, 0.58, 1.0, 3.1),
    "loss": (0.5, 0.54, 0.84, 2.4),
    "even": (0.55, 0.55, 0.83, 3.3),
}


def drawn(draw: Draw, which: int) -> list[Run]:
    """Runs with the shares of one stored seed, in rising order, on some of its rows; without those that are nearly as good."""
    from labkit.recipes.course_supervised import SHARES, run

    rows = {split: draw.permutation(160)[:140] for split in ("train", "test")}
    runs = []
    for place in range(len(SHARES)):
        source = run(which, place)
        for split, kept in rows.items():
            source[split] = {name: source[split][name][kept] for name in ("z", *FACTORS)}
        runs.append(source)
    best = max(runs, key=worst)
    return [source for source in runs if source is best or worst(source) < worst(best) - GAP]


def planned(draw: Draw, factors: tuple[str, str]) -> list[Run]:
    """Made-up runs as the plan has them, all read a little worse; no losses are alike."""
    less, shares, directions = draw.numbers(0.001, 0.04), draw.permutation(9), made.frame(draw, 8)
    truth = {
        split: {name: made.labels(draw, (1, 1, 1, 1), n) for name in FACTORS} for split, n in (("train", 160), ("test", 150))
    }
    runs = []
    for share, (one, other, learned, loss) in zip(shares, PLAN.values(), strict=False):
        source: Run = {"share": (share + 1) / 10, "loss": round(loss + draw.numbers(0.01, 0.1), 3)}
        for split, levels in (("train", (learned, learned)), ("test", (one - less, other - less))):
            claims = [made.said(draw, truth[split][name], 4, level) for name, level in zip(factors, levels, strict=True)]
            source[split] = {"z": made.rows(draw, directions, *claims), **truth[split]}
        runs.append(source)
    return runs


def telling(runs: list[Run], factors: tuple[str, str]) -> bool:
    """Whether each way to choose takes the run that was meant for it, and the best has no near second."""
    ways = [dict(zip(("one", "other"), factors, strict=True)).get(name, name) for name in PLAN]
    order = sorted(map(worst, runs))
    return order[-1] - order[-2] > GAP and all(by(way)(runs) == run["share"] for way, run in zip(ways, runs, strict=True))


def made_up(draw: Draw, factors: tuple[str, str]) -> list[Run]:
    runs = planned(draw, factors)
    while not telling(runs, factors):
        runs = planned(draw, factors)
    return runs


@givens("a6")
def gives(draw: Draw) -> dict[str, Any]:
    """Runs of your own, and a batch to try losses on."""
    labels = draw.labels((2, 3, 4))
    return {
        "runs": drawn(draw, draw.integer(0, 2)),
        "z": draw.rows(9, 4),
        "labels": labels,
        "temperature": draw.numbers(0.1, 0.4),
    }


def cases(draw: Draw) -> list[Case]:
    """Every stored seed, and made-up runs where the ways to choose part; in any order."""
    lists = [(f"runs {which + 1}", drawn(draw, which)) for which in draw.permutation(3)]
    lists += [
        (f"made-up runs, {pair[0]} before {pair[1]}", made_up(draw, pair))
        for pair in (("class", "colour"), ("colour", "class"))
    ]
    return [Case(HELD_BACK[0], {"runs": [runs[k] for k in draw.permutation(len(runs))]}, says=says) for says, runs in lists]


@exercise("a6.choose_share", parts={"held-back runs": 4.0}, cases=cases, mistakes=MISTAKES)
def choose_share(runs: list[Run]) -> float:
    """The share of the run whose worse-read factor, class or colour, is read best."""
    return by("worse")(runs)


def own_cases(draw: Draw) -> list[Case]:
    return [Case(part, {}, accepts=near(part, draw.variant)) for part in ("share", "evidence")]


def near(part: str, variant: str) -> Callable[[Any], bool | str]:
    """Whether an answer says what is so of the variant's own runs."""

    def judged(answer: Any) -> bool | str:
        right = evidence(variant)
        asked = ("share",) if part == "share" else FACTORS
        if not isinstance(answer, dict) or any(name not in answer for name in asked):
            return f"the answer should be a dict with {', '.join(map(repr, ('share', *FACTORS)))}"
        try:
            wrong = [name for name in asked if not abs(float(answer[name]) - right[name]) <= 0.01]
        except (TypeError, ValueError):
            return "these should be numbers"
        return f"{wrong[0]} is not what your runs show" if wrong else True

    return judged


def found(choose: Way) -> Callable[[str], dict[str, float]]:
    def said(variant: str) -> dict[str, float]:
        runs = given("a6", variant).runs
        share = choose(runs)
        chosen = next(run for run in runs if run["share"] == share)
        return {"share": share, **{factor: reads(chosen, factor) for factor in FACTORS}}

    return said


@exercise(
    "a6.evidence",
    parts={"share": 1.0, "evidence": 1.0},
    cases=own_cases,
    mistakes=(
        Mistake(
            "class-accuracy-only",
            "you choose where the class is read perfectly, and there the colour is gone",
            MISTAKES[0].hints,
            (found(by("class")),),
            ("share", "evidence"),
            number=30,
        ),
        Mistake(
            "the-far-end",
            "you go to the end of the shares where the loss is lowest and the colour is read best, and there the class is gone",
            (
                "Print both accuracies for every share, and the losses beside them.",
                "By which of these columns does your share win, and what do the others say about it?",
                "Losses at other weights are not to be compared, and one factor is not both.",
            ),
            (found(by("loss")),),
            ("share", "evidence"),
            number=30,
        ),
    ),
)
def evidence(variant: str) -> dict[str, float]:
    """The share that you choose for your own runs, and how well class and colour are read there."""
    return found(by("worse"))(variant)
