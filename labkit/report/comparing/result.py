"""A Comparison: of every meter the difference between two models on the same rows, and what the two have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.metrics import Estimate
from labkit.report.pieces import Finding, Judged, Missing, Number
from labkit.report.result import Described, Sampled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SMALL = 0.1  # of what other rows would change: a difference within it is too small to matter


@dataclass(frozen=True)
class Difference:
    """One meter of two models on the same rows.

    meter, of: as in a Report: "uniformity" of "z1".
    names: of the first and of the second model.
    a, b: the meter of each, with its own interval and null rows.
    change: second minus first, half by half on the same rows, so that what both share cancels in its interval.
    """

    meter: str
    of: str
    names: tuple[str, str]
    a: Number
    b: Number
    change: Estimate

    @property
    def name(self) -> str:
        return f"{self.of}.{self.meter}"

    @property
    def same(self) -> bool:
        """Whether the two do not differ at all, beyond how sums are rounded."""
        return max(abs(x) for x in self.change) <= 1e-6 * max(1.0, abs(self.a.value))

    @property
    def noise(self) -> bool:
        """Whether the interval of the difference holds 0."""
        return self.change.low <= 0 <= self.change.high

    @property
    def reach(self) -> float:
        """How far other rows of this kind would move the number itself: half the width of the narrower of its two intervals."""
        return min((n.estimate.high - n.estimate.low) / 2 for n in (self.a, self.b))

    @property
    def small(self) -> bool:
        """Whether it is beyond noise and too small to matter: its whole interval lies within a tenth of `reach`."""
        return self.verdict == "too small to matter"

    @property
    def verdict(self) -> str:
        """ "within noise", "too small to matter" (beyond noise, and `small`), or "beyond noise"."""
        if self.noise or self.same:
            return "within noise"
        far = max(abs(self.change.low), abs(self.change.high))
        return "too small to matter" if far <= SMALL * self.reach else "beyond noise"

    @property
    def says(self) -> str:
        """In words: "b is more uniform by 0.31 [0.28, 0.35]", that it is too small to matter, or within noise."""
        from labkit.report.comparing.words import says

        return says(self)

    def __str__(self) -> str:
        return self.says


@dataclass(frozen=True)
class Comparison(Judged):
    """Two models on the same rows, or the layers of one; printed, it says in words what differs and what is noise.

    names: of the models or layers, in order.
    given: every input, with the hash of its content.
    differences: of each step from one to the next, every meter that both have.
    from_first: of layers, from the first to each but the next; empty for two.
    likeness: linear CKA and shared neighbours of each step, beside shuffled rows; of layers also with the first.
    findings: what must be known before the numbers, alarms first.
    missing: meters that could not be read, and what they need.
    sampled: which rows were seen; the same ones of every model, unless a finding says that this could not be.
    arrays: "cka" `(m, m)`, of every two layers.
    """

    names: tuple[str, ...]
    given: tuple[Described, ...]
    differences: tuple[Difference, ...]
    from_first: tuple[Difference, ...]
    likeness: tuple[Number, ...]
    findings: tuple[Finding, ...]
    missing: tuple[Missing, ...]
    sampled: Sampled
    seed: int
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def layered(self) -> bool:
        """Whether there are more than two."""
        return len(self.names) > 2

    @property
    def numbers(self) -> dict[str, dict[str, Number]]:
        """model -> meter ("z1.uniformity") -> its Number."""
        found: dict[str, dict[str, Number]] = {name: {} for name in self.names}
        for each in self.differences:
            found[each.names[0]][each.name] = each.a
            found[each.names[1]][each.name] = each.b
        return found

    def __getitem__(self, name: str) -> Difference | Number:
        """A difference by its meter, "uniformity" or "z1.uniformity"; what two have in common, "linear_cka".

        Of layers, the step to one of them: "layer3.uniformity"; from the first: "layer1 to layer3.uniformity".

        Raises:
            KeyError: no such number, with those that there are; or more than one.
        """
        every: dict[str, list[Difference | Number]] = {}
        for each in (*self.differences, *self.from_first):
            for called in (each.meter, each.name):
                if each in self.differences:
                    every.setdefault(called, []).append(each)
                    every.setdefault(f"{each.names[1]}.{called}", []).append(each)
                every.setdefault(f"{each.names[0]} to {each.names[1]}.{called}", []).append(each)
        for number in self.likeness:
            for called in (number.meter, number.name):
                every.setdefault(called, []).append(number)
        found = every.get(name, [])
        if len(found) == 1:
            return found[0]
        if found:
            those = [f"{e.names[0]} to {e.names[1]}.{e.name}" if isinstance(e, Difference) else e.name for e in found]
            raise KeyError(f"{name} is of several here; say one of {', '.join(those)}")
        lacking = [each.needs for each in self.missing if each.meter == name]
        because = f"it needs {lacking[0]}" if lacking else f"there are {', '.join(sorted({d.meter for d in self.differences}))}"
        raise KeyError(f"this comparison has no {name!r}: {because}")

    def __str__(self) -> str:
        from labkit.report.comparing.text import text

        return text(self)

    def _repr_html_(self) -> str:
        from labkit.report.comparing.page import notebook

        return notebook(self)

    def figure(self) -> "Figure":
        """Each difference with its interval, 0 marked; of layers, every meter as a curve beside its null row."""
        from labkit.report.comparing.keeping import figure

        return figure(self)

    def save(self, folder: str | Path) -> Path:
        """Keep it: compare.html, which needs no network, compare.json, differences.csv, and the figure as SVG, PDF and PNG.

        Args:
            folder: is made where it is not there; files of an earlier comparison are replaced, others are left alone.

        Raises:
            OSError: a folder that cannot be written to, or files of another origin in the way.
        """
        from labkit.report.comparing.keeping import save

        return save(self, folder)

    def plain(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        from labkit.report.comparing.keeping import plain

        return plain(self)
