"""What SupCon's optimum does to classes: each a point, and the points as far apart as they can be; and what it costs."""

import math
from functools import partial

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

PARTS = {"value": 2.0, "cold": 1.0}


def cases(draw: Draw) -> list[Case]:
    def case(part: str, temperature: float) -> Case:
        classes, size = draw.integer(3, 8), draw.integer(3, 12)
        says = f"{classes} classes of {size}, temperature {temperature:g}"
        return Case(part, {"classes": classes, "size": size, "temperature": temperature}, says=says)

    warm = [case("value", draw.numbers(0.2, 2)) for _ in range(3)]
    return [*warm, case("cold", 0.001), case("cold", draw.numbers(0.0008, 0.0013))]


def flawed(
    classes: int,
    size: int,
    temperature: float,
    *,
    apart: str = "simplex",
    mine: int = -1,
    only: bool = False,
    naive: bool = False,
) -> float:
    """The value with its usual mistakes as switches."""
    other = {"simplex": -1 / (classes - 1), "orthogonal": 0.0, "opposite": -1.0}[apart]
    if only:
        return math.log(size + mine)
    if naive:
        near, far = math.exp(1 / temperature), math.exp(other / temperature)
        return math.log((size + mine) * near + (classes - 1) * size * far) - 1 / temperature
    return math.log(size + mine + (classes - 1) * size * math.exp((other - 1) / temperature))


@exercise(
    "a6.collapsed_loss",
    parts=PARTS,
    cases=cases,
    mistakes=(
        Mistake(
            "orthogonal-classes",
            "you put the classes at right angles; they can get farther apart",
            (
                "Two classes: which cosine do two opposite points have?",
                "Three points on a circle, as far apart as can be: what is their angle?",
                "C unit vectors that add up to zero, all equally far apart. Which cosine does that leave for each pair?",
            ),
            (partial(flawed, apart="orthogonal"),),
            ("value",),
        ),
        Mistake(
            "all-opposite",
            "you put every two classes opposite to each other, and only two can be",
            (
                "A is opposite to B, and B to C. Where are A and C?",
                "Try to place three arrows so that each is opposite to the two others.",
                "C unit vectors that add up to zero, all equally far apart. Which cosine does that leave for each pair?",
            ),
            (partial(flawed, apart="opposite"),),
            ("value",),
        ),
        Mistake(
            "anchor-counted",
            "you count the anchor among the candidates of its own class",
            (
                "How many candidates of its own class has an anchor in a class of three?",
                "Let the temperature go to 0. What remains is the choice among one's own class: among how many?",
                "The anchor is not a candidate of its own.",
            ),
            (partial(flawed, mine=0),),
            ("value", "cold"),
            number=29,
        ),
        Mistake(
            "strangers-forgotten",
            "the other classes are missing: they cost something at any temperature above 0",
            (
                "Raise the temperature. Does your value move?",
                "At a very high temperature an anchor chooses evenly among everybody else. What does that cost?",
                "Two kinds of candidates stand in the denominator.",
            ),
            (partial(flawed, only=True),),
            ("value",),
        ),
        Mistake(
            "overflow",
            "an exponential overflows at a temperature of 0.001",
            (
                "How large is the exponential of a thousand?",
                "You subtract one over the temperature in the end. What if that came first?",
                "Only the difference of two cosines matters for a share.",
            ),
            (partial(flawed, naive=True),),
            ("cold",),
            number=4,
        ),
    ),
)
def collapsed_loss(classes: int, size: int, temperature: float) -> float:
    """The loss with the mean outside where every class is one point and the points are as far apart as they can be."""
    return math.log(size - 1 + classes_apart(classes, size, temperature))


def classes_apart(classes: int, size: int, temperature: float) -> float:
    """The weight of all strangers beside that of one's own class."""
    return (classes - 1) * size * math.exp((-1 / (classes - 1) - 1) / temperature)
