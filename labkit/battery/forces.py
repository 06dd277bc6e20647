"""What a step does to partners and to strangers: whether it pulls, how hard, and where it stops."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.battery.subject import parameters
from labkit.battery.trials import PAIRED, TRAINED, Bench, Found, absent, trial
from labkit.registry import simplex

TWO = (*PAIRED, "labels")
COSINES = (0.0, -0.9, -0.5, 0.5, 0.9)  # of partners
ROWS = 8
PUSHED = {"chosen_logps": -1, "rejected_logps": 1}  # the sign of the gradient of a loss that is right
MEANT = 'not softmax; if it is meant, say expect={"logits": False}'
SHARP = (1e-3, 2e-3)  # temperatures
Given = dict[str, Tensor]


class Orthogonal(NamedTuple):
    """Unit rows, each at a right angle to all others but its partner: what points at a stranger does not point at the partner.

    z1, z2: (n, d), partners at the cosine that was asked for. own: (n, d), what row i of z2 shares with nobody.
    """

    z1: Tensor
    z2: Tensor
    own: Tensor


def orthogonal(bench: Bench, cosine: float, *, n: int = ROWS, d: int = 0, hard: float = 0.0) -> Orthogonal | None:
    """`hard` is the cosine of row i of z2 to one stranger, row i + 1 of z1; None where so many rows do not fit."""
    n = pairs(bench, n)
    d = bench.subject.sizes.get("d", d or 2 * n)
    if not n or d < 2 * n:
        return None
    draw = torch.Generator().manual_seed(3)
    rows = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=draw)).Q
    z1, own = rows[:n], rows[n : 2 * n]
    return Orthogonal(z1, cosine * z1 + hard * z1.roll(-1, 0) + math.sqrt(1 - cosine**2 - hard**2) * own, own)


def pairs(bench: Bench, n: int) -> int:
    """How many pairs a batch holds; 0 where rows of a fixed number do not make pairs."""
    fixed = bench.subject.sizes.get("n")
    if bench.subject.kind != "labels" or fixed is None:
        return fixed or n
    return 0 if fixed % 2 else fixed // 2


def told(bench: Bench, z1: Tensor, z2: Tensor) -> Given:
    """These pairs as the function takes them: classes of two, where it takes labels."""
    if bench.subject.kind == "labels":
        return {"z": torch.cat([z1, z2]), "labels": torch.arange(len(z1)).repeat(2)}
    if bench.subject.kind == "views":
        return {"views": torch.stack([z1, z2], 1)}
    return dict(zip(bench.given, (z1, z2), strict=True))


def steps(bench: Bench, z1: Tensor, z2: Tensor, **options: float) -> tuple[Tensor, Tensor]:
    """Where a step down moves the rows of z1 and of z2: the negative gradient, zeros where none arrives."""
    found = bench.slopes(told(bench, z1, z2), **options)[1]
    g = [torch.zeros_like(told(bench, z1, z2)[n]) if x is None else x for n, x in found.items()]
    if bench.subject.kind == "labels":
        first, second = g[0].chunk(2)
    else:
        first, second = g[0].unbind(1) if bench.subject.kind == "views" else g
    return -first, -second


class Pull(NamedTuple):
    """How far a step moves a row towards its partner, and towards the mean stranger; `size` of the step's largest number."""

    partner: float
    stranger: float
    size: float


def pull(bench: Bench, at: Orthogonal) -> Pull:
    first, second = steps(bench, at.z1, at.z2)
    cosine = (at.z1 * at.z2).sum(1, keepdim=True)
    partner = (first * (at.z2 - cosine * at.z1)).sum() + (second * (at.z1 - cosine * at.z2)).sum()
    n = len(at.z1)
    every = (first @ at.z2.T).fill_diagonal_(0).sum() + (second @ at.z1.T).fill_diagonal_(0).sum()
    return Pull(
        float(partner) / n, float(every) / (n * max(1, n - 1)), max(float(first.abs().max()), float(second.abs().max()))
    )


