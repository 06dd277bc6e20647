"""Remedies on one mixed set of pairs: other losses, or the pairs that look worst dropped before training.

Half of the pairs are near-duplicates (chosen and rejected answer end alike), half are distinct. All of them, dropped or not,
are the probe: what became of their chosen answers is compared where the probe's mean margin is the same.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from labkit import metrics, preferences
from labkit.data.preferences import PreferencePairs, load
from labkit.models.policies import answer_gradients
from labkit.models.tiny_lm import TinyLM
from labkit.recipes.likelihood_displacement import language
from labkit.results import result
from labkit.training import Call, call, fit

FILTERS = ("nothing", "by lot", "ln-CHES", "entanglement", "near-duplicates")
MARGIN = 4.0
LOSSES = {
    "DPO": call("dpo"),
    "IPO": call("ipo"),
    "SimPO": call("simpo"),
    "DPOP": call("dpop", lambda_=5.0),
    "RPO": call("rpo", eta=0.2),
}
SIDES = ("chosen", "chosen_mask", "rejected", "rejected_mask")


def mixed(seed: int, endings: int = 2) -> PreferencePairs:
    """Near-duplicate pairs, and after them as many distinct ones with other chosen answers."""
    near = load("grammar", part="same suffix", seed=seed, endings=endings)
    far = load("grammar", part="other suffix", seed=seed + 100_000, endings=endings)
    one, its_mask, other, other_mask = (torch.cat([near.tensors[name], far.tensors[name]]) for name in SIDES)
    return PreferencePairs(one, its_mask, other, other_mask, near.vocabulary)


def alike(policy: TinyLM, data: PreferencePairs) -> dict[str, Tensor]:
    """Of each pair, before any training: ln-CHES and entanglement, both larger where displacement is to be feared."""
    sides = [(getattr(data, which), getattr(data, f"{which}_mask")) for which in ("chosen", "rejected")]
    with torch.no_grad():
        hidden = [policy.hidden(tokens) for tokens, _ in sides]
    states = [metrics.predicting(mask) for _, mask in sides]
    gradients = [answer_gradients(policy, *side) for side in sides]
    return {
        "ln-CHES": metrics.ches(*hidden, *states, length_normalized=True),
        "entanglement": metrics.entanglement(*gradients),
    }


def kept(name: str, scores: dict[str, Tensor], drop: int, seed: int) -> Tensor:
    """The pairs that stay when `drop` of them go: the highest scores, some by lot, or known near-duplicates."""
    n = len(scores["ln-CHES"])
    if name == "nothing":
        return torch.arange(n)
    if name == "by lot":
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    elif name == "near-duplicates":
        order = torch.arange(n).flip(0)  # they come first
    else:
        order = scores[name].argsort()
    return order[: n - drop].sort().values


@dataclass(frozen=True)
class Course:
    """What became of all pairs while some of them were trained on: `(steps, pairs)` in nats since the start."""

    chosen: Tensor
    rejected: Tensor

    def margin(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """The mean margin of these pairs at each step."""
        return (self.chosen - self.rejected)[:, rows].mean(1)

    def at(self, rows: Tensor | slice = slice(None), margin: float = MARGIN) -> np.ndarray:
        """Change of each chosen answer where the mean margin of these pairs is `margin`, between the two steps around it."""
        won = self.margin(rows).numpy()
        after = int(np.argmax(won >= margin))
        if won[after] < margin:
            raise ValueError(f"margin {margin:g} was not won: the run ends at {won[-1]:.2f}")
        share = (margin - won[after - 1]) / (won[after] - won[after - 1])
        return (self.chosen[after - 1] + share * (self.chosen[after] - self.chosen[after - 1])).numpy()


def train(
    policy: TinyLM, data: PreferencePairs, rows: Tensor, loss: Call = LOSSES["DPO"], *, steps: int = 1500, lr: float = 3e-4
) -> Course:
    """Adam on these rows, until the mean margin of all pairs, and that of these, has passed MARGIN."""

    def logps(which: str) -> Tensor:
        tokens, mask = getattr(data, which), getattr(data, f"{which}_mask")
        return preferences.sequence_logps(policy(tokens), tokens, mask)

    optimizer, path = torch.optim.Adam(policy.parameters(), lr=lr), []
    for _ in range(steps):
        now = {which: logps(which) for which in ("chosen", "rejected")}
        path.append(torch.stack([x.detach() for x in now.values()]))
        won = (path[-1] - path[0])[0] - (path[-1] - path[0])[1]
        if min(won.mean(), won[rows].mean()) > MARGIN:
            break
        pair = [x[rows] for x in now.values()]
        lengths = [getattr(data, f"{which}_mask")[rows].sum(1) for which in now]
        rest = lengths if loss.name == "simpo" else [x[rows] for x in path[0]]
        value = getattr(preferences, loss.name)(*pair, *rest, **loss.kwargs)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    moved = torch.stack(path) - path[0]
    return Course(moved[:, 0], moved[:, 1])


def learned(seed: int, steps: int = 400) -> TinyLM:
    """The policy that everything here starts from: it has learned the language, and no preference."""
    return cast(TinyLM, fit(language(seed, steps=steps), progress=False).model())


def remedied(name: str, seed: int, *, steps: int = 400) -> np.ndarray:
    """Change of every chosen answer `(pairs,)` at equal margin, after training on all pairs with this loss."""
    return train(learned(seed, steps), mixed(seed), torch.arange(16), LOSSES[name]).at()


def filtered(name: str, seed: int, drop: int = 8, *, steps: int = 400) -> np.ndarray:
    """The same for DPO without the `drop` pairs that this filter picks.

    `(2, pairs)`: where the mean margin of all pairs is MARGIN, and where that of the pairs trained on is.
    """
    policy, data = learned(seed, steps), mixed(seed)
    rows = kept(name, alike(policy, data), drop, seed)
    course = train(policy, data, rows)
    return np.stack([course.at(), course.at(rows)])


@result("displacement_remedies")
def remedies(
    seeds: Sequence[int] = tuple(range(12)),
    losses: Sequence[str] = tuple(LOSSES),
    filters: Sequence[str] = FILTERS,
    drops: Sequence[int] = (4, 8),
) -> dict[str, np.ndarray]:
    """Change of all chosen answers at equal margin, and what each pair's scores were before training; about two minutes.

    `by_loss (losses, seeds, pairs)`, `by_filter (filters, drops, seeds, 2, pairs)`, `ln_ches, entanglement (seeds, pairs)`.
    """
    by_loss = np.zeros((len(losses), len(seeds), 16))
    by_filter = np.zeros((len(filters), len(drops), len(seeds), 2, 16))
    scores: dict[str, list] = {"ln-CHES": [], "entanglement": []}
    for k, seed in enumerate(seeds):
        for i, name in enumerate(losses):
            by_loss[i, k] = remedied(name, seed)
        for (i, name), (j, drop) in itertools.product(enumerate(filters), enumerate(drops)):
            by_filter[i, j, k] = filtered(name, seed, drop)
        for name, value in alike(learned(seed), mixed(seed)).items():
            scores[name].append(value.numpy())
    about = {"losses": np.array(losses), "filters": np.array(filters), "drops": np.array(drops), "seeds": np.array(seeds)}
    found = {"ln_ches": np.stack(scores["ln-CHES"]), "entanglement": np.stack(scores["entanglement"])}
    return {**about, "by_loss": by_loss, "by_filter": by_filter, **found}


def over_seeds(change: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Mean over seeds and the half-width of its t interval, of values `(seeds,)`."""
    n = len(change)
    return float(change.mean()), float(stats.t.ppf((1 + level) / 2, n - 1) * change.std(ddof=1) / n**0.5)
