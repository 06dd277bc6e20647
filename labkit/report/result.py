"""A Report: sections of numbers and findings, and the ways to read and keep it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.report.pieces import Finding, Judged, Missing, Number, Sample

if TYPE_CHECKING:
    from labkit.report.paper import Drawn


@dataclass(frozen=True)
class Described:
    """One input, as it came: "z1", "z1.npy" (no folder), (50000, 768), "float32", the hash of its content."""

    name: str
    source: str
    shape: tuple[int, ...]
    dtype: str
    sha256: str


@dataclass(frozen=True)
class Sampled:
    """Which rows the meters saw: n of `total`, drawn with `seed`; `unit` is what was drawn."""

    n: int
    total: int
    seed: int
    unit: str = "rows"

    def __str__(self) -> str:
        if self.n == self.total:
            return f"all {self.n:,} {self.unit}"
        return f"{self.n:,} of {self.total:,} {self.unit}, drawn without replacement with seed {self.seed}"


@dataclass(frozen=True)
class Section:
    """One part of a report: see `labkit.report.SECTIONS`."""

    key: str
    title: str
    numbers: tuple[Number, ...] = ()
    findings: tuple[Finding, ...] = ()
    missing: tuple[Missing, ...] = ()
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Report(Judged):
    """What can be said of somebody's embeddings; printed, it says so in words, and in a notebook it shows itself.

    name: what it is about.
    given: every input, with the hash of its content.
    sections: in the order in which they are read.
    sampled: which rows the meters saw. Sanity counts are over all rows.
    seed: of every draw: the same input and seed give the same report, bit for bit.
    """

    name: str
    given: tuple[Described, ...]
    sections: tuple[Section, ...]
    sampled: Sampled
    seed: int
    rows: Sample | None = field(default=None, repr=False, compare=False)  # what the meters saw; none where it was too little

    @property
    def numbers(self) -> tuple[Number, ...]:
        return tuple(number for section in self.sections for number in section.numbers)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that must be known before the numbers, alarms first."""
        return tuple(sorted((f for section in self.sections for f in section.findings), key=lambda f: not f.alarm))

    @property
    def missing(self) -> tuple[Missing, ...]:
        return tuple(each for section in self.sections for each in section.missing)

    def __getitem__(self, name: str) -> Number:
        """A number by its name, "z1.uniformity", or by its meter alone where only one thing has it.

        Raises:
            KeyError: no such number, with those that there are; or more than one.
        """
        found = [each for each in self.numbers if each.name == name]
        found = found or [each for each in self.numbers if each.meter == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise KeyError(f"{name} is of several things here; say one of {', '.join(each.name for each in found)}")
        lacking = [each.needs for each in self.missing if each.meter == name]
        because = f"it needs {lacking[0]}" if lacking else f"there are {', '.join(each.name for each in self.numbers)}"
        raise KeyError(f"this report has no {name!r}: {because}")

    def __str__(self) -> str:
        from labkit.report import paper

        return paper.text(self)

    def _repr_html_(self) -> str:
        from labkit.report import paper

        return paper.notebook(self)

    def figures(self) -> "dict[str, Drawn]":
        """name -> the figure, its data as columns, and what it shows in words."""
        from labkit.report import paper

        return paper.figures(self)

    def save(self, folder: str | Path, *, include_data: bool = False) -> Path:
        """Keep it: a page that needs no network, JSON, a CSV of every number, figures with their data, methods, references.

        Args:
            folder: is made where it is not there; files of an earlier report are replaced, others are left alone.
            include_data: put the sampled rows into it as well. Without it nothing of the input is kept but numbers and hashes.

        Raises:
            OSError, ValueError: a folder that cannot be written to, or a file in its place.
        """
        from labkit.report import paper

        return paper.save(self, folder, include_data=include_data)

    def check(self, **bounds: str) -> "Report":
        """Raise unless numbers hold, for a test of your own: `report.check(uniformity="<-2", effective_rank=">20")`.

        Args:
            bounds: meter -> bound: `<`, `<=`, `>`, `>=`, `==` and a number, or a range "0.2..0.5". A meter means everything
                that has it; one thing alone is said as `**{"z1.uniformity": "<-2"}`. `alarms="==0"` counts the alarms.

        Raises:
            CheckFailed: a number does not hold; the message lists each with its interval.
            ValueError: no such meter here, or no such bound.
        """
        from labkit.report import paper

        return paper.check(self, **bounds)

    def to_latex(self) -> str:
        """Every number as a table, with booktabs' rules."""
        from labkit.report import paper

        return paper.to_latex(self)

    def methods(self) -> str:
        """A paragraph that says what was computed, and BibTeX of the meters used."""
        from labkit.report import paper

        return paper.methods(self)

    def explore(self, name: str = "temperature", **options: Any) -> Any:
        """An explorer on the rows that the meters saw; they are weighed anew, nothing is trained.

        Args:
            name: "temperature" (needs pairs) or "maps".
            options: of the explorer.

        Raises:
            ValueError: an unknown explorer, or one that needs what is not here.
        """
        from labkit import explorers

        rows = self.rows
        if rows is None:
            raise ValueError("there is nothing to explore: too few rows could be read")
        if name == "maps":
            return explorers.maps(rows.z1, rows.labels, **options)
        if name != "temperature":
            raise ValueError(f"name must be 'temperature' or 'maps', got {name!r}")
        if rows.z2 is None or rows.z2.shape != rows.z1.shape:
            raise ValueError("explore('temperature') needs two views of one width: give z2, or pairs, to report")
        return explorers.temperature(rows.z1, rows.z2, rows.labels, **options)
