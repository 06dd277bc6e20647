"""NT-Xent: once as a loop, once in one go, and once on a reader's own numbers."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit.grading.draw import Draw, given, givens
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.losses import nt_xent as loss


def flawed(
    z1: Tensor,
    z2: Tensor,
    temperature: float,
    *,
    multiplied: bool = False,
    norm_dim: int = 1,
    own: str = "",
    positive_out: bool = False,
    target: str = "",
    detach: str = "",
    log: str = "",
    total: str = "mean",
) -> Tensor:
    """NT-Xent with every usual mistake as a switch."""
    n = len(z1)
    z = normalize(torch.cat([z1, z2]), dim=norm_dim) if norm_dim >= 0 else torch.cat([z1, z2])
    logits = z @ z.T * temperature if multiplied else z @ z.T / temperature
    self = torch.eye(2 * n, dtype=torch.bool)
    if own == "zeroed":
        logits = logits * ~self
    partner = torch.arange(2 * n).roll(n)
    if target == "own index":
        partner = torch.arange(2 * n)
    if target == "neighbour":
        partner = torch.arange(2 * n) ^ 1
    left_out = self & (own == "")
    if positive_out:
        left_out = left_out | self.roll(n, 1)
    positive = logits[torch.arange(2 * n), partner]
    positive = positive.detach() if detach == "positive" else positive
    candidates = logits.masked_fill(left_out, -torch.inf)
    candidates = candidates.detach() if detach == "candidates" else candidates
    if log == "first exp":
        each = torch.log(candidates.exp().sum(1)) - positive
    elif log == "ratio":
        each = -torch.log(positive.exp() / candidates.exp().sum(1))
    elif log == "capped":
        each = -torch.log((positive - torch.logsumexp(candidates, 1)).exp() + 1e-8)
    else:
        each = torch.logsumexp(candidates, 1) - positive
    each = each[:n] if total == "one way" else each
    return {"sum": each.sum(), "by n": each.sum() / n}.get(total, each.mean())


def cases(draw: Draw) -> list[Case]:
    n, d = draw.integer(4, 6), 3
    warm, cool, cold = draw.numbers(0.4, 0.7), draw.numbers(1.5, 3), draw.numbers(0.006, 0.01)

    def pair(dtype: torch.dtype = torch.float32, rows: int = n) -> dict[str, Any]:
        z1, z2 = 2 * draw.rows(rows, d, dtype), draw.rows(rows, d, dtype)
        return {"z1": z1, "z2": z2}

    def hard(dtype: torch.dtype = torch.float32) -> dict[str, Any]:
        """All in one corner, but one row that nobody resembles; and an image twice: cosine one, and no partner."""
        z1 = draw.rows(n, d, dtype).abs() + 0.1
        z2 = (z1 + 0.3 * draw.rows(n, d, dtype)).abs()
        z1[1], z2[-1] = z1[0], -z2[-1]
        return {"z1": z1, "z2": z2}

    return [
        Case("value", {**pair(), "temperature": warm}, says=f"n={n}, temperature {warm:g}, float32"),
        Case("value", {**pair(torch.float64, n + 1), "temperature": cool}, says=f"n={n + 1}, temperature {cool:g}, float64"),
        Case("gradient", {**pair(torch.float64), "temperature": warm}, ("z1", "z2"), says=f"n={n}, temperature {warm:g}"),
        Case("gradient", {**pair(), "temperature": cool}, ("z1", "z2"), says=f"n={n}, temperature {cool:g}"),
        Case("cold", {**hard(), "temperature": cold}, tolerance=1e-4, says=f"temperature {cold:g}, float32"),
        Case("cold", {**hard(torch.float64), "temperature": 0.001}, says="temperature 0.001, float64"),
        Case(
            "cold gradient",
            {**hard(), "temperature": cold},
            ("z1", "z2"),
            tolerance=1e-3,
            says=f"temperature {cold:g}, float32",
        ),
    ]


EVERY = ("value", "gradient", "cold", "cold gradient")
MISTAKES = (
    Mistake(
        "anchor-in-denominator",
        "your denominator includes the anchor itself: its cosine with itself, the largest there is, is among the candidates",
        (
            "Call it on embeddings that are all the same. The loss should be log(2N-1). What is yours?",
            "Which entry of a row of the table can never be a wrong answer that the anchor might choose?",
            "The diagonal has to contribute nothing at all to the sum of exponentials.",
        ),
        (partial(flawed, own="kept"),),
        EVERY,
        1,
    ),
    Mistake(
        "masked-by-multiplying",
        "you masked the anchor by multiplying its logit with 0, and a logit of 0 still adds 1 to the sum of exponentials",
        (
            "What does a masked entry of your table contribute to the denominator?",
            "Compute exp(0) by hand. Then ask which logit would contribute nothing.",
            "A candidate that does not exist needs the logit whose exponential is zero.",
        ),
        (partial(flawed, own="zeroed"),),
        EVERY,
        2,
    ),
    Mistake(
        "temperature-multiplies",
        "the temperature multiplies your logits, so a low temperature makes them soft instead of sharp",
        (
            "Compare your loss at temperatures 0.1 and 10. Which should be the more decided one?",
            "At temperature 1 you are right, whatever you do with it. Try 0.5 by hand on a single row.",
            "As the temperature falls, differences between logits have to grow.",
        ),
        (partial(flawed, multiplied=True),),
        EVERY,
        3,
    ),
    Mistake(
        "exp-first",
        "exp before the maximum is subtracted: at temperature 0.01 it overflows or vanishes, and the loss is NaN or infinite",
        (
            "Call it at temperature 0.01 in float32, with one image twice in the batch.",
            "What is exp(100) in float32? And what is the logarithm of a sum that was rounded to zero?",
            "Logarithm and sum of exponentials belong into one step, which takes out the largest logit first.",
        ),
        (partial(flawed, log="first exp"), partial(flawed, log="ratio")),
        ("cold", "cold gradient"),
        4,
    ),
    Mistake(
        "capped-logarithm",
        "a small number inside the logarithm caps your loss: at low temperature, hard rows cost too little and get no gradient",
        (
            "Compare your largest row at temperature 0.01 with what the cosines say it should be.",
            "What is -log(1e-8)? Can any row of yours cost more than that?",
            "If nothing is exponentiated before it has to be, no logarithm needs protection.",
        ),
        (partial(flawed, log="capped"),),
        ("cold", "cold gradient"),
        4,
    ),
    Mistake(
        "wrong-partner",
        "the positives are on the wrong rows: with all first views before all second ones, the partner stands N rows away",
        (
            "For four images, write down the row of each row's partner.",
            "Use embeddings in which both views are the same, so that the positive is always the largest. Is your loss small?",
            "The list of right answers is a list of row numbers of the 2N rows, shifted by half its length.",
        ),
        (partial(flawed, target="own index", own="kept"), partial(flawed, target="neighbour")),
        EVERY,
        5,
    ),
    Mistake(
        "normalised-columns",
        "you normalised each column instead of each row: the vectors of different images were mixed",
        (
            "Add an image to the batch. Does the cosine between two others change?",
            "Print the length of every row after you normalised.",
            "A vector is a row here. Along which dimension are its squares added up?",
        ),
        (partial(flawed, norm_dim=0),),
        EVERY,
        5,
    ),
    Mistake(
        "not-normalised",
        "your logits are dot products, not cosines: long embeddings push the loss about",
        (
            "Multiply z1 by ten and call it again: directions did not change, so the loss should not.",
            "What is the largest value a cosine can have? What is the largest entry of your table, times the temperature?",
            "Every row needs length one before rows are multiplied with each other.",
        ),
        (partial(flawed, norm_dim=-1),),
        EVERY,
        5,
    ),
    Mistake(
        "one-direction",
        "only one direction: first views look for their partners, second ones never do",
        (
            "Swap z1 and z2. The loss should stay the same. Does it?",
            "How many terms does your mean run over, and how many rows are there?",
            "Every one of the 2N rows is an anchor once.",
        ),
        (partial(flawed, total="one way"),),
        EVERY,
        5,
    ),
    Mistake(
        "positive-left-out",
        "your denominator leaves the positive out: that is another loss (DCL), which can be negative",
        (
            "Can your loss be negative? NT-Xent is the logarithm of a probability, with its sign turned.",
            "The probability of the right candidate is its share of all candidates. Is it itself in your sum?",
            "From the candidates of an anchor only the anchor itself is missing.",
        ),
        (partial(flawed, positive_out=True),),
        EVERY,
    ),
    Mistake(
        "summed-not-averaged",
        "you added the rows up where their mean is asked for: the loss grows with the batch",
        (
            "Put every image into the batch twice. Should the loss double?",
            "For embeddings that are all the same the loss should be log(2N-1). How many times that is yours?",
            "There are 2N rows, not one and not N.",
        ),
        (partial(flawed, total="sum"), partial(flawed, total="by n")),
        EVERY,
    ),
    Mistake(
        "positive-detached",
        "you detached the positive: the value is right, but nothing pulls the two views together any more",
        (
            "Values agree and gradients do not. Through which terms does your gradient flow?",
            "Minimise your loss for some steps on a small batch and watch the cosine of partners: does it rise?",
            "The positive's logit is part of what is differentiated, not a constant.",
        ),
        (partial(flawed, detach="positive"),),
        ("gradient", "cold gradient"),
    ),
    Mistake(
        "denominator-detached",
        "you detached the denominator: the value is right, but nothing pushes the negatives away",
        (
            "Values agree and gradients do not. Through which terms does your gradient flow?",
            "Minimise your loss for some steps on a small batch and watch the mean cosine of all pairs.",
            "The sum over candidates is part of what is differentiated, not a constant.",
        ),
        (partial(flawed, detach="candidates"),),
        ("gradient", "cold gradient"),
    ),
)


@exercise("a1.nt_xent", parts={"value": 3, "gradient": 2, "cold": 2, "cold gradient": 1}, cases=cases, mistakes=MISTAKES)
def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """NT-Xent in one go, finite at any temperature."""
    return loss(z1, z2, temperature=temperature)


def warm_cases(draw: Draw) -> list[Case]:
    return [replace(case, part="value") for case in cases(draw) if case.part == "value"]


@exercise(
    "a1.loop",
    parts={"value": 3},
    cases=warm_cases,
    mistakes=tuple(replace(mistake, loses=("value",)) for mistake in MISTAKES if "value" in mistake.loses),
)
def loop(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """NT-Xent as its formula reads, anchor by anchor."""
    return loss(z1, z2, temperature=temperature)


@givens("a1")
def data(draw: Draw) -> dict[str, Any]:
    n, d = draw.integer(6, 12), draw.integer(4, 8)
    z1 = draw.rows(n, d)
    return {"z1": z1, "z2": z1 + 0.7 * draw.rows(n, d), "temperature": draw.numbers(0.08, 0.4)}


def yours(draw: Draw) -> list[Case]:
    return [Case("your number", {}, tolerance=1e-4)]


def number(variant: str, **switches: Any) -> float:
    mine = given("a1", variant)
    return flawed(mine.z1, mine.z2, mine.temperature, **switches).item()


@exercise(
    "a1.my_loss",
    parts={"your number": 1},
    cases=yours,
    mistakes=tuple(
        replace(mistake, mutants=(partial(number, **mistake.mutants[0].keywords),), loses=("your number",))  # type: ignore[attr-defined]
        for mistake in MISTAKES
        if "value" in mistake.loses
    ),
)
def my_loss(variant: str) -> float:
    """The loss of your own data at your own temperature."""
    mine = given("a1", variant)
    return loss(mine.z1, mine.z2, temperature=mine.temperature).item()
