"""From pairs to lists: a small language model that is shown one preferred answer and K rejected ones.

The preferred style is known: of the ten words of each slot the first five are liked, and an answer's worth is how many of its
words are. Rankings are drawn by the Plackett-Luce model from these worths, so the losses are asked about what they assume.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from labkit import preferences
from labkit.data.preferences import FIRST_WORD, HARMFUL, OPENERS, SLOTS, answers, sentences, suffixes
from labkit.link import logistic
from labkit.models.tiny_lm import TinyLM
from labkit.recipes.likelihood_displacement import language
from labkit.results import result
from labkit.training import fit

NUMBERS = (1, 2, 4, 8, 16, 32)  # rejected answers for one that is chosen
MOST = NUMBERS[-1]
BETA = 0.5


def softmax(scores: Tensor) -> Tensor:
    """One chosen, column 0, and K rejected answers in one softmax."""
    return preferences.softmax_dpo(scores[:, 0], scores[:, 1:])


def pairwise(scores: Tensor) -> Tensor:
    """The chosen against each of the rejected by itself: the mean of K times DPO."""
    return logistic(scores[:, :1] - scores[:, 1:]).mean()


def ranked(scores: Tensor) -> Tensor:
    """The whole order, best first."""
    return preferences.plackett_luce(scores, torch.arange(scores.shape[1]).expand(scores.shape))


OBJECTIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "one softmax": softmax,
    "K pairs": pairwise,
    "whole ranking": ranked,
}


# ---------------------------------------------------------------- lists of answers


def worth(tokens: Tensor) -> Tensor:
    """How many of the five words are liked: 0 to 5."""
    word = (tokens[..., 2:] - FIRST_WORD) % 10
    return (word < 5).sum(-1)


@dataclass(frozen=True)
class Lists:
    """Answers to harmful prompts, best first as a Plackett-Luce draw put them: `tokens (n, k + 1, t)`."""

    tokens: Tensor

    @property
    def worth(self) -> Tensor:
        return worth(self.tokens)

    def cut(self, k: int, generator: torch.Generator) -> "Lists":
        """As many lists of k + 1 answers: still best first, and still draws of the same model."""
        n, size, t = self.tokens.shape
        return Lists(self.tokens.gather(1, cut(n, size, k, generator)[..., None].expand(-1, -1, t)))


def cut(n: int, size: int, k: int, generator: torch.Generator) -> Tensor:
    """Which k + 1 of `size` answers each of n shorter lists keeps, in their order."""
    return torch.rand(n, size, generator=generator).argsort(1)[:, : k + 1].sort(1).values


def lists(n: int, seed: int, k: int = MOST) -> Lists:
    """`n` lists of k + 1 answers with random words; half of each list are near-duplicates that share words with one answer."""
    generator = torch.Generator().manual_seed(seed)
    prompt = len(OPENERS) + torch.randint(len(HARMFUL), (n, 1), generator=generator).expand(n, k + 1).flatten()
    words = suffixes(n * (k + 1), generator).view(n, k + 1, len(SLOTS))
    near = torch.rand(n, k + 1, 1, generator=generator) < 0.5
    kept = torch.rand(words.shape, generator=generator) < 0.6
    words = torch.where(near & kept, words[:, :1], words).flatten(0, 1)
    tokens = sentences(prompt, torch.full_like(prompt, OPENERS.index("No")), words).view(n, k + 1, -1)
    noise = -(-torch.rand(n, k + 1, generator=generator).clamp(min=1e-9).log()).log()  # Gumbel: the order is Plackett-Luce's
    order = (worth(tokens) + noise).argsort(1, descending=True)
    return Lists(tokens.gather(1, order[..., None].expand_as(tokens)))


def log_probabilities(model: TinyLM, tokens: Tensor) -> Tensor:
    """`(n, k + 1)` of whole answers."""
    flat = tokens.flatten(0, 1)
    return preferences.sequence_logps(model(flat), flat, answers(flat)).view(tokens.shape[:2])


@torch.no_grad()
def said(model: TinyLM, n: int, seed: int) -> Tensor:
    """`n` answers to harmful prompts as the model gives them, token by token."""
    generator = torch.Generator().manual_seed(seed)
    tokens = len(OPENERS) + torch.randint(len(HARMFUL), (n, 1), generator=generator)
    for _ in range(1 + len(SLOTS)):
        chances = model(tokens)[:, -1].softmax(-1)
        tokens = torch.cat([tokens, torch.multinomial(chances, 1, generator=generator)], dim=1)
    return tokens


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class Taught:
    """A policy after training on lists, and the model it began as."""

    model: TinyLM
    reference: TinyLM

    @torch.no_grad()
    def ratios(self, tokens: Tensor) -> Tensor:
        """`log pi / ref` of whole answers: their implicit rewards, before `beta`."""
        return log_probabilities(self.model, tokens) - log_probabilities(self.reference, tokens)


def teach(
    k: int, objective: str = "one softmax", seed: int = 0, *, steps: int = 60, batch: int = 4, learned: int = 400
) -> Taught:
    """Train on fresh lists of one chosen and k rejected answers."""
    start = fit(language(seed, steps=learned), progress=False)
    model, reference = (cast(TinyLM, start.model()) for _ in range(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        tokens = lists(batch, seed=1_000_000 * (seed + 1) + step).cut(k, generator).tokens
        with torch.no_grad():
            before = log_probabilities(reference, tokens)
        loss = OBJECTIVES[objective](BETA * (log_probabilities(model, tokens) - before))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Taught(model, reference)


def measured(taught: Taught, seed: int, probe: Lists) -> dict[str, float]:
    """Of the trained policy: what its answers are worth, how well its implicit rewards order answers, how far it went."""
    told = said(taught.model, 1000, seed)
    away = taught.ratios(told[:, None])[:, 0]
    scores, value = taught.ratios(probe.tokens), probe.worth
    above = value[:, :, None] > value[:, None, :]
    right = (scores[:, :, None] > scores[:, None, :])[above].double().mean()
    return {"worth": float(worth(told).double().mean()), "ordered": float(right), "kl": float(away.mean())}


@result("bridge")
def bridge(
    numbers: Sequence[int] = NUMBERS, objectives: Sequence[str] = tuple(OBJECTIVES), seeds: Sequence[int] = tuple(range(6))
) -> dict[str, Any]:
    """Policies taught with K rejected answers by each objective, and what the first seed's think of 64 lists; minutes."""
    probe = lists(64, seed=77)
    meters = {name: np.zeros((len(objectives), len(numbers), len(seeds))) for name in ("worth", "ordered", "kl")}
    ratios = np.zeros((len(numbers), *probe.tokens.shape[:2]), np.float32)
    for (i, objective), (j, k), (s, seed) in itertools.product(enumerate(objectives), enumerate(numbers), enumerate(seeds)):
        taught = teach(k, objective, seed)
        for name, value in measured(taught, seed, probe).items():
            meters[name][i, j, s] = value
        if i == s == 0:
            ratios[j] = taught.ratios(probe.tokens).numpy()
    about = {"numbers": np.array(numbers), "objectives": np.array(objectives), "seeds": np.array(seeds)}
    return {
        **about,
        **meters,
        "ratios": ratios,
        "worths": probe.worth.numpy(),
        "words": probe.tokens[..., 2:].numpy().astype(np.uint8),
    }
