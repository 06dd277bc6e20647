"""A small assignment for the tests of the course machine: two functions and an essay, with mistakes that have names."""

import copy
import functools
import json
import sys
import types

import nbformat

from labkit.grading import draw
from labkit.grading.exercise import Case, Mistake, exercise
from labkit.pairs import FIRST_CELL, KERNEL

NAME = "tiny_means"
ESSAY = "A mean forgets how many numbers there were, and that is why it can be compared between batches of any size."
HINTS = ("Look at the size of it.", "Try it on twice as many rows.", "Which of the two grows with the number of rows?")


def mean_cases(draw):
    found = []
    for part in ("value", "value", "scaled", "scaled"):
        scale = 1.0 if part == "value" else draw.numbers(2, 9)
        found.append(Case(part, {"x": draw.rows(draw.integer(3, 6), 2), "scale": scale}, grads=("x",)))
    return found


def flawed(x, scale, total=False, forgets=False):
    return (x.sum() if total else x.mean()) * (1 if forgets else scale)


def gap_cases(draw):
    found = [Case("value", {"x": draw.rows(4, 3), "y": draw.rows(4, 3)}) for _ in range(2)]
    equal = draw.rows(4, 3)
    return [*found, Case("ties", {"x": equal, "y": equal.clone()}, grads=("x",), says="equal rows")]


def register():
    """The exercises of "tiny", as if there were a `labkit.grading.tiny`."""
    if "tiny" in draw.ASSIGNMENTS:
        return
    draw.ASSIGNMENTS = (*draw.ASSIGNMENTS, "tiny")
    sys.modules["labkit.grading.tiny"] = types.ModuleType("labkit.grading.tiny")
    total, forgets = (functools.partial(flawed, **{switch: True}) for switch in ("total", "forgets"))
    mistakes = (
        Mistake("sum-for-mean", "your value grows with the number of rows", HINTS, (total,), ("value", "scaled")),
        Mistake("no-scale", "the scale has no effect on what you return", HINTS, (forgets,), ("scaled",)),
    )

    @exercise("tiny.scaled_mean", parts={"value": 2, "scaled": 1}, cases=mean_cases, mistakes=mistakes, seconds=3)
    def scaled_mean(x, scale):
        """The mean of all numbers, times a scale."""
        return x.mean() * scale

    @exercise("tiny.gaps", parts={"value": 1, "ties": 1}, cases=gap_cases, seconds=3)
    def gaps(x, y):
        """The distance between rows, with a gradient also where they are equal."""
        return (x - y).abs().sum(1)


def graded(name, **more):
    data = {"grade": False, "grade_id": name, "locked": True, "schema_version": 3, "solution": False, "task": False}
    return {"nbgrader": data | more}


ANSWER = {"solution": True, "locked": False}
MEAN = '''def scaled_mean(x, scale):
    """The mean of all numbers, times a scale."""
    ### BEGIN SOLUTION
    average_of_all = x.mean()
    return average_of_all * scale
    ### END SOLUTION'''
GAPS = """def gaps(x, y):
    ### BEGIN SOLUTION
    difference_of_rows = x - y
    return difference_of_rows.abs().sum(1)
    ### END SOLUTION"""


def source():
    """The instructor's notebook, with solutions."""
    code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    essay = f"Why a mean?\n\n### BEGIN SOLUTION\n{ESSAY}\n### END SOLUTION"
    cells = [
        text("# Means", id="title"),
        code(FIRST_CELL, id="first", metadata=graded("first")),
        code('from labkit import grading\n\nVARIANT = "practice"', id="given", metadata=graded("given")),
        code("import torch", id="imports"),
        text("The mean of all numbers in `x`, times `scale`.", id="ask-mean"),
        code(MEAN, id="scaled-mean", metadata=graded("scaled_mean", **ANSWER)),
        code(
            'grading.check("tiny.scaled_mean", scaled_mean)',
            id="check-mean",
            metadata=graded("check_tiny_scaled_mean", grade=True, points=3),
        ),
        code('raise RuntimeError("demonstrations are not run")', id="demo", metadata={"tags": ["demo"]}),
        text("How far apart are the rows of `x` and `y`, in the sum of absolute differences?", id="ask-gaps"),
        code(GAPS, id="gaps", metadata=graded("gaps", **ANSWER)),
        code('grading.check("tiny.gaps", gaps)', id="check-gaps", metadata=graded("check_tiny_gaps", grade=True, points=2)),
        text(essay, id="essay", metadata=graded("essay", grade=True, points=2, **ANSWER)),
        text("The end.", id="end"),
    ]
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})


