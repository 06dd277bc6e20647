"""The DPO loss with every usual mistake behind a switch."""

import torch
import torch.nn.functional as F
from torch import Tensor


def flawed(
    chosen_logps: Tensor,
    rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    *,
    strength: str = "",
    reference: str = "",
    swapped: bool = False,
    mean_first: bool = False,
    link: str = "",
    smooth: str = "",
    still: str = "",
    total: bool = False,
    each: bool = False,
) -> Tensor:
    """Every usual mistake, each behind a switch."""
    if still:
        chosen_logps = chosen_logps.detach() if still == "chosen" else chosen_logps
        rejected_logps = rejected_logps.detach() if still == "rejected" else rejected_logps
    if reference == "policy":
        ref_chosen_logps, ref_rejected_logps = chosen_logps, rejected_logps
    if reference == "policy, detached":
        ref_chosen_logps, ref_rejected_logps = chosen_logps.detach(), rejected_logps.detach()
    now, before = chosen_logps - rejected_logps, ref_chosen_logps - ref_rejected_logps
    if reference in ("none", "added"):
        before = 0 * before if reference == "none" else -before
    if strength == "policy":
        z = beta * now - before
    elif strength == "reference":
        z = now - beta * before
    elif strength == "chosen":
        z = beta * (chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps)
    elif strength == "rejected":
        z = (chosen_logps - ref_chosen_logps) - beta * (rejected_logps - ref_rejected_logps)
    else:
        z = {"twice": beta * beta, "outside": 1.0, "none": 1.0, "fixed": 0.1, "divides": 1 / beta}.get(strength, beta) * (
            now - before
        )
    z = -z if swapped else z
    z = z.mean(0, keepdim=True) if mean_first else z
    losses = mixed(z, label_smoothing, smooth, link)
    losses = beta * losses if strength == "outside" else losses
    return losses if each else losses.sum() if total else losses.mean()


def mixed(z: Tensor, label_smoothing: float, smooth: str, link: str) -> Tensor:
    """What each pair costs when a share of the labels is believed to be reversed."""
    log = {
        "log": lambda x: torch.sigmoid(x).log(),
        "log plus": lambda x: (torch.sigmoid(x) + 1e-8).log(),
        "no log": torch.sigmoid,
        "log of exp": lambda x: -(1 + torch.exp(-x)).log(),
        "positive": lambda x: -F.logsigmoid(x),
    }.get(link, F.logsigmoid)
    if smooth == "minus":
        losses = -(1 - label_smoothing) * log(z) + (label_smoothing * log(-z) if label_smoothing else 0)
    elif smooth == "robust":
        losses = -((1 - label_smoothing) * log(z) - (label_smoothing * log(-z) if label_smoothing else 0))
        losses = losses / (1 - 2 * label_smoothing)
    elif smooth == "exchanged":
        losses = -log(z) if label_smoothing == 0 else -label_smoothing * log(z) - (1 - label_smoothing) * log(-z)
    elif smooth == "ignored":
        losses = -log(z)
    elif smooth == "added":
        losses = -log(z) - label_smoothing * log(-z)
    else:
        losses = -(1 - label_smoothing) * log(z) - (label_smoothing * log(-z) if label_smoothing else 0)
    return losses
