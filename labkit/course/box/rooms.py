"""What of labkit a student's answers may use: the losses are shut while answers are graded, or there would be nothing to do.

It keeps honest people honest, and no more than that: labkit is open source, and what it holds can be copied.
"""

import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import pkgutil
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import labkit

SHUT: tuple[str, ...] = (
    "losses",
    "preferences",
    "metrics",
    "grading",
    "contrast",
    "link",
    "energy",
    "tiled",
    "gather",
    "forecast",
    "rows",
    "directions",
    "recipes",
    "diagnose",
    "explorers",
)
SHUT += ("registry", "course", "selfcheck", "apps", "tour", "cli")
OPEN = ("data", "models", "training", "figures", "reader", "lessons")
BY_NAME = ("catalog", "forecast", "diagnose", "Diagnosis", "DisplacementCallback", "restore")  # labkit.catalog, ...


class Shut:
    """Stands where something of a closed room was."""

    def __init__(self, name: str):
        self.__name__ = self.__qualname__ = name

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise PermissionError(f"{self.__name__} is closed while answers are graded: compare with it in a cell tagged `demo`")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Shut(f"{self.__name__}.{name}")

    def __repr__(self) -> str:
        return f"<{self.__name__}, closed while answers are graded>"


class ShutRoom(ModuleType):
    """A room that can be entered, and in which nothing can be called."""

    __all__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Shut(f"{self.__name__}.{name}")


class Porter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Sends whoever imports something of a closed room to an empty one."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if shut(name) else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return ShutRoom(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def shut(name: str) -> bool:
    first, _, rest = name.partition(".")
    return first == "labkit" and rest.partition(".")[0] in SHUT


class Rooms:
    """Our own code finds every room as it is (`opened`), the student's finds the closed ones shut (`close`)."""

    def __init__(self, eager: bool = True) -> None:
        """`eager` imports all assignments as well, which saves time where many are forked."""
        self.porter, self.real, self.names = Porter(), dict[str, ModuleType](), dict[str, Any]()
        for room in ("grading", *OPEN) if eager else OPEN:
            self.enter(f"labkit.{room}")
        self.grading = importlib.import_module("labkit.grading")

    @staticmethod
    def enter(name: str) -> None:
        """Import a room with all that is in it: later, its imports of closed ones would find these shut."""
        room = importlib.import_module(name)
        for each in pkgutil.walk_packages(getattr(room, "__path__", []), f"{name}.", onerror=nothing):
            with contextlib.suppress(Exception):  # what needs a package that is not installed
                importlib.import_module(each.name)

    def close(self) -> None:
        self.real |= {name: sys.modules.pop(name) for name in list(sys.modules) if shut(name)}
        for name in (*SHUT, *BY_NAME):
            if name in vars(labkit):
                self.names[name] = vars(labkit)[name]
                delattr(labkit, name)
        sys.meta_path.insert(0, self.porter)
        for room in SHUT:
            importlib.import_module(f"labkit.{room}")
        for name in BY_NAME:
            setattr(labkit, name, Shut(f"labkit.{name}"))
        self.stand_in(sys.modules["labkit.grading"])

    def open(self) -> None:
        sys.meta_path.remove(self.porter)
        for name in [name for name in sys.modules if shut(name)]:
            del sys.modules[name]
        for name in (*SHUT, *BY_NAME):
            vars(labkit).pop(name, None)
        sys.modules.update(self.real)
        vars(labkit).update(self.names)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        self.open()
        try:
            yield
        finally:
            self.close()

    def stand_in(self, module: Any) -> None:
        """`grading` without judge and exercises: its checks say nothing, what it gives it gives."""
        module.check, module.REPORTS = nothing, []
        module.given, module.reference = self.escorted(self.grading.given), self.reference

    def escorted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function of ours, for which every room is open while it runs."""

        @functools.wraps(function)
        def inside(*arguments: Any, **named: Any) -> Any:
            if self.porter not in sys.meta_path:  # one of ours calls another
                return function(*arguments, **named)
            with self.opened():
                return function(*arguments, **named)

        return inside

    def reference(self, name: str) -> Callable[..., Any]:
        """The right answer to an exercise of an earlier assignment, to build on; not of the one that is being graded."""
        assignment = str(name).partition(".")[0]
        if assignment in self.grading.draw.current:
            raise PermissionError(f"reference answers to {assignment} are for later assignments; here they are yours to write")
        return self.escorted(self.escorted(self.grading.reference)(name))


def nothing(*_: Any, **__: Any) -> None:
    """In place of `check`: the grade is decided elsewhere."""
