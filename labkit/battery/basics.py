"""What every function must do: give one number, the same one again, with its own derivative, and leave the rest alone."""

import math

import numpy as np
import torch
from torch import Tensor

from labkit.battery.trials import TRAINED, Bench, Found, short, trial

HALVES = (torch.float16, torch.bfloat16)


@trial("result", "one finite number", fixed=False)
def result(bench: Bench) -> Found:
    given = {n: x.float() if x.is_floating_point() else x for n, x in bench.given.items()}
    try:
        with torch.random.fork_rng(devices=[]):
            found = bench.subject.raw({n: x.clone() for n, x in given.items()})
    except (RuntimeError, ValueError, IndexError) as error:
        if bench.subject.sizes:
            raise
        shapes = " and ".join(str(tuple(x.shape)) for x in given.values())
        says = f"given {shapes}, it raised {type(error).__name__}: {short(error)}"
        return Found("failed", None, f"{says}. If it is made for one batch size or width alone, say rows=..., dim=...")
    if not isinstance(found, Tensor):
        says = f"it returns {type(found).__name__}, not a torch tensor: no gradient can come through it"
        number = float(found) if isinstance(found, (int, float, np.ndarray)) and np.size(found) == 1 else None
        return Found("failed", None if bench.subject.kind != "meter" else number, says)
    if not found.is_floating_point():
        return Found("failed", None, f"it returns {found.dtype}: a loss is a floating-point number")
    value = float(found.detach().double().mean())
    if found.ndim:
        return Found("failed", value, f"it returns shape {tuple(found.shape)}: take .mean(); the checks below look at its mean")
    if not math.isfinite(value):
        return Found("failed", value, f"the value is {value} on ordinary rows, in float32")
    if found.dtype in HALVES:
        return Found("failed", value, f"float32 goes in and {found.dtype} comes out: three digits are left of it")
    return Found("passed", value, f"{value:.6g} on {len(next(iter(given.values())))} random rows")


@trial("deterministic", "the same input, the same number", fixed=False)
def deterministic(bench: Bench) -> Found:
    found = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for seed in (1, 2):
            torch.manual_seed(seed)
            found.append(float(torch.as_tensor(bench.subject.raw(fresh(bench))).double().mean()))
    gap = abs(found[1] - found[0])
    if gap == 0 or (math.isnan(found[0]) and math.isnan(found[1])):
        return Found("passed", 0.0, "two calls agree to the last bit")
    return Found("failed", gap, "two calls differ: it draws random numbers (dropout?) or remembers something (a queue?)")


@trial("inputs", "leaves its inputs as they are", fixed=False)
def unchanged(bench: Bench) -> Found:
    given, before = fresh(bench), fresh(bench)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        bench.subject.raw(given)
    changed = [bench.subject.calls[n] for n, x in given.items() if not torch.equal(x, before[n])]
    if changed:
        return Found(
            "failed", None, f"it writes into {', '.join(changed)}: use x = x / norm rather than x /= norm, add rather than add_"
        )
    return Found("passed", None, "nothing is written into them")


@trial("random state", "leaves the random state as it is", fixed=False)
def random_state(bench: Bench) -> Found:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before, others = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr,index]
        bench.subject.raw(fresh(bench))
        same = torch.equal(before, torch.get_rng_state()) and np.array_equal(others, np.random.get_state()[1])  # type: ignore[index]
    if same:
        return Found("passed", None, "no global random number is drawn")
    return Found("failed", None, "it draws from the global generator or seeds it, so that whatever is drawn after it changes")


def fresh(bench: Bench) -> dict[str, Tensor]:
    return {n: x.clone() for n, x in bench.given.items()}


# ---------------------------------------------------------------- its derivative


def numeric(bench: Bench, name: str, step: float) -> Tensor:
    """The derivative with respect to one argument by central differences, number by number."""
    found = torch.zeros_like(bench.given[name])
    for place in range(found.numel()):
        ends = []
        for sign in (1, -1):
            moved = bench.given[name].clone()
            moved.view(-1)[place] += sign * step
            ends.append(bench.value({**bench.given, name: moved}))
        found.view(-1)[place] = (ends[0] - ends[1]) / (2 * step)
    return found


