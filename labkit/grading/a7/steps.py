"""Training steps without autograd, on policies small enough to write down."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.grading.a7.inputs import agrees
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise


def cases(draw: Draw) -> list[Case]:
    found = []
    for dtype in (torch.float32, torch.float64):
        found.append(case(draw, "one step", 1, "logits", dtype))
        found.append(case(draw, "many steps", draw.integer(6, 8), "logits", dtype))
        found.append(case(draw, "losses", draw.integer(4, 6), "losses", dtype))
    return found


def case(draw: Draw, part: str, steps: int, key: str, dtype: torch.dtype) -> Case:
    n, k = draw.integer(3, 5), draw.integer(4, 6)
    pairs = torch.tensor([draw.permutation(k)[:2] for _ in range(n)])
    beta = draw.numbers(0.3, 0.7)
    inputs = {
        "logits": 2 * draw.rows(n, k, dtype),
        "chosen": pairs[:, 0],
        "rejected": pairs[:, 1],
        "beta": beta,
        "lr": float(f"{n * draw.numbers(1, 2) / beta**2:.3g}"),  # so that beta times the margin grows by one or two at first
        "steps": steps,
    }
    right = stepped(**inputs)  # type: ignore[arg-type]
    return Case(part, inputs, accepts=agrees(right, key, tolerance=1e-4), says=f"{n} prompts, {k} answers, {steps} steps")


def stepped(
    logits: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    beta: float,
    lr: float,
    steps: int,
    *,
    reference: str = "",
    push: str = "",
    direction: str = "",
    total: bool = False,
    recorded: str = "before",
) -> dict[str, Any]:
    """The right answer, and every usual mistake, each behind a switch."""
    logits = logits.detach().clone()
    start, rows, losses = logits.clone(), torch.arange(len(logits)), []

    def margins() -> Tensor:
        old = 0 * start if reference == "none" else logits if reference == "moves" else start
        gained = logits - old
        return gained[rows, chosen] - gained[rows, rejected]

    for _ in range(steps):
        z = beta * margins()
        if recorded == "before":
            losses.append(F.softplus(-z).mean())
        weight = {
            "constant": torch.ones_like(z),
            "half": torch.full_like(z, 0.5),
            "reversed": torch.sigmoid(z),
            "slope of sigmoid": torch.sigmoid(z) * torch.sigmoid(-z),
        }.get(push, torch.sigmoid(-z))
        size = weight * {"no beta": 1.0, "beta twice": beta * beta}.get(push, beta) / (1 if total else len(logits))
        logits += lr * size[:, None] * turned(logits, chosen, rejected, direction)
        if recorded == "after":
            losses.append(F.softplus(-beta * margins()).mean())
    return {"logits": logits, "losses": torch.stack(losses)}


def turned(logits: Tensor, chosen: Tensor, rejected: Tensor, direction: str) -> Tensor:
    """Where a pair's step points: in the right answer, from the rejected answer's logit to the chosen one's."""
    k = logits.shape[-1]
    up, down = F.one_hot(chosen, k).to(logits), F.one_hot(rejected, k).to(logits)
    p = logits.softmax(-1)
    return {
        "ascent": down - up,
        "chosen only": up - p,
        "up only": up,
        "softmax left": up - down - p,
        "probabilities": up * p - down * p,
        "odds": up * (1 - p) - down * (1 - p),
    }.get(direction, up - down)


