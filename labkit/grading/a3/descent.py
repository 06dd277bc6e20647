"""Points that move freely on the sphere, downhill in uniformity."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit.energy import log_mean_potential
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def cases(draw: Draw) -> list[Case]:
    def case(part: str, n: int, d: int, steps: int, lr: float) -> Case:
        inputs = {"z": normalize(draw.rows(n, d, torch.float64), dim=1), "steps": steps, "lr": lr, "t": draw.numbers(1.5, 2.5)}
        return Case(part, inputs, tolerance=1e-5, says=f"{n} points in {d} dimensions, {steps} steps")

    return [
        case("one step", 6, 2, 1, draw.numbers(0.3, 0.6)),
        case("one step", 7, 3, 1, draw.numbers(0.3, 0.6)),
        case("many steps", 6, 2, 12, draw.numbers(0.4, 0.8)),
        case("many steps", 8, 3, 25, draw.numbers(0.4, 0.8)),
    ]


def flawed(
    z: Tensor,
    steps: int,
    lr: float,
    t: float,
    *,
    sign: int = 1,
    back: str = "each step",
    tangent: bool = True,
    kept: bool = False,
    logs: bool = False,
    adam: bool = False,
    momentum: float = 0.0,
    once: bool = False,
) -> Tensor:
    """Descent on the sphere with switches for what goes wrong."""
    z = z.clone()
    total, velocity = torch.zeros_like(z), torch.zeros_like(z)
    moments, squares, first = torch.zeros_like(z), torch.zeros_like(z), torch.zeros_like(z)
    for k in range(steps):
        z = z.detach().requires_grad_()
        points = normalize(z, dim=1) if tangent else z
        energy = -t * torch.nn.functional.pdist(points).square().mean() if logs else log_mean_potential(points, t)
        (gradient,) = torch.autograd.grad(energy, z)
        first = gradient if k == 0 else first
        total = total + gradient
        velocity = momentum * velocity + gradient
        step = total if kept else first if once else velocity
        if adam:
            moments, squares = 0.9 * moments + 0.1 * gradient, 0.999 * squares + 0.001 * gradient**2
            step = moments / (1 - 0.9 ** (k + 1)) / ((squares / (1 - 0.999 ** (k + 1))).sqrt() + 1e-8)
        z = z.detach() - sign * lr * step
        z = normalize(z, dim=1) if back == "each step" else z
    return normalize(z, dim=1) if back == "at the end" else z


EVERY = ("one step", "many steps")
MISTAKES = (
    Mistake(
        "uphill",
        "your points run together: you climb the uniformity where you should descend",
        (
            "Print the uniformity before and after a step.",
            "Two points on a circle, close together: which way do yours move?",
            "A lower uniformity is a more even one. The gradient points uphill.",
        ),
        (partial(flawed, sign=-1),),
        EVERY,
        15,
    ),
    Mistake(
        "off-the-sphere",
        "your points leave the sphere",
        (
            "Print the lengths of the rows that you give back.",
            "A straight step along a tangent ends outside of the circle. What brings it back?",
            "After a step the rows are a little longer than one.",
        ),
        (partial(flawed, back="never"),),
        EVERY,
        13,
    ),
    Mistake(
        "sphere-only-at-the-end",
        "you come back to the sphere only at the end: on the way rows grow longer, and their steps turn less and less",
        (
            "Print the lengths of the rows after every step.",
            "By which angle does a step of a given size turn a point at distance 1, and one at distance 3?",
            "One step is right, many are not: something has to happen in each of them.",
        ),
        (partial(flawed, back="at the end"),),
        ("many steps",),
    ),
    Mistake(
        "not-along-the-sphere",
        "part of your step points away from the sphere, and is wasted when you come back",
        (
            "Take the product of a point and its step: for a step along the sphere it is 0.",
            "Three points close together: what does the gradient want that the sphere does not allow?",
            "Differentiate the meter of directions; or take from the gradient what points along the point itself.",
        ),
        (partial(flawed, tangent=False),),
        EVERY,
        13,
    ),
    Mistake(
        "gradients-pile-up",
        "each of your steps adds the gradients of all steps before it",
        (
            "Compare the first step with the second: is the second one as it would be from a fresh start?",
            "Take one step twice, in two calls; then two steps in one call. Is it the same?",
            "Autograd adds to what is already there.",
        ),
        (partial(flawed, kept=True),),
        ("many steps",),
    ),
    Mistake(
        "first-gradient-again",
        "all of your steps use the gradient of the first",
        (
            "How often do you differentiate, in many steps?",
            "Take one step twice, in two calls; then two steps in one call. Is it the same?",
            "The points have moved, so the slope has changed.",
        ),
        (partial(flawed, once=True),),
        ("many steps",),
    ),
    Mistake(
        "mean-of-logs",
        "you descend in the mean squared distance: any arrangement about the centre is as good to it as an even one",
        (
            "Half of the points at the north pole, half at the south pole: how does your energy like that?",
            "Run it for long, with many points on a circle, and look at them.",
            "The log of the mean potential is not the mean of the logs.",
        ),
        (partial(flawed, logs=True),),
        EVERY,
        11,
    ),
    Mistake(
        "another-optimiser",
        "your steps are not plain gradient steps: they have nearly the same size everywhere",
        (
            "How far do points move that hardly feel a force?",
            "Halve the energy: a plain step gets half as long. Does yours?",
            "Asked for is the gradient times the learning rate, and nothing that remembers.",
        ),
        (partial(flawed, adam=True),),
        EVERY,
    ),
    Mistake(
        "momentum",
        "your steps remember the steps before them: that is momentum",
        (
            "Compare the first step with the second: is the second one as it would be from a fresh start?",
            "Let the gradient vanish after one step. Do your points stop?",
            "Asked for is the gradient at the place where the points are, and nothing of where they were.",
        ),
        (partial(flawed, momentum=0.9), partial(flawed, momentum=0.5)),
        ("many steps",),
    ),
)


@exercise("a3.descend", parts={"one step": 1, "many steps": 2}, cases=cases, mistakes=MISTAKES)
def descend(z: Tensor, steps: int, lr: float, t: float) -> Tensor:
    """Where points on the sphere come to after some plain gradient steps in their uniformity, each back to the sphere."""
    return flawed(z, steps, lr, t)
