"""A course is a folder as nbgrader has it, with a secret of its own. This says what lies where, and configures nbgrader for it.

source/ASSIGNMENT/       with solutions, the instructor's
release/ASSIGNMENT/      without, for everybody
release_by_student/      the same with each student's own numbers, where a course wants that
submitted/STUDENT/       what came in; never changed
autograded/ feedback/    made by the grading
graded/                  one record for each submission (`records`)
gradebook.db             nbgrader's
nbgrader_config.py       made once, the instructor's to edit
course.json, secret.txt  variants and the rule for late work; what the hidden inputs are drawn from
"""

import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.course.files import write, write_once

CONFIG = """\
# Made by `python -m labkit grade release`; yours to edit, it is not written again. Plain nbgrader commands and the hub's
# extensions read it too: with it they grade as `python -m labkit grade run` does.
from labkit.course.settings import configure

c = get_config()
configure(c, __file__)

# What else nbgrader offers, for example:
# c.CourseDirectory.course_id = "contrast101"
# c.Exchange.root = "/srv/nbgrader/exchange"
# c.Exchange.timezone = "Europe/Berlin"
# c.PerDay.rule = "10%/day"   # late work loses a tenth of its points for each day begun; also: grade run --late-penalty
"""
PREPARED = ".labkit/prepared"  # submissions as they are graded: repaired copies, thrown away when done
MISSING = "grading a course needs nbgrader: pip install 'labkit[course]'"


@dataclass(frozen=True)
class Course:
    """A course folder."""

    root: Path

    @property
    def source(self) -> Path:
        return self.root / "source"

    @property
    def release(self) -> Path:
        return self.root / "release"

    @property
    def submitted(self) -> Path:
        return self.root / "submitted"

    @property
    def secret(self) -> str:
        """What the hidden inputs are drawn from: made at first use, readable by its owner only."""
        path = self.root / "secret.txt"
        if not path.exists():
            write_once(path, secrets.token_hex(32) + "\n", mode=0o600)
        found = path.read_text(encoding="utf-8").strip()
        if not found:
            raise ValueError(f"{path} is empty: delete it, and another secret is made (all grades are then drawn anew)")
        return found

    def seed(self, exercise: str) -> str:
        """Of the hidden inputs of an exercise: the same for all students, so that points compare."""
        return hashlib.sha256(f"{self.secret}/{exercise}".encode()).hexdigest()

    def assignments(self) -> list[str]:
        """Those that were released."""
        return sorted(path.parent.name for path in self.release.glob("*/*.ipynb") if path.stem == path.parent.name)

    def students(self, assignment: str) -> list[str]:
        """Those who handed something in."""
        return sorted(path.parent.name for path in self.submitted.glob(f"[!.]*/{assignment}") if path.is_dir())

    # ---------------------------------------------------------------- what labkit remembers

    def settings(self) -> dict[str, Any]:
        path = self.root / "course.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def remember(self, **new: Any) -> None:
        write(self.root / "course.json", json.dumps(self.settings() | new, ensure_ascii=False, indent=1, sort_keys=True) + "\n")

    def variant(self, assignment: str, student: str) -> str:
        """Whose numbers a student works with; "practice" where the release was made without labkit."""
        known = self.settings().get("variants", {}).get(assignment, {})
        return known.get("students", {}).get(student) or known.get("all", "practice")


def opened(folder: str | Path = "course", *, create: bool = False) -> Course:
    """The course in this folder.

    Raises:
        FileNotFoundError: there is none, and it was not asked for.
        ModuleNotFoundError: nbgrader is not installed; the message says how to get it.
    """
    needed()
    root = Path(folder).resolve()
    if not create and not (root / "nbgrader_config.py").exists():
        raise FileNotFoundError(f"{root} is no course folder: begin with  python -m labkit grade release --course {folder}")
    root.mkdir(parents=True, exist_ok=True)
    if not (root / "nbgrader_config.py").exists():
        write(root / "nbgrader_config.py", CONFIG)
    return Course(root)


def needed() -> None:
    import importlib.util

    if importlib.util.find_spec("nbgrader") is None:
        raise ModuleNotFoundError(MISSING)


def configure(c: Any, file: str | Path) -> None:
    """What nbgrader needs to know to grade labkit's assignments; called from a course's `nbgrader_config.py`."""
    root = Path(file).resolve().parent
    c.CourseDirectory.root = str(root)
    c.CourseDirectory.course_id = root.name
    c.Autograde.sanitize_preprocessors = [
        "nbgrader.preprocessors.ClearOutput",
        "labkit.course.grader.Repair",
        "nbgrader.preprocessors.DeduplicateIds",
        "nbgrader.preprocessors.OverwriteKernelspec",
        "nbgrader.preprocessors.OverwriteCells",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    c.Autograde.autograde_preprocessors = [
        "labkit.course.grader.Judged",  # in the place of Execute
        "nbgrader.preprocessors.LimitOutput",
        "nbgrader.preprocessors.SaveAutoGrades",
        "nbgrader.preprocessors.AssignLatePenalties",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    c.GenerateFeedback.preprocessors = [
        "nbgrader.preprocessors.GetGrades",
        "labkit.course.grader.Summary",
        "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
    ]
    c.GenerateFeedback.post_convert_hook = "labkit.course.grader.sealed"
    c.AssignLatePenalties.plugin_class = "labkit.course.late.PerDay"


def configuration(course: Course, **more: Any) -> Any:
    """The course's `nbgrader_config.py` as nbgrader's own commands read it; `more` are sections that come on top."""
    from traitlets.config.loader import Config, PyFileConfigLoader

    loaded = PyFileConfigLoader("nbgrader_config.py", path=str(course.root)).load_config()
    loaded.merge(Config(more))
    return loaded
