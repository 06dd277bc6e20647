"""What is known about one graded submission, as plain data: `COURSE/graded/ASSIGNMENT/STUDENT.json`, one file for each.

The grading writes them; the report page, the table for the learning management system and the search for similar submissions
read them. They hold nothing that the gradebook lacks but how it came about.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from labkit.course.files import write


@dataclass(frozen=True)
class Part:
    """A part of an exercise, what it earned, and in words why not more."""

    name: str
    earned: float
    points: float
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What one grade cell came to.

    Attributes:
        cell: its grade id, such as "check_a1_nt_xent".
        exercise: such as "a1.nt_xent"; empty for what people grade (an essay) and for an instructor's own test.
        earned: by the machine; None where a person has to grade it.
        points: the most it can earn.
        source: the student's cell that answers it.
        changed: whether the student changed that cell at all.
        parts: in the exercise's order.
        mistakes: names of the misconceptions that were recognised, the best explanation first.
        says: the same in the words that the student reads.
        timeouts: calls that ran out of time.
        kills: calls or cells that ended the process: by memory, a crash, an exit.
        seconds: spent in the student's code for this answer.
        by_hand: whether people grade it; it then counts neither among what the machine gave nor what it could give.
    """

    cell: str
    exercise: str
    earned: float | None
    points: float
    source: str = ""
    changed: bool = True
    parts: tuple[Part, ...] = ()
    mistakes: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    timeouts: int = 0
    kills: int = 0
    seconds: float = 0.0
    by_hand: bool = False


@dataclass(frozen=True)
class Record:
    """One graded submission.

    Attributes:
        student: id, as nbgrader and the folder below `submitted/` have it.
        assignment: such as "a1_infonce".
        variant: whose numbers it was graded with: "2026", "2026-ada".
        file: of the submission, below the student's folder; empty if there was none to read.
        sha: of everything that the student handed in.
        submitted: when, as nbgrader writes it ("2026-10-12 09:30:00 UTC"), or empty.
        answers: in the order of the notebook.
        repairs: what was mended before grading, in words.
        flags: what a person should look at, in words: unreadable files, deleted answers, another student's variant.
        errors: cells outside the answers that failed, in words.
        isolation: how the student's code was kept apart: "bubblewrap", "landlock", ... or "not isolated".
        seconds: from the first cell to the last grade.
        key: changes when anything changes that the grades depend on.
        version: of labkit.
    """

    student: str
    assignment: str
    variant: str
    file: str = ""
    sha: str = ""
    submitted: str = ""
    answers: tuple[Answer, ...] = ()
    repairs: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    isolation: str = ""
    seconds: float = 0.0
    key: str = ""
    version: str = ""

    @property
    def earned(self) -> float:
        """By the machine; what people grade is in the gradebook."""
        return sum(answer.earned or 0.0 for answer in self.answers if not answer.by_hand)

    @property
    def points(self) -> float:
        """The most that the machine can give."""
        return sum(answer.points for answer in self.answers if not answer.by_hand)

    @property
    def timeouts(self) -> int:
        return sum(answer.timeouts for answer in self.answers)

    @property
    def kills(self) -> int:
        return sum(answer.kills for answer in self.answers)


def path(course: Path, assignment: str, student: str) -> Path:
    return course / "graded" / assignment / f"{student}.json"


def save(course: Path, record: Record) -> None:
    text = json.dumps(asdict(record), ensure_ascii=False, indent=1)
    write(path(course, record.assignment, record.student), text + "\n")


def load(file: Path) -> Record:
    """Raises ValueError where the file is not one of ours."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        answers = tuple(
            made(Answer, answer | {"parts": tuple(made(Part, part) for part in answer["parts"])}) for answer in data["answers"]
        )
        return made(Record, data | {"answers": answers})
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is not a record of a graded submission: {error}") from None


def made(kind: type, data: dict[str, Any]) -> Any:
    """A dataclass from JSON: fields it does not know are left out, lists become tuples."""
    known = {each.name for each in fields(kind)}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items() if name in known})


def records(course: Path, assignment: str | None = None) -> Iterator[Record]:
    """All that were graded so far, by assignment and student."""
    for file in sorted((course / "graded").glob(f"{assignment or '*'}/*.json")):
        yield load(file)
