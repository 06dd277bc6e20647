"""Somebody's function as an entry like those of the catalog: which argument is which tensor, and which options it has."""

import copy
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from labkit.checks import DIRECTIONS, Checker, Parameter
from labkit.registry import Entry

SAME = torch.Generator().manual_seed(0).get_state()
ROWS, COLUMN = Float[Tensor, "n d"], Float[Tensor, "n"]
KINDS: dict[str, dict[str, Any]] = {
    "two_views": {"z1": ROWS, "z2": ROWS},
    "views": {"views": Float[Tensor, "n v d"]},
    "labels": {"z": ROWS, "labels": Int[Tensor, "n"]},
    "modalities": {"a": ROWS, "b": ROWS},
    "preference": {"chosen_logps": COLUMN, "rejected_logps": COLUMN, "ref_chosen_logps": COLUMN, "ref_rejected_logps": COLUMN},
    "meter": {"z": ROWS},
}
TEMPERATURE = ("temperature", "temp", "tau", "T", "t")  # whichever of these it has
USUAL = {**dict.fromkeys(TEMPERATURE, 0.5), "beta": 0.1, "margin": 1.0, "reduction": "mean"}  # for numbers without a default
PREFER = re.compile(r"(dis)?prefer(red)?")
REJECTED = re.compile(r"reject|los(er|ing|e)|neg|dispref|(_|y)l(_|$)")
CHOSEN = re.compile(r"chosen|win|pos|pref|(_|y)w(_|$)")


class Told(Checker):
    """A Checker of a function whose annotations are not asked: what its tensors are is known from elsewhere."""

    def __init__(self, tensors: Mapping[str, Any], options: Mapping[str, Any], fn: Callable):
        plain = inspect.Parameter.KEYWORD_ONLY
        made = [Parameter(inspect.Parameter(name, plain), kind, None) for name, kind in tensors.items()]
        made += [Parameter(inspect.Parameter(name, plain, default=value), Any, None) for name, value in options.items()]
        self.parameters = {p.name: p for p in made}
        self.signature, self.sizes, self.directions = inspect.signature(fn), {"n": 2}, set(tensors) & DIRECTIONS


@dataclass(frozen=True)
class Subject:
    """A function of somebody's, ready to be called by labkit's names.

    fn: as it was given. kind: one of KINDS. calls: labkit's name of a tensor -> the function's own name of it.
    options: what it is called with besides. temperature: what it calls its temperature, "" if it has none.
    """

    fn: Callable = field(repr=False)
    name: str
    kind: str
    calls: Mapping[str, str]
    options: Mapping[str, Any]
    positional: bool
    temperature: str
    reduces: bool
    supplied: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)  # of every batch, where it is made for one size alone

    def raw(self, given: Mapping[str, Tensor], **options: Any) -> Any:
        """What the function says, whatever that is."""
        asked = {**self.options, **{self.temperature if k == "temperature" else k: v for k, v in options.items()}}
        precision = next((x.dtype for x in given.values() if x.is_floating_point()), torch.float32)
        fn = self.copies[precision == torch.float64] if self.copies else self.fn
        if self.positional:
            return fn(*(given[role] for role in self.calls), **asked)
        return fn(**{own: given[role] for role, own in self.calls.items()}, **asked)

    @functools.cached_property
    def copies(self) -> tuple[nn.Module, ...]:
        """Of a module: one as it is and one in float64, so that the reader's own keeps its weights and its state."""
        return (copy.deepcopy(self.fn), copy.deepcopy(self.fn).double()) if isinstance(self.fn, nn.Module) else ()

    def value(self, **given: Any) -> Tensor:
        """One number with its gradient, of copies of these tensors, by the same random numbers at every call."""
        tensors = {name: given.pop(name).clone() for name in self.calls}
        kept = torch.get_rng_state()
        torch.set_rng_state(SAME)  # far faster than torch.manual_seed, which asks every kind of device
        try:
            found = torch.as_tensor(self.raw(tensors, **given))
        finally:
            torch.set_rng_state(kept)
        return found if found.ndim == 0 or "reduction" in given else found.mean()

    @functools.cached_property
    def entry(self) -> Entry:
        """As the catalog would hold it."""
        options: dict[str, Any] = {"temperature": None} if self.temperature else {}
        options |= {"reduction": "mean"} if self.reduces else {}
        kind: Any = {"preference": "preference", "meter": "metric"}.get(self.kind, "loss")
        return Entry(self.value, kind, "", Told({role: annotation(self.kind, role) for role in self.calls}, options, self.fn))


def annotation(kind: str, role: str) -> Any:
    return Int[Tensor, "n"] if role.endswith("lengths") else KINDS[kind][role]


def named(fn: Callable) -> str:
    inner = fn.func if isinstance(fn, functools.partial) else fn
    return getattr(inner, "__name__", type(inner).__name__)


