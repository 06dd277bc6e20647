"""`check_objective`: a function of somebody's in, its card out."""

import contextlib
import io
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch

from labkit.battery import basics, batches, extremes, forces, known  # noqa: F401  (importing registers the checks, in this order)
from labkit.battery.card import ObjectiveCard
from labkit.battery.inputs import size
from labkit.battery.subject import Subject, subject
from labkit.battery.trials import Bench, Check, known_keys, run
from labkit.registry import ENTRIES, Entry

Kind = Literal["two_views", "views", "labels", "modalities", "preference", "meter"]
REFERENCES = {"two_views": "nt_xent", "views": "mv_info_nce", "labels": "sup_con", "modalities": "clip_loss"}


def check_objective(
    fn: Callable,
    kind: Kind = "two_views",
    *,
    expect: Mapping[str, bool] | None = None,
    rows: int | None = None,
    dim: int | None = None,
    quiet: bool = False,
    **options: Any,
) -> ObjectiveCard:
    """What is wrong with a loss of your own, and what it is like: every check that labkit's own objectives must pass.

    Wrong whatever the loss: a gradient that is not the derivative, NaN or infinity at low temperature, in half precision, for
    two rows, equal rows or opposite views, a mean that is not the mean, an order of rows that matters, right pairs that cost
    more than wrong ones, a view that is not used, a step that does not pull partners, a temperature that is multiplied,
    probabilities in the place of logits, an anchor that is its own candidate, inputs that are written into, random numbers.
    What a loss may have or not (rotation, view swap, lengths of rows, a stopped view) is said as a fact; what is usually a
    mistake (a clamp, a sum over rows, a mean over n x n pairs) as a `look`, which the first line of the card names.
    It also says the value of a model that tells nothing apart, and which objective of the catalog it is, if it is one.

    Args:
        fn: a function of tensors, or an nn.Module; its first arguments are the kind's tensors, whatever their names.
        kind: "two_views" `(z1, z2)` and "modalities" `(a, b)`, each `(n, d)`; "views" `(n, v, d)`; "labels" `(z, labels)`;
            "preference": log-probabilities `(n,)` in the order chosen, rejected, ref_chosen, ref_rejected, or found by such
            names, lengths too; "meter" `(z)`, a number that is not trained.
        expect: what you know of it, such as `{"rotation": True, "gradient": False}`: True must pass, False must not.
        rows, dim: for a function that is made for one batch size, or one width, alone: with its own targets or prototypes.
        quiet: do not print the card, only return it, and do not take the time.
        options: handed on to `fn`, such as `temperature=0.2`.

    Returns:
        An ObjectiveCard: `.passed`, `.checks`, `card["gradient"]`, and its text. The same function gives the same card; only
        `.timing` differs from call to call.

    Raises:
        TypeError: no function, or an option that it does not take.
        ValueError: an unknown kind, arguments that do not fit it, an unknown check in `expect`.

    >>> import torch.nn.functional as F
    >>> def mine(z1, z2, temperature=0.5):
    ...     s = F.normalize(z1, dim=-1) @ F.normalize(z2, dim=-1).T / temperature
    ...     return F.cross_entropy(s, torch.arange(len(s)))
    >>> card = check_objective(mine, quiet=True)
    >>> card.passed
    True
    >>> print(card["catalog"].says)
    this is info_nce(temperature=0.5), to rounding on four random batches

    The same with the logarithm of a sum of exponentials:

    >>> def careless(z1, z2, temperature=0.5):
    ...     s = F.normalize(z1, dim=-1) @ F.normalize(z2, dim=-1).T / temperature
    ...     return (s.exp().sum(1).log() - s.diagonal()).mean()
    >>> [check.key for check in check_objective(careless, quiet=True).failed]
    ['low temperature']
    """
    told = subject(fn, kind, options, fixed(rows=rows, d=dim))
    known_keys(expect or {})
    bench = Bench(told)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it is called a few hundred times
        warnings.simplefilter("ignore")
        checks = run(bench, expect or {})
    card = ObjectiveCard(told.name, kind, spelled(told), checks, notes(told), timing="" if quiet else timing(bench, checks))
    if not quiet:
        card.show()
    return card


def fixed(*, rows: int | None, d: int | None) -> dict[str, int]:
    """The sizes that all batches must have."""
    for name, given, least in (("rows", rows, 4), ("dim", d, 2)):
        if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < least):
            raise ValueError(f"{name} must be a whole number >= {least}, got {given!r}")
    return {letter: given for letter, given in (("n", rows), ("d", d)) if given is not None}


def spelled(told: Subject) -> str:
    """The call, as it was made."""
    tensors = list(told.calls.values()) if told.positional else [f"{own}={own}" for own in told.calls.values()]
    return f"{told.name}({', '.join([*tensors, *(f'{k}={shown(v)}' for k, v in told.options.items())])})"


def shown(value: Any) -> str:
    return repr(value) if isinstance(value, (bool, int, float, str, type(None))) else type(value).__name__


def notes(told: Subject) -> tuple[str, ...]:
    """What was understood of the arguments, where that is not plain."""
    said = []
    if any(role != own for role, own in told.calls.items()):
        said.append(f"Understood: {', '.join(f'{own} as {role}' for role, own in told.calls.items())}.")
    if told.supplied:
        said.append(f"Without a default, so at a usual value: {', '.join(f'{n} = {told.options[n]}' for n in told.supplied)}.")
    return tuple(said)


# ---------------------------------------------------------------- what it costs


def timing(bench: Bench, checks: tuple[Check, ...], n: int = 512, d: int = 128) -> str:
    """What a forward and backward pass takes beside labkit's dense reference, on this machine, now."""
    reference = bench.like or ENTRIES.get(reference_of(bench.subject))
    if reference is None or any(c.key in ("result", "deterministic", "reaches") and c.verdict == "failed" for c in checks):
        return ""
    given = bench.batch(dtype=torch.float32, n=n, d=d)
    n, d = (size(bench.entry, given, letter) for letter in "nd")
    try:
        mine, theirs = median(bench.entry, given), median(reference, known.renamed(reference, given))
    except (RuntimeError, ValueError):
        return ""
    batch = f"{n:,} pairs of answers" if bench.subject.kind == "preference" else f"{n:,} rows of {d}"
    times = f"{mine * 1e3:.2g} ms, labkit's {reference.name} {theirs * 1e3:.2g} ms ({mine / theirs:.1g} times)"
    return f"One step on {batch}: {times}."


def reference_of(told: Subject) -> str:
    """What is timed beside a function that is like nothing in the catalog."""
    if told.kind == "preference":
        return {2: "cpo", 4: "dpo"}.get(len(told.calls), "")
    return REFERENCES.get(told.kind, "")


def median(entry: Entry, given: dict[str, torch.Tensor], times: int = 5) -> float:
    taken = []
    for _ in range(times + 1):
        x = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in given.items()}
        begun = time.perf_counter()
        entry.fn(**x).backward()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken[1:])
