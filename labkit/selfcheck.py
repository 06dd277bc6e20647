"""Six questions about what the lessons take for granted. Feedback is instant and needs no kernel: it is plain HTML.

The questions are data; a test computes every right answer.
"""

import html
from dataclasses import dataclass

from labkit.reader import Html, display


@dataclass(frozen=True)
class Question:
    """A question, its answers with what to say to someone who chose them, and which one is right."""

    about: str
    text: str
    answers: tuple[tuple[str, str], ...]
    right: int


QUESTIONS = (
    Question(
        "Softmax and cross-entropy",
        "A classifier gives all 4 classes the same logit. Its cross-entropy loss is",
        (
            ("0, there is nothing to prefer", "0 would mean that it is certain of the right class."),
            ("1/4", "1/4 is the probability of the right class; the loss is minus its logarithm."),
            ("log 4 = 1.386", "Minus the log of 1/4. Every training curve here shows such a chance line."),
        ),
        2,
    ),
    Question(
        "logsumexp",
        "<code>torch.logsumexp(torch.tensor([1000., 1000.]), 0)</code> is",
        (
            ("infinite", "<code>exp(1000)</code> is, but the maximum is taken out before anything is exponentiated."),
            ("1000 + log 2 = 1000.69", "The maximum is taken out first, and two equal terms add log 2."),
            ("2000", "That is the sum; logsumexp is nearer to the maximum."),
        ),
        1,
    ),
    Question(
        "Shapes and broadcasting",
        "<code>z</code> has shape (6, 3). The shape of <code>(z[:, None] - z[None, :]).square().sum(-1)</code> is",
        (
            ("(6, 3)", "The two views have shapes (6, 1, 3) and (1, 6, 3): every row meets every row."),
            ("(6, 6)", "All pairs of rows: (6, 1, 3) against (1, 6, 3), and the last axis is summed away."),
            ("(6, 6, 3)", "That is the difference, before the sum over the last axis."),
        ),
        1,
    ),
    Question(
        "The singular value decomposition",
        "100 points in three dimensions all lie on one line through the origin. Of the 3 singular values of the "
        "(100, 3) matrix, how many are not 0?",
        (
            ("1", "Singular values are the lengths of the cloud along its own axes, and it has one axis only."),
            ("3, one per dimension", "The line may point anywhere, but along two of the cloud's own axes it has no length."),
            ("100, one per point", "There are at most as many as dimensions, and here only one has a length."),
        ),
        0,
    ),
    Question(
        "Gradients",
        "Two logits are <code>[0, 0]</code>, and the loss is minus the log-probability of the first. Its gradient is",
        (
            ("[-0.5, +0.5]", "Probabilities minus one-hot. Going against it lifts the first and pushes the second down."),
            ("[-1, 0]", "The second logit is in the denominator: it is pushed as hard as the first is pulled."),
            ("[+0.5, -0.5]", "That is the direction of the step; the gradient points uphill."),
        ),
        0,
    ),
    Question(
        "Next-token log-probabilities",
        "A language model reads the tokens <code>the cat sat</code> and returns logits with 3 rows. "
        "Which row says how probable <code>sat</code> was?",
        (
            ("the first", "That row has read <code>the</code> only, and speaks about the second token."),
            ("the second", "Row t predicts token t + 1: this row has read <code>the cat</code>."),
            ("the third", "That row has read <code>sat</code> already, and speaks about what comes next."),
        ),
        1,
    ),
)

STYLE = """<style>
.labkit-check fieldset{border:1px solid #8886;border-radius:8px;margin:.8em 0;padding:.5em 1em .7em}
.labkit-check legend{font-weight:600;padding:0 .4em}
.labkit-check label{cursor:pointer}
.labkit-check .choice{padding:.15em 0}
.labkit-check .said{display:none;margin:.2em 0 .3em 1.7em;padding:.3em .7em;border-left:4px solid #D55E00}
.labkit-check .right .said{border-left-color:#009E73}
.labkit-check input:checked~.said{display:block}
</style>"""


def asked(question: Question, number: int) -> str:
    """One question as HTML: what belongs to an answer shows when it is chosen."""
    rows = []
    for i, (answer, reply) in enumerate(question.answers):
        right, name = i == question.right, f"check-{number}"
        rows.append(
            f'<div class="choice{" right" * right}"><input type="radio" name="{name}" id="{name}-{i}">'
            f'<label for="{name}-{i}"> {html.escape(answer, quote=False)}</label>'
            f'<div class="said"><b>{"Yes." if right else "Not quite."}</b> {reply}</div></div>'
        )
    return f"<fieldset><legend>{number}. {question.about}</legend><div>{question.text}</div>{''.join(rows)}</fieldset>"


def selfcheck() -> None:
    """Show the six questions, in a notebook or on an exported page; a script has nobody to ask."""
    body = "".join(asked(question, number) for number, question in enumerate(QUESTIONS, 1))
    display(Html(f'{STYLE}<div class="labkit-check">{body}</div>'), "")
