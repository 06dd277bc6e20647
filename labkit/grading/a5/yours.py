"""Numbers of one's own batch, at one's own temperature."""

from collections.abc import Callable
from typing import Any

from labkit.grading import draw as draws
from labkit.grading.a5.common import agrees
from labkit.grading.a5.counting import counted, flawed
from labkit.grading.a5.coupling import log_coupling
from labkit.grading.a5.debiased import floored
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def batch(variant: str) -> dict[str, Any]:
    given = draws.drawn("a5", variant)
    return {name: given[name] for name in ("z1", "z2", "labels", "temperature")}


def right(variant: str) -> dict[str, Any]:
    mine = batch(variant)
    found = counted(**mine)
    z1, z2, temperature = mine["z1"], mine["z2"], mine["temperature"]
    coupling = log_coupling.right(z1, z2, temperature).exp().mean()
    held = floored(z1, z2, temperature, draws.drawn("a5", variant)["tau_plus"])
    return {"share": found["share"], "push": found["push"], "coupling": coupling, "floored": held}


def cases(draw: Draw) -> list[Case]:
    mine = right(draw.variant)
    return [Case(key, {}, accepts=agrees(key, mine, 1e-4), only_graded=key == "floored") for key in mine]


def mistaken(**flags: Any) -> Callable[[str], dict[str, Any]]:
    """Counts as `flawed` does."""

    def numbers(variant: str) -> dict[str, Any]:
        found = flawed(**batch(variant), **flags)
        return {**right(variant), "share": found["share"], "push": found["push"]}

    return numbers


def geometric(variant: str) -> dict[str, Any]:
    mine = batch(variant)
    return {**right(variant), "coupling": log_coupling.right(mine["z1"], mine["z2"], mine["temperature"]).mean().exp()}


def of_what_was_found(variant: str) -> dict[str, Any]:
    return {**right(variant), "coupling": 1 - right(variant)["coupling"]}


def logarithm(variant: str) -> dict[str, Any]:
    mine = batch(variant)
    return {**right(variant), "coupling": log_coupling.right(mine["z1"], mine["z2"], mine["temperature"]).mean()}


MISTAKES = (
    Mistake(
        "partner-counted-false",
        "in your batch you counted the anchor's own partner among its negatives",
        (
            "Look at who is among your negatives, for one anchor.",
            "What would your share be, if every instance had a class of its own?",
            "An anchor's other view has the same label as the anchor, but it is the positive. It belongs neither to the "
            "false negatives nor to the number you divide by.",
        ),
        (mistaken(partner=True),),
        ("share", "push"),
    ),
    Mistake(
        "every-negative-pushes-alike",
        "you gave the share of false negatives for their part of the push",
        (
            "Look at your two numbers next to each other.",
            "Would the push of your batch change with the temperature? Does your number?",
            "A count does not know how near the false negatives are. The push is handed out by a softmax over the negatives, "
            "and a trained model has its class-mates near.",
        ),
        (mistaken(even=True),),
        ("push",),
    ),
    Mistake(
        "mean-of-logarithms",
        "you averaged the logarithms of the factors, where the factors are asked for",
        (
            "Look at the order of your last two steps.",
            "Average 1 and 0.01; then average their logarithms and go back. Which of the two tells how much of the gradient "
            "is left?",
            "The function gives logarithms so that no factor rounds to zero. The number asked for is the average factor "
            "itself, so each has to be brought back from its logarithm before they are averaged.",
        ),
        (geometric, logarithm),
        ("coupling",),
        11,
    ),
    Mistake(
        "coupling-is-what-was-found",
        "you gave the part of the softmax that the positives have, and not what they leave",
        (
            "Look at what your number does as a model learns.",
            "For an anchor that has found its positive, is the factor on its gradient large or small?",
            "The factor is the part of the softmax that all negatives have together, and it goes to zero as the positive "
            "takes everything.",
        ),
        (of_what_was_found,),
        ("coupling",),
    ),
)


@exercise("a5.my_batch", parts={"share": 1, "push": 1, "coupling": 1, "floored": 1}, cases=cases, mistakes=MISTAKES, seconds=10)
def my_batch(variant: str) -> dict[str, Any]:
    """Share and push of the false negatives in your batch, the mean coupling factor, and how many anchors sit at the floor."""
    return right(variant)
