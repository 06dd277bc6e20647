"""`@objective` and `@meter`: check a function's arguments, and remember it. `labkit.catalog()` reads what they remember.

Everything that can be found is found and not typed again: the family is the file, the equation stands in the docstring,
title, authors and year in `data/papers.csv`, the lessons in the notebooks, chance line and floor in the function itself.
"""

import contextlib
import copy
import csv
import functools
import inspect
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from labkit import gather
from labkit.checks import Checker
from labkit.paths import notebooks, shipped

Kind = Literal["loss", "preference", "metric", "decoding"]
F = TypeVar("F", bound=Callable)
ENTRIES: dict[str, "Entry"] = {}
SINGLE = (0.04, 1.0)  # temperatures at which tiles in float32 give gradients to 2e-6
EMBEDDINGS = frozenset({"permutation", "rotation"})


@dataclass(frozen=True)
class Entry:
    """One registered function and what is known of it."""

    fn: Callable = field(repr=False)
    kind: Kind
    arxiv: str
    checker: Checker = field(repr=False)
    oracle: str = ""
    unit: str = "anchor"  # what reduction="none" returns one value of; "batch": there is no reduction
    invariant: frozenset[str] = EMBEDDINGS
    floor_at: str | float = ""  # where the loss is smallest, if it is known: at the "simplex"; or that value itself
    status: str = "verified"  # or "reconstructed": from an abstract, no code or paper to check against

    @property
    def name(self) -> str:
        return self.fn.__name__

    @property
    def family(self) -> str:
        return self.fn.__module__.rsplit(".", 1)[-1]

    @property
    def equation(self) -> str:
        return inspect.cleandoc(self.fn.__doc__ or "").partition(".. math::")[2].strip().split("\n\n")[0]

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensor arguments that a call cannot do without, in order."""
        return tuple(n for n, p in self.checker.parameters.items() if p.is_tensor and p.required)

    def takes(self, name: str) -> bool:
        """Whether it has an argument of this name."""
        return name in self.checker.parameters

    @property
    def paper(self) -> str:
        return papers().get(self.arxiv, {}).get("title", "")

    @property
    def authors(self) -> str:
        return papers().get(self.arxiv, {}).get("authors", "")

    @property
    def year(self) -> int | None:
        year = papers().get(self.arxiv, {}).get("year", "")
        return int(year) if year else None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Numbers of this paper among the 294 that labkit is about."""
        return tuple(int(s) for s in papers().get(self.arxiv, {}).get("seeds", "").split())

    @property
    def lessons(self) -> tuple[str, ...]:
        """The lessons whose code calls it or names it in a Config."""
        use = re.compile(
            rf"""(losses|preferences|metrics|decoding)\.{self.name}\b|call\("{self.name}"|import [^\n]*\b{self.name}\b"""
        )
        return tuple(sorted(p.stem for p in notebooks().glob("*.py") if use.search(p.read_text(encoding="utf-8"))))

    def arguments(
        self, make: Callable[..., Tensor], n: int, d: int, v: int = 2, k: int = 4, **others: Any
    ) -> dict[str, Tensor]:
        """Tensors for every required tensor argument: `make(shape)` for numbers, pairs of ids for labels, ones for masks."""
        sizes = {"n": n, "d": d, "v": v, "k": k, "m": n}
        made = {}
        for name in self.tensors:
            p = self.checker.parameters[name]
            shape = tuple(sizes.get(letter, k) for letter in p.shapes[0].dim_str.split())
            if name.endswith(("lengths", "mask")):
                made[name] = torch.ones(shape, dtype=torch.long if name.endswith("lengths") else torch.bool)
            else:
                made[name] = ids(shape) if p.integral else make(shape)
                if p.interval and not p.interval.holds(made[name].min().item()):
                    made[name] = made[name].abs()
        return {**made, **others}

    def chance(self, n: int, d: int = 4, **options: Any) -> float:
        """The loss of a model that tells nothing apart: every embedding the same, or a policy equal to its reference."""
        same = -1.0 if self.kind == "preference" else 1.0  # log-probabilities are negative
        return float(self.fn(**self.arguments(lambda shape: torch.full(shape, same, dtype=torch.float64), n, d, **options)))

    def floor(self, n: int, temperature: float | None = None, d: int | None = None, **options: Any) -> float | None:
        """The smallest value that `n` rows can reach, or None where it is not known.

        Most attain it at the regular simplex, which needs `d >= n - 1`; in fewer dimensions they stay above it.
        """
        if isinstance(self.floor_at, float):
            return self.floor_at
        if self.floor_at != "simplex":
            return None
        corners = simplex(n)
        made = self.arguments(lambda shape: corners if len(shape) == 2 else corners[:, None].expand(n, shape[1], n), n, n)
        return float(self.fn(**made, **({} if temperature is None else {"temperature": temperature}), **options))


def ids(shape: tuple[int, ...]) -> Tensor:
    """Labels `(n,)` in pairs of equal ones, or rankings `(n, k)`."""
    return torch.arange(shape[0]) // 2 if len(shape) == 1 else torch.arange(shape[-1]).expand(shape)


def simplex(n: int) -> Tensor:
    """The `n` corners of a regular simplex as unit rows `(n, n)`: every two of them have cosine `-1 / (n - 1)`."""
    return torch.nn.functional.normalize(torch.eye(n, dtype=torch.float64) - 1 / n, dim=-1)


