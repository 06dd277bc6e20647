"""A run taken apart: what every step of the optimiser did to the chosen answers, added up, against what became of them."""

import functools
from functools import partial
from typing import Any

import torch
from torch import Tensor

from labkit import preferences
from labkit.grading.a8.account_flaws import MISTAKES, MOVED, OTHERS, PLAIN
from labkit.grading.a8.inputs import (
    OPTIMIZERS,
    Pairs,
    Weights,
    only,
    policy_of,
    sentences,
    spoken,
    three_answers,
)
from labkit.grading.draw import Draw
from labkit.grading.exercise import Case, exercise
from labkit.training.account import Account

KEYS = {MOVED: ("margin", "chosen"), PLAIN: ("account",), OTHERS: ("account",)}


def cases(draw: Draw) -> list[Case]:
    def inputs(made: Any, optimizer: str, low: float, high: float, eta: float = 0.0) -> dict[str, Any]:
        weights, pairs = made(draw)
        how = {"lr": draw.numbers(low, high), "steps": draw.integer(4, 5), "beta": draw.numbers(0.5, 1.5), "eta": eta}
        return {"weights": weights, "pairs": pairs, "optimizer": optimizer, **how}

    absolute = draw.numbers(0.2, 0.5)
    tried = [
        ((PLAIN,), "three answers, plain gradient descent", inputs(three_answers, "sgd", 0.2, 0.5)),
        ((PLAIN,), "a transformer, plain gradient descent", inputs(sentences, "sgd", 0.05, 0.15)),
        ((MOVED, OTHERS), "three answers, RMSprop", inputs(three_answers, "rmsprop", 0.03, 0.06)),
        ((OTHERS,), "a transformer, Adam", inputs(sentences, "adam", 0.01, 0.02)),
        ((MOVED, OTHERS), f"a transformer, Adam, eta {absolute:g}", inputs(sentences, "adam", 0.01, 0.02, absolute)),
    ]
    found = []
    for parts, says, given in tried:
        right = functools.cache(partial(account, **given))
        found += [Case(part, given, accepts=only(right, KEYS[part]), says=says) for part in parts]
    return found


@exercise("a8.account", parts={MOVED: 2, PLAIN: 2, OTHERS: 3}, cases=cases, mistakes=MISTAKES, seconds=30)
def account(
    weights: Weights, pairs: Pairs, optimizer: str, lr: float, steps: int, beta: float, eta: float
) -> dict[str, Tensor]:
    """Mean margin, the chosen answers' mean gain, and the account of that gain, before and after each step of training."""
    policy = policy_of(weights)
    book = Account(policy.parameters(), OPTIMIZERS[optimizer](policy.parameters(), lr=lr))
    now = spoken(policy, pairs)
    start, path = [x.detach() for x in now], [(0.0, 0.0, 0.0)]
    for _ in range(steps):
        loss = preferences.dpo(*now, *start, beta=beta) - eta * now[0].mean()
        book.step(now[0], now[1], loss)
        now = spoken(policy, pairs)
        chosen, rejected = ((x.detach() - s).mean().item() for x, s in zip(now, start, strict=True))
        path.append((chosen - rejected, chosen, book.total.chosen.total))
    margin, gained, added = torch.tensor(path, dtype=torch.float64).T
    return {"margin": margin, "chosen": gained, "account": added}
