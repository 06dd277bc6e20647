"""A training loop, and its usual mistakes behind switches."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.models.tiny_lm import TinyLM

Weights = dict[str, Tensor]


def built(weights: Weights) -> TinyLM:
    """A tiny transformer with these weights."""
    (words, d), (context, _) = weights["head.weight"].shape, weights["positions.weight"].shape
    with torch.random.fork_rng(devices=[]):
        model = TinyLM(words, context, d)
    model.load_state_dict(weights)
    return model


def said(model: TinyLM, tokens: Tensor, mask: Tensor, score: str = "") -> Tensor:
    """Summed log-probabilities of the answers."""
    logits, labels, mask = model(tokens)[:, :-1], tokens[:, 1:], mask[:, 1:]
    if score == "unshifted":
        logits, labels = model(tokens)[:, 1:], tokens[:, 1:]
    mask = torch.ones_like(mask) if score == "pads counted" else mask
    logps = logits.log_softmax(-1).gather(-1, labels[..., None]).squeeze(-1) * mask
    return logps.sum(-1) / mask.sum(-1) if score == "mean" else logps.sum(-1)


def both(model: TinyLM, pairs: tuple[Tensor, ...], score: str = "") -> tuple[Tensor, Tensor]:
    chosen, chosen_mask, rejected, rejected_mask = pairs
    return said(model, chosen, chosen_mask, score), said(model, rejected, rejected_mask, score)


KNOWN: dict[tuple[Any, ...], dict[str, Any]] = {}  # a run is the same for every part that it is judged by


def trained(
    start: Weights,
    chosen: Tensor,
    chosen_mask: Tensor,
    rejected: Tensor,
    rejected_mask: Tensor,
    beta: float,
    lr: float,
    steps: int,
    **switches: Any,
) -> dict[str, Any]:
    """The right answer, and every usual mistake, each behind a switch of `run`."""
    pairs = (chosen, chosen_mask, rejected, rejected_mask)
    bits = hashlib.sha256(b"".join(x.detach().numpy().tobytes() for x in (start["head.weight"], *pairs))).hexdigest()
    key = (bits, beta, lr, steps, *sorted(switches.items()))
    if key not in KNOWN:
        while len(KNOWN) > 500:
            KNOWN.pop(next(iter(KNOWN)))
        with torch.enable_grad():
            KNOWN[key] = run(start, pairs, beta, lr, steps, **switches)
    return KNOWN[key]


def run(
    start: Weights,
    pairs: tuple[Tensor, ...],
    beta: float,
    lr: float,
    steps: int,
    *,
    reference: str = "frozen",
    gradients: str = "fresh",
    score: str = "",
    swapped: bool = False,
    strength: str = "",
    total: bool = False,
    noted: str = "before",
    late: int = 0,
    ended: str = "",
    optimizer: str = "",
) -> dict[str, Any]:
    policy, still = built(start), built(start)
    ref = policy if reference in ("policy", "policy, with gradient") else still
    learned = [*policy.parameters(), *(ref.parameters() if reference == "learns" else ())]
    old = None if reference != "none" else tuple(torch.zeros(len(pairs[0])) for _ in range(2))
    losses, kept = list[Tensor](), list[Tensor | float]([0.0] * len(learned))
    carried = {"added up": 1.0, "momentum": 0.9}.get(gradients, 0.0)
    other = getattr(torch.optim, optimizer)(learned, lr=lr) if optimizer else None

    def loss() -> Tensor:
        with torch.set_grad_enabled(reference in ("learns", "policy, with gradient") and torch.is_grad_enabled()):
            before = old or both(ref, pairs, score)
        now = both(policy, pairs, score)
        z = (now[0] - before[0]) - (now[1] - before[1])
        z = {"none": 1.0, "twice": beta * beta}.get(strength, beta) * (-z if swapped else z)
        return F.softplus(-z).sum() if total else F.softplus(-z).mean()

    for step in range(max(steps, steps + late)):
        value = loss()
        fresh = torch.autograd.grad(value, learned, allow_unused=True) if value.requires_grad else [None] * len(learned)
        for k, gradient in enumerate(fresh):
            kept[k] = carried * kept[k] + (0 if gradient is None else gradient)
        if other is not None:
            for parameter, gradient in zip(learned, fresh, strict=True):
                parameter.grad = gradient
            other.step()
        elif gradients != "not used" and step < steps + late:
            with torch.no_grad():
                for k, parameter in enumerate(learned):
                    parameter -= lr * kept[k]
        if noted == "after":
            with torch.no_grad():
                value = loss()
        losses.append(value.detach())
    return told(policy, ref, pairs, losses[:steps], score, ended, beta)


@torch.no_grad()
def told(
    policy: TinyLM, ref: TinyLM, pairs: tuple[Tensor, ...], losses: list[Tensor], score: str, ended: str, beta: float
) -> dict[str, Any]:
    """Where policy and reference stand when all is over."""
    now, before = both(policy, pairs, score), both(ref, pairs, score)
    gained, likelier = (now[0] - before[0]) - (now[1] - before[1]), now[0] - now[1]
    margin = {"likelihood": likelier, "rewards": beta * gained}.get(ended, gained).mean()
    accuracy = ((likelier if ended in ("likelihood", "ranking") else gained) > 0).double().mean()
    names = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")
    found: dict[str, Any] = dict(zip(names, (*now, *before), strict=True))
    return found | {"losses": torch.stack(losses), "margin": margin, "accuracy": accuracy}


def flawed(**switches: Any) -> Callable[..., Any]:
    """No `partial`: two mistakes at once are not looked for here, since every run takes its time."""

    @functools.wraps(trained)
    def answer(*inputs: Any) -> dict[str, Any]:
        return trained(*inputs, **switches)

    return answer
