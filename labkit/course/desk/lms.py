r"""Grades out, as a learning-management system reads them; and its own lists of students in.

What each expects, and where it says so:

* Canvas: `Student, ID, SIS User ID, SIS Login ID, Section`, then a column for each assignment, `Title (number)`; below the
  header a row `Points Possible`. It knows students by `ID`, else by the SIS columns, and makes a new assignment of a column
  that it does not know. (community.canvaslms.com, Instructor Guide, "How do I import grades in the Gradebook?"; read in
  `lib/gradebook_exporter.rb` and `lib/gradebook_importer.rb` of instructure/canvas-lms.)
* Moodle, with a grading worksheet that you downloaded: `Identifier`, `Grade` and `Last modified (grade)` must be there
  (`mod/assign/feedback/offline/importgradeslib.php` of moodle/moodle). Without one: the table for "Grades > Import > CSV file",
  where you say which column is what (docs.moodle.org/en/Grade_import).
* Blackboard Learn: students by `Username`, columns by the number at the end of `Title [Total Pts: 16 Score] |123`; a column
  without number becomes a new one, of text, without points (help.blackboard.com, "Work offline with grade data"). Its
  downloads are tab-separated UTF-16 or CSV; either is written back as it came.
* Gradescope takes in no grades. The table has the columns of its own export (`SID, Email, ..., a1, a1 - Max Points`), for tools
  that read that.
* plain: `student_id, last_name, first_name, email`, the assignments, `total`, `maximum`.

Ask for the LMS's own file (`roster`) whenever you can: it has the numbers by which the LMS knows people and assignments.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from labkit.course.desk.rosters import Roster, Row, System, defused, number, read
from labkit.course.files import write as write_file

__all__ = ["Roster", "System", "Written", "read", "write"]


@dataclass(frozen=True)
class Written:
    """What came of writing: how many grades, whose grade found no row, and whose row got no grade."""

    path: Path
    grades: int
    homeless: tuple[str, ...] = ()
    ungraded: tuple[str, ...] = ()


def write(
    gradebook_rows: Iterable[Row],
    path: str | Path,
    system: System = "canvas",
    roster: str | Path | None = None,
    *,
    scale: bool = False,
) -> Written:
    """Write grades as an LMS reads them; with its own list, that list with the grades filled in and nothing else changed.

    Cells that a spreadsheet would take for a formula get an apostrophe before them, whoever wrote them.

    Args:
        gradebook_rows: one for each student and assignment, with nbgrader's names: `student_id`, `assignment`, `score`
            (None or "" where there is none yet), `max_score`, and where known `last_name`, `first_name`, `email`, `timestamp`.
        path: of the CSV to write.
        system: whose column names; with a roster, the file itself tells.
        roster: what the LMS exported.
        scale: where the LMS has another maximum than the assignment, convert; otherwise that is an error.

    Raises:
        ValueError: an unknown system; a maximum that does not agree; an assignment that has no column; two assignments for
            one worksheet. The message says what to do.
    """
    if system not in get_args(System):
        raise ValueError(f"system must be one of {', '.join(get_args(System))}, got {system!r}")
    grades = list(gradebook_rows)
    sheet, homeless, ungraded = filled(grades, read(roster), scale) if roster else (table(grades, system), set(), set())
    out = io.StringIO(newline="")
    lines = csv.writer(out, delimiter=sheet.delimiter, lineterminator=sheet.newline)
    lines.writerow([defused(column.rstrip()) for column in sheet.columns])
    lines.writerows([defused(row.get(column, "")) for column in sheet.columns] for row in sheet.rows)
    write_file(Path(path), out.getvalue().encode(sheet.encoding, errors="replace"))
    count = sum(1 for grade in grades if number(grade.get("score")) is not None and str(grade["student_id"]) not in homeless)
    return Written(Path(path), count, tuple(sorted(homeless)), tuple(sorted(ungraded)))


# ---------------------------------------------------------------- into the LMS's own list


def filled(grades: list[Row], sheet: Roster, scale: bool) -> tuple[Roster, set[str], set[str]]:
    """The list with grades; students without a row, and rows without a grade."""
    assignments = sorted({str(grade["assignment"]) for grade in grades})
    columns = {name: place(sheet, name, assignments) for name in assignments}
    factors = {name: factor(sheet, columns[name], name, most(grades, name), scale) for name in assignments}
    rows = tuple(dict(row) for row in sheet.rows)
    sheet = replace(sheet, rows=rows)
    homeless, reached = set(), set()
    for grade in grades:
        student, name = str(grade["student_id"]), str(grade["assignment"])
        row = sheet.row_of(student, str(grade.get("email") or ""))
        if row is None:
            homeless.add(student)
        elif (score := number(grade.get("score"))) is not None:
            row[columns[name]] = points(score * factors[name])
            reached.add(id(row))
    return sheet, homeless, {sheet.id(row) for row in sheet.students if id(row) not in reached}


def place(sheet: Roster, assignment: str, assignments: list[str]) -> str:
    column = sheet.column(assignment)
    if column is None:
        raise ValueError(
            f"the list has no column for {assignment!r}, only {', '.join(c for c in sheet.columns if c)}: create the "
            "assignment in the LMS under this name, and export its list again"
        )
    if column == "Grade" and len(assignments) > 1:
        raise ValueError(
            f"a worksheet holds one assignment, and these grades are of {', '.join(assignments)}: export one of them"
        )
    return column


def factor(sheet: Roster, column: str, assignment: str, points: float | None, scale: bool) -> float:
    """What a score is multiplied with: 1, unless the LMS has another maximum and the caller wants that."""
    theirs = sheet.maximum(column)
    if not theirs or not points or abs(theirs - points) < 1e-9:
        return 1.0
    if not scale:
        raise ValueError(
            f"{assignment} has {points:g} points here and {theirs:g} in the LMS: make them agree there, or convert (scale=True)"
        )
    return theirs / points


# ---------------------------------------------------------------- without one


def table(grades: list[Row], system: str) -> Roster:
    """A table of our own making, in the LMS's column names."""
    assignments = sorted({str(grade["assignment"]) for grade in grades})
    people = {str(grade["student_id"]): grade for grade in grades}
    scores = {(str(g["student_id"]), str(g["assignment"])): points(number(g.get("score"))) for g in grades}
    rows = [person(system, student, people[student]) for student in sorted(people)]
    for student, row in zip(sorted(people), rows, strict=True):
        row |= {name: scores.get((student, name), "") for name in assignments}
        if system == "gradescope":
            row |= {f"{name} - Max Points": points(most(grades, name)) for name in assignments}
        if system == "plain":
            mine = [number(scores.get((student, name))) for name in assignments]
            row["total"] = points(sum(value for value in mine if value is not None))
            row["maximum"] = points(sum(most(grades, name) or 0 for name in assignments))
    columns = list(rows[0]) if rows else [*person(system, "", {}), *assignments]
    if system == "canvas":
        rows.insert(0, {"Student": "    Points Possible", **{name: points(most(grades, name)) for name in assignments}})
    return Roster(system, tuple(columns), tuple(rows))


def person(system: str, student: str, facts: Row) -> dict[str, str]:
    """Who it is, in the LMS's columns."""
    last, first, email = (str(facts.get(key) or "") for key in ("last_name", "first_name", "email"))
    both = ", ".join(name for name in (last, first) if name) or student
    return {
        "canvas": {"Student": both, "ID": "", "SIS User ID": "", "SIS Login ID": student, "Section": ""},
        "moodle": {"ID number": student, "First name": first, "Last name": last, "Email address": email},
        "blackboard": {"Last Name": last, "First Name": first, "Username": student},
        "gradescope": {"First Name": first, "Last Name": last, "SID": student, "Email": email},
        "plain": {"student_id": student, "last_name": last, "first_name": first, "email": email},
    }[system]


def most(grades: Iterable[Row], assignment: str) -> float | None:
    """The points of an assignment."""
    return next((number(g.get("max_score")) for g in grades if str(g["assignment"]) == assignment), None)


def points(value: float | None) -> str:
    """
    >>> points(7.0), points(2 / 3), points(None)
    ('7', '0.67', '')
    """
    return "" if value is None else f"{round(value + 1e-9, 2):g}"
