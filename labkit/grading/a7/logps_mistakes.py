"""What goes wrong with sequence log-probabilities, by name."""

from functools import partial

from labkit.grading.a7.logps_flaws import alone, flawed
from labkit.grading.exercise import Mistake

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
        tuple(partial(flawed, shift=shift) for shift in ("none", "other way", "both cut", "labels stay")),
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
        (
            *(partial(flawed, counted=counted) for counted in ("all", "pads too", "prompt too")),
            *(alone(counted=counted, divide="answer") for counted in ("all", "pads too", "prompt too")),
            *(alone(counted=counted, hidden=True) for counted in ("all", "pads too", "prompt too")),
            *(alone(counted=counted, hidden=True, divide="answer") for counted in ("all", "pads too", "prompt too")),
        ),
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
        "mean-over-places",
        "you take a mean over all places of the batch's longest row, whether `average` asks for one or not",
        (
            "By what do you divide, and when?",
            "Append padding to one row. The sum over its answer stays as it is. Does your value?",
            "A sum is asked for unless `average` is set; and then each row has a number of tokens of its own.",
        ),
        (partial(flawed, divide="always padded"),),
        EVERY,
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
        (partial(flawed, divide="padded"), partial(flawed, divide="whole row")),
        ("average",),
        33,
    ),
    Mistake(
        "average-over-mean-length",
        "you divide every row by the mean length of the batch's answers: a long one looks too unlikely, a short one too likely",
        (
            "By what do you divide, and is it the same number for every row?",
            "Put one answer into a batch by itself, then beside a much longer one. May its average change?",
            "The number of tokens differs from row to row, so there are as many divisors as there are rows.",
        ),
        (partial(flawed, divide="batch"),),
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
        (partial(flawed, score="log softmax"), alone(score="log plus"), alone(score="log plus more")),
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
