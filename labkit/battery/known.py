"""Values that are known: of a model that tells nothing apart, of one that is perfect, and of the objectives in the catalog."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.battery.extremes import facing
from labkit.battery.inputs import size
from labkit.battery.subject import parameters
from labkit.battery.trials import PAIRED, Bench, Found, trial
from labkit.registry import Entry, catalog, simplex

Given = dict[str, Tensor]
NEAR = 1e-6
TEMPERATURES, BETAS = (0.05, 0.07, 0.1, 0.2, 0.5, 1.0), (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
# What the logarithm of a number of candidates is called, and what it says.
COUNTS = {
    "2": (lambda n, v: 2, "a coin's"),
    "2n - 1": (lambda n, v: 2 * n - 1, "the partner among everybody but the anchor itself"),
    "2n - 2": (lambda n, v: 2 * n - 2, "the others alone, without the partner"),
    "2n": (lambda n, v: 2 * n, ""),
    "n": (lambda n, v: n, "the partner among all rows of the other view"),
    "n - 1": (lambda n, v: n - 1, "everybody but the anchor itself"),
    "vn - 1": (lambda n, v: v * n - 1, "everybody but the anchor itself"),
    "vn": (lambda n, v: v * n, ""),
}
ITSELF = "the anchor is a candidate for itself, the likeliest one: mask the diagonal with -inf"


@trial("chance", "a model that tells nothing apart", fixed=True)
def chance(bench: Bench) -> Found:
    found = [(len(next(iter(x.values()))), bench.value(x)) for x in (alike(bench, 6), alike(bench, 11))]
    value = found[0][1]
    if not all(math.isfinite(v) for _, v in found):
        return Found("not applicable", None, f"the value is {value}")
    own = {"labels": "n", "two_views": "2n", "views": "vn"}.get(bench.subject.kind)
    for name, (count, says) in COUNTS.items():
        if all(abs(v - math.log(count(n, 3))) < 1e-6 for n, v in found):
            if name == own:
                return Found("look", value, f"log({name}) where log({name} - 1) is usual: {ITSELF}")
            return Found("passed", value, f"log({name}){': ' + says if says and bench.subject.kind != 'labels' else ''}")
    if leftover(bench, value):
        return Found(
            "failed", value, "a masked logit still counts as e^0: multiplying by 0 leaves it in the sum, -inf takes it out"
        )
    grows = "" if abs(found[1][1] - value) < 1e-9 else f", and {found[1][1]:.5g} for 11"
    return Found("passed", value, f"{value:.5g} for {found[0][0]} rows{grows}")


def leftover(bench: Bench, value: float) -> bool:
    """Whether the sum holds one term e^0 among terms e^(1/t): exp(value) is then a whole number above 1 and e^(-1/t)."""
    if not bench.subject.temperature or bench.subject.kind == "preference":
        return False
    counts = []
    for t in (0.3, 0.7):
        v = bench.value(alike(bench, 6), temperature=t)
        counts.append(math.exp(v) - math.exp(-1 / t) if v < 20 else math.nan)
    return all(c > 1.5 and abs(c - round(c)) < 1e-5 for c in counts) and abs(math.exp(value) - round(math.exp(value))) > 1e-5


def alike(bench: Bench, n: int) -> Given:
    """Every embedding the same, every answer as likely as the next; classes of their own size."""
    same = -1.0 if bench.subject.kind == "preference" else 1.0
    given = bench.batch(n=n)
    return {
        k: torch.full_like(x, same) if x.is_floating_point() else torch.zeros_like(x) + (k != "labels")
        for k, x in given.items()
    }


@trial("random", "random directions in many dimensions", kinds=(*PAIRED, "labels", "meter"))
def random(bench: Bench) -> Found:
    values = [bench.value(bench.batch(n=16, d=256, seed=seed)) for seed in range(5)]
    mean = sum(values) / len(values)
    return Found(
        "passed", mean, f"{mean:.5g} on average for 16 rows in 256 dimensions: where training starts, if rows are spread"
    )


@trial("alignment", "perfect partners, everybody else apart", kinds=(*PAIRED, "labels"))
def alignment(bench: Bench) -> Found:
    n, d = (size(bench.entry, bench.given, letter) for letter in "nd")
    if "d" in bench.subject.sizes and d < n:
        return Found("not applicable", None, f"{n} rows cannot lie equally far apart in {d} dimensions")
    corners = F.pad(simplex(n), (0, max(0, d - n)))
    if bench.subject.kind == "labels":
        given = {"z": corners[: (n + 1) // 2].repeat_interleave(2, 0)[:n], "labels": torch.arange(n) // 2}
    elif bench.subject.kind == "views":
        given = {"views": corners[:, None].expand(n, 3, -1)}
    else:
        given = facing(dict.fromkeys(bench.given, corners), 1)
    options = {"temperature": 0.01} if bench.subject.temperature else {}
    value = bench.value(given, **options)
    at = " at a temperature of 0.01" if options else ""
    spread = "the corners of a simplex"
    twins = {"two_views": 2, "labels": 2, "views": 3}.get(bench.subject.kind)  # the partners, and the anchor itself
    if twins and options and abs(value - math.log(twins)) < 1e-6:
        return Found(
            "failed", value, f"log({math.exp(value):.0f}){at}, and not 0: as near as the partner stands another: {ITSELF}"
        )
    return Found("passed", value, f"{value:.5g}{at}, on {spread}")


# ---------------------------------------------------------------- the catalog


@dataclass(frozen=True)
class Match:
    """An objective of the catalog that gives the same values: `factor` times it, plus `shift`."""

    entry: Entry
    options: dict[str, Any]
    factor: float
    shift: float
    gap: float

    def __str__(self) -> str:
        shown = ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v!r}" for k, v in self.options.items())
        times = "" if self.factor == 1 else f"{self.factor:.6g} x "
        plus = "" if self.shift == 0 else f" {'+' if self.shift > 0 else '-'} {abs(self.shift):.6g}"
        return f"{times}{self.entry.name}({shown}){plus}"


def candidates(bench: Bench) -> Iterator[tuple[Entry, dict[str, Any], list[str]]]:
    """Objectives that take such tensors, with the options that both know, and what may be tried for the others."""
    defaults = {n: p.default for n, p in parameters(bench.subject.fn).items() if p.default is not p.empty}
    own = {**defaults, **bench.subject.options}
    own = {("temperature" if n == bench.subject.temperature else n): v for n, v in own.items()}
    roles = [{"anchors", "positives"}, {"z1", "z2"}, {"a", "b"}] if bench.subject.kind in ("two_views", "modalities") else []
    for entry in catalog():
        fits = set(entry.tensors) == set(bench.given) or set(entry.tensors) in roles
        if not fits or (entry.kind == "metric") != (bench.subject.kind == "meter"):
            continue
        knows = entry.checker.parameters
        shared = {n: v for n, v in own.items() if n in knows and not knows[n].is_tensor and isinstance(v, (int, float))}
        yield entry, shared, [n for n in ("temperature", "beta") if n in knows and n not in shared]


def renamed(entry: Entry, given: Given) -> Given:
    """The tensors under this entry's names, in their order."""
    return given if set(entry.tensors) == set(given) else dict(zip(entry.tensors, given.values(), strict=True))


