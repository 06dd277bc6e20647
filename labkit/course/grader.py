"""Our three steps among nbgrader's: repair what came in, write what the judge found in place of a run, sum it up.

They take their place by `nbgrader_config.py`, so that `nbgrader autograde` and the hub's formgrader grade as
`labkit grade run` does.
"""

import copy
import html
import re
from pathlib import Path
from typing import Any

from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import List

from labkit.course import records
from labkit.course.execute import Executed
from labkit.course.files import write
from labkit.course.release import with_variant
from labkit.course.settings import Course
from labkit.course.submission import Submission, judged, record, taken
from labkit.tour.markdown import MATH, shown

ALLOWED = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
POLICY = f'<meta http-equiv="Content-Security-Policy" content="{ALLOWED}">'
STYLE = "<style>summary { display: list-item }</style>"  # nbgrader's own takes away the mark that hints can be opened
SCRIPT = re.compile(r"<script\b[^>]*>.*?</script>", re.DOTALL | re.IGNORECASE)  # MathJax's; the policy is what protects
# What `labkit grade run` has prepared already, by assignment and student.
READY: dict[tuple[str, str], tuple[Submission, Executed]] = {}


class InCourse(NbGraderPreprocessor):
    """Knows whose notebook it is."""

    # nbconvert configures this for every step of a page, and complains where it cannot
    display_data_priority = List(NbGraderPreprocessor.display_data_priority.default_value).tag(config=True)

    def whose(self, resources: Any) -> tuple[Course, str, str]:
        where = resources["nbgrader"]
        root = Path(str(self.config.CourseDirectory.root or ".")).resolve()
        return Course(root), where["assignment"], where["student"]


class Repair(InCourse):
    """In the place of what came in: the same answers, in the frame of the release."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        course, assignment, student = self.whose(resources)
        ready = READY.get((assignment, student))
        submission = ready[0] if ready else taken(course, assignment, student)
        return copy.deepcopy(submission.notebook), resources


class Judged(InCourse):
    """In the place of nbgrader's Execute: what the judge found becomes the output of each cell."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        from nbformat import from_dict

        course, assignment, student = self.whose(resources)
        submission, executed = READY.get((assignment, student)) or self.now(course, assignment, student)
        for cell, outputs in zip(nb.cells, executed.outputs, strict=True):
            if cell.cell_type == "code":
                cell.outputs = from_dict(outputs)
                cell.execution_count = 1 if outputs else None
        with_variant(nb, submission.variant)
        return nb, resources

    def now(self, course: Course, assignment: str, student: str) -> tuple[Submission, Executed]:
        submission = taken(course, assignment, student)
        executed = judged(submission)
        records.save(course.root, record(submission, executed))
        return submission, executed


class Summary(InCourse):
    """At the top of a feedback page: points and misconceptions at a glance, and what had to be repaired.

    Formulas become MathML, which browsers draw without a script or a network.
    """

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        from nbformat.v4 import new_markdown_cell

        for cell in nb.cells:
            if cell.cell_type == "markdown":
                cell.source = MATH.sub(drawn, cell.source)
        course, assignment, student = self.whose(resources)
        path = records.path(course.root, assignment, student)
        if path.exists():
            nb.cells.insert(0, new_markdown_cell(page(records.load(path), scores(nb))))
        return nb, resources


def drawn(found: re.Match[str]) -> str:
    """A formula; code that only looks like one stays."""
    tex = found[0]
    return tex if tex.startswith("`") else shown(tex.strip("$"), tex.startswith("$$"))


def sealed(notebooks: list[str], **_: Any) -> None:
    """After a feedback page was written: no script on it runs and nothing is loaded, whoever wrote it into a cell.

    nbgrader calls this in the course folder, with the graded notebooks of one student.
    """
    for notebook in map(Path, notebooks):
        path = Path("feedback", *notebook.parts[-3:]).with_suffix(".html")
        page = SCRIPT.sub("", path.read_text(encoding="utf-8"))
        write(path, page.replace("<head>", f"<head>\n{POLICY}\n{STYLE}", 1))


def scores(nb: Any) -> dict[str, float]:
    """What each grade cell has in the gradebook, by hand or by the machine."""
    return {
        cell.metadata.nbgrader.grade_id: float(cell.metadata.nbgrader.score)
        for cell in nb.cells
        if cell.metadata.get("nbgrader", {}).get("grade") and cell.metadata.nbgrader.get("score") is not None
    }


def page(found: records.Record, scores: dict[str, float]) -> str:
    rows = "".join(row(answer, scores.get(answer.cell)) for answer in found.answers)
    notes = "".join(f"<li>{html.escape(each)}</li>" for each in (*found.flags, *found.repairs))
    more = f"<p>Before grading:</p><ul>{notes}</ul>" if notes else ""
    head = "".join(f"<th>{each}</th>" for each in ("Answer", "Points", "What stands in the way"))
    table = f'<table class="table table-condensed"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    inside = more + table if found.flags else table + more
    return f'<div class="labkit-summary"><h2>At a glance</h2>{inside}</div>'


def row(answer: records.Answer, score: float | None) -> str:
    name = answer.exercise.partition(".")[2] or answer.cell
    points = f"{answer.earned if score is None else score:g}" if score is not None or answer.earned is not None else "..."
    says = "; ".join(answer.says) or why(answer)
    link = f'<a href="#{html.escape(answer.cell)}">{html.escape(name)}</a>'
    return f"<tr><td>{link}</td><td>{points} of {answer.points:g}</td><td>{html.escape(says)}</td></tr>"


def why(answer: records.Answer) -> str:
    if not answer.changed and not answer.earned:
        return "no answer yet"
    if answer.by_hand:
        return "graded by a person"
    return next((part.why[0] for part in answer.parts if part.why), "")
