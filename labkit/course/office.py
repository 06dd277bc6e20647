"""What happens before and after the grading: collect submissions, write feedback, export grades."""

import glob
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from labkit.course import nb
from labkit.course.desk import lms
from labkit.course.desk.zips import Received, unpack
from labkit.course.files import write
from labkit.course.machine import checked
from labkit.course.settings import Course, configuration
from labkit.progress import bar


def collect(
    course: Course, assignment: str, folder: str | Path | None = None, students: str | Path | Iterable[str] | None = None
) -> list[Received]:
    """Bring submissions into `submitted/`: from a folder of zips or notebooks, or else from nbgrader's exchange.

    Args:
        course: where to.
        assignment: its full name.
        folder: what an LMS gave for download, a folder or one large zip; None: nbgrader's exchange.
        students: ids, or the LMS's own list (a CSV), by which names are known.

    Raises:
        Failed: the exchange cannot be read; with nbgrader's words.
    """
    if folder is None:
        before = times(course, assignment)
        exchange(course, "collect", assignment)
        new = [each for each, when in times(course, assignment).items() if before.get(each, "") != when]
        return [Received(each, (f"{assignment}.ipynb",), None, "from the exchange") for each in new]
    known: Mapping[str, str] | Iterable[str] | None
    when = None
    if isinstance(students, (str, Path)):
        roster = lms.read(students)
        known, when = roster.known, roster.times
    else:
        known = students
    return unpack(folder, course.submitted, assignment, known, times=when)


def times(course: Course, assignment: str) -> dict[str, str]:
    """When each student handed in, as it was written down."""
    files = {each: course.submitted / each / assignment / "timestamp.txt" for each in course.students(assignment)}
    return {
        each: path.read_text(encoding="utf-8", errors="replace") if path.exists() else "none" for each, path in files.items()
    }


def exchange(course: Course, what: str, assignment: str) -> None:
    """One of nbgrader's dealings with its exchange: release_assignment, collect, release_feedback."""
    with nb.quiet():
        from nbgrader.apps.api import NbGraderAPI
        from nbgrader.coursedir import CourseDirectory

        config = configuration(course)
        api = NbGraderAPI(coursedir=CourseDirectory(config=config), config=config)
        with nb.captured(api.log):
            told = getattr(api, what)(assignment)
    if not told["success"]:
        last = (told.get("log") or told.get("error", "")).strip().splitlines()[-3:]
        raise nb.Failed(f"nbgrader's exchange did not {what.replace('_', ' ')} {assignment}: " + "; ".join(last))


def feedback(course: Course, assignment: str, students: Iterable[str] | None = None) -> list[Path]:
    """A page for each student; where the course has late penalties, they are as they stand now."""
    from labkit.course.grader import POLICY

    wanted = [
        each for each in checked(course, assignment, students) if (course.root / "autograded" / each / assignment).is_dir()
    ]
    pages = []
    with bar(total=len(wanted), desc=f"feedback {assignment}", unit="student") as progress:
        for student in wanted:
            progress.set_postfix_str(student)
            nb.start(course, "GenerateFeedback", assignment_id=assignment, student_id=glob.escape(student))
            page = course.root / "feedback" / student / assignment / f"{assignment}.html"
            if POLICY not in page.read_text(encoding="utf-8"):  # nbgrader says nothing when a hook fails
                page.unlink()
                raise nb.Failed(f"the page for {student} could not be sealed against scripts in it")
            pages.append(page)
            progress.update()
    return pages


def grades(course: Course) -> list[dict[str, Any]]:
    """All grades as nbgrader has them, one row for each student and assignment; who handed in nothing has 0."""
    from nbgrader.api import MissingEntry

    rows = []
    with nb.gradebook(course) as book:
        for assignment in book.assignments:
            for student in book.students:
                row = {"assignment": assignment.name, "duedate": assignment.duedate, "student_id": student.id}
                row |= {name: getattr(student, name) or "" for name in ("last_name", "first_name", "email")}
                try:
                    found = book.find_submission(assignment.name, student.id)
                    raw, lost, when = found.score, found.late_submission_penalty or 0.0, found.timestamp
                    row |= {"needs_manual_grade": found.needs_manual_grade}
                except MissingEntry:
                    raw, lost, when = 0.0, 0.0, None
                row |= {"timestamp": when, "raw_score": raw, "late_submission_penalty": lost, "score": max(0.0, raw - lost)}
                rows.append(row | {"max_score": assignment.max_score})
    return sorted(rows, key=lambda row: (row["assignment"], row["student_id"]))


def export(
    course: Course, path: str | Path, system: str = "nbgrader", roster: str | Path | None = None, *, scale: bool = False
) -> lms.Written:
    """A CSV of all grades: nbgrader's own columns, or those of a learning management system.

    Args:
        course: whose gradebook.
        path: of the CSV.
        system: "nbgrader", or what `lms.write` knows: "canvas", "moodle", "blackboard", "gradescope", "plain".
        roster: the LMS's own list, which is filled in.
        scale: turn our points into the LMS's where those differ.
    """
    if system != "nbgrader":
        return lms.write(grades(course), path, system, roster, scale=scale)  # type: ignore[arg-type]
    from nbgrader.plugins import CsvExportPlugin

    made = Path(path).with_name(f".{Path(path).name}.part")
    made.parent.mkdir(parents=True, exist_ok=True)
    try:
        with nb.gradebook(course) as book:
            plugin = CsvExportPlugin()
            plugin.to = str(made)
            plugin.export(book)
        text = made.read_text(encoding="utf-8")
    finally:
        made.unlink(missing_ok=True)
    write(Path(path), text)
    return lms.Written(Path(path), max(0, len(text.splitlines()) - 1))
