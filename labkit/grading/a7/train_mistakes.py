"""What goes wrong in a DPO run, by name."""

from labkit.grading.a7.train_loop import flawed
from labkit.grading.exercise import Mistake

LEARNED = ("curve", "policy", "end")
MISTAKES = (
    Mistake(
        "reference-is-policy",
        "your reference is the policy itself: the loss stays at log 2, whatever is learned",
        (
            "Print your losses. Do they move?",
            "After training, compare the weights of your two models. How many models are there?",
            "A second name is not a second model. The copy has to be made before the first step, with weights of its own.",
        ),
        (flawed(reference="policy"),),
        ("curve", "policy", "end", "reference"),
        34,
    ),
    Mistake(
        "nothing-learned",
        "the loss stays at log 2 and the policy never moves: either nobody takes the step, or the reference is the policy "
        "and its gradient cancels the policy's",
        (
            "Compare one weight of the policy before and after.",
            "Print the norm of the gradient after backward. If it is 0: what is the gradient of a difference between a thing "
            "and itself? If it is not: who acts on it?",
            "Two models are needed, only one of them is differentiated, and its weights have to change within the loop.",
        ),
        (flawed(reference="policy, with gradient"), flawed(gradients="not used")),
        LEARNED,
        34,
    ),
    Mistake(
        "reference-learns",
        "your reference learns as well: a gradient reaches it, and it runs away from the policy",
        (
            "Ask the reference about the pairs before and after training. Does it still say the same?",
            "Which parameters did you hand to the optimiser, and where do gradients flow?",
            "The reference answers without a history, and no optimiser knows it.",
        ),
        (flawed(reference="learns"),),
        ("curve", "policy", "end", "reference"),
        34,
    ),
    Mistake(
        "no-reference",
        "the reference does not enter the loss: it does not begin at log 2",
        (
            "What is your first loss?",
            "Before the first step policy and reference agree. Which margin has every pair?",
            "Four log-probabilities go into the loss, two of them from the model that stays as it was.",
        ),
        (flawed(reference="none"),),
        LEARNED,
        34,
    ),
    Mistake(
        "gradients-added-up",
        "gradients of earlier steps are still there when the next one is taken: your steps grow and grow",
        (
            "Is your first step right, and your second one too long?",
            "Print the norm of the gradient before each step, and compare with that of a single backward pass at the same "
            "weights.",
            "Backward adds to what is there. Somebody has to clear it.",
        ),
        (flawed(gradients="added up"),),
        LEARNED,
    ),
    Mistake(
        "another-optimiser",
        "your steps are not those of plain gradient descent: something like Adam or momentum makes others of your gradients",
        (
            "Who takes the step in your loop, and what does it make of a gradient?",
            "Compare your first step with the learning rate times the gradient. If they agree: compare the second ones.",
            "Plain gradient descent remembers nothing and rescales nothing.",
        ),
        (flawed(gradients="momentum"), flawed(optimizer="Adam"), flawed(optimizer="AdamW")),
        LEARNED,
    ),
    Mistake(
        "mean-over-tokens",
        "you train on log-probabilities per token: the answers have unequal lengths, and short ones are pushed harder for "
        "each token",
        (
            "Which log-probability of an answer goes into your loss: that of the whole answer, or of one of its tokens?",
            "Train on pairs of equal length, once with each. What could make up for the difference there, and why not here?",
            "The loss was derived for whole answers, and their probability is a product.",
        ),
        (flawed(score="mean"),),
        ("curve", "policy", "end", "reference"),
        33,
    ),
    Mistake(
        "pads-counted",
        "padding is part of your answers: the model learns to prefer one empty place to another",
        (
            "Do your masks reach the log-probabilities?",
            "Change the token ids under the padding. Does your first step change?",
            "Every answer comes with a mask of its own, and the two of a pair are not the same.",
        ),
        (flawed(score="pads counted"),),
        ("curve", "policy", "end", "reference"),
        32,
    ),
    Mistake(
        "off-by-one",
        "each token is scored by the prediction that was made after reading it",
        (
            "Does your own first exercise give the same numbers on these pairs?",
            "Before training, score a few sentences of the language. A model that knows it should find them likely.",
            "What the model says at one place is about the next one.",
        ),
        (flawed(score="unshifted"),),
        ("curve", "policy", "end", "reference"),
        31,
    ),
    Mistake(
        "chosen-rejected-swapped",
        "the rejected answers are preferred: your accuracy goes to 0",
        (
            "Which way does your margin go?",
            "Print the mean log-ratio of chosen and of rejected answers, before and after.",
            "Somewhere on the way into the loss the two answers have changed places.",
        ),
        (flawed(swapped=True),),
        LEARNED,
        35,
    ),
    Mistake(
        "beta-lost",
        "beta does not reach the loss once, as it should: your run is one at another beta",
        (
            "Run twice, with two values of beta. Are the losses after one step different, and in the right direction?",
            "After one small step, by how much does the loss fall at beta 0.1, and at 0.2?",
            "Follow beta from your argument to the loss.",
        ),
        (flawed(strength="none"), flawed(strength="twice")),
        LEARNED,
        35,
    ),
    Mistake(
        "sum-over-pairs",
        "you add the pairs up: your first loss is log 2 times their number, and so is your step",
        (
            "What is your first loss?",
            "Train on every pair twice. Should the run change?",
            "The loss of a batch is a mean over its pairs.",
        ),
        (flawed(total=True),),
        LEARNED,
    ),
    Mistake(
        "losses-after-step",
        "you note each loss after its step: the first one is not log 2 any more",
        (
            "What is your first loss?",
            "Before anything has moved, the loss has to be log 2.",
            "Look first, then step.",
        ),
        (flawed(noted="after"),),
        ("curve",),
    ),
    Mistake(
        "one-step-too-many",
        "you take one step more than asked, or one less: the losses are right, and what you report at the end is not",
        (
            "How many times did the optimiser step?",
            "With one step, the numbers at the end should be those of a policy that moved exactly once.",
            "Losses are noted before each step, and the rest is measured after the last one.",
        ),
        (flawed(late=1), flawed(late=-1)),
        ("policy", "end"),
    ),
    Mistake(
        "likelihood-margin",
        "what you report at the end compares log-probabilities: which answer is likelier, and not which one gained",
        (
            "What would your margin and your accuracy be without any training?",
            "Call your function with a tiny learning rate. The margin should be next to 0.",
            "Margin and accuracy are of rewards: of what each answer gained on the reference.",
        ),
        (flawed(ended="likelihood"), flawed(ended="ranking")),
        ("end",),
    ),
    Mistake(
        "margin-of-rewards",
        "your margin at the end is scaled by beta: it is asked for in nats",
        (
            "In which unit is your margin?",
            "Divide your margin by the difference of the mean log-ratios that you can compute from your other entries.",
            "Log-ratios are in nats, rewards are these times beta.",
        ),
        (flawed(ended="rewards"),),
        ("end",),
        35,
    ),
)
