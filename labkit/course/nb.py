"""nbgrader's converters, called in this process, with their log kept for when something goes wrong."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.course.settings import Course, configuration


class Failed(RuntimeError):
    """nbgrader could not do it; the message has what it said."""


def load(path: Path) -> Any:
    import nbformat

    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)


def text(notebook: Any) -> str:
    import nbformat

    return nbformat.writes(notebook) + "\n"


@contextmanager
def gradebook(course: Course) -> Iterator[Any]:
    """nbgrader's gradebook of the course."""
    with quiet():
        from nbgrader.api import Gradebook
        from nbgrader.coursedir import CourseDirectory

        directory = CourseDirectory(config=configuration(course))
        with Gradebook(directory.db_url, directory.course_id) as book:
            yield book


@contextmanager
def quiet() -> Iterator[None]:
    """nbgrader and what it stands on announce what they will change one day; nothing an instructor could act on.

    It also calls the command `alembic` by its name, which lies beside this Python, in an environment that may not be activated.
    """
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([beside, os.environ.get("PATH", os.defpath)])
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        warnings.filterwarnings("ignore", message=r"Object of type <Submitted\w+> not in session")  # SQLAlchemy, of nbgrader
        warnings.filterwarnings("ignore", module=r"(nbformat|nbconvert|sqlalchemy|jupyter_client|traitlets)\b.*")
        yield


def start(course: Course, kind: str, *, force: bool = True, config: Any = None, **where: str) -> str:
    """Run one of nbgrader's converters; its log.

    Args:
        kind: its name in `nbgrader.converters`.
        force: make again what is there.
        config: instead of the course's own.
        where: assignment_id, student_id.

    Raises:
        Failed: with the log.
    """
    with quiet():
        from nbgrader import converters
        from nbgrader.coursedir import CourseDirectory

        config = config or configuration(course)
        directory = CourseDirectory(config=config, **where)
        app = getattr(converters, kind)(coursedir=directory, config=config)
        app.force = force
        with captured(app.log) as lines:
            try:
                app.start()
            except Exception as error:
                raise Failed("\n".join([*lines, f"{type(error).__name__}: {error}"])) from error
        return "\n".join(lines)


@contextmanager
def captured(log: logging.Logger) -> Iterator[list[str]]:
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    level, passes = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.WARNING)
    log.propagate = False
    try:
        yield lines
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = passes


def generate(course: Course, assignment: str, due: str | None = None) -> None:
    """`nbgrader generate_assignment`, and when it is due."""
    start(course, "GenerateAssignment", assignment_id=assignment)
    if due:
        with gradebook(course) as book:
            book.update_or_create_assignment(assignment, duedate=due)
