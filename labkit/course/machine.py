"""Grade a class: sandboxes side by side, nbgrader's gradebook one submission after the other.

A run can be stopped and begun again: what was graded is kept, and only what changed is graded anew. Grades and comments that
people gave stay as they are.
"""

import glob
import shutil
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field

from filelock import FileLock, Timeout

from labkit.course import execute, nb, records
from labkit.course.box.sandbox import Limits
from labkit.course.execute import Executed
from labkit.course.files import write
from labkit.course.records import Record
from labkit.course.settings import PREPARED, Course, configuration
from labkit.course.submission import Submission, fingerprint, judged, key, record, taken
from labkit.progress import bar


@dataclass
class Batch:
    """What a run did."""

    assignment: str
    graded: list[Record] = field(default_factory=list)
    kept: list[Record] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def records(self) -> list[Record]:
        return sorted([*self.graded, *self.kept], key=lambda each: each.student)

    @property
    def isolation(self) -> str:
        return ", ".join(sorted({each.isolation for each in self.records if each.isolation}))


def run(
    course: Course,
    assignment: str,
    students: Iterable[str] | None = None,
    *,
    jobs: int = 2,
    force: bool = False,
    late: str | None = None,
    extensions: Mapping[str, float] | None = None,
    limits: Limits | None = None,
) -> Batch:
    """Grade what was handed in for an assignment.

    Args:
        course: whose `submitted/` is read.
        assignment: its full name.
        students: only these (default: all who handed in something).
        jobs: sandboxes at a time.
        force: also what has not changed since it was graded.
        late: a rule such as "10%/day" or "none", kept for the course.
        extensions: days that a student got on top.
        limits: of the sandbox.

    Raises:
        ValueError: jobs is less than 1, it was not released here, a student handed in nothing, or the rule for late work
            makes no sense.
    """
    began = time.monotonic()
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    wanted = checked(course, assignment, students)
    if late is not None and late != "none":
        from labkit.course.late import Rule

        Rule.read(late)
    with alone(course):
        if late is not None:
            course.remember(late=late)
        batch = Batch(assignment)
        todo = [each for each in wanted if force or not graded_before(course, assignment, each, batch)]
        side_by_side(course, assignment, todo, jobs, limits, batch)
        afterwards(course, assignment, extensions or {})
    batch.seconds = time.monotonic() - began
    return batch


@contextmanager
def alone(course: Course) -> Iterator[None]:
    """Two runs at once would take turns at overwriting each other's grades."""
    (course.root / ".labkit").mkdir(exist_ok=True)
    lock = FileLock(course.root / ".labkit" / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError("another run is grading in this course; wait until it is done") from None
    try:
        execute.STOPPED.clear()
        yield
    finally:
        lock.release()


def checked(course: Course, assignment: str, students: Iterable[str] | None) -> list[str]:
    if assignment not in course.assignments():
        known = ", ".join(course.assignments()) or "none yet"
        raise ValueError(f"{assignment!r} was not released in this course; released are {known}")
    there = course.students(assignment)
    wanted = there if students is None else list(students)
    missing = sorted(set(wanted) - set(there))
    if missing:
        raise ValueError(f"nothing was handed in for {assignment} by {', '.join(missing)}")
    return wanted


def graded_before(course: Course, assignment: str, student: str, batch: Batch) -> bool:
    """Whether the last grade still holds."""
    path = records.path(course.root, assignment, student)
    page = course.root / "autograded" / student / assignment / f"{assignment}.ipynb"
    if not path.exists() or not page.exists():
        return False
    try:
        last = records.load(path)
    except ValueError:
        return False
    if last.key != key(course, assignment, student, fingerprint(course.submitted / student / assignment)):
        return False
    batch.kept.append(last)
    return True


def side_by_side(course: Course, assignment: str, todo: list[str], jobs: int, limits: Limits | None, batch: Batch) -> None:
    if not todo:
        return

    def work(student: str) -> tuple[Submission, Executed]:
        submission = taken(course, assignment, student)
        return submission, judged(submission, limits)

    pool = ThreadPoolExecutor(jobs, thread_name_prefix="labkit-grade")
    try:
        futures: dict[Future[tuple[Submission, Executed]], str] = {pool.submit(work, each): each for each in todo}
        with bar(total=len(todo), desc=assignment, unit="student", leave=True) as progress:
            for future in as_completed(futures):
                student = futures[future]
                progress.set_postfix_str(student)
                commit(course, assignment, student, future, batch)
                progress.update()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        execute.stop()
        pool.shutdown()  # nobody at work has anything left to wait for
        raise
    pool.shutdown()


def commit(course: Course, assignment: str, student: str, future: Future[tuple[Submission, Executed]], batch: Batch) -> None:
    """Into the gradebook and the record; what fails, fails for this student only."""
    try:
        submission, executed = future.result()
        into_gradebook(submission, executed)
        found = record(submission, executed)
        records.save(course.root, found)
        batch.graded.append(found)
    except Exception as error:
        batch.failed[student] = f"{type(error).__name__}: {error}"


def into_gradebook(submission: Submission, executed: Executed) -> None:
    """nbgrader's autograde, on the repaired notebook, with our judge's outputs."""
    from labkit.course.grader import READY

    course, assignment, student = submission.course, submission.assignment, submission.student
    place = course.root / PREPARED / student / assignment
    try:
        write(place / f"{assignment}.ipynb", nb.text(submission.notebook))
        if submission.submitted:
            write(place / "timestamp.txt", submission.submitted + "\n")
        READY[assignment, student] = submission, executed
        config = configuration(course, CourseDirectory={"submitted_directory": PREPARED})
        nb.start(course, "Autograde", config=config, assignment_id=assignment, student_id=glob.escape(student))
    finally:
        READY.pop((assignment, student), None)
        shutil.rmtree(place.parent, ignore_errors=True)


def afterwards(course: Course, assignment: str, extensions: Mapping[str, float]) -> None:
    """Extensions, then the points that late work loses, also for what was graded before."""
    from nbgrader.api import MissingEntry
    from nbgrader.preprocessors import AssignLatePenalties

    config = configuration(course)
    with nb.gradebook(course) as book:
        for student, days in extensions.items():
            try:
                book.grant_extension(assignment, student, days=days)
            except MissingEntry:
                raise ValueError(f"no extension for {student!r}: nothing of theirs was graded in {assignment}") from None
        names = [each.student.id for each in book.assignment_submissions(assignment)]
    penalise = AssignLatePenalties(config=config)
    with nb.quiet(), nb.captured(penalise.log), warnings.catch_warnings():
        from nbformat.v4 import new_notebook
        from nbgrader.coursedir import CourseDirectory

        url = CourseDirectory(config=config).db_url
        for student in names:
            where = {"notebook": assignment, "assignment": assignment, "student": student, "db_url": url}
            penalise.preprocess(new_notebook(), {"nbgrader": where})
