"""Which side: where SimSiam stops the gradient, and along which axis VICReg's hinge measures."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

VIEWS = ("p1", "z2", "p2", "z1")


def siamese(draw: Draw) -> list[Case]:
    def case(part: str, dtype: torch.dtype) -> Case:
        n, d = draw.integer(4, 7), draw.integer(3, 6)
        inputs = {name: draw.rows(n, d, dtype) * draw.numbers(0.3, 3) for name in VIEWS}
        return Case(part, inputs, VIEWS if part == "gradient" else (), says=str(dtype).removeprefix("torch."))

    return [case(part, dtype) for part in ("value", "gradient") for dtype in (torch.float32, torch.float64)]


def pulled(
    p1: Tensor,
    z2: Tensor,
    p2: Tensor,
    z1: Tensor,
    *,
    stop: str = "z",
    swapped: bool = False,
    halves: int = 2,
    unit: bool = True,
    sign: int = -1,
) -> Tensor:
    """SimSiam with its usual mistakes as switches."""
    if swapped:
        z1, z2 = z2, z1
    if "z" in stop:
        z1, z2 = z1.detach(), z2.detach()
    if "p" in stop:
        p1, p2 = p1.detach(), p2.detach()

    def similar(p: Tensor, z: Tensor) -> Tensor:
        return F.cosine_similarity(p, z, dim=1).mean() if unit else (p * z).sum(1).mean()

    return sign * (similar(p1, z2) + similar(p2, z1)) / 2 if halves == 2 else sign * similar(p1, z2)


@exercise(
    "a4.simsiam_loss",
    parts={"value": 1.0, "gradient": 2.0},
    cases=siamese,
    mistakes=(
        Mistake(
            "stop-on-the-wrong-side",
            "you stop the gradient on the predictions; the embeddings are what should stand still",
            (
                "Which of the four inputs receive a gradient in your loss?",
                "Without any gradient into the predictions, what teaches the predictor?",
                "One side walks, the other is the target. The predictor sits on the side that walks.",
            ),
            (partial(pulled, stop="p"),),
            ("gradient",),
            number=20,
        ),
        Mistake(
            "no-stop",
            "no side stands still: both walk towards each other, and meet in one point",
            (
                "Which of the four inputs receive a gradient in your loss?",
                "The value of the loss is right with and without. What else does a loss hand on?",
                "The target has to be a constant for the gradient.",
            ),
            (partial(pulled, stop=""),),
            ("gradient",),
            number=20,
        ),
        Mistake(
            "both-stopped",
            "both sides stand still: nothing can learn",
            (
                "Which of the four inputs receive a gradient in your loss?",
                "Take one step of gradient descent: what has moved?",
                "Only one of the two sides is a constant.",
            ),
            (partial(pulled, stop="zp"),),
            ("gradient",),
            number=20,
        ),
        Mistake(
            "own-view",
            "each prediction is compared with the embedding of its own view",
            (
                "Which two numbers at the end of the names belong together?",
                "A network that ignores the augmentation has nothing to forget if it predicts its own view.",
                "Each view predicts the other.",
            ),
            (partial(pulled, swapped=True),),
            ("value", "gradient"),
        ),
        Mistake(
            "one-direction",
            "only one of the two views predicts the other",
            (
                "Do all four inputs change the value of your loss?",
                "Exchange the views. A symmetric loss stays.",
                "The task asks for the mean of two directions.",
            ),
            (partial(pulled, halves=1),),
            ("value", "gradient"),
        ),
        Mistake(
            "dot-products",
            "longer outputs change your loss: these are dot products, not cosines",
            (
                "Double p1. Does the value change?",
                "A loss that can be lowered by length alone will be.",
                "Compare directions.",
            ),
            (partial(pulled, unit=False),),
            ("value", "gradient"),
        ),
        Mistake(
            "wrong-sign",
            "your loss falls when the views point apart",
            (
                "What is your loss where prediction and target agree?",
                "Descent makes a loss smaller. Should that bring the two together or apart?",
                "A similarity is to be raised, and a loss is lowered.",
            ),
            (partial(pulled, sign=1),),
            ("value", "gradient"),
        ),
    ),
)
def simsiam_loss(p1: Tensor, z2: Tensor, p2: Tensor, z1: Tensor) -> Tensor:
    """SimSiam's loss: each view's prediction is drawn to the other view's embedding, which stands still."""
    return -(F.cosine_similarity(p1, z2.detach()) + F.cosine_similarity(p2, z1.detach())).mean() / 2


# ---------------------------------------------------------------- the variance term


