"""What a margin leaves open: how low and how high the chosen answer may stand."""

from functools import partial

import torch
from torch import Tensor

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

TWO, MORE = "two answers", "three answers and more"


def cases(draw: Draw) -> list[Case]:
    def case(answers: int) -> Case:
        logps = (1.5 * draw.rows(1, answers, torch.float64)[0]).log_softmax(-1)
        chosen, rejected, *_ = draw.permutation(answers)
        margin = draw.numbers(0.3, 3)
        inputs = {"logps": logps, "chosen": chosen, "rejected": rejected, "margin": margin}
        return Case(TWO if answers == 2 else MORE, inputs, says=f"{answers} answers, a margin of {margin:g} nats")

    return [case(2), case(2), case(3), case(draw.integer(4, 9))]


def flawed(
    logps: Tensor, chosen: int, rejected: int, margin: float, *, low: str = "", high: str = "", start: str = "gap"
) -> tuple[float, float]:
    """Every usual mistake as a switch."""
    gap = {"gap": (logps[chosen] - logps[rejected]).item(), "none": 0.0}[start]
    odds = torch.tensor(gap + margin, dtype=torch.float64).sigmoid().item()
    begins, both = logps[chosen].exp().item(), (logps[chosen].exp() + logps[rejected].exp()).item()
    two = len(logps) == 2
    lowest = {"start": begins, "pair": odds, "zero": 0.0, "frozen": both * odds}.get(low, odds if two else 0.0)
    highest = {"one": 1.0, "frozen": both * odds}.get(high, odds)
    if high.startswith("one if"):
        highest = 1.0 if two == (high == "one if two") else odds
    return lowest, highest


MISTAKES = (
    Mistake(
        "chosen-cannot-fall",
        "you take a grown margin to mean that the chosen answer has not fallen",
        (
            "Look again at the lower bound. What is known about the chosen answer is only its lead.",
            "Let both answers lose 7 nats. What becomes of the margin?",
            "A margin is a ratio of two probabilities. Both can shrink, as long as somebody else takes what they lose.",
        ),
        (partial(flawed, low="start"), partial(flawed, low="start", high="one")),
        (TWO, MORE),
        36,
    ),
    Mistake(
        "both-may-fall",
        "with two answers you let both fall: their probabilities would no longer add up to 1",
        (
            "Look at the case of two answers. Where would the probability go?",
            "With two answers there is one free number. How many does the margin fix?",
            "Their sum is 1 and their ratio is known. Nothing is left open.",
        ),
        (partial(flawed, low="zero"), partial(flawed, low="zero", high="one if two")),
        (TWO,),
        40,
    ),
    Mistake(
        "third-answer-forgotten",
        "you treat three answers as two: the others may take any share",
        (
            "Your bounds agree with each other for every number of answers. Should they?",
            "Give nearly all the probability to an answer outside the pair. Does the pair's margin forbid that?",
            "What the pair keeps together is free, from nothing to everything; only its division is known.",
        ),
        (partial(flawed, low="pair"),),
        (MORE,),
        40,
    ),
    Mistake(
        "others-frozen",
        "you let the other answers keep their share: nothing in the loss does",
        (
            "Which share do the answers outside the pair have in yours, before and after?",
            "Three probabilities, one sum, one known ratio: how many numbers are free?",
            "The pair together may hold anything between nothing and everything.",
        ),
        (partial(flawed, low="frozen", high="frozen"), partial(flawed, high="frozen")),
        (MORE,),
        40,
    ),
    Mistake(
        "start-ignored",
        "you take the margin for the whole lead: the pair began with a lead of its own",
        (
            "With a margin of 0 nothing was won. Is the chosen answer as likely as the rejected one then?",
            "The margin says what was gained since the start. What was there before?",
            "The log of their ratio is now what it was, and the margin on top.",
        ),
        (partial(flawed, start="none"),),
        (TWO, MORE),
    ),
    Mistake(
        "no-ceiling",
        "your upper bound is 1, but the rejected answer keeps a share: the margin is finite",
        (
            "At the highest, who shares the probability?",
            "A chosen answer of probability 1 leaves nothing. What would the margin be?",
            "If all the others vanish, the pair is alone, and its ratio is known.",
        ),
        (partial(flawed, high="one if more"),),
        (MORE,),
    ),
    Mistake(
        "in-nats",
        "these are log-probabilities; probabilities are asked for",
        (
            "Bounds of a probability lie between 0 and 1.",
            "What is the logarithm of a probability that may come as near to 0 as it likes?",
            "Your reasoning may be right: look at the unit.",
        ),
        (
            lambda *a: tuple(torch.tensor(flawed(*a), dtype=torch.float64).log()),
            lambda *a: tuple(torch.tensor(flawed(*a), dtype=torch.float64).clamp(min=1e-12).log()),
        ),
        (TWO, MORE),
    ),
)


@exercise("a8.possible", parts={TWO: 1, MORE: 2}, cases=cases, mistakes=MISTAKES, seconds=10)
def possible(logps: Tensor, chosen: int, rejected: int, margin: float) -> tuple[float, float]:
    """The bounds of the chosen answer's probability, given only that the pair has won this margin since the start."""
    highest = torch.sigmoid(logps[chosen] - logps[rejected] + margin).item()
    return (highest, highest) if len(logps) == 2 else (0.0, highest)
