"""CHES: one number for how much alike the hidden states of two answers are."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from labkit import metrics
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

RAW, NORMALIZED, HALF = "sums", "lengths", "half precision"
EVERY = (RAW, NORMALIZED, HALF)


def cases(draw: Draw) -> list[Case]:
    def states(t: int, side: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Padding has states, too, larger ones than words have. In half precision all are large, and their sums too large."""
        noise = draw.rows(4 * t, 5, torch.float64).reshape(4, t, 5)
        hidden = large * (1 + 0.25 * noise) if dtype == torch.float16 else noise + 0.4
        counts = torch.tensor([2, t, 3, t - 1])[:, None]
        places = torch.arange(t) if side == "right" else torch.arange(t).flip(0)
        mask = places < counts
        return hidden.where(mask[:, :, None], hidden * (1.2 if dtype == torch.float16 else 3)).to(dtype), mask

    def case(part: str, normalized: bool, sides: tuple[str, str], dtype: torch.dtype = torch.float64) -> Case:
        chosen, chosen_mask = states(draw.integer(6, 7), sides[0], dtype)
        rejected, rejected_mask = states(draw.integer(8, 9), sides[1], dtype)
        inputs = {
            "chosen_hidden": chosen,
            "rejected_hidden": rejected,
            "chosen_mask": chosen_mask,
            "rejected_mask": rejected_mask,
        }
        says = f"{str(dtype).removeprefix('torch.')}, padding on the {sides[0]} and on the {sides[1]}"
        return Case(part, {**inputs, "normalized": normalized}, tolerance=1e-3 if dtype == torch.float16 else 1e-5, says=says)

    large = draw.numbers(15000, 18000)
    return [
        case(RAW, False, ("right", "right")),
        case(RAW, False, ("left", "right"), torch.float32),
        case(NORMALIZED, True, ("right", "left")),
        case(NORMALIZED, True, ("right", "right")),
        case(HALF, False, ("right", "right"), torch.float16),
        case(HALF, True, ("left", "left"), torch.float16),
    ]


def flawed(
    chosen_hidden: Tensor,
    rejected_hidden: Tensor,
    chosen_mask: Tensor,
    rejected_mask: Tensor,
    normalized: bool,
    *,
    which: str = "marked",
    over: str = "count",
    half: bool = False,
    against: str = "chosen",
    order: str = "sum first",
    sign: float = 1.0,
    alike: str = "product",
) -> Tensor:
    """Every usual mistake as a switch."""
    sums = []
    for hidden, mask in ((chosen_hidden, chosen_mask), (rejected_hidden, rejected_mask)):
        x = hidden if half else hidden.double()
        if which == "last":
            at = (torch.arange(x.shape[1]) * mask).amax(1)
            sums.append(x[torch.arange(len(x)), at])
            continue
        if which == "very last":
            sums.append(x[:, -1])
            continue
        w = torch.ones_like(mask).to(x.dtype) if which == "all" else mask.to(x.dtype)
        total = (x * w[:, :, None]).sum(1)
        count = {"count": w.sum(1), "width": torch.full_like(w[:, 0], x.shape[1]), "nothing": torch.ones_like(w[:, 0])}.get(
            over, w.sum(1)
        )
        sums.append(total / count[:, None] if normalized else total)
    s, r = sums
    if over == "chosen" and normalized:
        r = r * rejected_mask.sum(1, keepdim=True)
    cross = (s * r).sum(-1)
    if alike == "cosine":
        return torch.nn.functional.cosine_similarity(s, r) - 1
    length = {"chosen": (s * s).sum(-1), "rejected": (r * r).sum(-1), "unsquared": s.norm(dim=-1), "none": 0 * cross}[against]
    if order == "squares first":
        w = chosen_mask.to(s.dtype)
        length = ((chosen_hidden.to(s.dtype) ** 2).sum(-1) * w).sum(1) / (w.sum(1) if normalized else 1)
    if over == "product" and normalized:  # the raw score by both lengths: right in its first term only
        length = length * chosen_mask.sum(1) / rejected_mask.sum(1)
    return sign * (cross - length)


def shifted(
    chosen_hidden: Tensor, rejected_hidden: Tensor, chosen_mask: Tensor, rejected_mask: Tensor, normalized: bool
) -> Tensor:
    one, other = (pad(mask[:, 1:], (0, 1)) for mask in (chosen_mask, rejected_mask))
    return flawed(chosen_hidden, rejected_hidden, one, other, normalized)


