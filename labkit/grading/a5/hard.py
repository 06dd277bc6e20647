"""Hard negatives: weights of mean one, and whether the gradient goes through them."""

import math
from functools import partial

import torch
from torch import Tensor

from labkit.contrast import contrast, log_partition, two_views
from labkit.grading.a5.common import crowded, hot_mistake, raw_rows_mistake, square, views
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def flawed(
    z1: Tensor,
    z2: Tensor,
    temperature: float,
    beta: float,
    through: bool,
    *,
    gradient: str = "as asked",
    mean: str = "of the row",
    bare: bool = False,
    easy: bool = False,
    inside: bool = False,
    exp_first: bool = False,
    hot: bool = False,
    raw: bool = False,
    decoupled: bool = False,
) -> Tensor:
    cosines, own, pair = square(z1, z2, raw=raw)
    logits = cosines * temperature if hot else cosines / temperature
    weighed = ~own if inside else ~(own | pair)
    count = weighed.sum(1, keepdim=True).to(logits.dtype)
    hardness = beta * (cosines if bare else logits) * (-1 if easy else 1)
    held = {"as asked": not through, "never": True, "always": False, "the other way": through}[gradient]
    if exp_first:
        weights = hardness.exp() * weighed
        weights = weights / (weights.sum(1, keepdim=True) / count)
        negatives = ((weights.detach() if held else weights) * logits.exp()).sum(1).log()
    else:
        weights = hardness.masked_fill(~weighed, -math.inf)
        if mean in ("of the row", "one in all"):
            weights = weights.log_softmax(1) + (count.log() if mean == "of the row" else 0)
        elif mean == "of the batch":
            weights = weights - weights.flatten().logsumexp(0) + count.sum().log()
        negatives = (logits + (weights.detach() if held else weights)).logsumexp(1)
    positive = logits[pair]
    below = negatives if decoupled or inside else torch.logaddexp(positive, negatives)
    return (below - positive).mean()


def cases(draw: Draw) -> list[Case]:
    both = ("z1", "z2")

    def case(part: str, through: bool, temperature: float, dtype: torch.dtype = torch.float64, says: str = "") -> Case:
        rows = crowded(draw) if part == "cold" else views(draw, 5, 3, dtype)
        inputs = {**rows, "temperature": temperature, "beta": draw.numbers(0.4, 1.8), "through": through}
        grads = both if part in ("through", "constant") else ()
        return Case(part, inputs, grads, 1e-6 if dtype == torch.float64 else 1e-4, says=says)

    return [
        case("value", True, draw.numbers(0.2, 0.8)),
        case("value", False, draw.numbers(0.2, 0.8), torch.float32, "float32"),
        case("through", True, draw.numbers(0.2, 0.8), says="gradient through the weights"),
        case("through", True, draw.numbers(0.1, 0.5), says="gradient through the weights"),
        case("constant", False, draw.numbers(0.2, 0.8), says="weights held constant"),
        case("constant", False, draw.numbers(0.1, 0.5), says="weights held constant"),
        case("cold", True, 0.01, torch.float32, "temperature 0.01, float32"),
        case("cold", False, 0.01, torch.float32, "temperature 0.01, float32"),
    ]


