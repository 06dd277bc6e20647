"""Run a repaired notebook in the sandbox, cell by cell, and let the judge ask each answer where its grade cell stands.

What is said about a cell is what nbgrader would have found there: an output, an error, or for a grade cell the points as a
number and the help as HTML. The student's code sees neither the judge nor the other way round: a pipe is between them.
"""

import ast
import functools
import html
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labkit.course.box.sandbox import Limits, Sandbox
from labkit.course.leaks import CHECK
from labkit.course.records import Answer, Part
from labkit.grading.asking import Outcome
from labkit.grading.exercise import Case, Exercise, find
from labkit.grading.judge import judge
from labkit.grading.report import Report

UNANSWERED = "there is no answer yet"
SHOWN = 20_000  # characters of a cell's output that are kept
LEAST, SLACK = 300.0, 3.0  # seconds for a notebook, or so many times what its exercises may take
Seed = Callable[[str], str]  # of an exercise
AT_WORK: set[Sandbox] = set()
STOPPED = threading.Event()


class Stopped(RuntimeError):
    """The batch was stopped before this notebook was done."""


@dataclass
class Executed:
    """What came of a notebook: outputs for each cell, one answer for each grade cell."""

    outputs: list[list[dict[str, Any]]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    isolation: str = ""
    seconds: float = 0.0


@contextmanager
def sandbox(notebook: Any, variant: str, folder: Path | None, limits: Limits | None) -> Iterator[Sandbox]:
    exercises = [find(check["name"]) for cell in notebook.cells if (check := asked(cell))]
    limits = limits or Limits(total_seconds=max(LEAST, SLACK * sum(each.seconds for each in exercises)))
    with Sandbox(limits=limits, variant=variant, folder=folder) as box:
        AT_WORK.add(box)
        try:
            if STOPPED.is_set():
                raise Stopped("the batch was stopped")
            yield box
        finally:
            AT_WORK.discard(box)


def stop() -> None:
    """End every sandbox at work; what was asked of it is answered with an error at once."""
    STOPPED.set()
    for box in list(AT_WORK):
        box.left = 0.0
        box.close()


def execute(
    notebook: Any, released: Any, seed: Seed, variant: str, *, folder: Path | None = None, limits: Limits | None = None
) -> Executed:
    """Run every cell but demonstrations, and judge every answer.

    Args:
        notebook: repaired, so that it has every graded cell of the release.
        released: what the student was given, to tell which answers were begun.
        seed: gives the secret seed of an exercise.
        variant: whose numbers.
        folder: with what was handed in beside the notebook.
        limits: of the sandbox.
    """
    began = time.monotonic()
    made = Executed()
    blank = {name: cell.source for cell in released.cells if (name := grade_id(cell))}
    with sandbox(notebook, variant, folder, limits) as box:
        made.isolation = box.isolation
        late: list[tuple[int, int]] = []
        for cell in notebook.cells:
            outputs, answer, missing = one(cell, notebook, blank, box, seed, made)
            made.outputs.append(outputs)
            if answer is not None:
                made.answers.append(answer)
                if missing:
                    late.append((len(made.outputs) - 1, len(made.answers) - 1))
        for at, which in late:
            ask_again(at, which, notebook, blank, box, seed, made)
    made.seconds = time.monotonic() - began
    return made


def grade_id(cell: Any) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def asked(cell: Any) -> re.Match[str] | None:
    """Which exercise a grade cell checks, and the name of what it asks."""
    return CHECK.search(cell.source) if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade") else None


def one(
    cell: Any, notebook: Any, blank: dict[str, str], box: Sandbox, seed: Seed, made: Executed
) -> tuple[list[dict[str, Any]], Answer | None, bool]:
    """Outputs of one cell; its answer, if it is a grade cell; whether what is asked for was not there yet."""
    data = cell.metadata.get("nbgrader", {})
    if data.get("grade") and data.get("solution"):
        return [], by_hand(cell, blank), False
    if cell.cell_type != "code":
        return [], None, False
    if check := asked(cell):
        return judged(cell, check, notebook, blank, box, seed, made)
    if "demo" in cell.metadata.get("tags", []):
        return [], None, False
    outcome = tried(cell, box, made)
    outputs = shown(outcome)
    if not data.get("grade"):
        return outputs, None, False
    points = float(data["points"])  # an instructor's own test, in plain nbgrader's manner
    earned = 0.0 if outcome.error else points
    return [*outputs, result(f"{earned:g}", "")], Answer(grade_id(cell), "", earned, points), False


def by_hand(cell: Any, blank: dict[str, str]) -> Answer:
    changed = cell.source.strip() != blank.get(grade_id(cell), "").strip()
    points = float(cell.metadata.nbgrader["points"])
    return Answer(grade_id(cell), "", None if changed else 0.0, points, source=cell.source, changed=changed, by_hand=True)


def tried(cell: Any, box: Sandbox, made: Executed) -> Any:
    """Run one cell of the notebook; what went wrong is noted."""
    outcome = box.run(without_magics(cell.source))
    first = next(iter(cell.source.strip().splitlines()), "")[:60]
    if outcome.error and not outcome.error.endswith(UNANSWERED):
        made.errors.append(f"{grade_id(cell) or first}: {outcome.error.strip().splitlines()[-1][:300]}")
    if outcome.died:
        made.flags.append(f"a cell ended its process ({grade_id(cell) or first}): {outcome.died[:200]}")
    return outcome


# ------------------------------------------------------------------ grade cells


def judged(
    cell: Any, check: re.Match[str], notebook: Any, blank: dict[str, str], box: Sandbox, seed: Seed, made: Executed
) -> tuple[list[dict[str, Any]], Answer, bool]:
    exercise = find(check["name"])
    seen: list[Outcome] = []
    began = time.monotonic()

    def asker(case: Case) -> Outcome:
        seen.append(box.ask(check["answer"], case, exercise.seconds))
        return seen[-1]

    about = answered(cell, check["answer"], notebook, blank)
    searched = exercise if about.get("changed", True) else unsearched(exercise)
    report = fair(searched, asker, seed(exercise.name), box.variant, made)
    points = float(cell.metadata.nbgrader["points"])
    earned = round(points * report.earned / report.points, 6) if report.points else 0.0
    missing = any(each.kind == "missing" or "NameError" in each.error for each in seen)
    answer = Answer(
        cell=grade_id(cell),
        exercise=exercise.name,
        earned=earned,
        points=points,
        parts=tuple(Part(p.name, p.earned or 0.0, p.points, p.why) for p in report.parts),
        mistakes=tuple(mistake.name for mistake in report.mistakes),
        says=tuple(mistake.says for mistake in report.mistakes),
        timeouts=sum(each.kind == "timeout" for each in seen),
        kills=sum(each.kind == "killed" for each in seen),
        seconds=round(time.monotonic() - began, 3),
        **about,
    )
    return [result(f"{earned:g}", report.html())], answer, missing


@functools.lru_cache(64)
def unsearched(exercise: Exercise) -> Exercise:
    """Where nothing was answered there is no mistake to recognise."""
    return replace(exercise, mistakes=())


def fair(exercise: Exercise, asker: Callable[[Case], Outcome], seed: str, variant: str, made: Executed) -> Report:
    """The judge's report; an answer so strange that the judge stumbles over it earns nothing, and a person should look."""
    from labkit.grading.report import Part as Judged

    try:
        return judge(exercise, asker, seed=seed, variant=variant)
    except Exception as error:
        why = f"the answer could not be judged: {type(error).__name__}: {str(error)[:200]}"
        made.flags.append(f"{exercise.name}: {why}")
        parts = tuple(Judged(name, points, 0.0, (why,)) for name, points in exercise.parts.items())
        return Report(exercise.name, exercise.asks, parts)


def answered(cell: Any, name: str, notebook: Any, blank: dict[str, str]) -> dict[str, Any]:
    """The student's cell that a grade cell is about: the one of that name, or else the nearest before it."""
    before = notebook.cells[: notebook.cells.index(cell)]
    answers = [each for each in before if each.metadata.get("nbgrader", {}).get("solution") and each.cell_type == "code"]
    found = next((each for each in answers if grade_id(each) == name), answers[-1] if answers else None)
    if found is None:
        return {}
    return {"source": found.source, "changed": found.source.strip() != blank.get(grade_id(found), "").strip()}


def ask_again(at: int, which: int, notebook: Any, blank: dict[str, str], box: Sandbox, seed: Seed, made: Executed) -> None:
    """An answer that was only defined further down is asked once more when everything has run."""
    check = asked(notebook.cells[at])
    assert check is not None
    outputs, answer, missing = judged(notebook.cells[at], check, notebook, blank, box, seed, made)
    if not missing and (answer.earned or 0) > (made.answers[which].earned or 0):
        made.outputs[at], made.answers[which] = outputs, answer
        made.repairs.append(f"{check['answer']} is defined only below its check; it was asked at the end")


# ------------------------------------------------------------------ cells as Python, outputs as nbgrader wants them


def without_magics(source: str) -> str:
    """A cell as Python: IPython's own lines are left out, if only they keep it from being Python."""
    try:
        ast.parse(source)
        return source
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    if re.match(r"\s*%%(?!time|capture|timeit|prun)", source):  # a cell in another language
        return ""
    return re.sub(r"^([ \t]*)([%!?].*|[\w.]+\?{1,2}[ \t]*)$", r"\1pass  # \2", source, flags=re.MULTILINE)


def shown(outcome: Any) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = []
    if outcome.output:
        text = outcome.output if len(outcome.output) <= SHOWN else outcome.output[:SHOWN] + "\n... cut off here ..."
        outputs.append({"output_type": "stream", "name": "stdout", "text": text})
    if outcome.error:
        name, _, says = outcome.error.strip().splitlines()[-1].partition(":")
        lines = outcome.error[:SHOWN].splitlines()
        outputs.append({"output_type": "error", "ename": name[:80], "evalue": says.strip()[:500], "traceback": lines})
    return outputs


def result(number: str, page: str) -> dict[str, Any]:
    """nbgrader reads the number as the points earned, and shows the page."""
    data = {"text/plain": number, "text/html": page or f"<b>{html.escape(number)}</b>"}
    return {"output_type": "execute_result", "execution_count": 1, "data": data, "metadata": {}}
