"""One student's submission on its way to a grade: find the notebook, repair it, run it, write down what came of it."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import labkit
from labkit.course import nb
from labkit.course.box.sandbox import Limits
from labkit.course.execute import Executed, execute, grade_id
from labkit.course.files import handed_in
from labkit.course.leaks import CHECK
from labkit.course.reading import MOST, Unreadable, read
from labkit.course.records import Record
from labkit.course.release import handout
from labkit.course.repair import Release, repair
from labkit.course.settings import Course

ENDINGS = (".ipynb", ".json", ".txt", ".ipynb.txt")
LOOKED_AT = 20  # files of one student that are tried


@dataclass
class Submission:
    """What was handed in, repaired; the files themselves are only read."""

    course: Course
    assignment: str
    student: str
    variant: str
    file: str
    sha: str
    key: str
    released: Any
    notebook: Any
    repairs: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    submitted: str = ""

    @property
    def folder(self) -> Path:
        return self.course.submitted / self.student / self.assignment


def taken(course: Course, assignment: str, student: str) -> Submission:
    """Read and repair what this student handed in."""
    released = handout(course, assignment, student)
    folder = course.submitted / student / assignment
    path, notes = found(folder, assignment, Release(released))
    data = head(path) if path else None
    made = repair(data, released)
    with_tests(made.notebook, nb.load(course.source / assignment / f"{assignment}.ipynb"))
    sha = fingerprint(folder)
    variant = course.variant(assignment, student)
    return Submission(
        course=course,
        assignment=assignment,
        student=student,
        variant=variant,
        file=str(path.relative_to(folder)) if path else "",
        sha=sha,
        key=key(course, assignment, student, sha),
        released=released,
        notebook=made.notebook,
        repairs=[*notes, *made.repairs],
        flags=made.flags,
        submitted=when(folder / "timestamp.txt", made.flags),
    )


def when(path: Path, flags: list[str]) -> str:
    """The time of the submission, as far as nbgrader can read it."""
    from nbgrader.utils import parse_utc

    said = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
    try:
        return said if said and parse_utc(said) else ""
    except (ValueError, OverflowError, TypeError, AttributeError):
        flags.append(f"the time of the submission cannot be read: {said[:40]!r}")
        return ""


def key(course: Course, assignment: str, student: str, sha: str) -> str:
    """Changes when the grade may: another file, release, secret, variant or version of labkit."""
    release = (course.release / assignment / f"{assignment}.ipynb").read_bytes()
    said = [sha, hashlib.sha256(release).hexdigest(), course.seed(assignment), course.variant(assignment, student)]
    return hashlib.sha256(json.dumps([*said, labkit.__version__]).encode()).hexdigest()[:32]


def fingerprint(folder: Path) -> str:
    """Of all files handed in, their names and the time among them."""
    digest = hashlib.sha256()
    for path in handed_in(folder):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode("utf-8", "replace"))
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST + 1)


def found(folder: Path, assignment: str, release: Release) -> tuple[Path | None, list[str]]:
    """The notebook among what was handed in: the one with most answers, whatever it is called."""
    named = f"{assignment}.ipynb"
    all_files = [path for path in handed_in(folder) if path.name != "timestamp.txt"]
    candidates = [path for path in all_files if path.name.lower().endswith(ENDINGS)][:LOOKED_AT]
    if not candidates:
        return None, [f"there is no notebook among {', '.join(p.name for p in all_files[:5])}"] if all_files else []
    best = max(candidates, key=lambda path: (*answers(head(path), release), path.name == named, -len(path.parts)))
    where = str(best.relative_to(folder))
    notes = [f"the notebook was called {where}"] if where != named else []
    others = [path for path in candidates if path.suffix == ".ipynb" and path != best]
    if others:
        notes.append(f"of {len(others) + 1} notebooks {where} was graded: it has the most answers")
    return best, notes


def answers(data: bytes, release: Release) -> tuple[bool, int, bool]:
    """How much of the assignment is in a file: any cell of it, how many answers were begun, whether it can be read."""
    try:
        cells, *_ = read(data)
    except Unreadable:
        return False, 0, False
    texts = {each.source.strip() for each in release.cells}
    known = [cell for cell in cells if cell.grade_id in release.known or cell.id in release.by_id]
    return bool(known), sum(cell.source.strip() not in texts for cell in known), True


def with_tests(notebook: Any, source: Any) -> None:
    """An instructor's own tests come from the source, hidden ones included."""
    tests = {grade_id(cell): cell.source for cell in source.cells if grade_id(cell)}
    for cell in notebook.cells:
        data = cell.metadata.get("nbgrader", {})
        if data.get("grade") and not data.get("solution") and not CHECK.search(cell.source):
            cell.source = tests.get(grade_id(cell), cell.source)


def judged(submission: Submission, limits: Limits | None = None) -> Executed:
    """Run it in the sandbox."""
    here = submission
    folder = here.folder if here.folder.is_dir() else None
    return execute(here.notebook, here.released, here.course.seed, here.variant, folder=folder, limits=limits)


def record(submission: Submission, executed: Executed) -> Record:
    return Record(
        student=submission.student,
        assignment=submission.assignment,
        variant=submission.variant,
        file=submission.file,
        sha=submission.sha,
        submitted=submission.submitted,
        answers=tuple(executed.answers),
        repairs=(*submission.repairs, *executed.repairs),
        flags=(*submission.flags, *executed.flags),
        errors=tuple(executed.errors[:50]),
        isolation=executed.isolation,
        seconds=round(executed.seconds, 3),
        key=submission.key,
        version=labkit.__version__,
    )
