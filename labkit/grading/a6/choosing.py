"""Ways to choose among runs by what is read from them: the one that was asked for, and those that are mistaken for it."""

from collections.abc import Callable
from typing import Any

from labkit.grading.a6.probe import probe as accuracy
from labkit.grading.exercise import Mistake

FACTORS = ("class", "colour")
Run = dict[str, Any]
Way = Callable[[list[Run]], float]


def reads(run: Run, factor: str, split: str = "test") -> float:
    """The accuracy of a probe of z for a factor."""
    train, asked = run["train"], run[split]
    return float(accuracy(train["z"], train[factor], asked["z"], asked[factor]))


def both(run: Run) -> list[float]:
    return [reads(run, factor) for factor in FACTORS]


def worst(run: Run) -> float:
    return min(both(run))


KEYS: dict[str, Callable[[Run], float]] = {
    "worse": worst,
    "mean": lambda run: sum(both(run)),
    "product": lambda run: both(run)[0] * both(run)[1],
    "class": lambda run: reads(run, "class"),
    "colour": lambda run: reads(run, "colour"),
    "training": lambda run: min(reads(run, factor, "train") for factor in FACTORS),
    "loss": lambda run: -run["loss"],
    "even": lambda run: -abs(both(run)[0] - both(run)[1]),
    "better": lambda run: max(both(run)),
}


def by(name: str, last: bool = False) -> Way:
    """The share of the run of which something is largest; of several the first such run, or the last."""

    def choose(runs: list[Run]) -> float:
        share: float = max(runs[::-1] if last else runs, key=KEYS[name])["share"]
        return share

    return choose


HELD_BACK = ("held-back runs",)
MISTAKES = (
    Mistake(
        "class-accuracy-only",
        "you choose by the class alone: it is read perfectly while the colour is gone",
        (
            "Print both accuracies for every share. Which column do you decide by?",
            "Several shares read the class perfectly. Does that say what else was kept?",
            "What is kept inside a class shows only in a probe of what varies inside a class.",
        ),
        (by("class"), by("class", last=True)),
        HELD_BACK,
        number=30,
    ),
    Mistake(
        "colour-accuracy-only",
        "you choose by the colour alone: where it is read best, the class may be gone",
        (
            "Print both accuracies for every share. Which column do you decide by?",
            "Both factors will be needed. What is the class worth where you end up?",
            "A run is as good as what it reads worse.",
        ),
        (by("colour"),),
        HELD_BACK,
    ),
    Mistake(
        "the-better-of-the-two",
        "you choose by the better-read factor of each run; the worse one is what limits you",
        (
            "Print both accuracies for every share, and the number that you compare.",
            "One factor is read perfectly and the other is gone. How good is that run by your rule?",
            "Of the two numbers of a run, which one should be as large as possible?",
        ),
        (by("better"), by("better", last=True)),
        HELD_BACK,
    ),
    Mistake(
        "mean-of-the-two",
        "you weigh the two accuracies against each other: much of one makes up for little of the other",
        (
            "Compare two runs of yours: 0.7 and 0.7, or 1 and 0.5. Which one do you take?",
            "Both factors will be needed. Can a class that is read perfectly stand in for a colour that is not?",
            "A run is as good as what it reads worse.",
        ),
        (by("mean"), by("product")),
        HELD_BACK,
    ),
    Mistake(
        "the-most-even",
        "you choose the run whose two accuracies are most alike, whether high or low",
        (
            "Print both accuracies for every share, and the number that you compare.",
            "Two factors that are both forgotten are read equally well. How good is that run by your rule?",
            "Of the two numbers of a run, which one should be as large as possible?",
        ),
        (by("even"),),
        HELD_BACK,
    ),
    Mistake(
        "accuracy-on-training-rows",
        "you ask the probe about the rows that it was fitted on",
        (
            "Each run brings rows to fit on and rows to ask about. Which of them do you use?",
            "What was learned by heart is read well where it was learned.",
            "Fit on one set, count on the other.",
        ),
        (by("training"),),
        HELD_BACK,
    ),
    Mistake(
        "lowest-loss",
        "you choose the lowest loss, but every share has a loss of its own",
        (
            "Print the losses for every share, and the accuracies beside them.",
            "Two objectives with other weights have other floors. What does comparing them compare?",
            "Decide by what you will use the embedding for.",
        ),
        (by("loss"),),
        HELD_BACK,
        number=30,
    ),
)
