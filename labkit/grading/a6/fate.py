"""What became of a factor: kept, lost, or never there. Held-back runs of SupCon, InfoNCE and both."""

from functools import partial

import torch
from torch import Tensor

from labkit.grading.a6.probe import probe as accuracy
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

PARTS = {"class collapse": 2.0, "feature suppression": 2.0, "never there": 1.0}
INPUTS = ("train_x", "train_z", "train_y", "test_x", "test_z", "test_y")


def cases(draw: Draw) -> list[Case]:
    """Classes and colours, four each or two, of runs by SupCon and by InfoNCE; and labels that were drawn by lot."""
    from labkit.recipes.course_supervised import run

    first, *others = draw.permutation(3)
    collapsed, suppressed = run(first, 0), run(first, 5)

    def case(part: str, made: dict, labels: dict[str, Tensor], says: str, fit: int = 150) -> Case:
        few = [draw.permutation(160)[:count] for count in (fit, 150)]
        train, test = ({k: made[s][k][rows] for k in "xz"} for s, rows in zip(("train", "test"), few, strict=True))
        y = [labels[s][rows] for s, rows in zip(("train", "test"), few, strict=True)]
        values = (train["x"], train["z"], y[0], test["x"], test["z"], y[1])
        return Case(part, dict(zip(INPUTS, values, strict=True)), says=says)

    def factor(made: dict, name: str, of: int = 4) -> dict[str, Tensor]:
        return {split: made[split][name] % of for split in ("train", "test")}

    lot = {split: torch.tensor([draw.integer(0, 3) for _ in range(160)]) for split in ("train", "test")}
    made = [
        case("class collapse", collapsed, factor(collapsed, "colour"), "SupCon on classes, the colour"),
        case("class collapse", collapsed, factor(collapsed, "class"), "SupCon on classes, the class"),
        case("feature suppression", suppressed, factor(suppressed, "class"), "InfoNCE, the class"),
        case("feature suppression", suppressed, factor(suppressed, "colour", 2), "InfoNCE, one bit of the colour"),
        case("never there", suppressed, lot, "labels drawn by lot"),
        case("never there", suppressed, lot, "labels drawn by lot, 40 rows to fit on", fit=40),
        case("never there", collapsed, lot, "labels drawn by lot, 44 rows to fit on", fit=44),
    ]
    for which in (first, *others):
        one, other = run(which, 0), run(which, 5)
        made.append(case("class collapse", one, factor(one, "colour", 2), "SupCon on classes, one bit of the colour"))
        made.append(case("feature suppression", other, factor(other, "class", 2), "InfoNCE, odd classes against even ones"))
    return made


def flawed(
    train_x: Tensor,
    train_z: Tensor,
    train_y: Tensor,
    test_x: Tensor,
    test_z: Tensor,
    test_y: Tensor,
    *,
    chance: bool = True,
    inputs: bool = True,
    unseen: bool = True,
    look: str = "z",
) -> str:
    """The verdict on a factor with its usual mistakes as switches."""
    ask = (test_x, test_z, test_y) if unseen else (train_x, train_z, train_y)
    guess = 1 / len(train_y.unique()) if chance else 0.0
    in_x, in_z = (float(accuracy(fit, train_y, z, ask[2])) - guess for fit, z in ((train_x, ask[0]), (train_z, ask[1])))
    if look == "x":
        in_z = in_x
    if inputs and in_x < (1 - guess) / 2:
        return "absent"
    return "lost" if in_z < (in_x if inputs else 1 - guess) / 2 else "kept"


@exercise(
    "a6.fate",
    parts=PARTS,
    cases=cases,
    mistakes=(
        Mistake(
            "readable-is-above-zero",
            "an accuracy that guessing reaches as well counts as kept",
            (
                "Look at the factors with two values: how often is a guess right?",
                "An accuracy of 0.5 is much for ten classes. For how many is it nothing?",
                "What guessing reaches has to come off both accuracies first.",
            ),
            (partial(flawed, chance=False),),
            ("class collapse", "feature suppression"),
        ),
        Mistake(
            "absent-is-not-lost",
            "you say that a factor was lost which the inputs never had",
            (
                "Look at the labels that were drawn by lot.",
                "Before you ask what an embedding lost, ask what there was to lose.",
                "The same probe can be put to the inputs.",
            ),
            (partial(flawed, inputs=False),),
            ("never there",),
        ),
        Mistake(
            "judged-on-its-training-rows",
            "you ask the probe about the rows that it was fitted on, and even labels drawn by lot can be learned by heart",
            (
                "Look at the labels that were drawn by lot, with 40 rows to fit on.",
                "How many weights has a probe of 32 dimensions, and how many rows must it get right?",
                "What counts is rows that the probe has not seen.",
            ),
            (partial(flawed, unseen=False),),
            ("never there",),
        ),
        Mistake(
            "inputs-for-embeddings",
            "you find everything kept: you never look at the embeddings",
            (
                "Which of your two probes do you put to z?",
                "What the inputs hold says what could be kept. Who says what was?",
                "Exchange the embeddings for zeros. Does your verdict change?",
            ),
            (partial(flawed, look="x"),),
            ("class collapse", "feature suppression"),
            number=30,
        ),
    ),
)
def fate(train_x: Tensor, train_z: Tensor, train_y: Tensor, test_x: Tensor, test_z: Tensor, test_y: Tensor) -> str:
    """What became of a factor on the way from the inputs to the embeddings: "kept", "lost", or "absent" from the start."""
    return flawed(train_x, train_z, train_y, test_x, test_z, test_y)