EVERY = ("one step", "many steps", "losses")
MISTAKES = (
    Mistake(
        "reference-moves",
        "your reference moves along with the policy: every loss is log 2, and every step is as large as the first",
        (
            "Print your losses. Do they change?",
            "After the first step, look at what you took for the reference. Is it what came in?",
            "Two names for one tensor: what is done to the one in place is done to the other.",
        ),
        (partial(stepped, reference="moves"),),
        ("many steps", "losses"),
        34,
    ),
    Mistake(
        "no-reference",
        "the reference does not enter: your first loss is not log 2",
        (
            "What is the margin before the first step?",
            "Policy and reference are the same at the start. Each pair's loss has to be log 2 there.",
            "The table that came in is the reference, to the end.",
        ),
        (partial(stepped, reference="none"),),
        EVERY,
        34,
    ),
    Mistake(
        "push-never-fades",
        "your push does not depend on the margin: a pair that is won is pushed like one that is not",
        (
            "How large is your second step, compared with the first?",
            "Take many steps. Each should be smaller than the one before it, for a pair that is being won.",
            "The push is the slope of the loss, and the slope depends on where on the curve you are.",
        ),
        (partial(stepped, push="half"),),
        ("many steps", "losses"),
    ),
    Mistake(
        "push-is-constant-one",
        "the slope of the loss is missing: at the start it is one half, and yours is one",
        (
            "What is the slope of -log sigmoid(z) at z = 0?",
            "Take one step and compare with autograd. Is yours twice as long?",
            "A pair is pushed as hard as the model still doubts it.",
        ),
        (partial(stepped, push="constant"),),
        EVERY,
    ),
    Mistake(
        "push-grows",
        "your push grows as the pair is won: settled pairs are pushed hardest",
        (
            "Which pairs does your step move most after a while?",
            "Compute your push for a margin of +10 and for -10. Which of the two should be near 0?",
            "The slope belongs to the doubt that is left, not to the confidence.",
        ),
        (partial(stepped, push="reversed"),),
        ("many steps", "losses"),
    ),
    Mistake(
        "slope-of-sigmoid",
        "you took the slope of the sigmoid, not of minus its logarithm: hopeless pairs are let go",
        (
            "Which function's derivative did you take?",
            "At the start your step is half of what autograd says.",
            "The logarithm's own derivative divides by the sigmoid, and something cancels.",
        ),
        (partial(stepped, push="slope of sigmoid"),),
        EVERY,
    ),
    Mistake(
        "chain-rule-loses-beta",
        "the chain rule lost beta, or counts it twice: your step has the right direction and not the right length",
        (
            "Divide your step by autograd's. Which number is it?",
            "Do the same at another beta.",
            "The margin is multiplied by beta before the bend. Every inner factor comes out when one differentiates, once.",
        ),
        (partial(stepped, push="no beta"), partial(stepped, push="beta twice")),
        EVERY,
        35,
    ),
    Mistake(
        "softmax-not-cancelled",
        "your step changes logits of answers that the pair does not mention: the softmax's own term should have cancelled",
        (
            "Which entries of a row does your step change?",
            "Write down the gradient of the chosen answer's log-probability with respect to all logits, then the rejected "
            "one's, and subtract.",
            "Each of the two gradients has a part that is the same for both answers.",
        ),
        (partial(stepped, direction="chosen only"), partial(stepped, direction="softmax left")),
        EVERY,
    ),
    Mistake(
        "one-answer-only",
        "only the chosen answer's logit moves: the rejected one is half of the margin",
        (
            "Which entries of a row does your step change?",
            "The margin depends on two logits, with opposite signs. How does it depend on each?",
            "What one answer gains in logits the other one loses.",
        ),
        (partial(stepped, direction="up only"),),
        EVERY,
    ),
    Mistake(
        "probabilities-left",
        "your step is weighted by the probabilities of the two answers: in logits the margin is a plain difference",
        (
            "Of what is the margin a function here: of probabilities or of logits?",
            "Raise one logit by a small number. By how much does the margin change?",
            "The difference of two log-probabilities of one row is the difference of two logits; the rest cancels.",
        ),
        (partial(stepped, direction="probabilities"), partial(stepped, direction="odds")),
        EVERY,
    ),
    Mistake(
        "uphill",
        "your step goes uphill: the losses grow",
        (
            "Print your losses. Which way do they go?",
            "After one step, is the chosen answer's logit higher than before?",
            "Descent subtracts the gradient; check how many minus signs there are in it already.",
        ),
        (partial(stepped, direction="ascent"),),
        EVERY,
        35,
    ),
    Mistake(
        "sum-over-prompts",
        "your step is as many times too long as there are prompts: the loss is a mean",
        (
            "Divide your step by autograd's. Which number is it?",
            "Put every prompt in twice. Should each row move twice as far?",
            "A mean over pairs leaves a factor in every pair's gradient.",
        ),
        (partial(stepped, total=True),),
        EVERY,
    ),
    Mistake(
        "losses-after-step",
        "you note the loss after the step: the first one is not log 2 any more",
        (
            "What is your first loss?",
            "Before anything has moved, the loss has to be log 2.",
            "Look first, then step.",
        ),
        (partial(stepped, recorded="after"),),
        ("losses",),
    ),
)


@exercise("a7.dpo_steps", parts={"one step": 2, "many steps": 2, "losses": 1}, cases=cases, mistakes=MISTAKES)
def dpo_steps(logits: Tensor, chosen: Tensor, rejected: Tensor, beta: float, lr: float, steps: int) -> dict[str, Any]:
    """`logits` after so many steps of gradient descent on the DPO loss, and the `losses` before each of them."""
    return stepped(logits, chosen, rejected, beta, lr, steps)
