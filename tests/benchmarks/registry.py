"""What is compared, at which sizes, with whom, and what should come out of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

OURS = "labkit"
FILES = ("contrastive", "spread", "preference", "meters", "imports", "epoch")


class Skip(Exception):
    """Why a contender cannot run here."""


@dataclass(frozen=True)
class Target:
    """Ours is at most `at_most` times what `peer` takes; without a peer, at most that much.

    what: "seconds" of CPU, "wall" by the clock, or "mib". size: at this size alone; None means at every size.
    """

    what: str
    at_most: float
    peer: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Contender:
    """`run` makes the value from the inputs, and its gradient if it does not leave that to us; `up_to` is the last size."""

    run: Callable[..., Any]
    up_to: int | None = None


@dataclass(frozen=True)
class Case:
    """One comparison: the same inputs for all.

    inputs: from a size and a generator to tensors. quick: the size under `--quick`; large: sizes under `--large`.
    warm: the size of the call before the one that is measured, which loads what is to be loaded; None measures the first call.
    again: whether a short call is repeated in its process; growth: whether the exponents of our growth are worth a line.
    """

    name: str
    title: str
    inputs: Callable[..., tuple]
    sizes: tuple[int, ...]
    quick: int
    large: tuple[int, ...] = ()
    targets: tuple[Target, ...] = ()
    warm: int | None = 64
    again: bool = True
    growth: bool = False
    contenders: dict[str, Contender] = field(default_factory=dict)

    def by(self, name: str, up_to: int | None = None) -> Callable:
        """Enters a contender; ours is entered first."""

        def enter(run: Callable) -> Callable:
            self.contenders[name] = Contender(run, up_to)
            return run

        return enter

    def told(self, file: str) -> dict[str, Any]:
        """All that the one who calls the workers must know; `file` is where it stands."""
        kept = ("name", "title", "sizes", "quick", "large", "growth")
        return {
            **{name: getattr(self, name) for name in kept},
            "file": file,
            "targets": [vars(target) for target in self.targets],
            "contenders": {name: contender.up_to for name, contender in self.contenders.items()},
        }


def cases(file: str) -> dict[str, Case]:
    """The comparisons of one file."""
    return {case.name: case for case in import_module(f"benchmarks.cases.{file}").CASES}


def told() -> dict[str, dict[str, Any]]:
    """Every comparison in words and numbers, in the order of the report."""
    return {name: case.told(file) for file in FILES for name, case in cases(file).items()}
