"""Three answers and more: the path of gradient descent, and what a margin says about the chosen answer."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit import preferences
from labkit.data.preferences import GEOMETRIES
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.training.flow import flow

FEATURES, HEAD, BOTH = "only the features learn", "only the softmax layer learns", "both learn"
PARTS = {"features": FEATURES, "head": HEAD, "both": BOTH}
EVERY = (FEATURES, HEAD, BOTH)


def cases(draw: Draw) -> list[Case]:
    found = []
    for learns, part in PARTS.items():
        head, state = (torch.tensor(x, dtype=torch.float64) for x in GEOMETRIES["aligned"])
        near = {"state": state + 0.05 * draw.rows(1, 2, torch.float64)[0], "head": head + 0.05 * draw.rows(3, 2, torch.float64)}
        far = {"state": draw.rows(1, 4, torch.float64)[0], "head": draw.rows(7, 4, torch.float64)}
        chosen, rejected, *_ = draw.permutation(7)
        for start, pair in ((near, (1, 2)), (far, (chosen, rejected))):
            how = {"beta": draw.numbers(1.5, 3), "lr": draw.numbers(0.1, 0.3), "steps": draw.integer(15, 25)}
            says = f"{len(start['head'])} answers, beta {how['beta']:g}"
            found.append(Case(part, {**start, "chosen": pair[0], "rejected": pair[1], "learns": learns, **how}, says=says))
    return found


def flawed(
    state: Tensor,
    head: Tensor,
    chosen: int,
    rejected: int,
    learns: str,
    beta: float,
    lr: float,
    steps: int,
    *,
    climbs: bool = False,
    reference: str = "start",
    everything: bool = False,
    exchanged: bool = False,
    late: bool = False,
    says: str = "log-probabilities",
    in_turn: bool = False,
    goal: str = "dpo",
) -> Tensor:
    """The descent, with every usual mistake as a switch."""
    if exchanged:
        learns = {"features": "head", "head": "features"}.get(learns, learns)
    learns = "both" if everything else learns
    h, w = state.clone().requires_grad_(), head.clone().requires_grad_()
    first = (w @ h).log_softmax(-1).detach()
    path = []
    for step in range(steps + 1 + late):
        logps = (w @ h).log_softmax(-1)
        if step >= late:
            path.append({"logits": w @ h, "probabilities": logps.exp()}.get(says, logps).detach())
        moves = [[h], [w]] if in_turn else [[h, w]]
        for moving in moves:
            logps = (w @ h).log_softmax(-1)
            ref = {"policy": logps.detach(), "none": torch.zeros_like(first)}.get(reference, first)
            margin = (logps - ref)[chosen] - (logps - ref)[rejected]
            loss = -F.logsigmoid((1 if goal == "no beta" else beta) * margin)
            loss = {"chosen": -logps[chosen], "line": -beta * margin, "swapped": -F.logsigmoid(-beta * margin)}.get(goal, loss)
            for x, g in zip(moving, torch.autograd.grad(loss, moving), strict=True):
                if learns == "both" or (x is h) == (learns == "features"):
                    with torch.no_grad():
                        x += lr * g if climbs else -lr * g
    return torch.stack(path)


MISTAKES = (
    Mistake(
        "climbs",
        "you go up the loss instead of down: the margin shrinks",
        (
            "Print the margin at the first and at the last step.",
            "A preference was given. Should the chosen answer gain on the rejected one, or lose?",
            "The gradient points where the loss grows fastest.",
        ),
        (partial(flawed, climbs=True),),
        EVERY,
    ),
    Mistake(
        "pair-swapped",
        "chosen and rejected are the wrong way round: you train on the opposite preference",
        (
            "Which of the two answers gains on the other along your path?",
            "Print the margin of the chosen answer over the rejected one at the last step. Which sign should it have?",
            "Follow the order of the two arguments into your loss.",
        ),
        (partial(flawed, goal="swapped"),),
        EVERY,
        35,
    ),
    Mistake(
        "no-bend",
        "your loss is a straight line of the margin: a pair that is won is pushed as hard as one that is lost",
        (
            "How long are your steps at the start and at the end?",
            "What is the slope of your loss at a margin of 0, and at a margin of 10?",
            "Between the margin and the loss there is a curve that flattens.",
        ),
        (partial(flawed, goal="line"),),
        EVERY,
    ),
    Mistake(
        "reference-moves",
        "your reference moves along with the policy: the margin is 0 at every step, and no pair ever counts as settled",
        (
            "Print the argument of the sigmoid at each step. Does it leave 0?",
            "DPO slows down when a pair has been won. Compare the length of your first and of your last step.",
            "The reference is a picture of the beginning. It is taken once.",
        ),
        (partial(flawed, reference="policy"),),
        EVERY,
        34,
    ),
    Mistake(
        "no-reference",
        "nothing is compared with the start: an answer that was likely from the beginning counts as won",
        (
            "At the first step the loss should be log 2, whatever the answers' probabilities. What is yours?",
            "Start with a rejected answer that is likely, then with a rare one. Which first step is longer in yours?",
            "What goes into the sigmoid is what the pair has gained since the start.",
        ),
        (partial(flawed, reference="none"),),
        EVERY,
        34,
    ),
    Mistake(
        "beta-forgotten",
        "beta has no effect on your path",
        (
            "Run it with two values of beta. What changes?",
            "Beta does two things to a gradient: look at where it stands, and differentiate.",
            "It belongs to the argument of the sigmoid, so it sets the length of a step and when the steps shrink.",
        ),
        (partial(flawed, goal="no beta"),),
        EVERY,
    ),
    Mistake(
        "chosen-only",
        "your loss rewards the chosen answer by itself: that is imitation, and cannot displace anything here",
        (
            "Does the rejected answer occur in your loss?",
            "Exchange the rejected answer for another one. Does your path change?",
            "The loss sees a difference of two answers, and nothing else.",
        ),
        (partial(flawed, goal="chosen"),),
        EVERY,
    ),
    Mistake(
        "everything-learns",
        "both the state and the output vectors move, whatever should learn",
        (
            "After a run in which only the features learn, compare the output vectors with those at the start.",
            "What stays frozen has a gradient, too. What keeps yours from following it?",
            "A step is taken by what learns. The rest keeps its numbers to the last digit.",
        ),
        (partial(flawed, everything=True),),
        (FEATURES, HEAD),
    ),
    Mistake(
        "learners-exchanged",
        "features and softmax layer are the wrong way round",
        (
            "The softmax layer consists of the output vectors, one for each answer.",
            "With one prompt, can the chosen answer fall while only the softmax layer learns? Does it in yours?",
            "The features are the hidden state of the prompt.",
        ),
        (partial(flawed, exchanged=True),),
        (FEATURES, HEAD),
    ),
    Mistake(
        "start-missing",
        "your path begins after the first step: where the policy stood before training is not on it",
        (
            "What is the first row of your answer, before anything was learned?",
            "With a learning rate of 0 nothing moves. With 0 steps, how many rows should there be?",
            "First look, then step; and look once more at the end.",
        ),
        (partial(flawed, late=True), lambda *a: flawed(*a)[1:]),
        EVERY,
    ),
    Mistake(
        "not-log-probabilities",
        "these are not log-probabilities of all answers: their exponentials do not add up to 1",
        (
            "Add up the exponentials of one row.",
            "A logit says nothing by itself: add 5 to all of them, and no probability changes.",
            "What is asked is what the softmax says, in nats.",
        ),
        (partial(flawed, says="logits"), partial(flawed, says="probabilities")),
        EVERY,
        40,
    ),
    Mistake(
        "one-after-the-other",
        "you move one of the two first, and the other by a gradient at the new place",
        (
            "Only the case in which both learn is wrong.",
            "At which point of the space is each of your two gradients taken?",
            "One step of gradient descent takes every gradient where it stands, and moves only then.",
        ),
        (partial(flawed, in_turn=True),),
        (BOTH,),
    ),
)


@exercise("a8.descend", parts={FEATURES: 2, HEAD: 2, BOTH: 1}, cases=cases, mistakes=MISTAKES)
def descend(state: Tensor, head: Tensor, chosen: int, rejected: int, learns: Any, beta: float, lr: float, steps: int) -> Tensor:
    """The log-probabilities of all answers, before and after each step of gradient descent on DPO's loss of one preference."""

    def loss(now: Tensor, reference: Tensor) -> Tensor:
        sides = [logps[:, 0, answer] for logps in (now, reference) for answer in (chosen, rejected)]
        return preferences.dpo(*sides, beta=beta)

    return flow(state[None, None], head[None], loss, train=learns, steps=steps, lr=lr)[:, 0, 0]
