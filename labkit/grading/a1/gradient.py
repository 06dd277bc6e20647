"""The gradient of NT-Xent, by hand: who is pulled, who is pushed, and how hard."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def flawed(
    similarity: Tensor,
    temperature: float,
    *,
    chain: bool = True,
    rows: float = 1.0,
    own: bool = False,
    pull: float = 1.0,
    symmetric: bool = False,
    columns: bool = False,
) -> Tensor:
    m = len(similarity)
    logits = similarity / temperature
    if not own:
        logits = logits.masked_fill(torch.eye(m, dtype=torch.bool), -torch.inf)
    share = torch.softmax(logits, 0 if columns else 1)
    found = share - pull * torch.eye(m, dtype=similarity.dtype).roll(m // 2, 1)
    found = found / temperature if chain else found
    found = found / m * rows
    return found + found.T if symmetric else found


def summed(similarity: Tensor, temperature: float) -> Tensor:
    return flawed(similarity, temperature, rows=len(similarity))


def cases(draw: Draw) -> list[Case]:
    def table(n: int, dtype: torch.dtype, narrow: bool = False) -> Tensor:
        rows = draw.rows(2 * n, 3, dtype)
        z = torch.nn.functional.normalize(1 + 0.15 * rows if narrow else rows, dim=1)
        return z @ z.T

    def case(part: str, temperature: float, dtype: torch.dtype) -> Case:
        cold = part == "cold"  # in a narrow cone, so that several candidates share the push even then
        inputs: dict[str, Any] = {"similarity": table(draw.integer(3, 5), dtype, cold), "temperature": temperature}
        return Case(part, inputs, tolerance=1e-3 if cold else 1e-5, says=f"temperature {temperature:g}")

    warm, cool, cold = draw.numbers(0.3, 0.7), draw.numbers(1.5, 3), draw.numbers(0.006, 0.01)
    return [
        case("by hand", warm, torch.float64),
        case("by hand", cool, torch.float32),
        case("cold", cold, torch.float32),
    ]


EVERY = ("by hand", "cold")
MISTAKES = (
    Mistake(
        "chain-rule-loses-temperature",
        "the chain rule lost a factor: logits are similarities divided by the temperature, and your gradient does not know it",
        (
            "At temperature 1 you are right. Compare with autograd at 0.5: which factor is missing?",
            "You have the gradient with respect to the logits. How much does a logit move when a similarity moves a little?",
            "One more factor, the same for every entry, and larger when it is colder.",
        ),
        (partial(flawed, chain=False),),
        EVERY,
        9,
    ),
    Mistake(
        "mean-forgotten",
        "you took the gradient of the sum over the rows; the loss is their mean",
        (
            "Divide your table by autograd's, entry by entry. Which number comes out?",
            "How does the size of your gradient change when the batch grows?",
            "The loss weighs each of the 2N rows with the same small number.",
        ),
        (summed,),
        EVERY,
    ),
    Mistake(
        "mean-over-images",
        "you divided by the number of images; the loss is a mean over all rows, and each image has two",
        (
            "Divide your table by autograd's, entry by entry. Which number comes out?",
            "How many anchors are there in a batch of N images?",
            "Both views of an image take their turn as the anchor.",
        ),
        (partial(flawed, rows=2.0),),
        EVERY,
    ),
    Mistake(
        "downhill",
        "your table points downhill: it is minus the gradient",
        (
            "Raise the cosine of one negative pair a little. Does the loss rise or fall? What sign has your entry?",
            "A gradient says how the loss rises. Which entries should be positive: those that push, or the one that pulls?",
            "All sizes are right; look at the signs only.",
        ),
        (partial(flawed, rows=-1.0),),
        EVERY,
    ),
    Mistake(
        "anchor-pushed",
        "your softmax runs over the anchor itself, so the anchor is pushed away from itself",
        (
            "Look at the diagonal of your gradient. What should stand there?",
            "The loss does not depend on the cosine of a row with itself. What is the derivative with respect to it?",
            "Take the diagonal out before the shares are formed, not after.",
        ),
        (partial(flawed, own=True),),
        EVERY,
        1,
    ),
    Mistake(
        "nothing-pulls",
        "nothing pulls in your gradient: every entry is a push, also the positive's",
        (
            "What should a row of your table add up to?",
            "Raise the cosine of one positive pair a little. Does the loss rise or fall?",
            "The positive gets its share like every candidate, and then something is taken away from it.",
        ),
        (partial(flawed, pull=0.0),),
        EVERY,
        9,
    ),
    Mistake(
        "counted-from-both-sides",
        "you added the transpose: each entry of the table is asked for by itself, as the anchor of its row sees it",
        (
            "Is your table symmetric? Should it be?",
            "The cosine of rows 0 and 1 stands in the table twice. The entry [0, 1] occurs in the loss of which row?",
            "Treat the entries of the table as separate variables.",
        ),
        (partial(flawed, symmetric=True),),
        EVERY,
    ),
    Mistake(
        "shares-over-columns",
        "your shares add up to one down the columns; an anchor is a row, and it divides its attention along the row",
        (
            "Add up your table along the rows, then along the columns. Which sums should be zero?",
            "Which index of the table is the anchor?",
            "The softmax runs over the candidates of one anchor.",
        ),
        (partial(flawed, columns=True),),
        EVERY,
        5,
    ),
)


@exercise("a1.similarity_gradient", parts={"by hand": 3, "cold": 1}, cases=cases, mistakes=MISTAKES)
def similarity_gradient(similarity: Tensor, temperature: float) -> Tensor:
    """The derivative of NT-Xent with respect to every entry of the table of cosines."""
    return flawed(similarity, temperature)
