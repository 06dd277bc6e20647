"""Lists of students as learning-management systems export them: who is in the course, and by what names each system knows them.

Nothing that stood in the file gets lost: columns, their order, encoding and separators are kept, so that the same file can be
written back with grades in it.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from labkit.course.desk.senders import fold

System = Literal["canvas", "moodle", "blackboard", "gradescope", "plain"]
Row = Mapping[str, Any]
# What tells whose list it is, and the columns that name a student, the one that makes the best id first.
SIGNS = {"SIS Login ID": "canvas", "Identifier": "moodle", "Username": "blackboard", "SID": "gradescope"}
NAMES: dict[str, tuple[str, ...]] = {
    "canvas": ("SIS Login ID", "SIS User ID", "ID", "Integration ID"),
    "moodle": ("Username", "ID number", "Email address", "Identifier", "Full name"),
    "blackboard": ("Username", "Student ID", "Email"),
    "gradescope": ("Email", "SID", "Name"),
    "plain": ("student_id", "id", "login", "username", "email", "name"),
}
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # how a cell begins that is taken for a formula
HARMLESS = re.compile(r"[+-]?\d+(?:[.,]\d+)*\s*%?|-")  # and yet a number, or the sign for none
TITLED = re.compile(r"(?P<title>.+?)\s*(?:\(\d+\)|\[Total Pts: (?:up to )?(?P<points>[\d.,]+)[^\]]*\]\s*\|?\s*\d*)?")


@dataclass(frozen=True)
class Roster:
    """A list that an LMS exported: its columns in their order, its rows, and how it was written."""

    system: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...] = ()
    encoding: str = "utf-8"
    delimiter: str = ","
    newline: str = "\n"

    @cached_property
    def students(self) -> list[dict[str, str]]:
        """Rows that are of people: Canvas has one of points above them, and one on posting grades."""
        return [row for row in self.rows if self.names(row)]

    @cached_property
    def known(self) -> dict[str, str]:
        """Any name that the LMS has for somebody -> the id to use: hand this to `zips.unpack(students=...)`.

        A name that two people share is nobody's.
        """
        shared = Counter(fold(name) for row in self.students for name in set(map(fold, self.names(row))))
        return {name: self.id(row) for row in self.students for name in self.names(row) if shared[fold(name)] == 1}

    @cached_property
    def times(self) -> dict[str, datetime]:
        """When each last handed in, where the list says so, as Moodle's worksheet does."""
        from dateutil import parser

        found = {}
        for row in self.students:
            try:
                found[self.id(row)] = parser.parse(row.get("Last modified (submission)") or "")
            except (ValueError, OverflowError):
                continue
        return found

    def names(self, row: Row) -> list[str]:
        """What a student goes by here, the best id first; nothing for a row that is not of a person."""
        found = [row[column].strip() for column in NAMES[self.system] if (row.get(column) or "").strip()]
        if not found:
            return []
        last, comma, first = (row.get("Student") or "").partition(",")
        both = " ".join(row.get(column) or "" for column in ("First Name", "Last Name")).strip()
        numbers = re.findall(r"^Participant (\d+)$", row.get("Identifier") or "")
        turned = [f"{first.strip()} {last.strip()}", f"{last}{first}".replace(" ", "")] if comma else [last] if last else []
        return [*found, *numbers, *turned, *([both] if both else [])]

    def id(self, row: Row) -> str:
        """An id that can be a folder's name.

        >>> Roster("canvas", ()).id({"ID": "7", "SIS Login ID": "jane/doe"})
        'jane_doe'
        """
        return re.sub(r"[^\w.@-]+", "_", self.names(row)[0]).strip("._-@")[:80]

    @cached_property
    def by_name(self) -> dict[str, dict[str, str]]:
        named = {fold(name): row for row in self.students for name in self.names(row) if name in self.known}
        return named | {fold(self.id(row)): row for row in self.students}

    def row_of(self, student: str, email: str = "") -> dict[str, str] | None:
        """The row of a student by id, address, or the number that ends an id such as `doejane_12345`."""
        number = student.rpartition("_")[2]
        tries = (student, email or "", number if number.isdigit() else "")
        return next((self.by_name[fold(name)] for name in tries if name and fold(name) in self.by_name), None)

    def column(self, assignment: str) -> str | None:
        """The column of an assignment: by its title, with or without the number and the points that the LMS adds."""
        if self.system == "moodle" and "Identifier" in self.columns:
            return "Grade"
        return next((c for c in self.columns if fold(titled(c)[0]) == fold(assignment)), None)

    def maximum(self, column: str) -> float | None:
        """How many points the LMS has for a column, where the file says so."""
        if (points := titled(column)[1]) is not None:
            return points
        if self.system == "canvas":
            return next(
                (number(r.get(column)) for r in self.rows if (r.get("Student") or "").strip() == "Points Possible"), None
            )
        if self.system == "moodle":
            return next((n for row in self.rows if (n := number(row.get("Maximum Grade") or row.get("Maximum grade")))), None)
        return next((n for row in self.rows if (n := number(row.get(f"{column} - Max Points")))), None)


