"""Where exponentials overflow, square roots have no slope, and logarithms meet zero."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from labkit.battery.inputs import doubled
from labkit.battery.trials import ANY, PAIRED, TRAINED, Bench, Found, absent, short, trial

LOW = 1e-3
CLOSE, FAR = 1e-2, 0.2  # of the value: within the first it is rounding, beyond the second it is another number
EPSILONS = [10.0**-k for k in range(4, 17)] + [torch.finfo(t).eps for t in (torch.float16, torch.float32, torch.float64)]
EPSILONS += [torch.finfo(torch.float32).tiny, 1e-20, 1e-30]
REFUSED = ("not implemented for", "same dtype", "scalar type", "Low precision dtypes not supported")
Given = dict[str, Tensor]


def gap(got: float, exact: float) -> float:
    return abs(got - exact) / max(1.0, abs(exact)) if math.isfinite(got) else math.inf


def single(given: Given, dtype: torch.dtype = torch.float32) -> Given:
    return {n: x.to(dtype) if x.is_floating_point() else x for n, x in given.items()}


@trial("half precision", "float16, bfloat16 and float32 agree with float64")
def half(bench: Bench) -> Found:
    worst, where, refused = 0.0, "", []
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for rows in (6, 256):
            given = bench.batch(dtype=dtype, n=rows, d=4 if rows == 6 else 32)
            try:
                bad, off = bench.finite(given), gap(bench.value(given), bench.value(doubled(given)))
            except RuntimeError as error:
                if any(words in str(error) for words in REFUSED):
                    refused.append(str(dtype).removeprefix("torch."))
                    break
                raise
            if bad or off > (FAR if dtype != torch.float32 else CLOSE):
                says = bad or f"the value is off by {off:.2g}"
                return Found("failed", off, f"in {dtype} with {rows} rows {says}: compute in float32, z = z.float()")
            worst, where = max((worst, where), (off, f"{dtype}".removeprefix("torch.")))
    if refused:
        return Found("differs", worst, f"it does not take {' or '.join(refused)} on the CPU; z = z.float() first would")
    if worst > CLOSE:
        return Found(
            "differs", worst, f"{where} is off by {worst:.2g}: rounding inside; z = z.float() first would keep it below 0.01"
        )
    return Found("passed", worst, f"within {worst:.1g} of float64 on the same rounded rows")


@trial("low temperature", f"a temperature of {LOW:g} stays finite", kinds=TRAINED)
def low_temperature(bench: Bench) -> Found:
    if not bench.subject.temperature:
        return absent("it has no argument for a temperature")
    for name, given in {"ordinary": bench.given, **dict(places(bench))}.items():
        for x in (given, single(given)):
            if bad := bench.finite(x, temperature=LOW):
                how = "float64" if x is given else "float32"
                return Found(
                    "failed", math.inf, f"{name} rows, {how}: {bad}; torch.logsumexp(s / t, -1) does not overflow as exp does"
                )
    rounded = single(bench.given)
    off = gap(bench.value(rounded, temperature=LOW), bench.value(doubled(rounded), temperature=LOW))
    if off > CLOSE:
        return Found("failed", off, f"float32 is off by {off:.2g}: subtract before the exponential, and take logsumexp")
    apart = dict(places(bench)).get("opposite views", bench.given)
    if stuck := stuck_at(bench, apart, {"temperature": LOW}, {"temperature": 2 * LOW}):
        return stuck
    return Found("passed", off, "value and gradient are finite, in float32 and float64")


def stuck_at(
    bench: Bench, given: Given, one: dict[str, float], other: dict[str, float], than: Given | None = None
) -> Found | None:
    """Whether the value stands still, with no gradient, just where the function is most wrong."""
    (value, slopes), again = bench.slopes(given, **one), bench.value(than or given, **other)
    if any(g is not None and g.any() for g in slopes.values()) or gap(again, value) > 1e-6 or abs(value) < 1e-6:
        return None
    rows = len(next(iter(given.values())))
    for epsilon in EPSILONS:
        for many in (1, rows, 2 * rows):
            if abs(value / many + math.log(epsilon)) < 1e-4 * abs(value / many):
                says = (
                    f"the value stops at {value:.4g} = -log({epsilon:.3g}), and its gradient is 0 just where it is most wrong"
                )
                return Found(
                    "failed", value, f"{says}: an epsilon in a logarithm; use log_softmax, logsumexp or logsigmoid instead"
                )
    says = f"the value stops at {value:.4g} with no gradient where it is most wrong: it is bounded, or something is clamped"
    return Found("differs", value, says)


@trial("large logits", "large numbers stay finite", kinds=ANY)
def large(bench: Bench) -> Found:
    if bench.subject.kind == "preference":
        return far_apart(bench)
    for x in (single(bench.given), bench.given):
        scaled = {n: 100 * t if t.is_floating_point() else t for n, t in x.items()}
        if bad := bench.finite(scaled):
            if bad.endswith("-inf"):  # log(0), of rows that are further apart than unit rows can be
                return Found("look", None, f"rows a hundred times as long: {bad}; hand it unit rows, or take logsumexp")
            return Found(
                "failed", math.inf, f"rows a hundred times as long: {bad}; normalise rows, and take logsumexp of logits"
            )
    return Found("passed", None, "rows a hundred times as long do no harm")


def far_apart(bench: Bench) -> Found:
    """Answers a thousand nats apart, either way."""
    ways = {
        side: {n: torch.full_like(x, -1.0) if x.is_floating_point() else x for n, x in bench.given.items()}
        for side in ("chosen", "rejected")
    }
    for side, given in ways.items():
        given[f"{side}_logps"] = torch.full_like(given[f"{side}_logps"], -1e5)
        for x in (single(given), given):
            if bad := bench.finite(x):
                return Found(
                    "failed", math.inf, f"{side} answers 100,000 nats down: {bad}; use F.logsigmoid(x), not log(sigmoid(x))"
                )
    further = {**ways["chosen"], "chosen_logps": 2 * ways["chosen"]["chosen_logps"]}
    return stuck_at(bench, ways["chosen"], {}, {}, further) or Found("passed", None, "answers 100,000 nats apart do no harm")


# ---------------------------------------------------------------- special places


def places(bench: Bench) -> Iterator[tuple[str, Given]]:
    """Batches that break careless code, in float64, by name."""
    given, kind = bench.given, bench.subject.kind
    floating = [n for n, x in given.items() if x.is_floating_point()]
    if kind == "preference":
        yield "equal answers", {n: torch.full_like(x, -1.0) if n in floating else x for n, x in given.items()}
        yield "certain answers", {n: torch.zeros_like(x) if n in floating else x for n, x in given.items()}
        return
    yield "all alike", {n: torch.ones_like(x) if n in floating else x for n, x in given.items()}
    if kind in PAIRED:
        for name, sign in (("identical views", 1), ("opposite views", -1)):
            yield name, facing(given, sign)
    if kind == "labels":
        labels = given["labels"]
        yield "a class of one", {**given, "labels": torch.where(torch.arange(len(labels)) == 0, labels.max() + 1, labels)}
        yield "one class", {**given, "labels": torch.zeros_like(labels)}
        yield "classes of one only", {**given, "labels": torch.arange(len(labels))}


def facing(given: Given, sign: int) -> Given:
    """Each view the first one, or its opposite."""
    if "views" in given:
        first = given["views"][:, :1]
        return {"views": torch.cat([first, sign * first.expand_as(given["views"][:, 1:])], 1)}
    one, other = given
    return {one: given[one], other: sign * given[one]}


def everywhere(bench: Bench, batches: Iterable[tuple[str, Given]], mend: str) -> Found:
    """Finite or refused, each of these, in both precisions."""
    said = []
    for name, given in batches:
        for x in (given, single(given)):
            try:
                bad = bench.finite(x)
            except ValueError as error:  # it knows that this makes no sense
                said.append(f"{name} (refused: {short(error)})")
                break
            if bad:
                return Found("failed", math.inf, f"{name}, {'float64' if x is given else 'float32'}: {bad}; {mend}")
        else:
            said.append(name)
    return Found("passed", None, f"finite, gradients too: {', '.join(said)}")


@trial("two rows", "n = 2 works")
def two_rows(bench: Bench) -> Found:
    if "n" in bench.subject.sizes:
        return absent(f"it is made for batches of {bench.subject.sizes['n']}")
    return everywhere(bench, [("two rows", bench.batch(n=2))], "a division by n - 2, or nobody left to compare with")


@trial("duplicates", "equal rows work")
def duplicates(bench: Bench) -> Found:
    twice = {n: x.clone().index_copy_(0, torch.tensor([1]), x[:1]) for n, x in bench.given.items()}
    return everywhere(bench, [("a row twice", twice)], "the square root of 0 has no slope: torch.sqrt(x + 1e-12), or cosines")


@trial("special places", "degenerate batches work")
def special(bench: Bench) -> Found:
    return everywhere(bench, places(bench), "0 / 0, log(0), or the slope of a square root at 0")


@trial("bad input", "a row of zeros or NaN is refused")
def bad_input(bench: Bench) -> Found:
    said = []
    for what, value in (("a row of zeros", 0.0), ("NaN", math.nan)):
        if what == "a row of zeros" and bench.subject.kind == "preference":
            continue
        name = next(iter(bench.given))
        given = {**bench.given, name: bench.given[name].clone()}
        given[name][0] = value
        try:
            found = bench.value(given)
        except Exception as error:
            said.append((True, f"{what} raises {type(error).__name__}"))
        else:
            said.append((False, f"{what} gives {found:.4g}, and it says nothing"))
    verdict = "passed" if all(ok for ok, _ in said) else "differs"
    return Found(verdict, None, "; ".join(text for _, text in said))  # type: ignore[arg-type]