@trial("pull", "a step pulls partners together", kinds=TWO)
def pulls(bench: Bench) -> Found:
    if orthogonal(bench, 0.0) is None:
        return absent("so few dimensions, or rows, hold no pairs at right angles to each other")
    found = {c: pull(bench, at) for c in COSINES if (at := orthogonal(bench, c))}
    least = max(1e-12, 1e-6 * max(p.size for p in found.values()))
    moving = {c: p for c, p in found.items() if p.size > least}  # a hinge that is met moves nobody
    if not moving:
        return absent("there is no gradient to look at")
    zero = 1e-9 if bench.precision == "double" else 1e-5
    strong = {c: p.partner / p.size for c, p in moving.items()}
    start = next(iter(moving))
    mean = strong[start]
    if mean < -zero:
        return Found("failed", mean, 'a step moves partners apart: is a sign missing? If it is meant, expect={"pull": False}')
    if all(abs(s) <= zero for s in strong.values()):
        says = "no step moves a row towards its partner: the pair is masked out, detached or never used, and all that acts"
        return Found("failed", 0.0, f'{says} are strangers. If it is one term of a loss, say expect={{"pull": False}}')
    if start == 0 and moving[start].stranger >= moving[start].partner - zero * moving[start].size:
        return Found(
            "look", mean, "strangers are pulled as strongly as partners: all rows are drawn together, and it collapses"
        )
    if dead := sorted(c for c, s in strong.items() if abs(s) <= zero):
        where = " or ".join(f"{c:g}" for c in dead)
        says = f"partners at a cosine of {where} are not pulled at all, while others are pushed: a clamp, or a relu, of logits?"
        return Found("look", 0.0, f"{says} It cuts their gradient; take it away, or choose a higher temperature")
    return Found("passed", mean, "partners are pulled wherever anything moves, and more than strangers")


@trial("temperature", "a lower temperature minds near strangers more", kinds=TWO)
def sharpens(bench: Bench) -> Found:
    if not (name := bench.subject.temperature):
        return absent("it has no argument for a temperature")
    at = orthogonal(bench, 0.1, hard=0.3)  # logits below 1: no clamp is met
    if at is None or len(at.z1) < 3:
        return absent("so few dimensions, or rows, hold no strangers at right angles to each other")
    low, high = (nearest(bench, at, t) for t in (0.5, 1.0))
    if math.isnan(low) or math.isnan(high):
        return absent("strangers in the other view push nobody away")
    says = f"of the push from strangers the nearest gets {high:.0%} at {name} = 1, {low:.0%} at 0.5"
    if low > high + 1e-4:
        return Found("passed", low - high, says)
    if low > high - 1e-4:
        return Found("differs", low - high, f"{says}: {name} does not set how much near strangers count")
    usual = bench.subject.options.get(name, parameters(bench.subject.fn)[name].default)
    scale = isinstance(usual, (int, float)) and usual > 1  # by another's name
    says = f"{says}: the other way round. Are logits multiplied by it? s / {name}, not s * {name}"
    return Found("look" if scale else "failed", low - high, says)


def nearest(bench: Bench, at: Orthogonal, temperature: float) -> float:
    """The share of the nearest stranger of the other view in how strangers push a row away; NaN where they do not."""
    first = steps(bench, at.z1, at.z2, temperature=temperature)[0]
    force = (-first @ at.own.T).clamp(min=0).fill_diagonal_(0)
    whole = float(force.sum())
    if not whole > 1e-9 * float(first.abs().sum()):
        return math.nan
    return float(force.roll(-1, 0).diagonal().sum()) / whole  # row i + 1 of z1 is near row i of z2


@trial("batch size", "the pull does not depend on the number of rows", kinds=TRAINED)
def batch_size(bench: Bench) -> Found:
    if "n" in bench.subject.sizes:
        return absent(f"it is made for batches of {bench.subject.sizes['n']}")
    ways = [(whole_pull(bench, ROWS, c), whole_pull(bench, 4 * ROWS, c)) for c in (0.0, -0.5)]
    powers = [(math.log(many / few, 4), many / few) for few, many in ways if few > 1e-12 and many > 1e-12]
    if not powers:
        return absent("no pull to compare, or not so many dimensions")
    power, times = min(powers, key=lambda p: abs(p[0]))
    what = "answers" if bench.subject.kind == "preference" else "pairs"
    says = f"with four times the rows the pull on all {what} together is {times:.3g} times as strong"
    if power > 0.6:
        return Found(
            "look", power, f"{says}: a sum over rows, or over strangers, so that the step grows with the batch; .mean()?"
        )
    if power < -0.6 and bench.subject.kind == "labels":  # pairs are rarer the more classes there are
        return Found("differs", power, f"{says}, in classes of two: a mean over all pairs, most of which are strangers")
    if power < -0.6:
        why = "divided by n twice, a mean over n x n pairs, or a probability without its logarithm?"
        return Found("look", power, f"{says}, so that partners count for less the larger the batch: {why}")
    return Found("passed", power, says)