def parameters(fn: Callable) -> dict[str, inspect.Parameter]:
    """What may be handed to it; a module is asked through its `forward`."""
    try:
        found = inspect.signature(fn.forward if isinstance(fn, nn.Module) else fn).parameters
    except (TypeError, ValueError):
        raise TypeError(f"fn has no signature that Python can read: wrap {named(fn)} in a function of your own") from None
    return dict(found)


def subject(fn: Any, kind: str, options: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> Subject:
    """Who is who among the function's arguments.

    Raises:
        TypeError: no function, or an option that it does not take.
        ValueError: an unknown kind, or arguments that do not fit it; the message says which kinds there are.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be {' or '.join(map(repr, KINDS))}, got {kind!r}")
    if isinstance(fn, type) or not callable(fn):
        what = f"the class {fn.__name__}: make one of it first" if isinstance(fn, type) else f"{type(fn).__name__}"
        raise TypeError(f"fn must be a function of tensors, got {what}")
    takes = parameters(fn)
    every = {n: p for n, p in takes.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    open_ended = {p.kind for p in takes.values()} & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    unknown = [n for n in options if n not in every]
    if unknown and inspect.Parameter.VAR_KEYWORD not in open_ended:
        raise TypeError(f"{named(fn)} takes no {', '.join(unknown)}; it takes {', '.join(every)}")
    free = [n for n in every if n not in options]
    needed = [n for n in free if every[n].default is inspect.Parameter.empty]
    calls = among_pairs(free, needed, fn) if kind == "preference" else in_order(free, kind, fn, bool(open_ended))
    positional = list(calls.values()) == list(every)[: len(calls)] and all(
        every[n].kind is not inspect.Parameter.KEYWORD_ONLY for n in calls.values()
    )
    rest = [n for n in needed if n not in calls.values()]
    supplied = tuple(n for n in rest if n in USUAL)
    if left := [n for n in rest if n not in USUAL]:
        raise ValueError(
            f"{named(fn)} also needs {', '.join(left)}: hand it on as a keyword of check_objective, or choose another kind; "
            f"kind={kind!r} gives it {', '.join(calls)}"
        )
    return Subject(
        fn=fn,
        name=named(fn),
        kind=kind,
        calls=calls,
        options={**options, **{n: USUAL[n] for n in supplied}},
        positional=positional or not every,
        temperature=next((n for n in TEMPERATURE if n in every and sharp(n, options.get(n, every[n].default))), ""),
        reduces="reduction" in every,
        supplied=supplied,
        sizes=sizes or {},
    )


def sharp(name: str, value: Any) -> bool:
    """Whether a number of this name is a temperature: `t = 2` is the width of a potential, `t = 10` a scale of logits."""
    return len(name) > 1 or not isinstance(value, (int, float)) or value <= 1


def in_order(free: list[str], kind: str, fn: Callable, open_ended: bool) -> dict[str, str]:
    """The kind's tensors are the first arguments, whatever they are called; those of labkit's names go by name."""
    roles = list(KINDS[kind])
    if set(roles) <= set(free):
        return {role: role for role in roles}
    if len(free) < len(roles):
        if open_ended and not free:
            return {role: role for role in roles}
        raise ValueError(
            f"{named(fn)} takes {len(free)} argument{'s' * (len(free) != 1)} ({', '.join(free) or 'none'}), but kind={kind!r} "
            f"hands it {len(roles)}: {', '.join(roles)}; there are {', '.join(KINDS)}"
        )
    return dict(zip(roles, free, strict=False))


def among_pairs(free: list[str], needed: list[str], fn: Callable) -> dict[str, str]:
    """Log-probabilities and lengths found by their names; by their order where the names say nothing."""
    found = {role: n for n in needed if (role := spoken(n))}
    if {"chosen_logps", "rejected_logps"} <= set(found):
        return found
    tensors = [n for n in needed if n not in USUAL]
    if not found and len(tensors) in (2, 4):
        return dict(zip(KINDS["preference"], tensors, strict=False))
    raise ValueError(
        f"{named(fn)} takes {', '.join(free)}, which do not say what is what; kind='preference' wants chosen_logps and "
        "rejected_logps, and may take ref_chosen_logps, ref_rejected_logps, chosen_lengths, rejected_lengths"
    )


def spoken(name: str) -> str:
    """labkit's name of what is called so; "" where that is not said.

    >>> spoken("policy_rejected_logps"), spoken("reference_logps_w"), spoken("beta")
    ('rejected_logps', 'ref_chosen_logps', '')
    """
    low = name.lower()
    side = "rejected" if REJECTED.search(low) else "chosen" if CHOSEN.search(low) else ""
    if not side:
        return ""
    long = "len" in low or "num_tokens" in low
    return f"{'ref_' if 'ref' in PREFER.sub('', low) else ''}{side}_{'lengths' if long else 'logps'}"