def matches(bench: Bench) -> Iterator[Match]:
    """Objectives that give the same values on four batches, up to a factor or a constant; exact ones first found."""
    batches = [bench.batch(n=n, seed=s) for s, n in ((1, 6), (2, 6), (3, 9), (4, 9))]
    mine = torch.tensor([bench.value(x) for x in batches], dtype=torch.float64)
    for entry, shared, open_ in candidates(bench):
        grid = [{}] if not open_ else [{open_[0]: x} for x in (TEMPERATURES if open_[0] == "temperature" else BETAS)]
        for extra in grid:
            options = {**shared, **extra}
            try:
                theirs = asked(entry, batches[:2], options)
                if best(entry, options, mine[:2], theirs).gap < 0.1:  # else two batches have told enough
                    theirs = asked(entry, batches, options)
            except (ValueError, TypeError):
                break
            if theirs.isfinite().all() and mine.isfinite().all() and float(theirs.std()) > 0:
                yield best(entry, options, mine[: len(theirs)], theirs)


def asked(entry: Entry, batches: list[Given], options: dict[str, Any]) -> Tensor:
    return torch.tensor([float(entry.fn(**renamed(entry, x), **options)) for x in batches], dtype=torch.float64)


def best(entry: Entry, options: dict[str, Any], mine: Tensor, theirs: Tensor) -> Match:
    """The simplest way to get one from the other: itself, times a factor, or plus a constant."""
    factor, shift = float((mine * theirs).sum() / theirs.square().sum()), float((mine - theirs).mean())
    ways = [(1.0, 0.0), (factor, 0.0), (1.0, shift)]
    gaps = [float((f * theirs + s - mine).abs().max() / mine.abs().max().clamp(min=1.0)) for f, s in ways]
    way = next((k for k, g in enumerate(gaps) if g <= NEAR), 0)
    return Match(entry, options, *ways[way], gaps[way])


