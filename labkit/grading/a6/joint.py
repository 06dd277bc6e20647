"""SupCon and InfoNCE in one: two weights that add up to 1, over all views."""

from functools import partial

import torch
from torch import Tensor

from labkit.grading.a6.flawed import sup_con
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

PARTS = {"weights": 2.0, "more views": 1.0, "ends": 1.0}


def cases(draw: Draw) -> list[Case]:
    """Classes of several sizes, two views and three; shares in between, and the two ends."""

    def case(part: str, v: int, share: float, dtype: torch.dtype = torch.float64) -> Case:
        labels = draw.labels((1, 2, 3))
        views = torch.stack([draw.rows(len(labels), 4, dtype) for _ in range(v)], dim=1)
        inputs = {"views": views, "labels": labels, "temperature": draw.numbers(0.1, 0.5), "share": share}
        kind = str(dtype).removeprefix("torch.")
        return Case(
            part, inputs, ("views",), 1e-5 if dtype == torch.float64 else 1e-4, says=f"{v} views, share {share:g}, {kind}"
        )

    return [
        case("weights", 2, draw.numbers(0.2, 0.4)),
        case("weights", 2, draw.numbers(0.6, 0.8), torch.float32),
        case("more views", 3, draw.numbers(0.2, 0.4)),
        case("more views", 4, draw.numbers(0.6, 0.8), torch.float32),
        case("ends", 2, 0.0),
        case("ends", 2, 1.0),
    ]


def flawed(
    views: Tensor,
    labels: Tensor,
    temperature: float,
    share: float,
    *,
    weights: str = "sum to one",
    order: str = "instances",
    pairs: str = "all",
    alone: str = "every view",
) -> Tensor:
    """The joint objective with its usual mistakes as switches."""
    n, v = views.shape[:2]
    z = views.flatten(0, 1)

    def spread(y: Tensor) -> Tensor:
        return y.repeat_interleave(v) if order == "instances" else y.repeat(v)

    own = torch.arange(n)
    supervised = sup_con(z, spread(labels), temperature)
    if pairs == "first view":
        supervised = sup_con(views[:, 0], labels, temperature)
    if alone == "first two":
        single = sup_con(views[:, :2].flatten(0, 1), own.repeat_interleave(2), temperature)
    else:
        single = sup_con(z, spread(own), temperature)
    a, b = {
        "sum to one": (1 - share, share),
        "added": (1.0, share),
        "swapped": (share, 1 - share),
        "unweighted": (1.0, 1.0),
        "halves": (0.5, 0.5),
    }[weights]
    return a * supervised + b * single


@exercise(
    "a6.joint_loss",
    parts=PARTS,
    cases=cases,
    mistakes=(
        Mistake(
            "weights-do-not-sum",
            "the weights of your two terms do not add up to 1",
            (
                "At a share of 1 only one of the two terms should be left. Which is left in yours?",
                "Raise the share. Which of the two terms should get less?",
                "What one term gains the other gives.",
            ),
            (partial(flawed, weights="added"), partial(flawed, weights="unweighted")),
            ("weights", "more views", "ends"),
            number=30,
        ),
        Mistake(
            "share-ignored",
            "both terms weigh the same, whatever share is asked for",
            (
                "Does your value change with the share?",
                "At a share of 0 the labels alone should speak.",
                "The fourth input says how much.",
            ),
            (partial(flawed, weights="halves"),),
            ("weights", "more views", "ends"),
            number=30,
        ),
        Mistake(
            "share-of-the-other-term",
            "you weigh the two terms the wrong way round",
            (
                "At a share of 0: does your loss know the labels?",
                "The share is that of the term that knows no labels.",
                "Look at the two ends, and at which term is left at each.",
            ),
            (partial(flawed, weights="swapped"),),
            ("weights", "more views", "ends"),
        ),
        Mistake(
            "labels-in-another-order",
            "the labels stand in another order than the rows: some views have someone else's label",
            (
                "When you make one list of all views, whose views come first?",
                "With two instances A and B and two views each: is your list A A B B or A B A B? And your labels?",
                "Print labels and rows of a tiny batch beside each other.",
            ),
            (partial(flawed, order="views"),),
            ("weights", "more views", "ends"),
        ),
        Mistake(
            "first-view-only",
            "the labels see only the first view of each instance",
            (
                "How many anchors has your supervised term, for six instances in two views?",
                "Change the second views alone. Does the supervised term move?",
                "All views are anchors in both terms.",
            ),
            (partial(flawed, pairs="first view"),),
            ("weights", "more views", "ends"),
        ),
        Mistake(
            "two-views-only",
            "the term without labels sees only two of the views",
            (
                "Your loss is right for two views.",
                "Of three views of an instance, how many positives has each?",
                "All views are anchors in both terms.",
            ),
            (partial(flawed, alone="first two"),),
            ("more views",),
        ),
    ),
)
def joint_loss(views: Tensor, labels: Tensor, temperature: float, share: float) -> Tensor:
    """SupCon over all views by the labels, and by instances with weight `share`: together weight 1."""
    return flawed(views, labels, temperature, share)