def objective(
    arxiv: str,
    *,
    kind: Kind = "loss",
    sizes: Mapping[str, int] | None = None,
    ranges: Mapping[str, str] | None = None,
    raw: bool = False,
    **about: Any,
) -> Callable[[F], F]:
    """Register a function under its paper's key, and check its arguments by name before every call.

    Args:
        arxiv: arXiv id, the key of `data/papers.csv`.
        sizes: the least size of a letter in the signature's shapes; `{"n": 2, "v": 2, "k": 2}` for losses on embeddings.
        ranges: what a number may be, where it differs from `checks.RANGES`.
        raw: the function uses dot products or moments as they are: a row of zeros is then allowed.
        about: the other fields of `Entry`.
    """
    least = {"n": 1 if kind in ("preference", "decoding") else 2, "v": 2, "k": 2} | dict(sizes or {})

    def register(fn: F) -> F:
        checker = Checker(fn, sizes=least, ranges=ranges or {}, raw=raw or kind in ("preference", "decoding"))
        if fn.__name__ in ENTRIES and ENTRIES[fn.__name__].fn.__module__ != fn.__module__:
            raise ValueError(
                f"two objectives are called {fn.__name__}: {ENTRIES[fn.__name__].fn.__module__} and {fn.__module__}"
            )
        guarded = guard(fn, checker, kind)
        ENTRIES[fn.__name__] = Entry(guarded, kind, arxiv, checker, **about)
        return guarded

    return register


def guard(fn: F, checker: Checker, kind: Kind | None = None) -> F:
    """`fn` behind its checks."""
    inner, shared = under_test(fn), one_of_several(fn, checker)

    @functools.wraps(fn)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        bound = (shared() if kind in ("loss", "preference") and gather.active() else checker).bind(*args, **kwargs)
        own, device = finer(bound, checker)
        with torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else contextlib.nullcontext():
            found = inner(*bound.args, **bound.kwargs)
        return found if own is None else found.to(own)

    return guarded  # type: ignore[return-value]


def one_of_several(fn: Callable, checker: Checker) -> Callable[[], Checker]:
    """The checks inside `gather.across`, where one row is enough, for others bring theirs; or a refusal."""

    def fewer() -> Checker:
        if "block_size" not in checker.parameters:
            raise ValueError(
                f"{fn.__name__} compares what it is given, and inside gather.across() that is one process's rows: "
                "give it gather.rows(...) of what it takes, outside"
            )
        few = copy.copy(checker)
        few.sizes = {**checker.sizes, "n": 1}
        return few

    return fewer


def finer(bound: inspect.BoundArguments, checker: Checker) -> tuple[torch.dtype | None, str]:
    """The precision to which a loss with a temperature is rounded, and the device.

    Its rows become float64 where float32 would not do: at temperatures so low that the rounding of a logit shows, or so high
    that pushes nearly cancel. On a GPU, whose float64 can be slow, they stay as they are.
    """
    rows = {n: x for n, x in bound.arguments.items() if isinstance(x, Tensor) and checker.parameters[n].floating}
    first = next(iter(rows.values()), torch.empty(0))
    own, device = first.dtype, first.device.type
    if "temperature" not in checker.parameters or not checker.directions & set(rows):
        return None, device
    temperature = bound.arguments.get("temperature", checker.signature.parameters["temperature"].default)
    low, high = SINGLE
    if own == torch.float32 and device == "cpu" and not low <= torch.as_tensor(temperature).item() <= high:
        bound.arguments.update({n: x.double() for n, x in rows.items()})
    return own, device


def checked(
    *, sizes: Mapping[str, int] | None = None, ranges: Mapping[str, str] | None = None, raw: bool = True
) -> Callable[[F], F]:
    """The checks of `@objective` for a helper that is no objective: nothing is registered."""
    return lambda fn: guard(fn, Checker(fn, sizes=sizes or {}, ranges=ranges or {}, raw=raw))


def preference(arxiv: str, **about: Any) -> Callable[[F], F]:
    """`@objective` for losses on log-probabilities and rewards: one value per example, no rotation to be invariant to."""
    return objective(arxiv, kind="preference", **{"unit": "example", "invariant": frozenset({"permutation"}), **about})


def meter(arxiv: str, **about: Any) -> Callable[[F], F]:
    """`@objective` for what is measured and not trained."""
    return objective(arxiv, kind="metric", **{"unit": "batch", **about})


def under_test(fn: Callable) -> Callable:
    """With `LABKIT_TYPECHECK=1` (the tests set it) shapes and types are enforced inside the friendly checks, results too."""
    if os.environ.get("LABKIT_TYPECHECK") != "1":
        return fn
    from beartype import beartype
    from jaxtyping import jaxtyped

    return jaxtyped(fn, typechecker=beartype)


@functools.cache
def papers() -> dict[str, dict[str, str]]:
    """`data/papers.csv` by arXiv id."""
    with shipped("papers.csv").open(encoding="utf-8", newline="") as file:
        return {row["arxiv"]: row for row in csv.DictReader(file) if row["arxiv"]}


def catalog() -> list[Entry]:
    """Every registered objective and meter, by kind, family and name."""
    import labkit.losses
    import labkit.metrics
    import labkit.preferences  # noqa: F401  (importing registers)

    return sorted(ENTRIES.values(), key=lambda e: (e.kind, e.family, e.name))
