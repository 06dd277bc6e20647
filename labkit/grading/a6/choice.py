"""Which share to choose, and what shows it: both factors, on held-back runs; class accuracy alone says nothing here."""

from collections.abc import Callable
from typing import Any

from labkit.grading.a6.probe import probe as accuracy
from labkit.grading.draw import Draw, given, givens
from labkit.grading.exercise import Case, Mistake, exercise

FACTORS = ("class", "colour")
Run = dict[str, Any]
GAP = 0.03  # no second share comes as near to the best


def drawn(draw: Draw, which: int) -> list[Run]:
    """Runs with the shares of one stored seed, in rising order, on some of its rows; without those that are nearly as good."""
    from labkit.recipes.course_supervised import SHARES, run

    rows = {split: draw.permutation(160)[:140] for split in ("train", "test")}
    runs = []
    for place in range(len(SHARES)):
        made = run(which, place)
        for split, kept in rows.items():
            made[split] = {name: made[split][name][kept] for name in ("z", *FACTORS)}
        runs.append(made)
    best = max(runs, key=worst)
    return [made for made in runs if made is best or worst(made) < worst(best) - GAP]


def reads(run: Run, factor: str) -> float:
    """The accuracy of a probe of z for a factor."""
    train, test = run["train"], run["test"]
    return float(accuracy(train["z"], train[factor], test["z"], test[factor]))


def worst(run: Run) -> float:
    return min(reads(run, factor) for factor in FACTORS)


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
    """Every stored seed, its runs in any order."""
    made = []
    for which in draw.permutation(3):
        runs = drawn(draw, which)
        shuffled = [runs[k] for k in draw.permutation(len(runs))]
        made.append(Case("held-back runs", {"runs": shuffled}, says=f"runs {which + 1}"))
    return made


def by_class(runs: list[Run]) -> float:
    share: float = max(runs, key=lambda run: reads(run, "class"))["share"]
    return share


def by_loss(runs: list[Run]) -> float:
    share: float = min(runs, key=lambda run: run["loss"])["share"]
    return share


MISTAKES = {
    "by_class": (
        "class-accuracy-only",
        "you choose by the class alone: it is read perfectly while the colour is gone",
        (
            "Print both accuracies for every share. Which column do you decide by?",
            "Several shares read the class perfectly. Does that say what else was kept?",
            "What is kept inside a class shows only in a probe of what varies inside a class.",
        ),
        by_class,
    ),
    "by_loss": (
        "lowest-loss",
        "you choose the lowest loss, but every share has a loss of its own",
        (
            "Print the losses for every share, and the accuracies beside them.",
            "Two objectives with other weights have other floors. What does comparing them compare?",
            "Decide by what you will use the embedding for.",
        ),
        by_loss,
    ),
}


def mistake(key: str, wrong: Callable[[Callable[..., Any]], Callable[..., Any]], loses: tuple[str, ...]) -> Mistake:
    name, says, hints, choose = MISTAKES[key]
    return Mistake(name, says, hints, (wrong(choose),), loses, number=30)


@exercise(
    "a6.choose_share",
    parts={"held-back runs": 4.0},
    cases=cases,
    mistakes=(
        mistake("by_class", lambda choose: choose, ("held-back runs",)),
        mistake("by_loss", lambda choose: choose, ("held-back runs",)),
    ),
)
def choose_share(runs: list[Run]) -> float:
    """The share of the run whose worse-read factor, class or colour, is read best."""
    share: float = max(runs, key=worst)["share"]
    return share


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


def found(choose: Callable[[list[Run]], float]) -> Callable[[str], dict[str, float]]:
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
    mistakes=(mistake("by_class", found, ("share", "evidence")), mistake("by_loss", found, ("share", "evidence"))),
)
def evidence(variant: str) -> dict[str, float]:
    """The share that you choose for your own runs, and how well class and colour are read there."""
    return found(lambda runs: max(runs, key=worst)["share"])(variant)