@trial("reaches", "the gradient reaches what is trained", kinds=TRAINED)
def reaches(bench: Bench) -> Found:
    _, found = bench.slopes(bench.given)
    calls = bench.subject.calls
    missing = [n for n, g in found.items() if g is None or not g.any()]
    names = " and ".join(calls[n] for n in missing)
    if not missing:
        return Found(
            "passed", None, f"{' and '.join(calls[n] for n in found)} {'receive one' if len(found) > 1 else 'receives one'}"
        )
    if len(missing) == len(found):
        return Found(
            "failed", None, f"none arrives at {names}: .detach(), .item(), float(), numpy or torch.no_grad() stands in its way"
        )
    steps = {n: float(numeric(bench, n, 1e-4).abs().max()) for n in missing}
    if not any(steps.values()):
        return unused(bench, missing, names)
    return Found(
        "differs",
        max(steps.values()),
        f"stopped at {names}, as in BYOL and SimSiam; if that is not meant, take the detach away",
    )


def unused(bench: Bench, missing: list[str], names: str) -> Found:
    """A loss of two views that never reads one of them is wrong; elsewhere, or where another batch moves it, look."""
    others = (bench.batch(seed=seed) for seed in (1, 2, 3))
    moves = any(bench.change({**bench.given, **{n: other[n] for n in missing}}) > bench.rounding for other in others)
    if moves:
        return Found(
            "look", 0.0, f"on these rows no small step of {names} changes the value: rounding, or a hinge that is met?"
        )
    if bench.subject.kind not in ("two_views", "modalities"):
        return Found("look", 0.0, f"the value does not depend on {names} at all")
    says = f"the value does not depend on {names} at all: is the other one used twice?"
    return Found("failed", 0.0, f'{says} If it is meant, say expect={{"reaches": False}}')


@trial("gradient", "the gradient is the value's derivative", kinds=TRAINED)
def gradient(bench: Bench) -> Found:
    _, found = bench.slopes(bench.given)
    arrived = {n: g for n, g in found.items() if g is not None and g.any()}
    if not arrived:
        return Found("failed", None, "there is no gradient: see above")
    step, atol, rtol = (1e-6, 1e-5, 1e-3) if bench.precision == "double" else (3e-3, 1e-2, 2e-2)
    worst = 0.0
    for name, g in arrived.items():
        true = numeric(bench, name, step)
        scale = max(float(true.abs().max()), float(g.abs().max()), 1e-12)
        off = ((g - true).abs() - rtol * true.abs()).max().item()
        worst = max(worst, (g - true).abs().max().item() / scale if off > atol * max(1.0, scale) else 0.0)
    where = "in float64" if bench.precision == "double" else "as far as its single precision shows"
    if worst == 0:
        return Found("passed", 0.0, f"autograd and finite differences agree {where}")
    says = f"off by {worst:.2g} of the largest slope: something is detached, taken by .item(), or clamped on the way"
    return Found("failed", worst, f'{says}; if it is meant (a detached weight), say expect={{"gradient": False}}')


@trial("precision", "keeps the precision of its input")
def precision(bench: Bench) -> Found:
    if bench.precision == "double":
        return Found("passed", None, "float64 stays float64")
    if bench.precision == "single":
        return Found(
            "differs", None, "float64 is computed in float32: fine for training, too coarse for a test of its gradient"
        )
    if bench.subject.kind == "meter":
        return Found("differs", None, "its value moves in steps: it counts, or rounds")
    return Found("failed", None, "its value moves in steps of a thousandth: it computes in half precision inside, or rounds")


# ---------------------------------------------------------------- sums and means


@trial("reduction", "mean and sum are those of none")
def reduction(bench: Bench) -> Found:
    if not bench.subject.reduces:
        return Found("not applicable", None, "it has no argument `reduction`")
    offered: dict[str, Tensor] = {}
    for how in ("none", "mean", "sum"):
        try:
            offered[how] = torch.as_tensor(bench.entry.fn(**bench.given, reduction=how)).detach()
        except (ValueError, KeyError, NotImplementedError):
            continue
    if "none" not in offered or len(offered) < 2:
        return Found(
            "not applicable", None, f"it offers only {', '.join(offered) or 'none of none, mean, sum'}: nothing to compare"
        )
    each = offered["none"]
    if each.ndim == 0:
        return Found("failed", None, 'reduction="none" gives one number: it should give one for each row')
    want = {"mean": each.mean(), "sum": each.sum()}
    gaps = {h: abs(float(offered[h].sum() - want[h])) / max(1.0, abs(float(want[h]))) for h in want if h in offered}
    gaps |= {h: math.inf for h in want if h in offered and offered[h].ndim}
    wrong = [h for h, gap in gaps.items() if not gap <= bench.rounding]
    if wrong:
        return Found(
            "failed", max(gaps.values()), f'reduction="{wrong[0]}" is not the {wrong[0]} of the {each.numel()} values of "none"'
        )
    return Found("passed", max(gaps.values()), f"{each.numel()} values; {' and '.join(gaps)} agree with them")
