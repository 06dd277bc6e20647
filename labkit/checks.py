"""Arguments are checked by their names and by the shapes in the signature, so that no objective starts with checks.

`Checker(fn)` reads the annotations of `fn` once: `Float[Tensor, "n d"]` says that an argument is a floating tensor with
two dimensions, and that every other `n` and `d` of the call has the same size. What comes out of `Checker.bind` is safe to
compute with: half precision has become float32.
"""

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from jaxtyping import AbstractArray, Float
from torch import Tensor

Scalar = int | float | Float[Tensor, ""]
Reduction = Literal["mean", "sum", "none"]

# What a number may be, by name, in interval notation; an entry can say otherwise (`ranges={"alpha": "[0, inf)"}`).
RANGES = {
    "temperature": "(0, inf)",
    "beta": "(0, inf)",
    "t": "(0, inf)",
    "alpha": "(0, inf)",
    "sigma": "(0, inf)",
    "weight": "[0, inf)",
    "tau_plus": "[0, 1)",
    "label_smoothing": "[0, 0.5)",
    "lambda_": "[0, inf)",
    "sft": "[0, inf)",
    "epsilon": "(0, inf)",
    "level": "(0, 1)",
    "block_size": "[1, inf)",
    "k": "[1, inf)",
    "iterations": "[1, inf)",
}
# The same for every argument whose name ends so. No sum of rounded log-probabilities is held to 0 more exactly than SLACK.
ENDINGS = {"logps": "(-inf, 0]", "lengths": "(0, inf)", "weights": "[0, inf)", "errors": "[0, inf)", "mask": "[0, 1]"}
SLACK = 1e-3
HALF = (torch.float16, torch.bfloat16)  # computed in float32
HINTS = {
    "temperature": "0.07 to 0.5 is usual",
    "beta": "0.01 to 0.5 is usual with a reference",
    "label_smoothing": "above one half the labels would be wrong more often than right: swap them instead",
    "lengths": "count the response tokens",
    "mask": "True or 1 marks, False or 0 does not; -100 and the like belong into labels",
    "logps": "a log-probability is never positive: were probabilities, ratios or rewards passed?",
}
# The arguments whose direction alone matters: they are L2-normalised inside, so a row of zeros has no meaning.
DIRECTIONS = {"z", "z1", "z2", "a", "b", "views", "anchors", "positives", "negatives", "p1", "p2", "train_z", "test_z"}


class Interval:
    """`Interval("[0, 0.5)")` holds 0 and 0.49 but not 0.5; prints as people say it. `"[-inf, inf)"` holds -inf, too."""

    def __init__(self, text: str, slack: float = 0.0):
        low, high = text[1:-1].split(",")
        self.low, self.high, self.text, self.slack = float(low), float(high), text, slack

    def holds(self, value: float) -> bool:
        above = value >= self.low if self.text[0] == "[" else value > self.low
        below = value <= self.high + self.slack if self.text[-1] == "]" else value < self.high
        return above and below

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"{'>=' if self.text[0] == '[' else '>'} {self.low:g}"
        if self.low == -math.inf:
            return f"{'<=' if self.text[-1] == ']' else '<'} {self.high:g}"
        return f"in {self.text}"


