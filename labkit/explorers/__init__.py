"""Explorers: a state, controls, what is shown and what is said; the same with a kernel and without one.

Each is imported when it is first asked for.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.explorers.core import Explorer

EXPLORERS = (
    "temperature",
    "microscope",
    "time_machine",
    "clinic",
    "simplex",
    "displacement",
    "maps",
    "precision",
    "augmentation",
    "same_name",
    "bridge",
)
ELSEWHERE = {"recompute": "recompute", "Control": "core", "Explorer": "core", "Sentence": "core", "State": "core"}
__all__ = [*EXPLORERS, *ELSEWHERE, "EXPLORERS", "explorer", "restore"]


def explorer(name: str, **options: Any) -> "Explorer":
    """The explorer of this name, with the options of its function.

    Raises:
        ValueError: there is no such explorer.
    """
    if name not in EXPLORERS:
        raise ValueError(f"there is no explorer {name!r}; there are {', '.join(EXPLORERS)}")
    return getattr(importlib.import_module(f"labkit.explorers.{name}"), name)(**options)


def restore(code: str) -> "Explorer":
    """The explorer of a state code, opening in the state that the code names.

    Args:
        code: as it stands beside an explorer, such as `temperature1-k3f9-8zqp`.

    Raises:
        ValueError: this is no code, or a damaged one, or one of an explorer or a version that this labkit does not have; or
            it was made for your own tensors: make the explorer with them, then `explorer.opened(code)`.
    """
    from labkit.explorers.codes import parts

    return explorer(parts(code)[0]).opened(code)


def __getattr__(name: str) -> Any:
    room = ELSEWHERE.get(name, name if name in EXPLORERS else None)
    if room is None:
        raise AttributeError(f"labkit.explorers has no {name!r}")
    value = getattr(importlib.import_module(f"labkit.explorers.{room}"), name)
    globals()[name] = value
    return value


class Hall(ModuleType):
    """`labkit.explorers.temperature` stays the function, also after something imported the module of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in (*EXPLORERS, *ELSEWHERE) and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = Hall
