"""How accounts of runs go wrong."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import parameters_to_vector as flat

from labkit.grading.a8.inputs import OPTIMIZERS, SIDES, Pairs, Weights, gradients, policy_of, said
from labkit.grading.exercise import Mistake

MOVED, PLAIN, OTHERS = "what became of them", "account, plain gradient descent", "account, Adam and RMSprop"
EVERY = (MOVED, PLAIN, OTHERS)


def flawed(
    weights: Weights,
    pairs: Pairs,
    optimizer: str,
    lr: float,
    steps: int,
    beta: float,
    eta: float,
    *,
    update: str = "actual",
    slope: str = "chosen",
    at: str = "before",
    adds: bool = True,
    anew: bool = False,
    piles: bool = False,
    reference: str = "start",
    tokens: str = "summed",
    masks: bool = True,
    absolute: float = 1.0,
    pooled: str = "mean",
    strength: float | None = None,
) -> dict[str, Tensor]:
    """The run and its account, with every usual mistake as a switch."""
    policy = policy_of(weights)
    parameters = list(policy.parameters())
    stepper = OPTIMIZERS[optimizer](parameters, lr=lr)
    beta = beta if strength is None else strength
    over = torch.sum if pooled == "sum" else torch.mean

    def logps() -> list[Tensor]:
        return [said(policy, pairs[side], pairs[f"{side}_mask"], masks, tokens == "averaged") for side in SIDES]

    now = logps()
    start = [x.detach() for x in now]
    history: dict[str, list[float]] = {"margin": [0.0], "chosen": [0.0], "account": [0.0]}
    first = None
    for _ in range(steps):
        ref = [x.detach() for x in now] if reference == "policy" else start
        loss = -F.logsigmoid(beta * (now[0] - ref[0] - now[1] + ref[1])).mean() - absolute * eta * now[0].mean()
        watched = {"chosen": over(now[0]), "margin": over(now[0] - now[1]), "loss": loss}[slope]
        g, old = flat(gradients(watched, parameters)), flat(parameters).detach()
        first = g if first is None else first
        if anew:
            stepper = OPTIMIZERS[optimizer](parameters, lr=lr)
        if not piles:
            stepper.zero_grad()
        loss.backward()
        stepper.step()
        now = logps()
        g = flat(gradients(over(now[0]), parameters)) if at == "after" else first if at == "start" else g
        moved = flat(parameters).detach() - old
        if update in ("gradient", "sign"):
            slope_of_loss = flat(p.grad for p in parameters if p.grad is not None)
            moved = -lr * (slope_of_loss.sign() if update == "sign" and optimizer != "sgd" else slope_of_loss)
        did = 0.0 if update == "nothing" else (g @ moved).item()
        history["account"].append(did + (history["account"][-1] if adds else 0))
        gained = [over(x.detach() - s).item() for x, s in zip(now, start, strict=True)]
        history["chosen"].append(gained[0])
        history["margin"].append(gained[0] - gained[1])
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in history.items()}


def swept(name: str, **switches: Any) -> Any:
    """A mutant that is not combined with others: they train, and pairs of them would take long."""

    def mutant(*inputs: Any) -> dict[str, Tensor]:
        return flawed(*inputs, **switches)

    mutant.__name__ = name
    return mutant


def copied(*inputs: Any) -> dict[str, Tensor]:
    made = flawed(*inputs)
    return made | {"account": made["chosen"]}


MISTAKES = (
    Mistake(
        "gradient-for-update",
        "you multiply by a step of your own making, from the gradient or its sign; Adam and RMSprop take another one",
        (
            "Your account is right for one optimiser. What do the others do to a gradient before they step?",
            "Compare the length of the step that you assume with how far the parameters really went.",
            "The update need not be derived from anything: it can be read off the parameters, before and after.",
        ),
        (partial(flawed, update="gradient"), partial(flawed, update="sign")),
        (OTHERS,),
        37,
    ),
    Mistake(
        "loss-for-chosen",
        "your account is of the loss, or of the margin: the question was what became of the chosen answers",
        (
            "Whose gradient do you multiply with the update?",
            "Account and change of the chosen answers nearly agree for small steps. What does yours agree with instead?",
            "Nothing of the loss enters the account itself, only the step that it caused.",
        ),
        (partial(flawed, slope="loss"), swept("margin_account", slope="margin")),
        (PLAIN, OTHERS),
        36,
    ),
    Mistake(
        "gradient-after-the-step",
        "you take the chosen answers' gradient after the step: the account is of where the step led, not of where it was taken",
        (
            "At which weights is your gradient taken, and at which does the step begin?",
            "Double the learning rate. Your account and the true change drift apart to the other side than they should.",
            "A first-order account of a step needs the slope where the step starts.",
        ),
        (swept("after", at="after"),),
        (PLAIN, OTHERS),
    ),
    Mistake(
        "gradient-of-the-start",
        "you use the gradient at the start for every step: an infinitesimal statement, stretched over the whole run",
        (
            "How often do you take the chosen answers' gradient?",
            "Compare account and change step by step. Where do they part: at the first step, or later?",
            "Each step has its own slope. What holds at the beginning holds there.",
        ),
        (swept("start", at="start"),),
        (PLAIN, OTHERS),
        37,
    ),
    Mistake(
        "nothing-moved",
        "your update is 0 at every step: what you kept from before the step changes along with the parameters",
        (
            "Print the largest entry of one update.",
            "A name for a tensor is not a copy of it. What happens to what you kept when the optimiser steps in place?",
            "Keep numbers, not the parameters themselves.",
        ),
        (swept("aliased", update="nothing"),),
        (PLAIN, OTHERS),
    ),
    Mistake(
        "not-added-up",
        "each entry is the account of one step: it is to be added up over the run",
        (
            "Compare your last entry with the chosen answers' change over the whole run.",
            "What should the account say after two steps that each raised them by 0.1?",
            "The change that you compare with is counted from the start. So is the account.",
        ),
        (swept("single", adds=False),),
        (PLAIN, OTHERS),
    ),
    Mistake(
        "change-for-account",
        "your account is the change itself, measured after the step: it explains nothing, and can never disagree",
        (
            "Does your account contain a gradient?",
            "With a large learning rate account and change should part a little. Yours cannot.",
            "Two numbers are to be compared: what the slopes foretell of the step that was taken, and what it did.",
        ),
        (copied,),
        (PLAIN, OTHERS),
    ),
    Mistake(
        "optimizer-anew",
        "your optimiser is born anew at every step: it forgets its moments, and each step is a first one",
        (
            "Plain gradient descent is right and the others are not. What do the others remember?",
            "A first step of Adam moves every weight by about the learning rate. Does yours do so at every step?",
            "The optimiser carries its past in itself, so there must be one for the whole run.",
        ),
        (swept("anew", anew=True),),
        (MOVED, OTHERS),
    ),
    Mistake(
        "gradients-pile-up",
        "old gradients are still there at the next step: each step goes along the sum of all so far",
        (
            "The first step is right. What is different at the second?",
            "Print the norm of a gradient before the backward pass.",
            "Backward adds to what is there.",
        ),
        (swept("piles", piles=True),),
        EVERY,
    ),
    Mistake(
        "reference-moves",
        "the reference moves with the policy: every step is as hard as the first one",
        (
            "At which weights are your reference log-probabilities computed, and how often?",
            "The argument of the sigmoid should grow with the margin. Does it?",
            "The reference is where the run starts, and stays there.",
        ),
        (swept("policy", reference="policy"),),
        EVERY,
        34,
    ),
    Mistake(
        "tokens-averaged",
        "you average over an answer's tokens where their sum is asked for",
        (
            "What is the log-probability of a whole answer, given those of its tokens?",
            "Only single-token answers come out right.",
            "Probabilities of tokens multiply.",
        ),
        (swept("averaged", tokens="averaged"),),
        EVERY,
        33,
    ),
    Mistake(
        "mask-ignored",
        "prompt or padding is counted as part of the answers",
        (
            "Which tokens does your log-probability take in?",
            "Append padding to an answer. Nothing was said, so nothing should change.",
            "Only places that the mask marks belong to an answer.",
        ),
        (swept("unmasked", masks=False),),
        EVERY,
        32,
    ),
    Mistake(
        "beta-ignored",
        "your beta is not the one that was given",
        (
            "Which beta does your loss have, if nobody tells it?",
            "Run it with two values of beta. What changes?",
            "A default is a number, too.",
        ),
        (swept("default", strength=0.1), swept("one", strength=1.0)),
        EVERY,
        35,
    ),
    Mistake(
        "absolute-term-wrong",
        "the absolute term is missing or has the wrong sign: it should reward the chosen answers themselves",
        (
            "Only the case with eta is wrong. What should happen to the chosen answers as eta grows?",
            "Train with a large eta. Do the chosen answers rise?",
            "A loss is lowered. What is rewarded enters it with which sign?",
        ),
        (swept("punished", absolute=-1.0), swept("missing", absolute=0.0)),
        (MOVED, OTHERS),
    ),
    Mistake(
        "summed-over-pairs",
        "you add up over the pairs where their mean is asked for",
        (
            "How do your numbers change if every pair occurs twice?",
            "A margin of 4 nats is meant for a pair, not for all pairs together.",
            "Look at the last thing you do to the vector of chosen log-probabilities.",
        ),
        (swept("summed", pooled="sum"),),
        EVERY,
    ),
)
