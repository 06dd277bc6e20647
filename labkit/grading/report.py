"""What a check says: points by part, what was recognised, and hints that open one after the other."""

import html
from dataclasses import asdict, dataclass
from typing import Any

from labkit.grading.exercise import Mistake

GOOD, BAD, OPEN = "#009E73", "#D55E00", "#5F6470"
STEPS = ("Where to look", "A thought to try", "Nearly there")


@dataclass(frozen=True)
class Part:
    """Points of one part; `earned` is None where it is graded only after the work was handed in."""

    name: str
    points: float
    earned: float | None
    why: tuple[str, ...] = ()
    tried: int = 0
    failed: int = 0

    @property
    def passed(self) -> bool:
        return self.earned is None or self.earned >= self.points


@dataclass(frozen=True, repr=False)
class Report:
    """The outcome of `check`. As a number it is the points earned: nbgrader reads that."""

    exercise: str
    asks: str
    parts: tuple[Part, ...]
    mistakes: tuple[Mistake, ...] = ()
    note: str = ""

    @property
    def points(self) -> float:
        return sum(part.points for part in self.parts)

    @property
    def earned(self) -> float:
        """Parts that are graded later count as earned until then."""
        return sum(part.points if part.earned is None else part.earned for part in self.parts)

    @property
    def passed(self) -> bool:
        return all(part.passed for part in self.parts)

    def __float__(self) -> float:
        return float(self.earned)

    def __repr__(self) -> str:
        return f"{self.earned:g}"

    def __str__(self) -> str:
        lines = [f"{self.exercise}: {self.earned:g} of {self.points:g} points", *([f"  {self.note}"] if self.note else [])]
        for part in self.parts:
            lines.append(f"  {mark(part)} {part.name} ({part.points:g})" + "".join(f"\n      {why}" for why in self.whys(part)))
        lines += [f"  -> {mistake.says}\n     {mistake.hints[0]}" for mistake in self.mistakes]
        return "\n".join(lines)

    def whys(self, part: Part) -> tuple[str, ...]:
        """Why a part was lost, in two inputs; nothing where the note has said it already."""
        return tuple(why for why in part.why if not (self.note and why.startswith(self.note)))[:2]

    def record(self) -> dict[str, Any]:
        """As JSON: what was earned, and the names of the mistakes."""
        return {
            "exercise": self.exercise,
            "earned": self.earned,
            "points": self.points,
            "parts": [asdict(part) for part in self.parts],
            "mistakes": [mistake.name for mistake in self.mistakes],
            "note": self.note,
        }

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}

    def html(self) -> str:
        """For the notebook and for the feedback page; opens and closes without a script."""
        color = GOOD if self.passed else BAD
        rows = "".join(row(part, self.whys(part)) for part in self.parts)
        note = f'<div style="margin:.3em 0">{html.escape(self.note)}</div>' if self.note else ""
        return (
            f'<div class="labkit-check" style="border-left:4px solid {color};padding:.4em .9em;margin:.4em 0">'
            f"<div><b>{html.escape(self.exercise)}</b>: <b>{self.earned:g}</b> of {self.points:g} points</div>"
            f'<ul style="list-style:none;margin:.3em 0;padding:0">{rows}</ul>{note}{"".join(map(ladder, self.mistakes))}</div>'
        )


def mark(part: Part) -> str:
    return "·" if part.earned is None else "✓" if part.passed else "✗"


def row(part: Part, shown: tuple[str, ...]) -> str:
    color = OPEN if part.earned is None else GOOD if part.passed else BAD
    later = " <i>graded after you hand in</i>" if part.earned is None else ""
    whys = "".join(f'<div style="margin-left:1.4em;opacity:.85">{html.escape(why)}</div>' for why in shown)
    more = (
        f'<div style="margin-left:1.4em;opacity:.7">and {part.failed - 2} more of {part.tried} inputs</div>'
        if part.failed > 2
        else ""
    )
    return (
        f'<li><b style="color:{color}">{mark(part)}</b> {html.escape(part.name)} '
        f'<span style="opacity:.7">({part.points:g} point{"s" * (part.points != 1)})</span>{later}{whys}{more}</li>'
    )


def ladder(mistake: Mistake) -> str:
    inside = ""
    for step, hint in reversed(list(zip(STEPS, mistake.hints, strict=True))):
        inside = (
            f'<details style="margin:.2em 0 .2em 1em"><summary style="cursor:pointer">{step}</summary>'
            f'<div style="margin-left:1em">{html.escape(hint)}{inside}</div></details>'
        )
    says = mistake.says[:1].upper() + mistake.says[1:]
    return f'<div style="margin:.4em 0 0"><b>{html.escape(says)}{"" if says.endswith(".") else "."}</b>{inside}</div>'
