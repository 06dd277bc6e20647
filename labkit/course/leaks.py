"""Nothing of a solution may be left in what is handed out: it is searched line by line and sentence by sentence."""

import re
from typing import Any

from labkit.grading.exercise import Exercise, find

BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
GRADE_ID = re.compile(r"^[A-Za-z0-9_-]+$")
CHECK = re.compile(r"grading\.check\(\s*(['\"])(?P<name>[\w.]+)\1\s*,\s*(?P<answer>[A-Za-z_]\w*)\s*\)")
# What any notebook may say: imports, the heads of loops, the steps of training.
EVERYWHERE = re.compile(r"(import |from |\"\"\"|(for|while|with) .*:$|\w+\.(zero_grad|backward|step|train|eval)\(\)$)")
LINE, SENTENCE = 20, 30  # characters from which a line or a sentence says something


def faults(source: Any, released: Any, *, weighted: bool = False) -> list[str]:
    """What is wrong with a release, in words; nothing if all is well. With `weighted`, points are the instructor's own."""
    return [*left_over(source, released), *outputs(released), *ids(released), *([] if weighted else points(released))]


def left_over(source: Any, released: Any) -> list[str]:
    lines = {line.strip() for cell in released.cells for line in cell.source.splitlines()}
    text = squeezed("\n".join(cell.source for cell in released.cells))
    found = [f"a line of a solution is left: {line}" for line in solution_lines(source) if line in lines]
    found += [f"a sentence of a sample answer is left: {each}" for each in solution_sentences(source) if each in text]
    found += [
        f"a hint is told in advance: {each}" for exercise in exercises(released) for each in told(exercise) if each in text
    ]
    if BEGIN in text or END in text:
        found.append("a mark of a solution is left")
    return found


def regions(cell: Any) -> list[str]:
    """What a cell has between its marks; the whole of it where an answer has no marks."""
    inside, kept = False, list[str]()
    for line in cell.source.splitlines():
        if BEGIN in line or END in line:
            inside = BEGIN in line
        elif inside:
            kept.append(line)
    answers = cell.metadata.get("nbgrader", {}).get("solution")
    return kept if kept or not answers or BEGIN in cell.source else cell.source.splitlines()


def solution_lines(source: Any) -> list[str]:
    """Lines of code that say something: long enough, and not those that stand in every notebook."""
    lines = [line.strip() for cell in source.cells if cell.cell_type == "code" for line in regions(cell)]
    return [line for line in lines if len(line) >= LINE and not EVERYWHERE.match(line)]


def solution_sentences(source: Any) -> list[str]:
    texts = [squeezed("\n".join(regions(cell))) for cell in source.cells if cell.cell_type == "markdown"]
    return [each for text in texts for each in sentences(text)]


def told(exercise: Exercise) -> list[str]:
    """What the check says to those who are mistaken; a sentence of it may also stand in the assignment, the whole may not."""
    words = dict.fromkeys(squeezed(text) for mistake in exercise.mistakes for text in (mistake.says, *mistake.hints))
    return [text for text in words if len(text) >= SENTENCE]


def sentences(text: str) -> list[str]:
    return [each for each in re.split(r"(?<=[.!?:;])\s+", text) if len(each) >= SENTENCE]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def exercises(notebook: Any) -> list[Exercise]:
    return [find(found["name"]) for cell in notebook.cells if (found := CHECK.search(cell.source)) and graded(cell)]


def graded(cell: Any) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def outputs(released: Any) -> list[str]:
    cells = [cell for cell in released.cells if cell.get("outputs") or cell.get("execution_count")]
    return [f"a cell has outputs: {cell.source.splitlines()[0]}" for cell in cells]


def ids(released: Any) -> list[str]:
    names = [cell.metadata.nbgrader.get("grade_id", "") for cell in released.cells if "nbgrader" in cell.metadata]
    again = sorted({name for name in names if names.count(name) > 1})
    strange = [name for name in names if not GRADE_ID.match(name)]
    return [f"the grade id {name} is there twice" for name in again] + [f"a grade id is {name!r}" for name in strange]


def points(released: Any) -> list[str]:
    """Each check is worth what its parts are worth, and asks for what its exercise asks for."""
    found = []
    for cell in filter(graded, released.cells):
        check = CHECK.search(cell.source) if cell.cell_type == "code" else None
        if check is None:
            continue
        exercise, says = find(check["name"]), cell.metadata.nbgrader
        if float(says.points) != exercise.points:
            found.append(f"{says.grade_id} has {says.points:g} points, the parts of {exercise.name} {exercise.points:g}")
    return found
