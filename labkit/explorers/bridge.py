"""InfoNCE and DPO as one loss: one positive against K negatives, one chosen answer against K rejected ones.

The same slider moves both: K, from one pair to many. Nothing is trained when it moves. The cosines are those of a network
trained on digits, the implicit rewards those of a small language model taught with lists, and both are stored.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.explorers.old import Control, Explorer, Shown, State, Track
from labkit.explorers.grids import stored
from labkit.preferences import softmax_dpo
from labkit.recipes.bridge import BETA, MOST, NUMBERS, cut
from labkit.results import load

MANY = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
TEMPERATURE, TAUGHT = 0.1, 8  # of the digits' network; how many rejected answers the policy was taught with
SIDES = ("digits", "policy")
ALT = (
    "Two rows of bars and a curve, moved by one slider, the number K of negatives. Bars: the share of the push on the nearest "
    "negative, the second nearest and so on, for digits (InfoNCE) and for a language model (DPO with K rejected answers). "
    "The more negatives, the smaller the share of each, and the hardest always carry most. Curve: both losses against K, "
    "below their common chance line log(K + 1), which is log 2 for one pair."
)


@dataclass(frozen=True)
class Bridge(State):
    """How many negatives or rejected answers, and how strongly scores count: 1 is as in training."""

    k: int = 8
    strength: float = 1.0


@dataclass(frozen=True)
class Scores:
    """Scores `(n, k + 1)` with the positive first, and which of the others are its like `(n, k)`."""

    values: Tensor
    alike: Tensor

    def share(self) -> Tensor:
        """Each negative's share of the push, `(n, k)`."""
        return self.values[:, 1:].softmax(-1)

    def by_rank(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean share of the nearest, the second nearest ... up to MOST: of those alike, and of the others."""
        order = self.values[:, 1:].argsort(1, descending=True)
        share, alike = self.share().gather(1, order), self.alike.gather(1, order).double()
        parts = torch.zeros(2, MOST, dtype=torch.float64)
        parts[0, : share.shape[1]], parts[1, : share.shape[1]] = (share * alike).mean(0), (share * (1 - alike)).mean(0)
        return parts[0].numpy(), parts[1].numpy()

    def loss(self) -> float:
        return float(softmax_dpo(self.values[:, 0], self.values[:, 1:]))


@functools.cache
def digits(k: int) -> Scores:
    """Cosines of views of digits over the temperature of training: the other view first, then k views of other digits."""
    grid = stored("digits")
    z1, z2 = grid.views(int(np.abs(grid.temperatures - TEMPERATURE).argmin()))
    n, labels = len(z1), torch.tensor(grid.labels)
    others = (torch.rand(n, n, generator=torch.Generator().manual_seed(0)) + 2 * torch.eye(n)).argsort(1)[:, :k]
    cosines = torch.cat([(z1 * z2).sum(1, keepdim=True), (z1[:, None] * z2[others]).sum(-1)], dim=1)
    return Scores(cosines.double() / TEMPERATURE, labels[others] == labels[:, None])


@functools.cache
def policy(k: int, draws: int = 16) -> Scores:
    """`beta log pi / ref` of answers on lists that the policy was not taught with, the chosen answer first."""
    kept = load("bridge")
    ratios = torch.tensor(kept["ratios"][NUMBERS.index(TAUGHT)]).double().repeat(draws, 1)
    words = torch.tensor(kept["words"]).repeat(draws, 1, 1)
    n, size, slots = words.shape
    places = cut(n, size, k, torch.Generator().manual_seed(0))
    words = words.gather(1, places[..., None].expand(-1, -1, slots))
    return Scores(BETA * ratios.gather(1, places), (words[:, 1:] == words[:, :1]).sum(-1) >= 3)


def scores(side: str, k: int, strength: float) -> Scores:
    found = (digits if side == "digits" else policy)(k)
    return Scores(strength * found.values, found.alike)


def show(state: Bridge) -> Shown:
    shown: Shown = {"k": state.k, "strength": state.strength, "rank": np.arange(1, MOST + 1), "over": np.array(MANY)}
    shown |= {"chance": np.log1p(shown["over"]), "chance_now": math.log1p(state.k)}
    for side in SIDES:
        now = scores(side, state.k, state.strength)
        shown[f"{side}_alike"], shown[f"{side}_other"] = now.by_rank()
        shown[f"{side}_hardest"] = float(now.share().max(1).values.mean())
        shown[f"{side}_loss"] = np.array([scores(side, k, state.strength).loss() for k in MANY])
        shown[f"{side}_loss_now"] = now.loss()
    return shown


def explain(before: Bridge, after: Bridge) -> str:
    now = show(after)
    hard = f"{now['digits_hardest']:.0%} of the push on digits, {now['policy_hardest']:.0%} on answers"
    if after.k == 1:
        seen = f"K = 1: a pair. Chance is log 2 = {math.log(2):.2f}, and on the right this is DPO."
    else:
        seen = (
            f"K = {after.k}: chance is log {after.k + 1} = {now['chance_now']:.2f}. The hardest negative carries {hard}; "
            f"an even share is {1 / after.k:.0%}."
        )
    if before.strength != after.strength:
        how = "gathers on the hardest" if after.strength > before.strength else "spreads over all"
        return f"Scores count {after.strength:g} times as in training, without training again: the push {how}. {seen}"
    if before.k != after.k:
        old = show(before)
        lost = f"digits {old['digits_loss_now']:.2f} → {now['digits_loss_now']:.2f}"
        return f"{seen} Losses: {lost}, answers {old['policy_loss_now']:.2f} → {now['policy_loss_now']:.2f}; no model changed."
    return seen


def bridge(k: int = 8, strength: float = 1.0) -> Explorer[Bridge]:
    """The bridge explorer: who pushes among K negatives, and the loss against K, for embeddings and for a policy.

    Args:
        k: where the slider begins.
        strength: how strongly scores count; 1 is as in training, that is temperature 0.1 and beta 0.5.

    Raises:
        ValueError: a `k` or `strength` that the controls do not have.
    """
    from labkit.figures.preference_bridge import linked

    if k not in MANY:
        raise ValueError(f"k must be one of {', '.join(map(str, MANY))}, got {k!r}")
    if strength not in STRENGTHS:
        raise ValueError(f"strength must be one of {', '.join(f'{s:g}' for s in STRENGTHS)}, got {strength!r}")
    start = Bridge(k, float(strength))
    return Explorer(
        name="bridge",
        start=start,
        controls=(
            Control("k", "negatives K", lambda state: MANY),
            Control("strength", "strength", lambda state: STRENGTHS, kind="menu"),
        ),
        show=show,
        explain=explain,
        draw=linked,
        tracks=(Track("how many: K", start, "k"), Track("how strongly", start, "strength")),
        alt=ALT,
    )
