"""Preference training whose every probability is known: three answers in a plane, and a small transformer."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from labkit import metrics, preferences
from labkit.data.preferences import OPENERS, load
from labkit.models.policies import answer_gradients
from labkit.models.tiny_lm import Part, TinyLM
from labkit.results import result
from labkit.training import Call, Config, call, fit

YES, NO, NEVER = range(len(OPENERS))
EXACT = {"features": "only the features learn", "head": "only the softmax layer learns"}


def exact(train: str, loss: Call | None = None, *, lr: float = 0.25, steps: int = 401, geometry: str = "aligned") -> Config:
    """One prompt, three answers, plain gradient descent: No is preferred to Never."""
    return Config(
        data=call("three_answers", geometry=geometry),
        model=call("softmax_policy", train=train),
        loss=loss or call("dpo"),
        optimizer=call("sgd", lr=lr),
        steps=steps,
        batch=1,
    )


def language(seed: int, *, steps: int = 400) -> Config:
    """The transformer that has learned the small language: where every preference run starts."""
    return Config(
        data=call("grammar", part="corpus", seed=seed),
        model=call("tiny_lm"),
        loss=call("sft"),
        optimizer=call("adamw", lr=3e-3),
        steps=steps,
        batch=128,
        seed=seed,
    )


OPTIMIZERS = {"Adam": call("adam", lr=3e-4), "SGD": call("sgd", lr=0.05)}
HEAD_ONLY = {"Adam": call("adam", lr=1e-3), "SGD": call("sgd", lr=0.05)}


def preferring(
    seed: int,
    rejected: str = "same suffix",
    optimizer: str = "Adam",
    *,
    loss: Call | None = None,
    train: str = "all",
    margin: float = 4.0,
    learned: int = 400,
) -> Config:
    """From there on: "No ..." is preferred to "Never ...", until the mean margin is won; `learned` are the language's steps."""
    return Config(
        data=call("grammar", part=rejected, seed=seed),
        model=call("tiny_lm", train=train),
        loss=loss or call("dpo"),
        optimizer=(HEAD_ONLY if train == "head" else OPTIMIZERS)[optimizer],
        steps=1500,
        batch=64,
        seed=seed,
        start=language(seed, steps=learned),
        until=("margin", margin),
    )


def geometry(n: int = 1, jitter: float = 0.0, seed: int = 0, name: str = "aligned") -> tuple[Tensor, Tensor]:
    """`(features (n, 1, 2), head (n, 3, 2))` of the three answers, moved by Gaussian noise; the first problem is not."""
    factors = load("three_answers", geometry=name).factors
    state, head = factors["features"][-1:], factors["head"]
    generator = torch.Generator().manual_seed(seed)

    def moved(x: Tensor) -> Tensor:
        noise = jitter * torch.randn(n, *x.shape, generator=generator, dtype=x.dtype)
        noise[0] = 0
        return x + noise

    return moved(state), moved(head)


