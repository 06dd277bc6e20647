"""What goes wrong with the DPO loss, by name."""

from functools import partial

from labkit.grading.a7.dpo_flaws import flawed
from labkit.grading.exercise import Mistake

MISTAKES = (
    Mistake(
        "chosen-rejected-swapped",
        "chosen and rejected are the wrong way round: the loss falls when the rejected answer gains",
        (
            "In which direction does your loss go when the chosen answer becomes likelier?",
            "Raise one chosen log-probability by 1 and call your function again. Then raise a rejected one.",
            "A pair that is already ranked rightly, with a wide margin, should cost next to nothing. Follow the sign of that "
            "margin into the last function you apply.",
        ),
        (partial(flawed, swapped=True),),
        ("value", "extreme", "smoothing", "gradient"),
        35,
    ),
    Mistake(
        "beta-on-one-side",
        "beta multiplies only a part of the margin, so at the start the loss is not log 2",
        (
            "How many of the four numbers does your beta reach?",
            "Let the policy be the reference, with a chosen answer at -10 and a rejected one at -20. What is the margin? "
            "What does your function feed to its last step?",
            "Beta scales a difference of two rewards, and each of these is a log-ratio: whatever it multiplies must be 0 "
            "when policy and reference agree.",
        ),
        (partial(flawed, strength="policy"), partial(flawed, strength="reference")),
        ("value", "start", "extreme", "smoothing", "gradient"),
        35,
    ),
    Mistake(
        "beta-on-one-answer",
        "beta multiplies the reward of one answer only: the other one is pulled with another strength",
        (
            "Do both answers' rewards carry the same factor?",
            "Move both log-ratios by 1. The preference has not changed. Has your loss?",
            "Only the difference of two rewards says which answer is preferred, so both need the same scale.",
        ),
        (partial(flawed, strength="chosen"), partial(flawed, strength="rejected")),
        ("value", "extreme", "smoothing", "gradient"),
        35,
    ),
    Mistake(
        "beta-twice",
        "beta comes in twice: the margin of rewards is scaled by its square",
        (
            "Count how often beta meets a number on its way to the loss.",
            "Double beta. By which factor does the argument of your last step grow: 2 or 4?",
            "A reward is beta times a log-ratio. The margin of two rewards has its beta already.",
        ),
        (partial(flawed, strength="twice"),),
        ("value", "extreme", "smoothing", "gradient"),
        35,
    ),
    Mistake(
        "beta-ignored",
        "your loss does not depend on its beta: all runs are runs at one strength",
        (
            "What does your function do with its argument beta?",
            "Call it at beta 0.05 and at 0.5 on pairs that have moved. The losses should differ.",
            "Follow beta from the argument to the place where it acts.",
        ),
        (partial(flawed, strength="none"), partial(flawed, strength="fixed")),
        ("value", "extreme", "smoothing", "gradient"),
        35,
    ),
    Mistake(
        "beta-outside",
        "beta stands outside: it scales the loss, which is a learning rate, and not the margin",
        (
            "Where does beta act: on how far apart the rewards are, or on the number at the very end?",
            "With the policy at its reference, should the loss depend on beta? Does yours?",
            "Beta decides at which margin a pair counts as settled. To do that it has to act before the bend, not after it.",
        ),
        (partial(flawed, strength="outside"),),
        ("value", "start", "smoothing", "gradient"),
        35,
    ),
    Mistake(
        "beta-divides",
        "you divide by beta: a stronger pull to the reference becomes a weaker one",
        (
            "Is beta a temperature of the rewards, or the reverse of one?",
            "At a large beta even a small step away from the reference should make a large reward. What does yours do?",
            "Temperature and strength are each other's reciprocals, and this loss is written with the strength.",
        ),
        (partial(flawed, strength="divides"),),
        ("value", "extreme", "smoothing", "gradient"),
        35,
    ),
    Mistake(
        "reference-is-policy",
        "the reference moves with the policy: the loss is log 2, whatever the policy says",
        (
            "Which of your four numbers belong to the frozen copy? Do all four enter?",
            "Change only the reference's numbers and call your function again. Then change only the policy's.",
            "A log-ratio of a thing with itself is 0. The last two arguments are the ones that stay where the policy began.",
        ),
        (partial(flawed, reference="policy"), partial(flawed, reference="policy, detached")),
        ("value", "extreme", "smoothing", "gradient"),
        34,
    ),
    Mistake(
        "no-reference",
        "the reference does not enter: you reward what is likely, not what has become likelier",
        (
            "Do all four log-probabilities enter?",
            "Let the policy be its reference. Nothing has been learned yet: what should the loss be for every pair, and what "
            "is it?",
            "Answers that were likely from the beginning deserve no credit for it. What each answer had at the start has to "
            "leave the margin.",
        ),
        (partial(flawed, reference="none"),),
        ("value", "start", "extreme", "smoothing", "gradient"),
        34,
    ),
    Mistake(
        "reference-added",
        "the reference comes in with the wrong sign: its head start counts twice instead of not at all",
        (
            "What should happen to a pair whose two answers were unequal from the beginning?",
            "Let the policy be its reference, and print your margin. It has to be 0 for every pair.",
            "A ratio of probabilities is a difference of their logarithms, for each answer by itself. Mind the signs when "
            "you regroup the four terms.",
        ),
        (partial(flawed, reference="added"),),
        ("value", "start", "extreme", "smoothing", "gradient"),
        34,
    ),
    Mistake(
        "mean-margin",
        "you average the margins first: a pair that is won excuses one that is lost",
        (
            "Where do you average: over margins, or over losses?",
            "Two pairs with margins +50 and -50, beta 1. Is this batch fine? What does your function say?",
            "The last step is bent, so the loss of a mean is not the mean of the losses. Reduce last.",
        ),
        (partial(flawed, mean_first=True),),
        ("value", "smoothing", "gradient"),
    ),
    Mistake(
        "log-of-sigmoid",
        "at wide margins your loss is infinite, or a number that a small constant made up: something overflowed or became 0 "
        "before its logarithm was taken",
        (
            "Look at margins of hundreds of nats: real runs reach them with long answers.",
            "What is sigmoid(-200) in float32? And its log, by hand?",
            "For very negative z the logarithm of sigmoid(z) is simply z. X",
        ),
        tuple(partial(flawed, link=link) for link in ("log", "log plus", "log of exp")),
        ("extreme",),
        4,
    ),
    Mistake(
        "no-log",
        "there is no logarithm: a pair that is ranked wrongly with confidence is hardly pushed at all",
        (
            "What is the largest value your loss can have for one pair?",
            "At the start it should be log 2 = 0.693. If it is 0.5 in size, something is missing.",
            "This is a maximum-likelihood loss: minus the logarithm of the probability that the model gives to the label.",
        ),
        (partial(flawed, link="no log"),),
        ("value", "start", "extreme", "smoothing", "gradient"),
    ),
    Mistake(
        "minus-forgotten",
        "your loss is negative: minimising it makes the preferred answer less likely",
        (
            "Which sign does a log-likelihood have, and which sign a loss?",
            "Let the margin grow. A loss should fall towards 0 from above.",
            "Maximising a log-likelihood is minimising something else. One sign is missing.",
        ),
        (partial(flawed, link="positive"),),
        ("value", "start", "extreme", "smoothing", "gradient"),
    ),
    Mistake(
        "sum-over-batch",
        "you add the pairs up where their mean is asked for: twice the batch, twice the step",
        (
            "Should the loss of a batch grow when you put each pair into it twice?",
            "At the start the loss is log 2 for any number of pairs. What is yours for 4 pairs?",
            "Look at the very last thing you do to the vector of losses.",
        ),
        (partial(flawed, total=True),),
        ("value", "start", "extreme", "smoothing", "gradient"),
    ),
    Mistake(
        "one-loss-for-each-pair",
        "you give one loss for each pair: nothing can be minimised before they are one number",
        (
            "How many numbers come back from your function?",
            "Can you call backward on what it gives you?",
            "Your numbers are those of single pairs. What does the text say about the batch?",
        ),
        (partial(flawed, each=True),),
        ("value", "start", "extreme", "smoothing", "gradient"),
    ),
    Mistake(
        "smoothing-sign",
        "your smoothed loss rewards both directions with opposite signs: it has no floor, and certainty is encouraged",
        (
            "What is the smallest value of the smoothed loss, and at which margin?",
            "With label_smoothing 0.2 let the margin grow to 1000. Do you get a large loss, or a very negative one?",
            "A share of the labels is believed to be the other way round. Those pairs have a loss as well, and losses are "
            "added.",
        ),
        (partial(flawed, smooth="minus"), partial(flawed, smooth="robust")),
        ("smoothing",),
    ),
    Mistake(
        "smoothing-exchanged",
        "the smoothed shares are exchanged: you trust the label only as far as you should doubt it",
        (
            "At label_smoothing 0.1, which share of the labels do you take as they are?",
            "As label_smoothing goes to 0, your function should turn into the plain one without a jump.",
            "The small share belongs to the reversed pair.",
        ),
        (partial(flawed, smooth="exchanged"),),
        ("smoothing",),
    ),
    Mistake(
        "smoothing-ignored",
        "`label_smoothing` is not a mixture in your function: the two shares do not add up to 1, or one of them is missing",
        (
            "What does your function do with its last argument?",
            "Compare label_smoothing 0 and 0.3 with the policy at its reference: the loss should be log 2 both times.",
            "Every label is either right or reversed, so the two losses are mixed with shares that add up to one.",
        ),
        (partial(flawed, smooth="ignored"), partial(flawed, smooth="added")),
        ("smoothing",),
    ),
    Mistake(
        "one-side-still",
        "no gradient reaches one of the two answers: only the other one learns",
        (
            "Which of the four inputs may be detached?",
            "Call backward and look at the gradients of both policy terms. They should be of the same size and opposite signs.",
            "Only the reference is a constant. Both answers of the policy have to stay connected to it.",
        ),
        (partial(flawed, still="chosen"), partial(flawed, still="rejected")),
        ("gradient",),
        20,
    ),
)