@trial("catalog", "an objective that is known")
def catalogued(bench: Bench) -> Found:
    found = sorted(matches(bench), key=lambda m: (m.gap > NEAR, m.factor != 1, m.shift != 0, m.gap))
    if not found:
        return Found("not applicable", None, "the catalog has nothing that takes such tensors")
    first = found[0]
    if first.gap > NEAR:
        near = min(found, key=lambda m: m.gap)
        away = f"; the nearest, {near}, is {near.gap:.1g} away: an epsilon, a clamp, a mask?" if near.gap < 0.05 else ""
        return Found("differs", near.gap, f"none of the {len({m.entry.name for m in found})} that take such tensors{away}")
    bench.like = first.entry
    others = [
        m.entry.name for m in found[1:] if m.gap <= NEAR and (m.factor, m.shift) == (1, 0) and m.entry.name != first.entry.name
    ]
    also = f" (and {', '.join(dict.fromkeys(others))})" if others and (first.factor, first.shift) == (1, 0) else ""
    close = "to rounding" if first.gap < 1e-12 else f"to {first.gap:.0e}"
    says = f"this is {first}{also}, {close} on four random batches"
    return Found("passed", first.gap, f"{says}{apart(bench, first)}")


def apart(bench: Bench, match: Match) -> str:
    """Where the function leaves the objective that it is like: elsewhere, or in its gradient."""
    if bench.subject.kind in PAIRED:
        hard = facing(bench.given, -1)
        try:
            theirs = match.factor * float(match.entry.fn(**renamed(match.entry, hard), **match.options)) + match.shift
            off = abs(bench.value(hard) - theirs) / max(1.0, abs(theirs))
        except (ValueError, TypeError):
            off = 0.0
        if not off <= 1e-4:
            return f"; but for opposite views it is {off:.2g} away from it: an epsilon, a clamp?"
    if bench.subject.kind == "meter":
        return ""
    x = {n: t.clone().requires_grad_(t.is_floating_point()) for n, t in bench.given.items()}
    floating = list(bench.trained)
    value = match.factor * match.entry.fn(**renamed(match.entry, x), **match.options)
    theirs_ = torch.autograd.grad(value, [x[n] for n in floating], allow_unused=True)
    mine = bench.slopes(bench.given)[1]
    for name, g in zip(floating, theirs_, strict=True):
        if g is not None and not torch.allclose(mine[name] if mine[name] is not None else 0 * g, g, rtol=1e-3, atol=1e-6):  # type: ignore[arg-type]
            return "; the value is, the gradient is another"
    return ""
