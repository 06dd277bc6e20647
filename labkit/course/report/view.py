"""What the instructor's page shows of an assignment, as plain data, and how words get onto a page."""

import html
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from labkit.course.records import Record
from labkit.course.report.similarity import Pair


@dataclass(frozen=True)
class Grade:
    """What the gradebook has on a submission, people's part included."""

    score: float
    points: float
    penalty: float = 0.0
    waits: bool = False
    late: float = 0.0  # hours


@dataclass(frozen=True)
class View:
    """An assignment as the page shows it."""

    number: int
    assignment: str
    records: tuple[Record, ...]
    grades: dict[str, Grade] = field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()
    pages: dict[str, str] = field(default_factory=dict)  # student -> the feedback page, as the report links to it

    @cached_property
    def order(self) -> dict[str, int]:
        return {record.student: k for k, record in enumerate(self.records)}

    def score(self, record: Record) -> tuple[float, float]:
        """Points and the most there are: the gradebook's, else the machine's."""
        grade = self.grades.get(record.student)
        return (grade.score, grade.points) if grade else (record.earned, record.points)

    def waits(self, record: Record) -> bool:
        """Whether a person still has to grade something of it."""
        grade = self.grades.get(record.student)
        return grade.waits if grade else any(answer.by_hand and answer.changed for answer in record.answers)

    def anchor(self, student: str) -> str:
        return f"a{self.number}-s{self.order[student]}"

    def link(self, student: str) -> str:
        return f'<a href="#{self.anchor(student)}">{text(student)}</a>' if student in self.order else text(student)


def text(value: Any) -> str:
    """For HTML, wherever it stands; marks that turn writing around are made visible."""
    return html.escape("".join(c if c.isprintable() or c in "\n\t" else "�" for c in str(value)), quote=True)


def plural(n: float, one: str, many: str = "") -> str:
    """
    >>> plural(1, "flag"), plural(2, "repair")
    ('1 flag', '2 repairs')
    """
    return f"{n:g} {one if n == 1 else many or one + 's'}"


def card(kind: str, title: str, inside: str, says: str = "") -> str:
    said = f'<p class="muted">{says}</p>' if says else ""
    return f'<div class="card {kind}"><h3>{title}</h3>{said}{inside}</div>'


def table(
    head: list[tuple[str, str]], rows: str, *, caption: str = "", name: str = "", tall: str = "", sorts: bool = False
) -> str:
    """A table that scrolls in its own box; `head`: names and classes of columns; `tall` names a box of bounded height."""
    press = '<button type="button">{}</button>' if sorts else "{}"
    cells = "".join(
        f'<th scope="col"{f" class={kind}" if kind else ""}>{press.format(text(title))}</th>' for title, kind in head
    )
    said = f"<caption>{caption}</caption>" if caption else ""
    box = f'class="scroll tall" tabindex="0" role="region" aria-label="{text(tall)}"' if tall else 'class="scroll"'
    known = f' id="{name}"' if name else ""
    return f"<div {box}><table{known}>{said}<thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>"