def read(path: str | Path, system: System | None = None) -> Roster:
    """A list that an LMS exported, whatever its encoding and its separators.

    Raises:
        ValueError: it is empty, or none of the columns that name students is in it.
    """
    raw, name = Path(path).read_bytes(), Path(path).name
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    encoding = "utf-16" if wide else "utf-8-sig" if raw[:3] == b"\xef\xbb\xbf" else "utf-8"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        encoding, text = "cp1252", raw.decode("cp1252", errors="replace")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    table = list(csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=delimiter))
    if not table or not any(table[0]):
        raise ValueError(f"{name} is empty: export the list of students again")
    columns = told_apart([bare(column).strip() for column in table[0]])
    kind: str = system or next((s for sign, s in SIGNS.items() if sign in columns), "plain")
    if not set(NAMES[kind]) & set(columns):
        raise ValueError(f"{name} names no students: it has none of the columns {', '.join(NAMES[kind])}")
    rows = tuple(dict(zip(columns, map(bare, row), strict=False)) for row in table[1:] if any(row))
    return Roster(kind, columns, rows, encoding, delimiter, "\r\n" if "\r\n" in text else "\n")


def told_apart(names: list[str]) -> tuple[str, ...]:
    """A second column of the same name gets invisible company, so that both are kept and look as they did.

    >>> len(set(told_apart(["a", "a", "b"])))
    3
    """
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        found.append(name + " " * seen[name])
        seen[name] += 1
    return tuple(found)


def titled(column: str) -> tuple[str, float | None]:
    """A column's title and points, without what an LMS adds.

    >>> titled("a1_infonce (1234)"), titled("a1_infonce [Total Pts: 16 Score] |660463"), titled("a1_infonce")
    (('a1_infonce', None), ('a1_infonce', 16.0), ('a1_infonce', None))
    """
    found = TITLED.fullmatch(column.strip())
    return (found["title"], number(found["points"])) if found else (column, None)


def number(text: Any) -> float | None:
    """
    >>> number("16.00"), number("12,5"), number("(read only)")
    (16.0, 12.5, None)
    """
    try:
        return float(str(text).replace(",", "."))
    except ValueError:
        return None


def defused(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: a name may be anything, `=cmd|' /C calc'!A0` as well.

    >>> defused("=1+1"), defused(" @SUM(A1)"), defused("-3.5"), defused("Doe, Jane"), defused(7.5)
    ("'=1+1", "' @SUM(A1)", '-3.5', 'Doe, Jane', 7.5)
    """
    if not isinstance(cell, str) or HARMLESS.fullmatch(cell.strip()):
        return cell
    return f"'{cell}" if cell.lstrip(" ").startswith(DANGEROUS) else cell


def bare(cell: str) -> str:
    """A cell as it was before somebody defused it: with an apostrophe, as here, or with `="..."`, as Canvas does it.

    >>> bare("'=1+1"), bare('="=1+1"'), bare("'tis"), bare("x")
    ('=1+1', '=1+1', "'tis", 'x')
    """
    if cell.startswith("'") and cell[1:].lstrip(" ").startswith(DANGEROUS):
        return cell[1:]
    return cell[2:-1] if cell.startswith('="') and cell.endswith('"') else cell
