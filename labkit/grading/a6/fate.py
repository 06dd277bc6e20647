"""What became of a factor: kept, lost, or never there. Held-back runs of SupCon, InfoNCE and both, and made-up ones."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from labkit.grading.a6 import made
from labkit.grading.a6.probe import probe as accuracy
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

PARTS = {"class collapse": 1.0, "feature suppression": 1.0, "never there": 1.0, "borders": 2.0}
INPUTS = ("train_x", "train_z", "train_y", "test_x", "test_z", "test_y")
Switches = tuple[dict[str, Any], ...]
LATE, BY_ACCURACY, HALF, IDEAL = {"absent": "late"}, {"absent": "accuracy"}, {"guess": "half"}, {"ideal": True}
BETWEEN = 0.02  # as near as an accuracy comes to any border
SIZES = {2: (7, 3), 3: (6, 2, 2), 4: (4, 2, 2, 2), 5: (4, 2, 2, 1, 1), 6: (4, 2, 1, 1, 1, 1)}


def stored(draw: Draw) -> list[Case]:
    """Classes and colours, four each or two, of runs by SupCon and by InfoNCE; and labels that were drawn by lot."""
    from labkit.recipes.course_supervised import run

    first, *others = draw.permutation(3)
    collapsed, suppressed = run(first, 0), run(first, 5)

    def case(part: str, source: dict, labels: dict[str, Tensor], says: str, fit: int = 150) -> Case:
        few = [draw.permutation(160)[:count] for count in (fit, 150)]
        train, test = ({k: source[s][k][rows] for k in "xz"} for s, rows in zip(("train", "test"), few, strict=True))
        y = [labels[s][rows] for s, rows in zip(("train", "test"), few, strict=True)]
        values = (train["x"], train["z"], y[0], test["x"], test["z"], y[1])
        return Case(part, dict(zip(INPUTS, values, strict=True)), says=says)

    def factor(source: dict, name: str, of: int = 4) -> dict[str, Tensor]:
        return {split: source[split][name] % of for split in ("train", "test")}

    lot = {split: torch.tensor([draw.integer(0, 3) for _ in range(160)]) for split in ("train", "test")}
    found = [
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
        found.append(case("class collapse", one, factor(one, "colour", 2), "SupCon on classes, one bit of the colour"))
        found.append(case("feature suppression", other, factor(other, "class", 2), "InfoNCE, odd classes against even ones"))
    return found


def bordering(draw: Draw, kinds: int, right: str, wrong: Switches, fine: Switches) -> tuple[float, float]:
    """Accuracies of inputs and embeddings that call for a verdict, where some mistakes find another one, and others do not."""
    most = max(SIZES[kinds]) / sum(SIZES[kinds])

    def finds(in_x: float, in_z: float, **switches: Any) -> set[str]:
        moved = ((in_x + a, in_z + b) for a in (-BETWEEN, BETWEEN) for b in (-BETWEEN, BETWEEN))
        return {verdict(*both, kinds, most, **switches) for both in moved}

    while True:
        in_x = draw.numbers(1 / kinds, 0.95)
        in_z = draw.numbers(0.9 / kinds, in_x)
        alike = [finds(in_x, in_z, **switches) for switches in ({}, *fine)]
        other = [finds(in_x, in_z, **switches) for switches in wrong]
        if all(found == {right} for found in alike) and all(len(found) == 1 and right not in found for found in other):
            return in_x, in_z


def near(draw: Draw, part: str, kinds: int, right: str, wrong: Switches, fine: Switches = ()) -> Case:
    """Made-up rows with such accuracies; classes are of unequal size. The rows to fit on are all learned by heart."""
    values: list[Tensor] = []
    levels = bordering(draw, kinds, right, wrong, fine)
    frames = [made.frame(draw, d) for d in (9, 7)]  # inputs, embeddings
    for n, reached in ((90, (1.0, 1.0)), (200, levels)):
        y = made.labels(draw, SIZES[kinds], n)
        values += [made.rows(draw, f, made.said(draw, y, kinds, a)) for f, a in zip(frames, reached, strict=True)] + [y]
    says = f"{kinds} classes of unequal size; read with {levels[0]:g} from inputs, {levels[1]:g} from embeddings"
    return Case(part, dict(zip(INPUTS, values, strict=True)), says=says)


def cases(draw: Draw) -> list[Case]:
    """Stored runs, where everything is clear, and made-up ones on either side of each border."""
    many = (4, 5, 6)
    return [
        *stored(draw),
        near(draw, "never there", draw.pick(many), "absent", (BY_ACCURACY, {"absent": "ignored"}), (LATE,)),
        near(draw, "never there", draw.pick(many), "absent", (LATE,), (BY_ACCURACY,)),
        near(draw, "borders", draw.pick(many), "kept", (HALF,), (IDEAL,)),
        near(draw, "borders", draw.pick((2, 3)), "kept", ({"guess": "majority"},), (HALF, IDEAL)),
        near(draw, "borders", draw.pick(many), "kept", (IDEAL,)),
        near(draw, "borders", draw.pick(many), "lost", ({"guess": "none"},)),
    ]


def verdict(
    right_x: float,
    right_z: float,
    kinds: int,
    most: float,
    *,
    guess: str = "even",
    absent: str = "asked",
    ideal: bool = False,
) -> str:
    """From two accuracies, with its usual mistakes as switches."""
    chance = {"even": 1 / kinds, "none": 0.0, "half": 0.5, "majority": most}[guess]
    in_x, in_z = right_x - chance, right_z - chance
    gone = right_x < 0.5 if absent == "accuracy" else in_x < (1 - chance) / 2
    lost = in_z < ((1 - chance) if ideal else in_x) / 2
    if absent == "ignored" or (absent == "late" and lost):
        gone = False
    return "absent" if gone else "lost" if lost else "kept"


def flawed(
    train_x: Tensor,
    train_z: Tensor,
    train_y: Tensor,
    test_x: Tensor,
    test_z: Tensor,
    test_y: Tensor,
    *,
    unseen: bool = True,
    look: str = "z",
    counted: str = "train",
    **switches: Any,
) -> str:
    """The verdict on a factor with its usual mistakes as switches."""
    ask = (test_x, test_z, test_y) if unseen else (train_x, train_z, train_y)
    of = (train_x, ask[0]), (train_z, ask[1])
    right_x, right_z = (float(accuracy(fit, train_y, z, ask[2])) for fit, z in of)
    y = train_y if counted == "train" else test_y
    most = float(y.bincount().max()) / len(y)
    return verdict(right_x, right_x if look == "x" else right_z, len(train_y.unique()), most, **switches)


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
            (partial(flawed, guess="none"),),
            tuple(PARTS),
        ),
        Mistake(
            "guessing-is-not-always-one-half",
            "you take off one half for guessing, however many classes there are",
            (
                "Look at the cases with more than two classes.",
                "How often is somebody right who guesses one of five classes blindly?",
                "What guessing reaches depends on the number of classes in the rows to fit on.",
            ),
            (partial(flawed, guess="half"),),
            ("borders",),
        ),
        Mistake(
            "guessing-the-largest-class",
            "you take off the share of the largest class; here a guess is one over the number of classes",
            (
                "Your verdict is right where classes have equal sizes.",
                "Seven of ten rows are of one class. Which number does the text take off, and which do you?",
                "Both are honest baselines; the rule of this exercise counts classes, not rows.",
            ),
            (partial(flawed, guess="majority"), partial(flawed, guess="majority", counted="test")),
            ("borders",),
        ),
        Mistake(
            "measured-against-the-ideal",
            "you measure what the embeddings keep against a perfect probe, not against what the inputs held",
            (
                "Look at a factor that the inputs themselves show only in part.",
                "Inputs and embeddings are read equally well, neither perfectly. What was lost on the way?",
                "Nobody can keep more than there was: half of what?",
            ),
            (partial(flawed, ideal=True),),
            ("borders",),
        ),
        Mistake(
            "absent-is-not-lost",
            "you say that a factor was lost or kept which the inputs never had",
            (
                "Look at the labels that were drawn by lot.",
                "Before you ask what an embedding lost, ask what there was to lose.",
                "The same probe can be put to the inputs.",
            ),
            (partial(flawed, absent="ignored"),),
            ("never there",),
        ),
        Mistake(
            "lost-before-absent",
            "you ask whether a factor was lost before you ask whether it was there at all",
            (
                "Which of your two questions comes first?",
                "The inputs hardly show a factor, and the embeddings not at all. Which answer does the table give?",
                "A line of the table that begins with else waits for the one above it.",
            ),
            (partial(flawed, absent="late"),),
            ("never there",),
        ),
        Mistake(
            "half-of-the-accuracy",
            "you compare the inputs' accuracy itself with one half; what guessing reaches is still in it",
            (
                "Five classes, and the inputs are read with 0.55. What do you say, and what does the table?",
                "How far is it from guessing to a perfect probe? Where is the middle of that way?",
                "Both sides of the comparison begin at what guessing reaches, not at 0.",
            ),
            (partial(flawed, absent="accuracy"),),
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
            ("never there", "borders"),
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
            ("class collapse", "feature suppression", "borders"),
            number=30,
        ),
    ),
)
def fate(train_x: Tensor, train_z: Tensor, train_y: Tensor, test_x: Tensor, test_z: Tensor, test_y: Tensor) -> str:
    """What became of a factor on the way from the inputs to the embeddings: "kept", "lost", or "absent" from the start."""
    return flawed(train_x, train_z, train_y, test_x, test_z, test_y)
