"""Whom a softmax loss pushes: what it hands to `contrast`, and the part of that gradient which drives apart.

Anchors are the first view's rows; candidates are all rows of both views, the first view's first.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from labkit.contrast import log_partition, off_diagonal, share
from labkit.directions import unit
from labkit.losses import dcl, dhel, nt_xent, sup_con
from labkit.registry import ENTRIES

NEAREST = 0.05  # of an anchor's candidates


class Spec(NamedTuple):
    """The masks of a loss in words: who is a positive, and whom of the first and of the second view it is compared with."""

    positives: str  # "partner": the other view; "class": everyone of the class, alike
    first: str  # "other": all but oneself
    second: str  # "everyone", "other", or "nobody"


SPECS = {
    "nt_xent": Spec("partner", "other", "everyone"),
    "dcl": Spec("partner", "other", "other"),
    "dhel": Spec("partner", "other", "nobody"),
    "sup_con": Spec("class", "other", "everyone"),
}


class Terms(NamedTuple):
    """Of each anchor: its positives, as weights that add up to 1, and whom it is compared with."""

    positives: Float[Tensor, "n 2n"]
    against: Bool[Tensor, "n 2n"]

    @property
    def pushed(self) -> Bool[Tensor, "n 2n"]:
        """Who can be pushed at all: not a positive that is the only one."""
        return self.against & (self.positives < 1)


def terms(loss: str, labels: Int[Tensor, "n"]) -> Terms:
    """What the loss of this name hands to `contrast`."""
    spec, like = SPECS[loss], torch.zeros((), dtype=torch.float64)
    other = off_diagonal(len(labels), like)
    known = {"other": other, "everyone": torch.ones_like(other), "nobody": torch.zeros_like(other)}
    same = labels[:, None] == labels
    positives = [same & other, same] if spec.positives == "class" else [known["nobody"], ~other]
    return Terms(share(torch.cat(positives, 1), like), torch.cat([known[spec.first], known[spec.second]], 1))


def push(cosines: Float[Tensor, "n 2n"], known: Terms, temperature: float) -> Float[Tensor, "n 2n"]:
    r"""How an anchor's push is shared out among its candidates; every row adds up to 1.

    .. math:: r_{ij} \propto \max \Big( 0, \frac{\partial L_i}{\partial s_{ij}} \Big), \qquad
        \tau \frac{\partial L_i}{\partial s_{ij}} = \Big( \sum_k P_{ik} \Big)
        \frac{w_{ij} e^{s_{ij}/\tau}}{\sum_k w_{ik} e^{s_{ik}/\tau}} - P_{ij}
    """
    logits = (cosines / temperature).masked_fill(~known.against, -math.inf)
    compared = (logits - log_partition(logits, known.against)).exp()
    pushed = (known.positives.sum(1, keepdim=True) * compared - known.positives).clamp(min=0)
    return pushed / pushed.sum(1, keepdim=True).clamp(min=torch.finfo(pushed.dtype).tiny)


def cosines(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"]) -> Float[Tensor, "n 2n"]:
    """Anchors against candidates."""
    first = unit(z1)
    return first @ torch.cat([first, unit(z2)]).T


def value(loss: str, z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> float:
    """The loss itself, over the anchors of both views."""
    if loss == "sup_con":
        return float(sup_con(torch.stack([z1, z2], 1), labels, temperature=temperature))
    return float({"nt_xent": nt_xent, "dcl": dcl, "dhel": dhel}[loss](z1, z2, temperature=temperature))


def weighed(loss: str, z1: Tensor, z2: Tensor, labels: Tensor, temperatures: Sequence[float]) -> dict[str, list[float]]:
    """One embedding at many temperatures: the loss, and how much of the push falls on the own class and on the nearest."""
    known, similar = terms(loss, labels), cosines(z1, z2)
    same = (labels[:, None] == labels).repeat(1, 2)
    order = similar.masked_fill(~known.pushed, -math.inf).argsort(1, descending=True)
    near = order[:, : math.ceil(NEAREST * int(known.pushed[0].sum()))]
    shares = [push(similar, known, t) for t in temperatures]
    return {
        "loss": [value(loss, z1, z2, labels, t) for t in temperatures],
        "push_same": [float((r * same).sum(1).mean()) for r in shares],
        "push_near": [float(r.gather(1, near).sum(1).mean()) for r in shares],
    }


def even(loss: str, labels: Tensor) -> float:
    """The share of the own class, if everybody who can be pushed were pushed alike."""
    pushed, same = terms(loss, labels).pushed, (labels[:, None] == labels).repeat(1, 2)
    return float(((pushed & same).sum(1) / pushed.sum(1)).mean())


def chance(loss: str, labels: Tensor, temperature: float) -> float:
    """The loss when every embedding is the same."""
    same = torch.ones(len(labels), 2, dtype=torch.float64)
    return value(loss, same, same, labels, temperature)


def floor(loss: str, labels: Tensor, temperature: float) -> float:
    r"""A value that the loss of these instances cannot fall below, in however many dimensions.

    At the regular simplex of all instances for losses that know no class. For SupCon at the simplex of the classes, where they
    are of one size; else, with :math:`m_i` of the own class among b rows,
    :math:`\log(m_i - 1 + (b - m_i) e^{-2/\tau})`, which nobody reaches.
    """
    n = len(labels)
    if loss != "sup_con":
        return float(ENTRIES[loss].floor(n, temperature) or 0.0)
    _, place, sizes = labels.unique(return_inverse=True, return_counts=True)
    own, classes = 2.0 * sizes[place].double(), len(sizes)
    gap = classes / (classes - 1) if classes > 1 and len(sizes.unique()) == 1 else 2.0
    return float(torch.logaddexp((own - 1).log(), (2 * n - own).log() - gap / temperature).mean())


def bounds(losses: Sequence[str], labels: Tensor, temperatures: Sequence[float]) -> dict[str, list[Any]]:
    """Chance lines and floors `(losses, temperatures)`, and even shares `(losses,)`."""
    return {
        "chance": [[chance(loss, labels, t) for t in temperatures] for loss in losses],
        "floor": [[floor(loss, labels, t) for t in temperatures] for loss in losses],
        "even": [even(loss, labels) for loss in losses],
    }
