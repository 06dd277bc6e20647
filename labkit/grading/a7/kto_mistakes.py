"""What goes wrong with KTO, by name."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.exercise import Mistake


def flawed(
    logps: Tensor,
    ref_logps: Tensor,
    desirable: Tensor,
    mismatched_logps: Tensor,
    ref_mismatched_logps: Tensor,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
    *,
    point: str = "",
    side: str = "",
    link: str = "",
    weight: str = "",
    reference: bool = True,
    mean: str = "",
    inverted: bool = False,
) -> Tensor:
    """Every usual mistake, each behind a switch."""
    good = ~desirable.bool() if inverted else desirable.bool()
    gain = logps - ref_logps if reference else logps
    z0 = found(point, gain, mismatched_logps - ref_mismatched_logps)
    z0 = beta * z0 if point == "beta twice" else z0
    z = beta * gain - z0 if point == "without beta" else beta * (gain - z0)
    reverse = beta * (-gain - z0) if side == "point not turned" else z if side == "same" else -z
    z = torch.where(good, z, reverse)
    values = {"log": F.logsigmoid, "positive": lambda x: 1 - (1 - torch.sigmoid(x))}.get(link, torch.sigmoid)(z)
    weights = torch.where(good, desirable_weight, undesirable_weight).to(gain)
    if weight == "swapped":
        weights = torch.where(good, undesirable_weight, desirable_weight).to(gain)
    losses = {
        "ignored": 1 - values,
        "constant only": weights - values,
        "value only": 1 - weights * values,
        "inside": 1 - torch.sigmoid(weights * z),
        "normalised": weights * (1 - values) * len(weights) / weights.sum(),
    }.get(weight, weights * (1 - values))
    losses = -weights * values if link == "log" else weights * values if link == "positive" else losses
    if mean == "groups":
        return losses[good].mean() + losses[~good].mean()
    if mean == "half groups":
        return (losses[good].mean() + losses[~good].mean()) / 2
    return losses.sum() if mean == "sum" else losses if mean == "none" else losses.mean()


def found(point: str, gain: Tensor, apart: Tensor) -> Tensor:
    """The point that everything is compared with, and what is taken for it."""
    if point == "forgotten":
        return torch.zeros(()).to(gain)
    if point == "own answers":
        return gain.mean().clamp(min=0).detach()
    if point == "each clamped":
        return apart.clamp(min=0).mean().detach()
    if point == "each its own":
        return apart.clamp(min=0).detach()
    if point == "summed":
        return apart.sum().clamp(min=0).detach()
    z0 = apart.mean() if point in ("not clamped", "absolute") else apart.mean().clamp(min=0)
    z0 = z0.abs() if point == "absolute" else z0
    return z0 if point == "with gradient" else z0.detach()


EVERY = ("value", "point", "clamp", "weights", "gradient")
MISTAKES = (
    Mistake(
        "point-with-gradient",
        "a gradient flows through the point of comparison: the policy is paid for moving the yardstick",
        (
            "Which of your tensors are constants in the backward pass?",
            "Call backward and look at the gradient of the mismatched answers. Should training move them?",
            "The point is measured on the batch. What is measured is not to be optimised.",
        ),
        (partial(flawed, point="with gradient"),),
        ("gradient",),
    ),
    Mistake(
        "point-not-clamped",
        "where the mean is negative your point is not 0: a divergence never falls below that, even where its estimate does",
        (
            "Which values can a Kullback-Leibler divergence take?",
            "Let all mismatched answers become less likely by 3 nats. Where is your point?",
            "The estimate is a mean, and a mean of a few numbers can be negative. What it estimates cannot.",
        ),
        (partial(flawed, point="not clamped"), partial(flawed, point="absolute")),
        ("clamp",),
    ),
    Mistake(
        "point-clamped-too-early",
        "you clamp each answer before averaging: the point comes out too high",
        (
            "What is cut off at zero: each number, or their mean?",
            "Two mismatched answers, one gained 4 nats, one lost 2. Where should the point be?",
            "The order of two steps is exchanged.",
        ),
        (partial(flawed, point="each clamped"),),
        ("point", "clamp", "gradient"),
    ),
    Mistake(
        "point-for-each",
        "every answer is compared with a point of its own, so there is no yardstick",
        (
            "How many points of comparison are there in your batch?",
            "Change the order of the mismatched answers only. May the loss change?",
            "It estimates an expectation: one number for the whole batch.",
        ),
        (partial(flawed, point="each its own"),),
        ("point", "clamp", "gradient"),
    ),
    Mistake(
        "point-summed",
        "your point grows with the batch: it is a sum where a mean is asked for",
        (
            "What becomes of your point when every mismatched answer is put in twice?",
            "Let each of ten mismatched answers gain 1 nat. The point should be at 1.",
            "It estimates an expectation.",
        ),
        (partial(flawed, point="summed"),),
        ("point", "gradient"),
    ),
    Mistake(
        "point-forgotten",
        "nothing depends on the mismatched answers: you compare with the reference itself",
        (
            "Do all of your arguments enter?",
            "A policy that has become more talkative makes every answer likelier. Does your loss take that for progress?",
            "The question is not whether an answer gained, but whether it gained more than an arbitrary answer does.",
        ),
        (partial(flawed, point="forgotten"),),
        ("point", "gradient"),
    ),
    Mistake(
        "point-of-own-answers",
        "your point of comparison comes from the answers that are judged, not from the mismatched ones",
        (
            "On which answers do you measure the point?",
            "With a single answer in the batch, what would your loss say about it, whatever it gained?",
            "There are two sets of log-probabilities. One is judged, the other one says what is usual.",
        ),
        (partial(flawed, point="own answers"),),
        EVERY,
    ),
    Mistake(
        "beta-not-on-point",
        "beta does not scale gain and point alike: nats are compared with rewards",
        (
            "In which units is each of the two numbers that you subtract?",
            "Choose a gain that equals the point. The value should be one half, at any beta.",
            "Compare first, scale afterwards.",
        ),
        (partial(flawed, point="without beta"), partial(flawed, point="beta twice")),
        ("point", "gradient"),
        35,
    ),
    Mistake(
        "point-on-one-side",
        "for undesirable answers the point stands on the wrong side: only the gain has its sign turned",
        (
            "Where does an undesirable answer count as bad: above the point, or above minus the point?",
            "Choose a gain that equals the point. Both kinds of answers should have value one half.",
            "For undesirable answers the whole comparison is turned round.",
        ),
        (partial(flawed, side="point not turned"),),
        ("point", "gradient"),
        35,
    ),
    Mistake(
        "one-direction",
        "undesirable answers are pushed up as well: their comparison is not turned round",
        (
            "Which way should the loss of an undesirable answer go when the answer becomes likelier?",
            "Raise one undesirable log-probability by 1 nat and watch the loss.",
            "Good answers shall lie above the point and bad ones below it.",
        ),
        (partial(flawed, side="same"),),
        EVERY,
        35,
    ),
    Mistake(
        "labels-inverted",
        "desirable and undesirable are exchanged",
        (
            "Which answers does your True mean?",
            "Raise one desirable log-probability by 1 nat and watch the loss.",
            "The two branches of your function have changed places.",
        ),
        (partial(flawed, inverted=True), partial(flawed, link="positive")),
        EVERY,
        35,
    ),
    Mistake(
        "log-of-the-value",
        "you take the logarithm of the value: hopeless answers are pushed for ever, and the loss has no ceiling",
        (
            "What is the largest loss that a single answer can have?",
            "At the point itself the loss of an answer should be one half. Is it 0.69 in your function?",
            "Here a value between 0 and 1 is missed by some amount, and that amount is the loss.",
        ),
        (partial(flawed, link="log"),),
        EVERY,
    ),
    Mistake(
        "weights-swapped",
        "the two weights are exchanged",
        (
            "Which kind of answers does each weight belong to?",
            "Set the desirable weight to 0. Which answers should still have a loss?",
            "Each answer looks up its own weight, by its own label.",
        ),
        (partial(flawed, weight="swapped"),),
        ("weights",),
    ),
    Mistake(
        "weights-misplaced",
        "the weights do not scale what each answer misses: they are ignored, divided out, or reach only a part of it",
        (
            "By which factor does the loss of desirable answers grow when their weight doubles?",
            "Set both weights to 2. Your loss should be twice what it was.",
            "A weight multiplies the whole loss of an answer, and the mean is over answers, not over weights.",
        ),
        tuple(partial(flawed, weight=weight) for weight in ("ignored", "constant only", "value only", "inside", "normalised")),
        ("weights",),
    ),
    Mistake(
        "no-reference",
        "the reference does not enter: all answers look bad, because log-probabilities are negative",
        (
            "What is compared with the point: a log-probability, or what it gained?",
            "Let the policy be its reference. Each answer should have value one half. Has it?",
            "An answer's gain is against the reference, as in DPO.",
        ),
        (partial(flawed, reference=False),),
        EVERY,
        34,
    ),
    Mistake(
        "mean-of-groups",
        "you average within each kind and then add: the rarer kind counts more, and that is what the weights are for",
        (
            "Over what is the mean taken?",
            "One desirable answer and a hundred undesirable ones. What share of your loss is that one answer?",
            "Every answer counts the same until a weight says otherwise.",
        ),
        (partial(flawed, mean="groups"), partial(flawed, mean="half groups")),
        EVERY,
    ),
    Mistake(
        "mean-forgotten",
        "there is no mean over the answers: you add their losses up, or give one for each answer",
        (
            "Should the loss of a batch grow when every answer is put into it twice?",
            "Let policy and reference agree and both weights be 1: every answer misses one half. What is your loss for 8?",
            "One number is asked for, of the size of what a typical answer misses.",
        ),
        (partial(flawed, mean="sum"), partial(flawed, mean="none")),
        EVERY,
    ),
)
