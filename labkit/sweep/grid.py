"""From axes to Configs, and from Configs to the columns that tell them apart."""

import dataclasses
import importlib
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from labkit import data, models
from labkit.data.augment import AUGMENTATIONS
from labkit.models import heads
from labkit.registry import ENTRIES, catalog
from labkit.training import Call, Config, call
from labkit.training.loop import OPTIMIZERS

FIELDS = [field.name for field in dataclasses.fields(Config)]


def configs(grid: Config | Iterable[Config], over: Mapping[str, Iterable[Any]] | None) -> list[Config]:
    """Every Config of a sweep once, in the order in which they are trained: the last axis turns fastest.

    >>> base = Config(loss=call("nt_xent", temperature=0.5))
    >>> [c.loss for c in configs(base, {"loss.temperature": [0.1, 0.2]})]
    [nt_xent(temperature=0.1), nt_xent(temperature=0.2)]
    """
    every = [grid] if isinstance(grid, Config) else list(grid) if isinstance(grid, Iterable) else [grid]
    wrong = next((c for c in every if not isinstance(c, Config)), None)
    if wrong is not None:
        raise TypeError(f"grid must be a Config or a list of Configs, got {type(wrong).__name__}")
    if not every:
        raise ValueError("grid holds no Config: there is nothing to train")
    axes = {name: values(name, each) for name, each in (over or {}).items()}
    whole_first = sorted(axes, key=lambda name: name.count("."))  # a loss is chosen before its temperature is set
    made = []
    for base in every:
        for point in itertools.product(*axes.values()):
            chosen, config = dict(zip(axes, point, strict=True)), base
            for name in whole_first:
                config = put(config, name, name, chosen[name])
            made.append(config)
    return list(dict.fromkeys(made))


def values(name: str, each: Iterable[Any]) -> list[Any]:
    """The values of an axis as plain numbers and words: NumPy's are written otherwise, and would be other runs."""
    if isinstance(each, (str, bytes, Call, Config)) or not isinstance(each, Iterable):
        raise TypeError(f"over[{name!r}] must be a list of values, got {each!r}; write [{each!r}]")
    found = [value.item() if hasattr(value, "item") and not getattr(value, "ndim", 0) else value for value in each]
    if not found:
        raise ValueError(f"over[{name!r}] has no values")
    return found


def put(thing: Any, path: str, axis: str, value: Any) -> Any:
    """`thing` with the value at this dotted place; `axis` is the whole name, for errors."""
    name, _, rest = path.partition(".")
    if isinstance(thing, Config):
        if name not in FIELDS:
            raise ValueError(f"over[{axis!r}]: a Config has no {name!r}; it has {', '.join(FIELDS)}")
        inner = put(getattr(thing, name), rest, axis, value) if rest else value
        allowed(name, inner, rest, axis)
        return thing.replace(**{name: inner})
    if isinstance(thing, Call):
        return call(thing.name, **{**thing.kwargs, name: put(thing.kwargs.get(name), rest, axis, value) if rest else value})
    raise ValueError(f"over[{axis!r}]: {axis.removesuffix(f'.{path}')} is {thing!r}, which has no options to vary")


def allowed(field: str, made: Any, option: str, axis: str) -> None:
    """Refuse an option that what it belongs to does not have, before anything is trained."""
    if not isinstance(made, Call) or not option or (maker := makers(field, made.name)) is None:
        return
    parameters = inspect.signature(maker).parameters
    if option.partition(".")[0] not in parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        known = [n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY or p.default is not p.empty]
        raise ValueError(f"over[{axis!r}]: {made.name} has no option {option!r}; it has {', '.join(known) or 'none'}")


def makers(field: str, name: str) -> Callable | None:
    """What a Call of this name calls; None for what nobody knows: the run itself then says so."""
    if field == "loss":
        catalog()
        return ENTRIES[name].fn if name in ENTRIES else None
    if field in ("data", "model"):
        known: Mapping[str, str] = data.CATALOG if field == "data" else models.CATALOG
        return getattr(importlib.import_module(known[name]), name.replace("-", "_"), None) if name in known else None
    named: dict[str, Mapping[str, Callable]] = {"optimizer": OPTIMIZERS, "augment": AUGMENTATIONS, "target": {"ema": heads.Ema}}
    return named.get(field, {}).get(name)


def flat(config: Config) -> dict[str, Any]:
    """A Config as columns: a call is its name, and its options under dotted names.

    >>> {name: value for name, value in flat(Config(loss=call("nt_xent", temperature=0.5))).items() if "loss" in name}
    {'loss': 'nt_xent', 'loss.temperature': 0.5}
    """
    found: dict[str, Any] = {}
    for name in FIELDS:
        value = getattr(config, name)
        found[name] = value.name if isinstance(value, Call) else value.text if isinstance(value, Config) else value
        if isinstance(value, Call):
            found |= {f"{name}.{option}": inner for option, inner in value.kwargs.items()}
    return {name: v if v is None or isinstance(v, (bool, int, float, str)) else repr(v) for name, v in found.items()}


def axes(every: Sequence[Config], over: Mapping[str, Any] | None) -> list[str]:
    """The columns that tell these Configs apart, and those that were asked to vary."""
    rows = [flat(config) for config in every]
    names = sorted(dict.fromkeys(name for row in rows for name in row), key=lambda n: FIELDS.index(n.partition(".")[0]))
    differ = [name for name in names if len({repr(row.get(name)) for row in rows}) > 1]
    return list(dict.fromkeys([*(name for name in over or {} if name in names), *differ]))
