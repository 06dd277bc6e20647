"""From logits to the log-probability of an answer: what counts, and what does not."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.a7.inputs import answers, everything, labels, logits
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise

IGNORED = -100


def cases(draw: Draw) -> list[Case]:
    found = []
    for dtype in (torch.float32, torch.float64):
        n, t, v = 4, draw.integer(7, 9), draw.integer(11, 17)
        found.append(case("shift", logits(draw, n, t, v, dtype), labels(draw, n, t, v), everything(n, t)))
    for _ in range(2):
        n, t, v = 6, draw.integer(11, 13), draw.integer(11, 17)
        x, y, mask = logits(draw, n, t, v), labels(draw, n, t, v), answers(draw, n, t)
        says = "prompts, padding on both sides, unequal lengths"
        found.append(case("masks", x, y, mask, says=says))
        found.append(case("average", x, y, mask, average=True, says=f"average=True, {says}"))
        found.append(
            case("ignored", x, y.masked_fill(~mask, IGNORED), mask, says="the label is -100 wherever it does not count")
        )
    for dtype in (torch.float16, torch.bfloat16):
        x, y = logits(draw, 5, 25, 40, dtype), labels(draw, 5, 25, 40)
        found.append(case("half", x, y, everything(5, 25), tolerance=3e-6, says=str(dtype).removeprefix("torch.")))
    x, y = logits(draw, 4, 6, 9, scale=80.0), labels(draw, 4, 6, 9)
    found.append(
        case("confident", x, y, everything(4, 6), says="a policy so sure that other words have probability 0 in float32")
    )
    x, y, mask = logits(draw, 6, 12, 11), labels(draw, 6, 12, 11), answers(draw, 6, 12)
    found.append(case("gradient", x, y, mask, grads=("logits",), says="prompts, padding on both sides, unequal lengths"))
    return found


def case(
    part: str,
    logits: Tensor,
    labels: Tensor,
    mask: Tensor,
    average: bool = False,
    grads: tuple[str, ...] = (),
    tolerance: float = 1e-5,
    says: str = "",
) -> Case:
    inputs = {"logits": logits, "labels": labels, "mask": mask, "average": average}
    return Case(part, inputs, grads, tolerance, says=says)


def flawed(
    logits: Tensor,
    labels: Tensor,
    mask: Tensor,
    average: bool = False,
    *,
    shift: str = "",
    counted: str = "answer",
    score: str = "",
    divide: str = "",
    half: str = "",
) -> Tensor:
    """Every usual mistake, each behind a switch."""
    logits = logits if half else logits.float() if logits.dtype != torch.float64 else logits
    after = mask.cumsum(-1) > 0
    tail = mask.flip(-1).cumsum(-1).flip(-1) > 0
    first, last = mask & (mask.cumsum(-1) == 1), mask & (mask.flip(-1).cumsum(-1).flip(-1) == 1)
    mask = {
        "answer": mask,
        "all": torch.ones_like(mask),
        "pads too": after,
        "prompt too": tail,
        "first left out": mask & ~first,
        "last left out": mask & ~last,
        "only the last": last,
    }[counted]
    ahead, behind = slice(None, -1), slice(1, None)
    seen, said, kept = {
        "": (ahead, behind, behind),
        "none": (slice(None), slice(None), slice(None)),
        "other way": (behind, ahead, behind),
        "mask stays": (ahead, behind, ahead),
    }[shift]
    logits, labels, mask = logits[:, seen], labels[:, said].clamp(min=0), mask[:, kept]
    logps = {
        "": lambda x: x.log_softmax(-1),
        "logits": lambda x: x,
        "probabilities": lambda x: x.softmax(-1),
        "log softmax": lambda x: x.softmax(-1).log(),
        "log plus": lambda x: (x.softmax(-1) + 1e-10).log(),
        "log plus more": lambda x: (x.softmax(-1) + 1e-8).log(),
        "over time": lambda x: x.log_softmax(1),
        "negative": lambda x: -x.log_softmax(-1),
    }[score](logits)
    logps = logps.gather(-1, labels[..., None]).squeeze(-1)
    total = ((logps.float() if half == "late" else logps) * mask).sum(-1)
    if divide == "padded":
        return total / mask.shape[-1] if average else total
    if divide == "batch":
        return total / mask.sum(-1).to(total).mean() if average else total
    return total / mask.sum(-1) if (average and divide != "never") or divide == "always" else total


EVERY = ("shift", "masks", "ignored", "half", "confident", "average", "gradient")
MASKED = ("masks", "ignored", "average", "gradient")
MISTAKES = (
    Mistake(
        "off-by-one",
        "you score each token with the prediction made one place off: a model that has just read a token is asked about that "
        "same token instead of the next",
        (
            "Which token are the logits at place t about: the one that was read there, or the one after it?",
            "Take two words and a model that is sure that B follows A. Feed it A B. Where do its logits name B: at place 0 "
            "or at place 1? Now see what your function reads.",
            "Logits and labels have to be cut at opposite ends, so that a prediction meets what came after it. There is one "
            "prediction fewer than there are tokens, and the mask belongs to the labels.",
        ),
        (partial(flawed, shift="none"), partial(flawed, shift="other way")),
        EVERY,
        31,
    ),
    Mistake(
        "mask-stays",
        "your mask lies one place off: the last word of the prompt is counted and the last word of the answer is not",
        (
            "You shifted something. Did everything move that belongs to it?",
            "Take a prompt of 3 tokens and an answer of 2. Write down by hand which two predictions should count, then print "
            "the places where your mask is True.",
            "The mask says which labels belong to the answer. Whatever happens to the labels has to happen to it.",
        ),
        (partial(flawed, shift="mask stays"),),
        EVERY,
        31,
    ),
    Mistake(
        "prompt-or-pads-counted",
        "tokens that are not part of the answer are counted: your value moves when padding is appended or the prompt changes",
        (
            "Which of your numbers would change if someone padded the batch to a longer length?",
            "Append five columns of padding with mask False, and any logits. The log-probability of the answer is what it "
            "was. Is yours? Then do the same in front.",
            "Multiply out which places enter your sum, for one row with a prompt and padding on both sides: only those that "
            "the mask names may be left.",
        ),
        (partial(flawed, counted="all"), partial(flawed, counted="pads too"), partial(flawed, counted="prompt too")),
        MASKED,
        32,
    ),
    Mistake(
        "answer-cut",
        "you leave out a token at an end of the answer: the first one, the last one, or all but the last",
        (
            "How many tokens of each answer enter your sum, and how many does the mask name?",
            "Take an answer of two tokens, both of probability one half. What does your function say?",
            "Shift once. Every marked token has a prediction, the first one too: it was made at the prompt's last place.",
        ),
        tuple(partial(flawed, counted=counted) for counted in ("first left out", "last left out", "only the last")),
        EVERY,
        31,
    ),
    Mistake(
        "mean-for-sum",
        "you averaged over tokens where the sum is asked for: every answer looks as likely as one of its tokens",
        (
            "Two independent tokens of probability one half each: what is the log-probability of both?",
            "Compare an answer of 2 tokens with one of 20, every token having probability 1/8. Which of them is less likely, "
            "and what does your function say?",
            "The probability of an answer is a product over its tokens. A mean is right only where `average` asks for it; at "
            "equal lengths you would not notice.",
        ),
        (partial(flawed, divide="always"),),
        ("shift", "masks", "ignored", "half", "confident", "gradient"),
        33,
    ),
    Mistake(
        "average-never",
        "`average=True` changes nothing in your function: it is the sum that comes back",
        (
            "What does your function do with its last argument?",
            "Call it twice on one row, with and without `average`. By which factor should the two differ?",
            "The number to divide by is that of the tokens which were counted, for each row its own.",
        ),
        (partial(flawed, divide="never"),),
        ("average",),
        33,
    ),
    Mistake(
        "average-over-padding",
        "you divide by a length that all rows share, padding and prompt included, so an average depends on who else is in "
        "the batch",
        (
            "By what do you divide, and is it the same number for every row?",
            "Put one answer into a batch by itself, then into one with a much longer answer. May its average change?",
            "Each row has its own number of counted tokens. Ask the mask, row by row; the shape of the tensor does not know "
            "it.",
        ),
        (partial(flawed, divide="padded"), partial(flawed, divide="batch")),
        ("average",),
        33,
    ),
    Mistake(
        "no-log-softmax",
        "you add up numbers that are not log-probabilities: what the model returns is not normalised yet",
        (
            "Add up exp of your token scores over the whole vocabulary, at one place. What should come out?",
            "Add 5 to every logit. The model's probabilities are what they were. Is your value?",
            "Logits become log-probabilities only when something is subtracted that is the same for all words at a place.",
        ),
        (partial(flawed, score="logits"), partial(flawed, score="probabilities")),
        EVERY,
    ),
    Mistake(
        "softmax-over-time",
        "you normalise along the sequence, not over the vocabulary",
        (
            "Over which axis should probabilities add up to 1?",
            "Take exp of your token scores at one place and add up over all words; then over all places for one word.",
            "At each place exactly one word comes next: that axis is the one to normalise over, and it is the last.",
        ),
        (partial(flawed, score="over time"),),
        EVERY,
    ),
    Mistake(
        "log-of-softmax",
        "you take the log of probabilities that have become 0: a confident policy gives -inf, or a number that a small "
        "constant made up",
        (
            "What is the smallest positive number in float32, and what is its log?",
            "Try logits (0, 200). What is the log-probability of the first word, by hand? What does your function say?",
            "Probabilities underflow, log-probabilities do not, as long as nobody goes through probabilities to get them.",
        ),
        tuple(partial(flawed, score=score) for score in ("log softmax", "log plus", "log plus more")),
        ("confident",),
        4,
    ),
    Mistake(
        "half-precision-sum",
        "you compute in the half precision that came in: a sum of many tokens loses its last digits, and a margin is a "
        "difference of such sums",
        (
            "With how many digits did the logits come in, and with how many does your answer leave?",
            "In bfloat16, what is 256 + 1? Your sum over a long answer is about as large.",
            "Half precision is good enough for what the network hands you. It is not good enough for a logarithm of a sum, "
            "nor for adding many numbers: change the type before, not after.",
        ),
        (partial(flawed, half="throughout"), partial(flawed, half="late")),
        ("half",),
    ),
    Mistake(
        "negative-log-likelihood",
        "your values are positive: that is the loss of imitation, not a log-probability",
        (
            "Can the logarithm of a probability be positive?",
            "Which of two answers should have the larger value, the likely or the unlikely one? Which has it in yours?",
            "Cross-entropy is a log-probability that somebody turned round.",
        ),
        (partial(flawed, score="negative"),),
        EVERY,
    ),
)


@exercise(
    "a7.sequence_logps",
    parts={"shift": 2, "masks": 2, "ignored": 1, "average": 1, "half": 1, "confident": 1, "gradient": 1},
    cases=cases,
    mistakes=MISTAKES,
)
def sequence_logps(logits: Tensor, labels: Tensor, mask: Tensor, average: bool = False) -> Tensor:
    """The log-probability of each row's answer: the sum over its tokens or, with `average`, their mean."""
    exact = logits if logits.dtype == torch.float64 else logits.float()
    kept = mask[:, 1:].bool()
    words = labels[:, 1:].masked_fill(~kept, 0).long()
    logps = -F.cross_entropy(exact[:, :-1].transpose(1, 2), words, reduction="none").masked_fill(~kept, 0)
    return logps.sum(-1) / kept.sum(-1) if average else logps.sum(-1)