EVERYTHING = ("value", "through", "constant", "cold")
MISTAKES = (
    Mistake(
        "weights-add-up-to-one",
        "your weights add up to one, and the negatives together count as a single one",
        (
            "Look at what your weights add up to over the negatives of one anchor.",
            "Set beta to zero, so that every negative weighs the same. Which loss should be left, and is it?",
            "A softmax gives shares of one. With shares the sum over N negatives turns into an average of them, so the push "
            "no longer grows with their number. The weights say who counts more than others: on average a negative should "
            "count as it did.",
        ),
        (partial(flawed, mean="one in all"),),
        EVERYTHING,
        24,
    ),
    Mistake(
        "weights-not-normalised",
        "your weights are not divided by their mean",
        (
            "Look at what your weights are on average over the negatives of one anchor.",
            "Put all embeddings in one point, and change beta. Should the loss change there?",
            "How much harder a negative is than others is a matter of comparison with the others of the same anchor. Without "
            "that comparison beta does not pick out the hard ones, it blows up all those that are near.",
        ),
        (partial(flawed, mean="none"),),
        EVERYTHING,
        24,
    ),
    Mistake(
        "one-mean-for-the-batch",
        "you divided the weights of all anchors by one mean",
        (
            "Look at over what you average the weights.",
            "Take two anchors, one in a crowd and one alone. Whose negatives should weigh one on average?",
            "Every anchor compares its own negatives with each other. With one mean for the whole batch the anchors in a "
            "crowd get heavier negatives, and those alone get lighter ones.",
        ),
        (partial(flawed, mean="of the batch"),),
        EVERYTHING,
        24,
    ),
    Mistake(
        "weights-always-constant",
        "no gradient goes through your weights, though this paper's code differentiates them",
        (
            "Look at what your gradient does where it was asked to go through the weights.",
            "Move one negative a little. The value of the loss changes in two ways: which of them does your gradient know of?",
            "The weights are functions of the embeddings. Whether the optimiser is to know that is a choice; this exercise "
            "asks for both, and yours gives the same gradient for both.",
        ),
        (partial(flawed, gradient="never"),),
        ("through",),
        24,
    ),
    Mistake(
        "gradient-through-the-weights",
        "the gradient goes through your weights where they are to be held constant",
        (
            "Look at what your gradient does where the weights were to be constants.",
            "If weights are only to say who counts, can moving a negative be a way to change its weight?",
            "The value of a loss with constant weights is the same as without; only the backward pass differs. Something has "
            "to tell autograd that the weights are numbers and not functions, and only where that is asked for.",
        ),
        (partial(flawed, gradient="always"),),
        ("constant",),
        24,
    ),
    Mistake(
        "constants-the-other-way",
        "your weights are constants where they should not be, and the other way round",
        (
            "Look at what the last argument says, and what you do with it.",
            "Which of the two settings takes the weights for functions of the embeddings: the one in which the gradient goes "
            "through?",
            "Both of your gradients are right, each in the place of the other. What goes through is what autograd may look "
            "into.",
        ),
        (partial(flawed, gradient="the other way"),),
        ("through", "constant"),
        24,
    ),
    Mistake(
        "beta-without-the-temperature",
        "your weights look at cosines, where they should look at cosines over the temperature",
        (
            "Look at what beta multiplies.",
            "At a low temperature, by how much does the nearest negative outweigh the second nearest in your answer? Does it "
            "depend on the temperature?",
            "In this paper a weight is a power of the very term it stands beside, and beta is the exponent. The temperature "
            "is in that term already.",
        ),
        (partial(flawed, bare=True),),
        EVERYTHING,
    ),
    Mistake(
        "easy-negatives-weigh-more",
        "your weights favour the easy negatives",
        (
            "Look at which negative has the largest weight.",
            "Let beta grow. Which negative should be left alone in the end, the nearest or the farthest?",
            "Hard means that the negative looks like the anchor, so that its cosine is large. Yours grow as the cosine falls.",
        ),
        (partial(flawed, easy=True),),
        EVERYTHING,
    ),
    Mistake(
        "positive-among-the-weighed",
        "you weighed the positive as if it were a negative",
        (
            "Look at who gets a weight in your answer.",
            "Bring a positive very near. What happens to the weights of the negatives, if it is one of those that share them?",
            "Weights are for the negatives, and their mean goes over the negatives. The positive stands in the denominator "
            "beside their sum and has no weight.",
        ),
        (partial(flawed, inside=True),),
        EVERYTHING,
    ),
    Mistake(
        "positive-left-out",
        "your positive is missing from the denominator",
        (
            "Look at what an anchor of yours is compared with.",
            "Set beta to zero. Which loss should be left, and which is yours?",
            "Weighing changes the sum over the negatives. The positive stands beside that sum, as it does in InfoNCE; "
            "dropping it is another idea, that of DCL.",
        ),
        (partial(flawed, decoupled=True),),
        EVERYTHING,
        21,
    ),
    Mistake(
        "exp-first",
        "you take the exponential before the largest is taken off, and at temperature 0.01 that is infinite",
        (
            "Look at the largest number that your code ever holds.",
            "What is the exponential of 100 in float32? And infinity divided by infinity?",
            "A product of a weight and an exponential is a sum of two logarithms. Keep the weights as logarithms from the "
            "start, normalise them there, and let one function at the end take care of the rest.",
        ),
        (partial(flawed, exp_first=True),),
        ("cold",),
        4,
    ),
    hot_mistake((partial(flawed, hot=True),), EVERYTHING),
    raw_rows_mistake((partial(flawed, raw=True),), EVERYTHING),
)


@exercise(
    "a5.hard_negative",
    parts={"value": 2, "through": 1, "constant": 1, "cold": 1},
    cases=cases,
    mistakes=MISTAKES,
    seconds=10,
)
def hard_negative(z1: Tensor, z2: Tensor, temperature: float, beta: float, through: bool) -> Tensor:
    """NT-Xent whose negatives have weights of mean one that grow with their cosines; gradient through the weights or not."""
    pairs = two_views(z1, z2)
    logits = pairs.similarity / temperature
    weights = (beta * logits).masked_fill(~pairs.others, -math.inf).log_softmax(-1) + math.log(2 * len(z1) - 2)
    negatives = log_partition(logits, weights if through else weights.detach())
    return contrast(logits, pairs.partner, torch.logaddexp(pairs.positive / temperature, negatives))
