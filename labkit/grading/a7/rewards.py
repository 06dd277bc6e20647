"""What a policy thinks of answers: implicit rewards, and how often they agree with the labels."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from labkit.grading.a7.inputs import FOUR, agrees
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def cases(draw: Draw) -> list[Case]:
    found = []
    for pairs, dtype in (FEW, torch.float32), (MANY, torch.float64):
        for part, keys in {"rewards": ("chosen", "rejected"), "accuracy": ("accuracy",)}.items():
            rows, beta = telling(draw, pairs, dtype), draw.numbers(0.05, 0.5)
            chosen, rejected, ref_chosen, ref_rejected = rows.values()
            right = answered(chosen, rejected, ref_chosen, ref_rejected, beta)
            says = f"{len(pairs)} pairs, beta {beta:g}"
            found.append(Case(part, rows | {"beta": beta}, accepts=agrees(right, *keys), says=says))
    rows, beta = telling(draw, TIED, torch.float32, whole=True), draw.pick((0.125, 0.25, 0.5))
    chosen, rejected, ref_chosen, ref_rejected = rows.values()
    right = answered(chosen, rejected, ref_chosen, ref_rejected, beta)
    says = f"{len(TIED)} pairs, two of them with equal rewards"
    return [*found, Case("accuracy", rows | {"beta": beta}, accepts=agrees(right, "accuracy"), says=says)]


# Head start of the chosen answer under the reference, and what it gained on the rejected one. In both lists the shares that the
# rewards, the policy, the reference and the mean reward rank rightly are all different, and none is one minus another.
FEW = ((2, -5), (2, -5), (2, -5), (5, 2), (-5, 2))
MANY = ((5, 2), (5, -2), (-2, 5), (-2, 5), (-2, 5), (-5, -2), (-5, -2))
TIED = ((5, 2), (5, 2), (-2, 5), (-2, 5), (2, 0), (-5, 0), (-5, -2))


def telling(draw: Draw, pairs: Sequence[tuple[int, int]], dtype: torch.dtype, whole: bool = False) -> dict[str, Tensor]:
    """Four log-probabilities for pairs of these kinds, shuffled, each number a little off. All answers have fallen.

    Nor does it help to compare each chosen answer with the rejected one of another pair, or with 0. With `whole`, all are whole
    numbers of quarters: in whatever order somebody subtracts them, and multiplies by a power of 2, what is equal stays equal.
    """
    n = len(pairs)
    while True:
        kinds = torch.tensor(pairs, dtype=torch.float64)[draw.permutation(n)]
        ahead, gained = (kinds * torch.from_numpy(draw.rng.uniform(0.9, 1.1, (n, 2)))).T
        ref_rejected, both = torch.from_numpy(draw.rng.uniform((-40, -14), (-25, -6), (n, 2))).T
        if whole:
            ahead, gained, ref_rejected, both = ((4 * x).round() / 4 for x in (ahead, gained, ref_rejected, both))
        chosen = both + gained
        shares = [(chosen > other).double().mean() for other in (both.flip(0), both.roll(1), torch.zeros(n))]
        if (gained > 0).double().mean() not in shares:
            rows = ref_rejected + ahead + chosen, ref_rejected + both, ref_rejected + ahead, ref_rejected
            return dict(zip(FOUR, (x.to(dtype) for x in rows), strict=True))


def answered(
    chosen_logps: Tensor,
    rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    beta: float = 0.1,
    *,
    strength: str = "",
    reference: str = "",
    compared: str = "rewards",
    negative: bool = False,
    counted: str = "",
) -> dict[str, Any]:
    """The right answer, and every usual mistake, each behind a switch."""
    gains = chosen_logps - ref_chosen_logps, rejected_logps - ref_rejected_logps
    if reference:
        gains = (chosen_logps, rejected_logps) if reference == "none" else (-gains[0], -gains[1])
    if strength == "inside":
        gains = beta * chosen_logps - ref_chosen_logps, beta * rejected_logps - ref_rejected_logps
    scale = {"none": 1.0, "twice": beta * beta, "divides": 1 / beta, "inside": 1.0}.get(strength, beta)
    chosen, rejected = scale * gains[0], -scale * gains[1] if negative else scale * gains[1]
    right = {
        "rewards": chosen > rejected,
        "logps": chosen_logps > rejected_logps,
        "reference": ref_chosen_logps > ref_rejected_logps,
        "swapped": chosen < rejected,
        "means": chosen.mean() > rejected.mean(),
        "zero": chosen > 0,
        "ties too": chosen >= rejected,
        "ties by half": 0.5 * ((chosen > rejected).double() + (chosen >= rejected)),
        "ties left out": (chosen > rejected)[chosen != rejected],
    }[compared]
    share = right.double().mean()
    if counted:
        share = right.sum() if counted == "number" else 100 * share
    return {"chosen": chosen, "rejected": rejected, "accuracy": share}


BOTH = ("rewards", "accuracy")
MISTAKES = (
    Mistake(
        "beta-missing",
        "your rewards are plain log-ratios: beta does not scale them",
        (
            "In which units are your rewards?",
            "Call your function with beta 0.1 and with beta 0.2. By which factor should the rewards differ?",
            "The reward is what would have made this policy the best one at this price of distance. A log-ratio has to be "
            "paid for.",
        ),
        (partial(answered, strength="none"),),
        ("rewards",),
        35,
    ),
    Mistake(
        "beta-twice",
        "beta scales your rewards more than once, or it divides them",
        (
            "How does your reward change when beta doubles?",
            "Move the chosen answer by 1 nat at beta 0.1. The reward should change by 0.1.",
            "A reward is a log-ratio times a price, once.",
        ),
        (partial(answered, strength="twice"), partial(answered, strength="divides")),
        ("rewards",),
        35,
    ),
    Mistake(
        "beta-on-policy-only",
        "beta reaches the policy's log-probability and not the reference's: a policy that has not moved has rewards already",
        (
            "What should the rewards be when the policy is its reference?",
            "Pass the same numbers for policy and reference. All rewards should be 0.",
            "Beta scales the difference of the two, not one of them.",
        ),
        (partial(answered, strength="inside"),),
        BOTH,
        35,
    ),
    Mistake(
        "no-reference",
        "your reward is the log-probability itself: answers that were likely from the beginning are rewarded for it",
        (
            "What should the rewards be when the policy is its reference?",
            "Pass the same numbers for policy and reference. All rewards should be 0.",
            "A reward says how far training moved an answer. Where it came from has to be taken off.",
        ),
        (partial(answered, reference="none"),),
        BOTH,
        34,
    ),
    Mistake(
        "ratio-upside-down",
        "the ratio is upside down: answers that became likelier get a negative reward",
        (
            "Which sign should the reward of an answer have that training made likelier?",
            "Raise a chosen answer by 1 and watch its reward.",
            "Policy over reference, not reference over policy.",
        ),
        (partial(answered, reference="upside down"),),
        BOTH,
        35,
    ),
    Mistake(
        "rejected-negated",
        "the rejected answer's reward has its sign turned: the margin is a difference, but a reward is not",
        (
            "Is a reward defined differently for the rejected answer?",
            "Exchange the two answers of a pair. The two rewards should change places, and nothing else.",
            "One and the same function gives every answer its reward. Being rejected enters only when rewards are compared.",
        ),
        (partial(answered, negative=True),),
        BOTH,
        35,
    ),
    Mistake(
        "accuracy-of-logps",
        "your accuracy asks which answer is likelier, not which one gained: that is the ranking accuracy, another number",
        (
            "Which two numbers do you compare for each pair?",
            "A policy that never moved ranks some pairs rightly. Has it learned that?",
            "The accuracy belongs to the rewards. A pair may be won while its chosen answer is still the less likely one.",
        ),
        (partial(answered, compared="logps"),),
        ("accuracy",),
    ),
    Mistake(
        "accuracy-swapped",
        "you count the pairs that are ranked wrongly: one minus the accuracy",
        (
            "When is a pair right?",
            "Raise all chosen answers by 100. The accuracy should be 1.",
            "Mind the direction of the comparison.",
        ),
        (partial(answered, compared="swapped"),),
        ("accuracy",),
        35,
    ),
    Mistake(
        "accuracy-of-chosen-alone",
        "your accuracy asks whether the chosen answer gained, and not whether it gained more than the rejected one",
        (
            "Which two numbers do you compare for each pair?",
            "Lower both answers of a pair, the rejected one by more. Is the pair right? And for you?",
            "An answer has no sign of its own here: it is preferred to another one.",
        ),
        (partial(answered, compared="zero"),),
        ("accuracy",),
    ),
    Mistake(
        "accuracy-of-means",
        "you compare mean rewards, which says yes or no for the whole batch",
        (
            "How many different values can your accuracy take for five pairs?",
            "One pair with margin +50 and four with margin -1: which share is right?",
            "Compare pair by pair, then take the share.",
        ),
        (partial(answered, compared="means"),),
        ("accuracy",),
    ),
    Mistake(
        "ties-not-wrong",
        "a pair whose two rewards are equal is not counted as wrong: it is right for you, or half right, or left out",
        (
            "What becomes of a pair whose two answers have the very same reward?",
            "Let the policy be its reference. It has learned nothing about any pair. What is its accuracy, and what is yours?",
            "A policy that cannot tell the answers apart has not ranked them rightly, and the pair is still one of the pairs.",
        ),
        tuple(partial(answered, compared=compared) for compared in ("ties too", "ties by half", "ties left out")),
        ("accuracy",),
    ),
    Mistake(
        "accuracy-not-a-share",
        "your accuracy is a count or a percentage, where a share between 0 and 1 is asked for",
        (
            "What is your accuracy when all pairs are right?",
            "A perfect policy has accuracy 1, for any number of pairs.",
            "Look at the last thing you do to the vector of yes and no.",
        ),
        (partial(answered, counted="number"), partial(answered, counted="percent")),
        ("accuracy",),
    ),
)


@exercise("a7.implicit_rewards", parts={"rewards": 2, "accuracy": 1}, cases=cases, mistakes=MISTAKES)
def implicit_rewards(
    chosen_logps: Tensor, rejected_logps: Tensor, ref_chosen_logps: Tensor, ref_rejected_logps: Tensor, beta: float = 0.1
) -> dict[str, Any]:
    """`chosen`, `rejected`: the answers' implicit rewards; `accuracy`: the share of pairs that they rank rightly."""
    return answered(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=beta)