def crowd(n: int, words: int = 50, d: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The same in many dimensions: `words` random output vectors, of which Yes is about -No and Never about 1.4 No."""
    generator = torch.Generator().manual_seed(seed)
    head = torch.randn(n, words, d, generator=generator, dtype=torch.float64) / math.sqrt(d)
    noise = 0.3 * torch.randn(n, 2, d, generator=generator, dtype=torch.float64) / math.sqrt(d)
    head[:, YES], head[:, NEVER] = -head[:, NO] + noise[:, 0], 1.4 * head[:, NO] + noise[:, 1]
    return torch.randn(n, 1, d, generator=generator, dtype=torch.float64), head


def two_prompts(n: int, d: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two prompts whose hidden states have cosine 0.9, and four answers with random output vectors."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(n, d, 2, generator=generator, dtype=torch.float64)).Q.mT
    second = 0.9 * basis[:, 0] + math.sqrt(1 - 0.9**2) * basis[:, 1]
    head = torch.randn(n, 4, d, generator=generator, dtype=torch.float64)
    return torch.stack([basis[:, 0], second], dim=1), head


def two_tokens(
    scales: Sequence[float] = (0.5, 0.75, 1.0, 1.5, 2.0), cosines: Sequence[float] = (-0.5, 0.0, 0.5, 0.8, 1.0)
) -> Tensor:
    """Hidden states `(n, 3, 3)` of two-token answers: after the prompt, after "a", after "b".

    Chosen is "a c", rejected "b c"; the state after b is that after a, scaled and turned.
    """
    prompt, a, across = torch.eye(3, dtype=torch.float64)
    turned = [s * (c * a + math.sqrt(1 - c * c) * across) for s, c in itertools.product(scales, cosines)]
    return torch.stack([torch.stack([0.5 * prompt, a, b]) for b in turned])


def two_token_scores(logps: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of "a c" and "b c", from those of a, b, c in the three states `(..., 3, 3)`."""
    return logps[..., 0, 0] + logps[..., 1, 2], logps[..., 0, 1] + logps[..., 2, 2]


def two_token_dpo(now: Tensor, reference: Tensor) -> Tensor:
    return preferences.dpo(*two_token_scores(now), *two_token_scores(reference), reduction="sum")


def prefer(
    chosen: int = NO, rejected: int = NEVER, prompt: int = 0, loss: Call | None = None
) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss of one preference among exact policies, in the form that `flow` takes."""
    loss = loss or call("dpo")
    entry = getattr(preferences, loss.name)

    def total(now: Tensor, reference: Tensor) -> Tensor:
        pair = [now[:, prompt, chosen], now[:, prompt, rejected]]
        one = torch.ones_like(pair[0])
        free = loss.name in ("simpo", "orpo")
        rest = [one, one] if free else [reference[:, prompt, chosen], reference[:, prompt, rejected]]
        return entry(*pair, *rest, reduction="sum", **loss.kwargs)

    return total


def margins(logps: Tensor, chosen: int = NO, rejected: int = NEVER) -> Tensor:
    """How much of a margin was won since the start: `(steps, ...)` from log-probabilities `(steps, ..., answers)`."""
    gap = logps[..., chosen] - logps[..., rejected]
    return gap - gap[0]


@torch.no_grad()
def scores(policy: nn.Module, data: Any) -> Tensor:
    """The chosen answers' log-probabilities `(n,)`."""
    return preferences.sequence_logps(policy(data.chosen), data.chosen, data.chosen_mask)


@torch.no_grad()
def token_changes(before: nn.Module, after: nn.Module, data: Any) -> Tensor:
    """How much each token of each chosen answer moved, `(n, t)` in nats."""
    now, then = (preferences.token_logps(m(data.chosen), data.chosen, data.chosen_mask) for m in (after, before))
    return now - then


@result("likelihood_displacement")
def foretold(
    seeds: Sequence[int] = tuple(range(8)),
    suffixes: Sequence[str] = ("same suffix", "other suffix"),
    parts: Sequence[Part] = ("all", "head", "body"),
) -> dict[str, np.ndarray]:
    """What could be computed before training, and what became of the chosen answers: 96 runs, about five minutes."""
    rows = []
    for seed, suffix, part in itertools.product(seeds, suffixes, parts):
        policy = cast(TinyLM, fit(language(seed), progress=False).model()).train_only(part)
        known = signs(policy, load("grammar", part=suffix, seed=seed))
        for optimizer in OPTIMIZERS:
            history = fit(preferring(seed, suffix, optimizer, train=part), progress=False).history
            about = {"seed": seed, "suffix": suffix, "part": part, "optimizer": optimizer}
            change = history["chosen_logps"][-1] - history["chosen_logps"][0]
            rows.append({**about, **known, "change": change, "margin": history["margin"][-1]})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def signs(policy: TinyLM, data: Any) -> dict[str, float]:
    """Entanglement of the mean gradients, and CHES of the pairs, before any training."""
    sides = [(getattr(data, which), getattr(data, f"{which}_mask")) for which in ("chosen", "rejected")]
    up, down = (answer_gradients(policy, *side).mean(0) for side in sides)
    with torch.no_grad():
        hidden = [policy.hidden(tokens) for tokens, _ in sides]
    states = [metrics.predicting(mask) for _, mask in sides]
    similar = metrics.ches(*hidden, *states, length_normalized=True).mean()
    return {"entanglement": float(metrics.entanglement(up, down)), "ches": float(similar)}