def whole_pull(bench: Bench, n: int, cosine: float) -> float:
    """The pull on all pairs together; how much a step raises all chosen answers against the rejected."""
    if bench.subject.kind == "preference":
        alike = {k: torch.full_like(x, -1) if x.is_floating_point() else x**0 for k, x in bench.batch(n=n).items()}
        g = bench.slopes(alike)[1]
        return sum(sign * float(x.sum()) for k, sign in PUSHED.items() if (x := g[k]) is not None)
    at = orthogonal(bench, cosine, n=n, d=8 * ROWS)
    return 0.0 if at is None else len(at.z1) * pull(bench, at).partner


# ---------------------------------------------------------------- probabilities where logits are wanted


@trial("logits", "being wrong costs more and more", kinds=TWO)
def logits(bench: Bench) -> Found:
    """A cross-entropy of logits rises without end as a sharp model goes wrong; one of probabilities moves by 1, no more."""
    if "d" in bench.subject.sizes or "n" in bench.subject.sizes:
        return absent("it needs batches of other sizes")
    if not bench.subject.temperature:
        return blunt(bench)
    right, wrong = (torch.tensor([ends(bench, n, t)[k] for n in (6, 11) for t in SHARP]) for k in (0, 1))
    room = wrong - right
    if not room.isfinite().all():
        return absent("the values are not finite")
    if not torch.allclose(room, torch.ones_like(room), atol=1e-3):
        return Found(
            "passed", float(room[0]), f"from all right to all wrong it rises by {float(room[0]):.4g} at a temperature of 0.001"
        )
    says = f"from all right ({float(right[0]):.4g}) to all wrong it rises by 1, however low the temperature"
    if float(right.abs().max()) < 1e-3:
        return Found("look", 1.0, f"{says}: a probability, not its logarithm, so that the worst pairs have no gradient")
    if torch.allclose(right, -torch.ones_like(right), atol=1e-3):
        return Found("failed", 1.0, f"{says}: a probability, not its logarithm. F.nll_loss wants log_softmax, {MEANT}")
    return Found(
        "failed", 1.0, f"{says}: probabilities are taken as logits. F.cross_entropy holds the softmax, so do not take it"
    )


def ends(bench: Bench, n: int, temperature: float | None = None) -> tuple[float, float]:
    """The value where everybody stands on the partner, and where everybody stands on the next one's partner."""
    corners = F.pad(simplex(n), (0, 1))
    options = {} if temperature is None else {"temperature": temperature}
    return tuple(bench.value(told(bench, corners, z2), **options) for z2 in (corners, corners.roll(1, 0)))  # type: ignore[return-value]


def blunt(bench: Bench) -> Found:
    """Without a temperature to lower: what a cross-entropy is worth where it knows nothing, and where two rows are opposite."""
    if bench.subject.kind not in ("two_views", "modalities"):
        return absent("it has no argument for a temperature")
    for count in (lambda n: n, lambda n: 2 * n - 1, lambda n: 2 * n - 2):
        found = {n: bench.value(told(bench, torch.ones(n, 4).double(), torch.ones(n, 4).double())) for n in (6, 11)}
        if all(abs(v + 1 / count(n)) < 1e-6 for n, v in found.items()):
            says = f"{found[6]:.4g} for six rows that are all alike: a probability, not its logarithm"
            return Found("failed", found[6], f"{says}. F.nll_loss wants log_softmax, {MEANT}")
        if all(abs(v - math.log(count(n))) < 1e-6 for n, v in found.items()) and count(2) > 1:
            part = ends(bench, 2)[0] / math.log(count(2))
            if part > 0.4:
                says = f"two perfect pairs on opposite sides still cost {part:.0%} of what a model costs that knows nothing"
                return Found("look", part, f"{says}: softmax twice, or a temperature that multiplies? Or one far above 1")
            return Found("passed", part, f"two perfect pairs cost {part:.0%} of what a model costs that knows nothing")
    return absent("it is not the logarithm of a number of candidates, and has no temperature")