def clouds(draw: Draw) -> list[Case]:
    """Some dimensions narrower than the floor and some wider, in few rows; and rows that are all the same."""

    def case(part: str, z: Tensor, says: str) -> Case:
        return Case(part, {"z": z, "floor": draw.numbers(0.7, 1.5)}, ("z",) if part == "gradient" else (), says=says)

    def cloud(dtype: torch.dtype = torch.float64) -> Tensor:
        return draw.rows(draw.integer(5, 8), 6, dtype) * torch.tensor([0.1, 3.0, 0.4, 2.5, 0.7, 4.0], dtype=dtype) + 2

    point = draw.rows(1, draw.integer(4, 9), torch.float64).repeat(6, 1) * 3
    return [
        case("value", cloud(torch.float32), "float32"),
        case("value", cloud(), "float64"),
        case("gradient", cloud(torch.float32), "float32"),
        case("gradient", cloud(), "float64"),
        case("collapsed", point, "six rows, all the same"),
        case("collapsed", torch.zeros(4, 3), "rows of zeros"),
    ]


def hinge(
    z: Tensor,
    floor: float,
    *,
    axis: int = 0,
    root: bool = True,
    side: str = "below",
    inside: float = 1e-4,
    correction: int = 1,
    mean: str = "outside",
    total: bool = False,
    unit: bool = False,
) -> Tensor:
    """The variance term with its usual mistakes as switches."""
    z = F.normalize(z, dim=1) if unit else z
    width = z.var(axis, correction=correction) + inside
    width = width.sqrt() if root else width
    if mean == "inside":
        width = width.mean()
    lacking = {"below": F.relu(floor - width), "above": F.relu(width - floor), "both": floor - width}[side]
    return lacking.sum() if total else lacking.mean()


@exercise(
    "a4.variance_term",
    parts={"value": 1.0, "gradient": 1.0, "collapsed": 1.0},
    cases=clouds,
    mistakes=(
        Mistake(
            "variance-on-the-wrong-side",
            "you measure along each row; it is each dimension that has to vary from row to row",
            (
                "Set all rows equal. What does your term say?",
                "One row's numbers always differ from each other. Does that keep two rows apart?",
                "Which of the two axes counts points? The spread has to be taken over that one.",
            ),
            (partial(hinge, axis=1),),
            ("value", "gradient", "collapsed"),
            number=20,
        ),
        Mistake(
            "variance-for-deviation",
            "you hold the variance to the floor; the standard deviation is asked for",
            (
                "Which unit does the floor have: that of z, or its square?",
                "Double z. By which factor does the number grow that you compare with the floor?",
                "Between a variance and a width there is one more step; it also keeps the gradient alive near zero.",
            ),
            (partial(hinge, root=False),),
            ("value", "gradient", "collapsed"),
        ),
        Mistake(
            "no-hinge",
            "dimensions that are wide enough still pull: nothing stops at the floor",
            (
                "Take a dimension far wider than the floor. Does your term change when it gets wider still?",
                "A wide dimension should not pay for a narrow one.",
                "Above the floor the term has nothing to say.",
            ),
            (partial(hinge, side="both"), partial(hinge, mean="inside")),
            ("value", "gradient"),
        ),
        Mistake(
            "hinge-upside-down",
            "you punish dimensions for being wide, and let narrow ones be",
            (
                "Set all rows equal. What does your term say?",
                "Which cloud should have the larger loss: a point or a wide one?",
                "The term is what is lacking to the floor.",
            ),
            (partial(hinge, side="above"),),
            ("value", "gradient", "collapsed"),
        ),
        Mistake(
            "eps-not-inside-the-root",
            "the small constant under the root is missing, or stands elsewhere",
            (
                "What is the slope of a square root at 0?",
                "Set all rows equal and ask for the gradient. The value at a point should be the floor less 0.01.",
                "The constant belongs to the variance, before the width is made of it.",
            ),
            (partial(hinge, inside=0.0), partial(hinge, inside=1e-12)),
            ("value", "gradient", "collapsed"),
        ),
        Mistake(
            "divided-by-n",
            "your variance is divided by n; n - 1 is asked for",
            (
                "With six rows your variances are off by the same factor. Which?",
                "With many rows the difference goes away. So look at few.",
                "Statistics has a correction for a mean that was taken from the same rows.",
            ),
            (partial(hinge, correction=0),),
            ("value", "gradient"),
        ),
        Mistake(
            "sum-over-dimensions",
            "you add up the dimensions where their mean is asked for",
            (
                "Put each dimension twice. Should the term double?",
                "By which factor is your value too large? Compare it with the width of z.",
                "The weight of the term should not depend on how wide an embedding is.",
            ),
            (partial(hinge, total=True),),
            ("value", "gradient", "collapsed"),
        ),
        Mistake(
            "normalised-uninvited",
            "you scale the rows to length one first, and nothing can reach the floor",
            (
                "Which standard deviation can a dimension of unit rows have at most on average?",
                "In d dimensions unit rows have a total variance of at most 1.",
                "VICReg sees the outputs as they are.",
            ),
            (partial(hinge, unit=True),),
            ("value", "gradient"),
        ),
    ),
)
def variance_term(z: Tensor, floor: float) -> Tensor:
    """What the dimensions of z lack, on average, of a standard deviation of `floor`."""
    return F.relu(floor - (z.var(0) + 1e-4).sqrt()).mean()