RIGHT = {
    "scaled_mean": "def scaled_mean(x, scale):\n    return x.mean() * scale",
    "gaps": "def gaps(x, y):\n    return (x - y).abs().sum(dim=1)",
    "essay": "Because a sum depends on the size of the batch.",
}
SUM = "def scaled_mean(x, scale):\n    return x.sum() * scale"
NO_SCALE = "def scaled_mean(x, scale):\n    return torch.mean(x)"


def at(notebook, name):
    """The cell of this grade id, of a notebook or of its JSON."""
    return next(cell for cell in notebook["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") == name)


def answered(release, **answers):
    """The release with answers in its cells, as JSON."""
    notebook = json.loads(nbformat.writes(release))
    for each in notebook["cells"]:
        each["source"] = "".join(each["source"])
    for name, text in answers.items():
        at(notebook, name)["source"] = text
    return notebook


def as_bytes(notebook):
    return json.dumps(notebook, indent=1).encode()


# ------------------------------------------------------------------ what happens to notebooks on the way


def cell(kind, text, **metadata):
    made = {"cell_type": kind, "id": f"own-{abs(hash(text)) % 10**6}", "metadata": metadata, "source": text}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def without(notebook, *names):
    notebook["cells"] = [c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") not in names]
    return notebook


def twice(notebook, name, text=None, after=1):
    """The cell once more, as JupyterLab pastes it: with its metadata and an id of its own."""
    again = copy.deepcopy(at(notebook, name)) | {"id": "pasted"}
    if text is not None:
        again["source"] = text
    notebook["cells"].insert(notebook["cells"].index(at(notebook, name)) + after, again)
    return notebook


def moved(notebook, name, to):
    taken = at(notebook, name)
    notebook["cells"].remove(taken)
    notebook["cells"].insert(to if to >= 0 else len(notebook["cells"]) + 1 + to, taken)
    return notebook


def changed(notebook, name, **data):
    at(notebook, name)["metadata"]["nbgrader"].update(data)
    return notebook


def stripped(notebook):
    """By a tool that keeps neither metadata nor ids."""
    for each in notebook["cells"]:
        each["metadata"] = {}
        each.pop("id")
    return notebook | {"nbformat_minor": 4, "metadata": {}}


def renamed_ids(notebook):
    for each in notebook["cells"]:
        each["metadata"].pop("nbgrader", None)
    return notebook


def of_format_3(notebook):
    cells = []
    for each in notebook["cells"]:
        made = {"cell_type": each["cell_type"], "metadata": each["metadata"]}
        if each["cell_type"] == "code":
            made |= {"input": each["source"], "outputs": [], "language": "python", "collapsed": False, "prompt_number": 3}
        else:
            made |= {"source": each["source"]}
        cells.append(made)
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells, "metadata": {}}]}


def same_ids(notebook):
    for each in notebook["cells"]:
        each["id"] = "same"
    return notebook


def set_of(notebook, **metadata):
    notebook["metadata"].update(metadata)
    return notebook


def stale(notebook):
    for each in notebook["cells"]:
        if each["cell_type"] == "code":
            data = {"text/plain": "999", "text/html": "<b>999</b>"}
            each["outputs"] = [{"output_type": "execute_result", "data": data, "execution_count": 7, "metadata": {}}]
            each["execution_count"] = 7
    return notebook


def huge(notebook):
    at(notebook, "gaps")["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 12_000_000}]
    return notebook


def of_kind(notebook, name, kind):
    found = at(notebook, name)
    found["cell_type"] = kind
    for key in ("outputs", "execution_count"):
        found.pop(key, None)
    return notebook


def edited(notebook, name, text):
    at(notebook, name)["source"] = text
    return notebook


def handed_on(notebook):
    """The answer stands in a cell of the student's own, and the cell for it is gone."""
    answer = at(notebook, "gaps")["source"]
    where = notebook["cells"].index(at(notebook, "gaps"))
    notebook["cells"][where] = cell("code", answer)
    return notebook
