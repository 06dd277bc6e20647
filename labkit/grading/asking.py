"""Ask an answer: call a student's function with a case's inputs and bring home its value, its gradients or what went wrong."""

import inspect
import linecache
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from labkit.grading.exercise import Case

Kind = Literal["", "missing", "raised", "timeout", "killed", "unreadable"]
ENTRIES = 1_000_000  # more numbers than any answer has


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of asking: a plain value and gradients, or in words why there is none."""

    value: Any = None
    grads: dict[str, Tensor] = field(default_factory=dict)
    error: str = ""
    kind: Kind = ""


Asker = Callable[[Case], Outcome]


def answer(function: Any, case: Case) -> Outcome:
    """Call the function on copies of the inputs; nothing it does to them or to torch's modes is seen by the next call."""
    if not case.inputs:
        return (
            Outcome(error="this should be a value, and it is a function", kind="missing")
            if callable(function)
            else read(function)
        )
    if not callable(function):
        return Outcome(error=f"this should be a function, and it is {article(type(function).__name__)}", kind="missing")
    inputs = {name: copied(value, name in case.grads) for name, value in case.inputs.items()}
    try:
        with torch.enable_grad() if case.grads else torch.random.fork_rng(devices=[]):
            value = called(function, inputs)
            grads = gradients(value, {name: inputs[name] for name in case.grads})
    except Exception as error:
        return Outcome(error=told(error), kind="raised")
    found = read(value)
    return Outcome(found.value, grads, found.error, found.kind)


def called(function: Callable[..., Any], inputs: dict[str, Any]) -> Any:
    """Arguments go by position, because names are the student's own; by name where the function takes them only so."""
    try:
        kinds = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        kinds = dict[str, inspect.Parameter]().values()
    by_name = {p.name for p in kinds if p.kind is inspect.Parameter.KEYWORD_ONLY}
    positional = [value for name, value in inputs.items() if name not in by_name]
    return function(*positional, **{name: value for name, value in inputs.items() if name in by_name})


def gradients(value: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of the sum of all that came back; zeros where none flows."""
    if not inputs:
        return {}
    total = sum(
        (leaf.sum() for leaf in leaves(value) if isinstance(leaf, Tensor) and leaf.is_floating_point()), torch.zeros(())
    )
    if not total.requires_grad:
        return {name: torch.zeros_like(x) for name, x in inputs.items()}
    found = torch.autograd.grad(total, list(inputs.values()), allow_unused=True)
    return {
        name: torch.zeros_like(x) if g is None else g.detach().clone()
        for (name, x), g in zip(inputs.items(), found, strict=True)
    }


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def copied(value: Any, grad: bool = False) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(grad)
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(copied(item) for item in value)
    return value


def read(value: Any) -> Outcome:
    """The value as plain data; or what it is instead."""
    if value is None:
        return Outcome(error="it returned nothing: is there a `return`?", kind="unreadable")
    try:
        return Outcome(plain(value))
    except (TypeError, ValueError) as error:
        return Outcome(error=str(error), kind="unreadable")


def plain(value: Any, depth: int = 0) -> Any:
    """Tensors on the CPU without history, Python's numbers and words, and lists, tuples and dicts of these."""
    if depth > 8:
        raise ValueError("the answer is nested more than eight deep")
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(np.ascontiguousarray(value)) if value.dtype != object else value.tolist()
    if isinstance(value, Tensor):
        if value.numel() > ENTRIES:
            raise ValueError(f"the answer has {value.numel():,} numbers, more than any right one")
        return (
            value.detach().cpu().to_dense().clone()
            if type(value) is Tensor
            else value.detach().cpu().as_subclass(Tensor).clone()
        )
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {key.item() if isinstance(key, np.generic) else key: plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if len(value) > ENTRIES:
            raise ValueError(f"the answer has {len(value):,} entries, more than any right one")
        return type(value)(plain(item, depth + 1) for item in value) if type(value) in (list, tuple) else [*map(plain, value)]
    raise TypeError(f"it returned {article(type(value).__name__)}, which is neither numbers nor words")


def article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def told(error: BaseException) -> str:
    """The error and the line of the student's own code where it arose, without ours."""
    if isinstance(error, NotImplementedError) and not str(error):
        return "there is no answer yet"
    try:
        said = f"{type(error).__name__}: {error}".strip(": ")
    except Exception:
        said = type(error).__name__
    own = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "ipykernel_" in frame.filename or "<" in frame.filename
    ]
    if own and (line := own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno or 0)):
        said += f"   (at: {line.strip()[:200]})"
    return said[:1000]
