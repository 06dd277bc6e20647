"""Exact policies, many at once: softmax answers to known prompts, moved by plain gradient descent. Every step is kept."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


def flow(
    features: Float[Tensor, "n p d"],
    head: Float[Tensor, "n a d"],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    train: Literal["features", "head", "both"] = "both",
    steps: int = 400,
    lr: float = 0.25,
) -> Float[Tensor, "steps n p a"]:
    """The log-probabilities of all answers, step by step, while `loss(logps, reference)` is lowered.

    The n problems share nothing: each has p prompts, whose hidden states are the rows of `features`, and a answers, whose
    output vectors are the rows of `head`.

    Args:
        features: where the hidden states start.
        head: where the output vectors start.
        loss: from log-probabilities `(n, p, a)`, now and at the start, to the sum of the problems' losses.
        train: which of the two moves.
        steps: of gradient descent.
        lr: its step.

    Returns:
        `(steps + 1, n, p, a)`: the first is where they start.

    >>> from labkit import preferences
    >>> prefer = lambda now, ref: preferences.dpo(now[:, 0, 0], now[:, 0, 1], ref[:, 0, 0], ref[:, 0, 1], reduction="sum")
    >>> path = flow(torch.ones(1, 1, 1), torch.zeros(1, 3, 1), prefer, train="head", steps=100)
    >>> path[-1].exp()                      # the first answer was preferred to the second, of the third nothing was said
    tensor([[[0.7124, 0.0678, 0.2198]]])
    """
    h, w = features.clone().requires_grad_(train != "head"), head.clone().requires_grad_(train != "features")
    moving, path = [x for x in (h, w) if x.requires_grad], []
    for step in range(steps + 1):
        logps = (h @ w.mT).log_softmax(-1)
        path.append(logps.detach())
        if step < steps:
            gradients = torch.autograd.grad(loss(logps, path[0]), moving)
            with torch.no_grad():
                for x, g in zip(moving, gradients, strict=True):
                    x -= lr * g
    return torch.stack(path)
