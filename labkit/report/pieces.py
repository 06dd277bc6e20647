"""What a report is made of: numbers with all that one needs to read them, findings, and what could not be measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from labkit.metrics import Estimate

if TYPE_CHECKING:
    from labkit.report.rows import Classes, Rows, Scan

# The sections, in the order in which they are read: first whether there is anything to measure, last what needs labels.
SECTIONS = {
    "sanity": "Is the input sane?",
    "scale": "Complete collapse",
    "spectrum": "Directions that are used",
    "geometry": "Alignment and uniformity",
    "neighbours": "Neighbours and hubs",
    "modalities": "Two views, or two modalities",
    "classes": "Classes",
}
LEVEL = 0.95  # of every interval


@dataclass(frozen=True)
class Card:
    """What is said of a meter wherever its number stands.

    key: "effective_rank".
    title: "effective rank".
    section: one of SECTIONS.
    unit: "of d directions", "rows", "" where it has none.
    means: one line, what the number says.
    implies_not: one line, what it does not.
    sources: arXiv ids or DOIs, keys of the bibliography.
    """

    key: str
    title: str
    section: str
    unit: str
    means: str
    implies_not: str
    sources: tuple[str, ...] = ()


CARDS: dict[str, Card] = {}


def card(
    key: str, title: str, section: str, *, unit: str = "", means: str, implies_not: str, sources: tuple[str, ...] = ()
) -> Card:
    """Register what is said of a meter."""
    assert section in SECTIONS, section
    CARDS[key] = Card(key, title, section, unit, means, implies_not, sources)
    return CARDS[key]


@dataclass(frozen=True)
class Null:
    """What the same meter says of something that is known: "isotropic", "shuffled pairs", "untrained", "clean", "chance".

    name: which of these.
    says: how it was made, a few words: "random directions, n = 4,096, d = 768".
    """

    name: str
    says: str
    estimate: Estimate


@dataclass(frozen=True)
class Number:
    """One number of a report.

    meter: key of its card.
    of: what it was measured on: "z1", "z2", "z1, z2", "z1, class 3".
    estimate: value, low, high; low = value = high where all rows were counted and nothing was estimated.
    n: rows (or pairs) that it rests on.
    nulls: at least one; the first is its noise floor, the value that says "nothing here" at this n and d.
    """

    meter: str
    of: str
    estimate: Estimate
    n: int
    nulls: tuple[Null, ...]

    @property
    def card(self) -> Card:
        return CARDS[self.meter]

    @property
    def value(self) -> float:
        return self.estimate.value

    @property
    def floor(self) -> Null:
        return self.nulls[0]

    @property
    def name(self) -> str:
        """Unique in a report: "z1.uniformity"."""
        return f"{self.of}.{self.meter}"


@dataclass(frozen=True)
class Finding:
    """Something that a reader must know before the numbers.

    code: "shuffled-pairs", "duplicate-rows" ...
    alarm: whether it is a fault (the numbers cannot be trusted, or the model is broken), rather than a notice.
    of: "z1", "z2", "z1, z2", "labels".
    section: where it stands.
    says: one or two sentences with numbers: what is there.
    try_next: what to do about it.
    """

    code: str
    alarm: bool
    of: str
    section: str
    says: str
    try_next: str
    evidence: Mapping[str, float] = field(default_factory=dict)


class Judged:
    """What has findings, and tells faults from facts."""

    @property
    def alarms(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.alarm)  # type: ignore[attr-defined]

    @property
    def notices(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if not f.alarm)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Missing:
    """A meter that could not be read, and what it would need: "labels", "z2 or pairs", "at least 64 rows"."""

    meter: str
    needs: str


@dataclass(frozen=True)
class Measured:
    """What a section's meters give back: numbers, what was missing, and small arrays for figures by name."""

    numbers: tuple[Number, ...] = ()
    missing: tuple[Missing, ...] = ()
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """Everything that was handed to `report`, read and checked, but not yet in memory.

    scans: "z1" and, where given, "z2": one pass over all rows of it.
    """

    z1: "Rows"
    z2: "Rows | None" = None
    labels: "Classes | None" = None  # one for each row of z1
    groups: "Classes | None" = None  # rows of one group are not independent: they are drawn together
    pairs: Tensor | None = None  # (m, 2): row of z1, row of z2 (of z1 where there is no z2)
    untrained: "Rows | None" = None  # the same inputs through the model before training
    name: str = ""
    seed: int = 0
    scans: "Mapping[str, Scan]" = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """The rows that the meters see: float64, as given (not normalised), all finite and none of them zero.

    z1: (n, d). z2: (n, d2), row i belongs to row i of z1; None without z2 and pairs. labels, groups: (n,) whole numbers.
    rows: (n,) which rows of z1 these are. total: rows (or pairs) that there were to draw from.
    """

    z1: Tensor
    z2: Tensor | None
    labels: Tensor | None
    groups: Tensor | None
    untrained: Tensor | None
    rows: Tensor
    total: int
    seed: int
    class_names: tuple[str, ...] = ()
    modal: bool = False  # z2 came as an array of its own, so that it may be another modality

    def __len__(self) -> int:
        return len(self.z1)