class Parameter:
    """One argument: the shapes it may have, the numbers it may hold, the words it may be."""

    def __init__(self, parameter: inspect.Parameter, annotation: Any, interval: str | None):
        self.name = parameter.name
        self.options = (
            typing.get_args(annotation) if typing.get_origin(annotation) in (typing.Union, types.UnionType) else (annotation,)
        )
        self.required = parameter.default is inspect.Parameter.empty
        self.optional = type(None) in self.options
        self.shapes = [o for o in self.options if isinstance(o, type) and issubclass(o, AbstractArray) and o.dims]
        self.is_tensor = bool(self.shapes)
        self.is_number = not self.is_tensor and any(o in (int, float) for o in self.options)
        self.is_switch = bool in self.options
        self.words = next((typing.get_args(o) for o in self.options if typing.get_origin(o) is Literal), ())
        ending = next((e for e in ENDINGS if self.name.endswith(e)), "")
        interval = interval or RANGES.get(self.name) or ENDINGS.get(ending)
        self.interval = Interval(interval, SLACK if ending == "logps" else 0.0) if interval else None
        self.hint = HINTS.get(self.name) or HINTS.get(ending)
        self.floating = self.is_tensor and all("float32" in s.dtypes for s in self.shapes)
        self.integral = self.is_tensor and all("float32" not in s.dtypes for s in self.shapes)

    @property
    def expected(self) -> str:
        return " or ".join(f"({', '.join(s.dim_str.split())}{',' if len(s.dims) == 1 else ''})" for s in self.shapes)

    def tensor(self, value: Any) -> Tensor:
        """The tensor, of a kind and shape that fit; or an error that names it."""
        name = self.name
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name} must be a torch tensor of shape {self.expected}, got {type(value).__name__}; "
                f"try torch.as_tensor({name})"
            )
        if self.floating and not value.is_floating_point():
            raise TypeError(f"{name} must hold floating-point numbers, got {value.dtype}; try {name}.float()")
        if self.integral and (value.is_floating_point() or value.is_complex()):
            raise TypeError(f"{name} must hold integers, got {value.dtype}; try {name}.long()")
        if not any(len(s.dims) == value.ndim for s in self.shapes):
            raise ValueError(f"{name} must have shape {self.expected}, got {tuple(value.shape)}")
        return value

    def numbers(self, value: Tensor) -> Tensor:
        """The tensor, upcast if it is in half precision; or an error that says which numbers it may not hold."""
        value = value.float() if value.dtype in HALF else value
        if not value.numel() or not (value.is_floating_point() or self.interval):
            return value
        least, most = (extreme.item() for extreme in value.detach().aminmax())  # NaN if one is: one pass, and no copy
        if value.is_floating_point() and not (math.isfinite(least) and math.isfinite(most)):
            bad = int((~torch.isfinite(value)).sum())
            if self.interval and self.interval.holds(-math.inf):
                bad -= int(torch.isneginf(value).sum())
            if bad:
                raise ValueError(f"{self.name} holds {bad} NaN or infinite value{'s' * (bad > 1)} of {value.numel()}")
        self.within(least, most)
        return value

    def number(self, value: Any) -> Any:
        """The number (or 0-dimensional tensor) as it came; or an error that names it."""
        scalar = isinstance(value, Tensor) and value.ndim == 0
        if isinstance(value, bool) or not (scalar or isinstance(value, (int, float))):
            what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"{self.name} must be a number, got {what}")
        plain = value.item() if scalar else value  # a learned temperature carries a gradient; float() would warn
        if float not in self.options:
            if isinstance(plain, bool) or not isinstance(plain, int):
                raise TypeError(f"{self.name} must be a whole number, got {plain}")
            value = plain
        if not math.isfinite(plain):
            raise ValueError(f"{self.name} must be finite, got {plain}")
        if self.interval:
            self.within(plain, plain)
        return value

    def within(self, *values: float) -> None:
        for value in values:
            if self.interval and not self.interval.holds(value):
                hint = f"; {self.hint}" if self.hint else ""
                raise ValueError(f"{self.name} must be {self.interval}, got {value:g}{hint}")

    def switch(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise TypeError(f"{self.name} must be True or False, got {value!r}")
        return value

    def word(self, value: Any) -> Any:
        if value not in self.words:
            raise ValueError(f"{self.name} must be {' or '.join(map(repr, self.words))}, got {value!r}")
        return value


class Checker:
    """Checks the arguments of `fn`: sizes that must agree, `sizes` that have a minimum, `ranges`, directions."""

    def __init__(self, fn: Callable, *, sizes: Mapping[str, int], ranges: Mapping[str, str], raw: bool):
        self.signature = inspect.signature(fn)
        hints = typing.get_type_hints(fn)
        self.parameters = {n: Parameter(p, hints.get(n, Any), ranges.get(n)) for n, p in self.signature.parameters.items()}
        self.sizes = dict(sizes)
        self.directions = set() if raw else DIRECTIONS

    def bind(self, *args: Any, **kwargs: Any) -> inspect.BoundArguments:
        bound = self.signature.bind(*args, **kwargs)
        tensors: dict[str, Tensor] = {}
        for name, value in bound.arguments.items():
            p = self.parameters[name]
            if value is None and p.optional:
                continue
            if p.is_tensor:
                tensors[name] = self.filled(p, p.tensor(value))
            elif p.is_number:
                bound.arguments[name] = p.number(value)
            elif p.is_switch:
                bound.arguments[name] = p.switch(value)
            elif p.words:
                bound.arguments[name] = p.word(value)
        self.agree(tensors)  # as they came: before half precision becomes single, and before a value is looked at
        for name, value in tensors.items():
            bound.arguments[name] = self.parameters[name].numbers(value)
            if name in self.directions and (value.detach().abs().amax(-1) == 0).any():
                raise ValueError(f"{name} has a row of zeros, which has no direction to compare")
        return bound

    def filled(self, p: Parameter, value: Tensor) -> Tensor:
        """The tensor, if no axis is 0 but one whose letter may be."""
        letters = next(s for s in p.shapes if len(s.dims) == value.ndim).dim_str.split()
        if any(size == 0 and self.sizes.get(letter, 1) for letter, size in zip(letters, value.shape, strict=True)):
            raise ValueError(f"{p.name} is empty: its shape is {tuple(value.shape)}, expected {p.expected} with nothing 0")
        return value

    def agree(self, tensors: dict[str, Tensor]) -> None:
        """Equal sizes for equal letters, enough rows, one device, one precision."""
        sizes: dict[str, tuple[int, str]] = {}
        for name, value in tensors.items():
            shape = next(s for s in self.parameters[name].shapes if len(s.dims) == value.ndim)
            for letter, size in zip(shape.dim_str.split(), value.shape, strict=True):
                known, first = sizes.setdefault(letter, (size, name))
                if known != size:
                    raise ValueError(
                        f"{name} has {letter} = {size}, but {first} has {letter} = {known}: "
                        f"shapes {tuple(value.shape)} and {tuple(tensors[first].shape)}"
                    )
        for letter, (size, name) in sizes.items():
            least = self.sizes.get(letter, 1)
            if letter == "n" and "negatives" in tensors:
                least = 1  # one anchor is enough when its negatives come from elsewhere
            if size < least:
                raise ValueError(
                    f"{name} needs {letter} >= {least}, got {letter} = {size}: its shape is {tuple(tensors[name].shape)}"
                )
        optional = {letter: name for letter, (_, name) in sizes.items() if self.sizes.get(letter) == 0}
        if optional and not any(sizes[letter][0] for letter in optional):
            raise ValueError(f"{' and '.join(optional.values())} are empty: nothing is left to compare")
        reference: dict[str, tuple[Any, str]] = {}
        for name, value in tensors.items():
            device, first = reference.setdefault("device", (value.device, name))
            if value.device != device:
                raise ValueError(f"{name} is on {value.device}, but {first} is on {device}; move one with .to()")
            if self.parameters[name].floating:
                dtype, first = reference.setdefault("dtype", (value.dtype, name))
                if value.dtype != dtype:
                    raise ValueError(f"{name} is {value.dtype}, but {first} is {dtype}; convert one of them")
