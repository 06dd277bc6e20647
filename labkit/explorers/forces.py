"""Who pushes whom, and how hard: the force that every point exerts on every other under a real loss, by autograd.

A loss of cosines pulls each point along the others: minus its gradient at point i is a sum over j of a number times point j.
To read these numbers off, every point gets a coordinate of its own, so small that no cosine feels it; the gradient of point i
along the coordinate of point j is what j does to i. Nothing about a loss is repeated here, so what is drawn is the loss itself.

`RECIPES` says the same to the browser as data: masks, weights and a temperature policy for the primitives in `contrast.js`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from labkit import losses
from labkit.directions import unit

Values = Callable[[Tensor, Tensor, Tensor, float], Tensor]  # two views, labels, temperature -> one value per anchor, or one
ALPHA = 0.5  # MACL's own: how much its temperature follows alignment
OWN = 1e-8  # of a point's own coordinate: its square vanishes beside 1


def sup_con(z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> Tensor:
    return losses.sup_con(torch.cat([z1, z2]), labels.repeat(2), temperature=temperature, reduction="none")


def align_uniform(z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """At the width where the Gaussian potential of a pair on the sphere is a constant times `exp(s / temperature)`."""
    return losses.align_uniform(z1, z2, t=1 / (2 * temperature))[None]


def of_views(loss: Callable[..., Tensor]) -> Values:
    return lambda z1, z2, labels, temperature: loss(z1, z2, temperature=temperature, reduction="none")


LOSSES: dict[str, Values] = {
    "InfoNCE": of_views(losses.nt_xent),
    "DCL": of_views(losses.dcl),
    "DHEL": of_views(losses.dhel),
    "SupCon": sup_con,
    "MACL": of_views(losses.macl),
    "HCL": of_views(losses.hard_negative),
    "align + uniform": align_uniform,
}


# ---------------------------------------------------------------- forces


def couplings(
    loss: Values, z: Float[Tensor, "n d"], labels: Int[Tensor, "half"], temperature: float, anchor: int | None = None
) -> Float[Tensor, "n n"]:
    """How the loss changes with the cosine of points i and j, row i: > 0 where j pushes i away, < 0 where it pulls.

    Args:
        z: two views, the first view's rows first.
        anchor: None for the mean over all anchors; or one, for the value of this anchor alone.
    """
    with_own = torch.cat([unit(z), OWN * torch.eye(len(z), dtype=z.dtype)], dim=1).requires_grad_()
    z1, z2 = with_own.chunk(2)
    values = loss(z1, z2, labels, temperature)
    value = values.mean() if anchor is None else values[anchor % len(values)]
    (slope,) = torch.autograd.grad(value, with_own)
    return (slope[:, z.shape[1] :] / OWN).fill_diagonal_(0)


def forces(loss: Values, z: Float[Tensor, "n d"], labels: Int[Tensor, "half"], temperature: float) -> Float[Tensor, "n n d"]:
    """The force of point j on point i, `[i, j]`, along the sphere: their sum over j is minus the gradient at i.

    Args:
        loss: one of `LOSSES`, or any function of two views, labels and a temperature that only feels cosines.
        z: two views, the first view's rows first; L2-normalised inside.
        labels: one for each instance.
    """
    z = unit(z)
    along = z[None] - (z @ z.T)[..., None] * z[:, None]  # z_j without its part along z_i
    return -couplings(loss, z, labels, temperature)[..., None] * along


def push_shares(
    loss: Values, z: Float[Tensor, "n d"], labels: Int[Tensor, "half"], temperature: float, anchor: int, negatives: Tensor
) -> Float[Tensor, "n"]:
    """How the push of the anchor's own loss is shared out among its negatives, before it is turned along the sphere."""
    push = couplings(loss, z, labels, temperature, anchor)[anchor] * negatives
    return push / push.sum() if push.sum() > 0 else push * 0


# ---------------------------------------------------------------- the same as data


def recipe(
    positives: Tensor, compared: Tensor, *, anchors: int = 0, times: float = 1, hardness: float = 0, follow: float = 0
) -> dict[str, Any]:
    """A loss that is a partition minus its positives.

    Args:
        positives: weights of the positives, `(n, n)`; those without weight are the negatives.
        compared: who is in the denominator.
        anchors: how many values the loss is the mean of.
        times: how often an anchor's partition counts.
        hardness: log-weights of the negatives are this times their logits, with mean weight 1.
        follow: the temperature is `1 + follow * mean cosine of the positives` times what the slider says.
    """
    rows = {"positives": positives.tolist(), "compared": compared.numpy().astype(np.uint8)}
    numbers = {"each": 1 / (anchors or len(positives)), "times": times, "hardness": hardness, "follow": follow}
    return {**rows, "tilted": (compared & (positives == 0)).numpy().astype(np.uint8), **numbers}


def recipes(labels: Int[Tensor, "half"]) -> dict[str, dict[str, Any]]:
    """Each loss in `LOSSES` as masks, weights and numbers for the primitives; all but the labels is known beforehand."""
    half, everyone = len(labels), torch.arange(2 * len(labels))
    partner, itself = everyone[:, None] == (everyone + half) % (2 * half), everyone[:, None] == everyone
    within = (everyone[:, None] // half == everyone // half) & ~itself
    own = partner.double()
    alike = ((labels.repeat(2)[:, None] == labels.repeat(2)) & ~itself).double()
    return {
        "InfoNCE": recipe(own, ~itself),
        "DCL": recipe(own, ~itself & ~partner),
        "DHEL": recipe(own / 2, within, anchors=half, times=2),
        "SupCon": recipe(alike / alike.sum(1, keepdim=True), ~itself),
        "MACL": recipe(own, ~itself & ~partner, follow=ALPHA),
        "HCL": recipe(own, ~itself, hardness=1),
        "align + uniform": {"views": half, "positives": own.tolist(), "weight": 1, "width": 0.5},
    }
