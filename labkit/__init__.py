"""See what contrastive and preference losses really do: exact losses, honest meters, and notebooks that run on a laptop.

`import labkit` is cheap: a name is imported when it is first asked for.
"""

import importlib
import os
import sys
from types import ModuleType
from typing import Any

# Small models make torch's threads wait for each other often. Awake, they take the time from whatever else is running: on a
# busy machine a lesson is then ten times slower. Heard only before torch is imported, so a lesson imports labkit first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.3.0"

HOME = {
    "claim": "lessons",
    "predict": "reader",
    "show": "reader",
    "restore": "explorers",
    "call": "training",
    "Config": "training",
    "fit": "training",
    "Run": "training",
    "catalog": "registry",
    "diagnose": "diagnose",
    "Diagnosis": "diagnose",
    "DisplacementCallback": "diagnose",
    "doctor": "doctor",
    "report": "report",
    "Report": "report",
    "compare": "report",
    "film": "report",
    "check_objective": "battery",
    "forecast": "forecast",
    "Forecast": "forecast",
    "sweep": "sweep",
    "Sweep": "sweep",
}
ROOMS = {
    "data",
    "explorers",
    "figures",
    "gather",
    "grading",
    "lessons",
    "losses",
    "metrics",
    "models",
    "preferences",
    "training",
}
__all__ = [*HOME]


def __getattr__(name: str) -> Any:
    if name in HOME:
        value = getattr(importlib.import_module(f"labkit.{HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in ROOMS:
        return importlib.import_module(f"labkit.{name}")
    raise AttributeError(f"labkit has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *HOME, *ROOMS})


class House(ModuleType):
    """`labkit.doctor` stays the function of that name, even after something imported the module of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = House
