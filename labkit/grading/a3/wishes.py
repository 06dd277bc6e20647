"""Both wishes in one loss: the views of an image together, the images of each view apart."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit.energy import log_mean_potential
from labkit.grading.a3.meter import cloud
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.metrics.geometry import alignment, uniformity


def cases(draw: Draw) -> list[Case]:
    def inputs(dtype: torch.dtype = torch.float64, n: int = 5) -> dict[str, Tensor | float]:
        z1 = cloud(draw, dtype, n)
        z2 = z1 + draw.rows(n, 3, dtype)
        return {"z1": z1, "z2": z2, "weight": draw.numbers(0.2, 0.6), "t": draw.numbers(1, 3)}

    return [
        Case("value", inputs(), says="float64"),
        Case("value", inputs(torch.float32, 6), says="float32"),
        Case("gradient", inputs(), ("z1", "z2")),
        Case("gradient", inputs(n=7), ("z1", "z2")),
    ]


def flawed(
    z1: Tensor,
    z2: Tensor,
    weight: float,
    t: float,
    *,
    pairs: str = "",
    spread: str = "each",
    squared: bool = True,
    entries: bool = False,
    on: str = "uniformity",
    sign: int = 1,
    raw: bool = False,
    detached: bool = False,
    half: bool = False,
) -> Tensor:
    """Alignment and uniformity with switches for what goes wrong."""
    raw1, raw2 = z1, z2
    z1, z2 = normalize(z1, dim=1), normalize(z2, dim=1)
    a, b = (raw1, raw2) if raw else (z1, z2)
    b = {"itself": a, "flipped": b.flip(0)}.get(pairs, b)
    gaps = (a[:, None] - b).square().sum(-1).flatten() if pairs == "all" else (a - b).square().sum(1)
    align = (gaps if squared else gaps.sqrt()).mean() / (z1.shape[1] if entries else 2 if half else 1)
    first = log_mean_potential(z1, t)
    if spread == "cross":
        even = (-t * (z1[:, None] - z2).square().sum(-1)).flatten().logsumexp(0) - 2 * torch.tensor(float(len(z1))).log()
    elif spread == "together":
        even = log_mean_potential(torch.cat([z1, z2]), t)
    elif spread == "first":
        even = first
    else:
        second = log_mean_potential(z2.detach() if detached else z2, t)
        even = first + second if spread == "sum" else (first + second) / 2
    return weight * align + even if on == "alignment" else align + sign * weight * even


EVERY = ("value", "gradient")
MISTAKES = (
    Mistake(
        "aligned-with-itself",
        "you aligned the views with themselves: your first term is 0 whatever the second view says",
        (
            "Move one row of the second view. Which of your two terms changes?",
            "Set the weight to 0. What is left of your loss?",
            "Alignment compares row i of one view with row i of the other.",
        ),
        (partial(flawed, pairs="itself"),),
        EVERY,
        14,
    ),
    Mistake(
        "wrong-partners",
        "you aligned rows that do not belong together",
        (
            "Take two views that coincide. What should alignment be? What is yours?",
            "Shuffle the rows of both views in the same way: nothing should change. And if only one view is shuffled?",
            "There are as many positive pairs as images, not more, and they stand in the same row.",
        ),
        (partial(flawed, pairs="flipped"), partial(flawed, pairs="all")),
        EVERY,
        14,
    ),
    Mistake(
        "spread-across-views",
        "you measured evenness between the two views: there, the positives are pairs too, and are pushed apart",
        (
            "Which pairs of points enter your second term? Are positives among them?",
            "Two views that coincide, two opposite images, t of 2: the second term should be -8 times the weight. And yours?",
            "Evenness is asked of each view by itself: among points of one view no two belong together.",
        ),
        (partial(flawed, spread="cross"), partial(flawed, spread="together")),
        EVERY,
        14,
    ),
    Mistake(
        "one-view-spread",
        "only the first view is asked to be even",
        (
            "Swap the two views. Does the loss change? It should not.",
            "Let all rows of the second view coincide. Does your second term notice?",
            "Two meters, one for each view, and their mean.",
        ),
        (partial(flawed, spread="first"),),
        EVERY,
    ),
    Mistake(
        "views-added",
        "you added the two views' evenness up; their mean is asked for",
        (
            "Let both views be the same. What should the second term be, compared with the meter of one view?",
            "By which factor does your second term differ?",
            "Twice the evenness is the same as twice the weight.",
        ),
        (partial(flawed, spread="sum"),),
        EVERY,
    ),
    Mistake(
        "gap-not-squared",
        "the distance between two views is not squared in your alignment",
        (
            "Two opposite views of one image: which alignment should that be?",
            "A gap of 0.1 and a gap of 1: how much more should the second one cost?",
            "The squared length of the difference, not its length.",
        ),
        (partial(flawed, squared=False),),
        EVERY,
        13,
    ),
    Mistake(
        "averaged-over-entries",
        "your alignment is divided by the number of dimensions as well",
        (
            "Two opposite views of one image: alignment 4, in any dimension. And yours?",
            "Append a column of zeros to both views. Your alignment should stay.",
            "Squares are added up along a row, and the mean is over rows.",
        ),
        (partial(flawed, entries=True),),
        EVERY,
    ),
    Mistake(
        "cosine-for-distance",
        "your alignment is one minus the cosine: half of the squared distance",
        (
            "Two opposite views of one image: alignment 4. And yours?",
            "Expand the squared distance of two unit vectors.",
            "Every unit vector has a squared length of 1, and there are two of them.",
        ),
        (partial(flawed, half=True),),
        EVERY,
    ),
    Mistake(
        "weight-on-alignment",
        "the weight stands at the alignment, not at the uniformity",
        (
            "Set the weight to 0. Which of the two wishes is left?",
            "Which term should grow when you double the weight?",
            "The weight says how much evenness counts.",
        ),
        (partial(flawed, on="alignment"),),
        EVERY,
    ),
    Mistake(
        "evenness-punished",
        "your loss rises as the points spread: minimised, it draws them all into one place",
        (
            "Which way does the uniformity go as points spread: up or down?",
            "Compare your loss for points in a heap and for points all round, with both views the same.",
            "Both meters are better when smaller, so both are simply added.",
        ),
        (partial(flawed, sign=-1),),
        EVERY,
        15,
    ),
    Mistake(
        "gap-off-the-sphere",
        "your alignment is measured between rows that are not of length one",
        (
            "Multiply one view by ten. Does the loss change? Should it?",
            "What is the largest alignment that points on the sphere can have? Print yours.",
            "Both terms look at the same points, on the sphere.",
        ),
        (partial(flawed, raw=True),),
        EVERY,
        13,
    ),
    Mistake(
        "second-view-detached",
        "no gradient of the evenness reaches the second view",
        (
            "Set alignment aside. Which of the two views moves under your second term?",
            "Compare the gradients of both views where both views are the same.",
            "Value right, gradient wrong: look for what cuts the history.",
        ),
        (partial(flawed, detached=True),),
        ("gradient",),
    ),
)


@exercise("a3.align_uniform", parts={"value": 2, "gradient": 2}, cases=cases, mistakes=MISTAKES)
def align_uniform(z1: Tensor, z2: Tensor, weight: float, t: float) -> Tensor:
    """Alignment of the two views plus a weight times the mean uniformity of each view."""
    return alignment(z1, z2) + weight * (uniformity(z1, t=t) + uniformity(z2, t=t)) / 2
