"""Preference losses by their own terms: links and where they lead a margin, lengths, and the logic of what they ask for."""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from labkit import link, preferences

# ---------------------------------------------------------------- links

LINKS: dict[str, tuple[Callable[..., Tensor], dict[str, float]]] = {
    "logistic (DPO)": (link.logistic, {}),
    "smoothed (cDPO)": (link.logistic, {"smoothing": 0.2}),
    "robust (rDPO)": (link.robust, {"smoothing": 0.2}),
    "squared (IPO)": (link.squared, {"target": 0.5}),
    "hinge (SLiC)": (link.hinge, {}),
    "EXO": (link.exo, {"smoothing": 0.01}),
    "falling (APO)": (link.falling, {}),
    "DiscoPOP": (link.discopop, {"tau": 0.2}),
}


def drift(name: str, starts: Tensor, *, steps: int = 200, lr: float = 0.05) -> Tensor:
    """Where pairs that start at these margins go when only their margin may move: `(steps + 1, n)`, by gradient descent."""
    f, options = LINKS[name]
    z, path = starts.clone(), [starts]
    for _ in range(steps):
        z = z - lr * link.slope(f, z, **options)
        path.append(z)
    return torch.stack(path)


# ---------------------------------------------------------------- lengths


def scored(name: str, pair: tuple[Tensor, Tensor], ref: tuple[Tensor, Tensor], lengths: tuple[Tensor, Tensor]) -> Tensor:
    """One value per pair, from summed log-probabilities, for the four ways of taking length into account."""
    if name == "sum, no reference":
        return preferences.cpo(*pair, sft=0.0, reduction="none")
    if name == "mean, no reference":
        return preferences.simpo(*pair, *lengths, gamma=0.5, reduction="none")
    if name == "sum, against the reference":
        return preferences.dpo(*pair, *ref, reduction="none")
    if name == "mean, against the reference":
        each = [x / n for x, n in zip((*pair, *ref), (*lengths, *lengths), strict=True)]
        return preferences.ipo(*each, beta=1.0, reduction="none")
    raise ValueError(f"name must be one of {', '.join(SCORES)}; got {name!r}")


SCORES = ("sum, no reference", "mean, no reference", "sum, against the reference", "mean, against the reference")


def token_push(name: str, chosen: Tensor, rejected: Tensor, token: float = -1.0) -> tuple[Tensor, Tensor]:
    """How hard each token of the chosen answer is pushed up and of the rejected one down, for these lengths `(n,)`.

    Before any training: every token has log-probability `token`, under the policy and under the reference.
    """
    up, down = (torch.full_like(n, token).requires_grad_() for n in (chosen, rejected))
    pair = (up * chosen, down * rejected)
    ref = (pair[0].detach(), pair[1].detach())
    grads = torch.autograd.grad(scored(name, pair, ref, (chosen, rejected)).sum(), (up, down))
    return -grads[0] / chosen, grads[1] / rejected


def lengths_after(
    name: str, words: int = 4, start: float = 20.0, *, longest: int = 400, steps: int = 400, lr: float = 0.05
) -> Tensor:
    """Mean length of what a policy says, step by step, when labels know nothing of length.

    The policy stops after each word with one probability, and otherwise says one of `words` words; the only parameter is how
    soon it stops. Pairs are drawn from where it starts, each labelled by lot; the loss is its exact mean over all pairs.
    """
    n = torch.arange(1, longest + 1, dtype=torch.float64)
    i, j = (x.flatten() for x in torch.meshgrid(n, n, indexing="ij"))

    def logps(stop: Tensor) -> Tensor:
        return (n - 1) * (torch.nn.functional.logsigmoid(-stop) - math.log(words)) + torch.nn.functional.logsigmoid(stop)

    stop = torch.tensor(-math.log(start - 1), dtype=torch.float64, requires_grad=True)
    ref = logps(stop).detach()
    weight = (ref + (n - 1) * math.log(words)).softmax(0)  # of each length: so many sentences have it
    weights = (weight[:, None] * weight).flatten()
    optimizer, path = torch.optim.Adam([stop], lr=lr), []
    for _ in range(steps):
        path.append(1 / stop.detach().sigmoid())
        now = logps(stop)
        pair, before = ((x[:, None].expand(-1, longest).flatten(), x.expand(longest, -1).flatten()) for x in (now, ref))
        optimizer.zero_grad()
        (weights * scored(name, pair, before, (i, j))).sum().backward()
        optimizer.step()
    return torch.stack(path)


# ---------------------------------------------------------------- logic

ASSIGNMENTS = ((True, True), (True, False), (False, True), (False, False))  # is the chosen answer true, is the rejected one?
# Which of the four assignments a loss counts for itself, and which against; "both" are counted on both sides.
LOGIC: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "imitation: w": ((0, 1), (2, 3)),
    "CPO: w against l": ((0, 1), (0, 2)),
    "ORPO: w and not l, against l and not w": ((1,), (2,)),
    "if l then w": ((0, 1, 3), (2,)),
    "w and not l": ((1,), (0, 2, 3)),
}


def counted(rows: tuple[int, ...], p: Tensor, q: Tensor) -> Tensor:
    """Weighted model count: how likely one of these assignments is if both answers were true or not independently."""
    ways = [(p if w else 1 - p) * (q if other else 1 - q) for w, other in (ASSIGNMENTS[row] for row in rows)]
    return torch.stack(ways).sum(0)


def semantic(good: tuple[int, ...], bad: tuple[int, ...], p: Tensor, q: Tensor) -> Tensor:
    """The logistic link on the log-odds of what is counted for against what is counted against."""
    return link.logistic(counted(good, p, q).log() - counted(bad, p, q).log())


def every_loss() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Each of the four counts for, against, on both sides or on none: 256 ways, less those that leave a side empty."""
    roles = itertools.product(range(4), repeat=4)
    made = [(tuple(k for k in range(4) if r[k] & 1), tuple(k for k in range(4) if r[k] & 2)) for r in roles]
    return [(good, bad) for good, bad in made if good and bad]
