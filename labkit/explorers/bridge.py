"""InfoNCE and DPO as one loss: one positive against K negatives, one chosen answer against K rejected ones.

The same slider moves both: K, from one pair to many. Nothing is trained when it moves. The cosines are those of a network
trained on digits, the implicit rewards those of a small language model taught with lists, and both are stored.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.explorers.core import Control, Explorer, Sentence, Shown, State
from labkit.explorers.grids import stored
from labkit.figures.scene import Axis, Panel, Scene, bars, line, points, text
from labkit.preferences import softmax_dpo
from labkit.recipes.bridge import BETA, MOST, NUMBERS, cut
from labkit.results import load

MANY = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
TEMPERATURE, TAUGHT = 0.1, 8  # of the digits' network; how many rejected answers the policy was taught with
SIDES = ("digits", "policy")
LEGEND = 15  # where on the axis of ranks the words stand
HIGH = np.array([0.15, 0.3, 0.6, 1.05])  # the axis of shares takes one of these
ALT = (
    "Two rows of bars and a curve, moved by one slider, the number K of negatives. Bars: the share of the push on the nearest "
    "negative, the second nearest and so on, for digits (InfoNCE) and for a language model (DPO with K rejected answers). "
    "The more negatives, the smaller the share of each, and the hardest always carry most. Curve: both losses against K, "
    "beside their common chance line log(K + 1), which is log 2 for one pair."
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
    shown |= {"candidates": state.k + 1, "even": 1 / state.k}
    for side in SIDES:
        now = scores(side, state.k, state.strength)
        shown[f"{side}_alike"], shown[f"{side}_other"] = now.by_rank()
        highest = float((shown[f"{side}_alike"] + shown[f"{side}_other"]).max())
        shown[f"{side}_high"] = float(HIGH[(highest <= 0.97 * HIGH).argmax()] if highest <= 0.97 * HIGH[-1] else HIGH[-1])
        shown[f"{side}_legend"] = 0.8 * shown[f"{side}_high"]
        shown[f"{side}_hardest"] = float(now.share().max(1).values.mean())
        shown[f"{side}_loss"] = np.array([scores(side, k, state.strength).loss() for k in MANY])
        shown[f"{side}_loss_now"] = now.loss()
    return shown


def panel(side: str, at: tuple[float, float, float, float], title: str, color: str, alike: str) -> Panel:
    """The share of the push on the hardest negative, the second hardest and so on."""
    hover = f"number {{rank}}: {{{side}_NAME:.1%}} of the push"
    kinds = ((f"{side}_other", color, 0), (f"{side}_alike", "vermilion", f"${side}_other"))
    marks = tuple(bars("$rank", f"${n}", base=b, color=c, hover=hover.replace(f"{side}_NAME", n)) for n, c, b in kinds)
    swatch = points(LEGEND, f"${side}_legend", size=11, color="vermilion", symbol="square")
    told = (swatch, text(LEGEND + 1, f"${side}_legend", alike, color="vermilion", halo=True))
    x = Axis("the hardest first" if side == "policy" else "", 0.3, 32.7, ticks=[1, 8, 16, 24, 32])
    return Panel(at, (*marks, *told), title=title, x=x, y=Axis("share of the push", 0, f"${side}_high", format=".0%"))


SCENE = Scene(
    panels=(
        panel("digits", (0, 0, 0.5, 0.48), "InfoNCE on digits", "blue", "of the same digit"),
        panel("policy", (0, 0.5, 0.5, 1), "DPO on answers", "purple", "near-duplicates"),
        Panel(
            (0.5, 0, 1, 1),
            (
                line("$over", "$chance", color="muted", dash="dash", label="log(K + 1)"),
                line("$over", "$digits_loss", label="digits"),
                line("$over", "$policy_loss", color="purple", label="answers"),
                points("$k", "$chance_now", color="muted", size=9),
                points("$k", "$digits_loss_now", size=11),
                points("$k", "$policy_loss_now", color="purple", size=11, symbol="diamond"),
            ),
            title="Both losses; dashed is chance",
            x=Axis("K, negatives or rejected answers", 0.9, 36, log=True, ticks=[1, 2, 4, 8, 16, 32]),
            y=Axis("loss, nats", 0, 5),
            cursor="k",
        ),
    ),
    height=500,
)
SEEN = (
    "K = {after.k}: chance is log {after.candidates} = {after.chance_now:.2f}. The hardest negative carries "
    "{after.digits_hardest:.0%} of the push on digits, "
    "{after.policy_hardest:.0%} on answers; an even share is {after.even:.0%}."
)
PAIR = "K = 1: a pair. Chance is log 2 = {after.chance_now:.2f}, and on answers this is DPO. "
LOSSES = (
    " Losses: digits {before.digits_loss_now:.2f} → {after.digits_loss_now:.2f}, "
    "answers {before.policy_loss_now:.2f} → {after.policy_loss_now:.2f}; no model changed."
)
AGAIN = "Scores count {after.strength:g} times as in training, without training again: the push "
SENTENCES = (
    Sentence(PAIR + "One negative carries all of the push." + LOSSES, changed="k", when={"k": 1}),
    Sentence(SEEN + LOSSES, changed="k"),
    Sentence(AGAIN + "has one negative to fall on.", changed="strength", when={"k": 1}),
    Sentence(AGAIN + "gathers on the hardest. " + SEEN, changed="strength", rises="strength"),
    Sentence(AGAIN + "spreads over all. " + SEEN, changed="strength"),
    Sentence(PAIR, when={"k": 1}),
    Sentence(SEEN),
)


def bridge(k: int = 8, strength: float = 1.0, hide: Sequence[str] = ()) -> Explorer[Bridge]:
    """The bridge explorer: who pushes among K negatives, and the loss against K, for embeddings and for a policy.

    Args:
        k: where the slider begins.
        strength: how strongly scores count; 1 is as in training, that is temperature 0.1 and beta 0.5.
        hide: controls that are not offered.

    Raises:
        ValueError: a `k`, a `strength` or a control that there is not.
    """
    return Explorer(
        name="bridge",
        title="From pairs to lists: InfoNCE and DPO are one loss",
        start=Bridge(k, float(strength)),
        controls=(
            Control("k", "negatives K", MANY),
            Control("strength", "scores count", STRENGTHS, kind="menu", words=[f"× {s:g}" for s in STRENGTHS]),
        ),
        show=show,
        scene=SCENE,
        sentences=SENTENCES,
        alt=ALT,
    ).hidden(hide)