MISTAKES = (
    Mistake(
        "last-state-only",
        "you use the last state of each answer: CHES adds up all of an answer's states",
        (
            "How many states of an answer of four words enter your number?",
            "Change the first state of an answer. Does your number change?",
            "An answer is as long as its mask says, and all of it counts.",
        ),
        (partial(flawed, which="last"), partial(flawed, which="very last")),
        EVERY,
        39,
    ),
    Mistake(
        "padding-counted",
        "states of the padding are in your sums",
        (
            "What does your function do with the masks?",
            "Append padding to one answer, with large states. Your number should not move.",
            "A state counts if it is marked, on whichever side the padding is.",
        ),
        (partial(flawed, which="all"),),
        EVERY,
        39,
    ),
    Mistake(
        "overflow",
        "half precision overflows: a sum or a product passes 65504 and becomes infinite, or NaN after a subtraction",
        (
            "Look at the type of your intermediate results, and at their size.",
            "States of 300, eight of them in a row: what is the square of their sum? What is the largest number of float16?",
            "Change the precision before anything is added or multiplied, not at the end.",
        ),
        (partial(flawed, half=True), lambda *a: flawed(*a, half=True).double()),
        (HALF,),
        39,
    ),
    Mistake(
        "length-ignored",
        "yours are raw sums where normalised ones are asked for: longer answers score higher for being longer",
        (
            "What does the last argument change in your function?",
            "Say every word of both answers twice. A score that compares pairs of different lengths should stay.",
            "Means instead of sums, for each answer by its own number of states.",
        ),
        (partial(flawed, over="nothing"),),
        (NORMALIZED, HALF),
        39,
    ),
    Mistake(
        "not-each-by-its-own-length",
        "the two sums are not each divided by their own number of states",
        (
            "By which number is each of the two sums divided, and when?",
            "For two answers that say the same word, one of them three times as often, the normalised score should be 0.",
            "Sums become means before anything is multiplied.",
        ),
        (partial(flawed, over="chosen"), partial(flawed, over="product")),
        (NORMALIZED, HALF),
        39,
    ),
    Mistake(
        "divided-by-padded-length",
        "you divide by the width of the table: padding makes an answer longer than it is",
        (
            "By which number do you divide the sum of an answer of two words?",
            "Append padding. Your normalised number should not move.",
            "How long an answer is, only its mask knows.",
        ),
        (partial(flawed, over="width"),),
        (NORMALIZED, HALF),
        39,
    ),
    Mistake(
        "wrong-norm",
        "the number that you subtract is not the squared length of the chosen answer's sum",
        (
            "For two equal answers CHES is 0. Is yours? And if the rejected answer's states are doubled?",
            "Double the chosen answer's states only. One term of CHES doubles, the other grows fourfold.",
            "The score is centred at what the chosen answer has in common with itself.",
        ),
        (partial(flawed, against="rejected"), partial(flawed, against="unsquared"), partial(flawed, against="none")),
        EVERY,
    ),
    Mistake(
        "squared-before-summed",
        "you square each state and add the squares up: the sum comes first, the square second",
        (
            "Take an answer of two opposite states. What is the length of their sum?",
            "For two equal answers CHES is 0. Is yours?",
            "Both terms are made of the same two vectors, one for each answer.",
        ),
        (partial(flawed, order="squares first"),),
        EVERY,
        39,
    ),
    Mistake(
        "states-shifted",
        "you moved the masks by a place; here they mark the very states that count",
        (
            "How many states of an answer enter your sums, and how many are marked?",
            "Give the first marked state of an answer a huge value. Does your number move?",
            "Shifting belongs to predictions of words. These masks were made for states.",
        ),
        (shifted,),
        EVERY,
        31,
    ),
    Mistake(
        "mean-over-pairs",
        "yours is one number for all pairs: each pair has a score of its own",
        (
            "How many numbers come back for four pairs?",
            "Scores are there to rank pairs. Can yours?",
            "Over which of the dimensions did you reduce last?",
        ),
        (lambda *inputs: flawed(*inputs).mean(), lambda *inputs: flawed(*inputs).sum()),
        EVERY,
    ),
    Mistake(
        "sign-turned",
        "your score has the wrong sign: higher should mean that the rejected answer looks more like the chosen one",
        (
            "Turn the rejected answer's states round. Should CHES rise or fall?",
            "For a rejected answer that points away from the chosen one, CHES is far below 0.",
            "Likeness comes first, the centre is taken away from it.",
        ),
        (partial(flawed, sign=-1.0),),
        EVERY,
    ),
    Mistake(
        "cosine",
        "yours is a cosine: CHES keeps the lengths",
        (
            "Double all states. A cosine stays. What does CHES do?",
            "A rejected answer in the same direction, twice as long: is CHES 0 for it?",
            "No division by lengths of vectors occurs in it; only, if asked for, by numbers of states.",
        ),
        (partial(flawed, alike="cosine"),),
        EVERY,
    ),
)


@exercise("a8.ches", parts={RAW: 2, NORMALIZED: 1, HALF: 1}, cases=cases, mistakes=MISTAKES)
def ches(
    chosen_hidden: Tensor, rejected_hidden: Tensor, chosen_mask: Tensor, rejected_mask: Tensor, normalized: bool
) -> Tensor:
    """The centred hidden-embedding similarity of each pair, from sums of the marked states or, normalised, from their means."""
    wide = chosen_hidden.double(), rejected_hidden.double()
    return metrics.ches(*wide, chosen_mask, rejected_mask, length_normalized=normalized)
