"""Damaged notebooks: what can be mended is mended and said, what cannot is said; answers survive, and nothing raises."""

import json

import course_cases as cases
import nbformat
import pytest
from course_cases import RIGHT, as_bytes, at

from labkit.course import reading
from labkit.course.repair import repair

WORSE = "def gaps(x, y):\n    return x"
CRLF = {name: text.replace("\n", "\r\n") for name, text in RIGHT.items()}
WIDGETS = {"application/vnd.jupyter.widget-state+json": {"state": {"a": {}}, "version_major": 2, "version_minor": 0}}


@pytest.fixture(scope="module")
def release():
    """As nbgrader makes it, without nbgrader: stubs in the place of solutions."""
    notebook = cases.source()
    for cell in notebook.cells:
        before, mark, _ = cell.source.partition("    ### BEGIN SOLUTION" if cell.cell_type == "code" else "### BEGIN")
        stub = "    # YOUR CODE HERE\n    raise NotImplementedError()" if cell.cell_type == "code" else "YOUR ANSWER HERE"
        cell.source = before + stub if mark else cell.source
    return notebook


# name: (damage, words that must be among repairs or flags, answers that are lost)
MENDED = {
    "a test deleted": (lambda n: cases.without(n, "check_tiny_gaps"), "check_tiny_gaps was deleted", ()),
    "both tests deleted": (lambda n: cases.without(n, "check_tiny_gaps", "check_tiny_scaled_mean"), "was deleted", ()),
    "all of the course's cells deleted": (
        lambda n: cases.without(n, "first", "given", "check_tiny_gaps", "check_tiny_scaled_mean"), "given was deleted", ()),
    "an answer deleted": (lambda n: cases.without(n, "gaps"), "the answer gaps is missing", ("gaps",)),
    "the imports deleted": (
        lambda n: n | {"cells": [c for c in n["cells"] if c["source"] != "import torch"]}, "is back: import torch", ()),
    "a test twice": (lambda n: cases.twice(n, "check_tiny_gaps"), "check_tiny_gaps was there 2 times", ()),
    "an answer twice, first blank": (
        lambda n: cases.twice(cases.edited(n, "gaps", at_stub("gaps")), "gaps", RIGHT["gaps"]), "gaps was there 2 times", ()),
    "an answer twice, second blank": (lambda n: cases.twice(n, "gaps", at_stub("gaps")), "gaps was there 2 times", ()),
    "an answer twice, second better": (
        lambda n: cases.twice(cases.edited(n, "gaps", WORSE), "gaps", RIGHT["gaps"]), "gaps was there 2 times", ()),
    "an answer again below its test": (
        lambda n: cases.twice(n, "gaps", WORSE, after=2), "gaps was there 2 times", ()),
    "points changed": (lambda n: cases.changed(n, "check_tiny_gaps", points=500), "(points 500)", ()),
    "a test made ungraded": (lambda n: cases.changed(n, "check_tiny_gaps", grade=False), "(grade False)", ()),
    "an answer made a test": (
        lambda n: cases.changed(n, "gaps", grade=True, solution=False, points=9), "grading data of cell gaps was changed", ()),
    "an essay made ungraded": (lambda n: cases.changed(n, "essay", grade=False, points=0), "data of cell essay", ()),
    "an unknown schema": (lambda n: cases.changed(n, "gaps", schema_version=99), "(schema_version 99)", ()),
    "a test edited": (
        lambda n: cases.edited(n, "check_tiny_gaps", "print(2)"), "own cell check_tiny_gaps was edited", ()),
    "an answer in the test's cell": (
        lambda n: cases.edited(cases.without(n, "gaps"), "check_tiny_gaps", RIGHT["gaps"]), "in a cell before it", ("gaps",)),
    "an answer moved to the end": (lambda n: cases.moved(n, "gaps", -1), "cell gaps was moved", ()),
    "a test moved to the top": (lambda n: cases.moved(n, "check_tiny_gaps", 0), "check_tiny_gaps was moved", ()),
    "an answer as text": (lambda n: cases.of_kind(n, "gaps", "markdown"), "gaps was of the kind markdown", ()),
    "an answer raw": (lambda n: cases.of_kind(n, "gaps", "raw"), "gaps was of the kind raw", ()),
    "an essay as code": (lambda n: cases.of_kind(n, "essay", "code"), "essay was of the kind code", ()),
    "a test as text": (lambda n: cases.of_kind(n, "check_tiny_gaps", "markdown"), "was of the kind markdown", ()),
    "widgets saved": (lambda n: cases.set_of(n, widgets=WIDGETS), "saved state of widgets was dropped", ()),
    "another kernel": (
        lambda n: cases.set_of(n, kernelspec={"name": "ir"}), "the kernel was ir, it is python3 again", ()),
    "another language": (lambda n: cases.set_of(n, language_info={"name": "R"}), "the language was R", ()),
    "no kernel": (lambda n: n | {"metadata": {}}, "the kernel was missing", ()),
    "metadata of another type": (lambda n: n | {"metadata": "none"}, "the kernel was missing", ()),
    "Windows line endings": (lambda n: windows(n), "Windows line endings", ()),
    "huge outputs": (cases.huge, "most of it saved outputs", ()),
    "ids all the same": (cases.same_ids, "had the id of another", ()),
    "format 4.4": (lambda n: n | {"nbformat_minor": 4}, "of format 4.4", ()),
    "format 3": (cases.of_format_3, "of format 3", ()),
    "no format said": (lambda n: {"cells": n["cells"]}, "its format was not said", ()),
    "no nbgrader data": (cases.renamed_ids, "found again by its id", ()),
    "neither data nor ids": (cases.stripped, "found again by what it defines", ()),
    "an answer in a cell of one's own": (cases.handed_on, "gaps had lost its grading data", ()),
    "cells that are none": (lambda n: n | {"cells": [None, 3, *n["cells"], {"cell_type": "magic"}]}, "of no known kind", ()),
    "sources as numbers": (lambda n: cases.edited(n, "gaps", 17), "", ("gaps",)),
    "an answer that is no text": (lambda n: cases.edited(n, "gaps", "\ud800 broken"), "", ("gaps",)),
    "variant of another year, in another hand": (
        lambda n: cases.edited(n, "given", 'VARIANT="1999"'), "worked on as variant '1999'", ()),
    "variant of somebody else": (
        lambda n: cases.edited(n, "given", 'VARIANT = "2026-bob"'), "worked on as variant '2026-bob'", ()),
}  # fmt: skip


def at_stub(name):
    return {"gaps": "def gaps(x, y):\n    # YOUR CODE HERE\n    raise NotImplementedError()"}[name]


def windows(notebook):
    for name, text in CRLF.items():
        at(notebook, name)["source"] = text
    return notebook


@pytest.mark.parametrize("name", MENDED)
def test_damage_is_mended_and_said(release, name):
    damage, says, lost = MENDED[name]
    data = as_bytes(damage(cases.answered(release, **RIGHT)))
    made = repair(data, release)
    assert says in "\n".join(made.repairs + made.flags), made
    assert made.repairs or made.flags or not says
    whole(made.notebook, release)
    for answer, text in RIGHT.items():
        assert (at(made.notebook, answer).source == text) == (answer not in lost), answer
    again = repair(nbformat.writes(made.notebook).encode(), release)
    assert (again.repairs, again.flags) == ([], []), "what was repaired needs no repair"
    assert cells(again.notebook) == cells(made.notebook)


def whole(notebook, release):
    """Every cell of the course, once, in order, as it was handed out; and a notebook that is one."""
    nbformat.validate(notebook)
    assert graded(notebook) == graded(release)
    for ours, theirs in zip(cells_of(release), cells_of(notebook), strict=True):
        assert theirs.metadata == ours.metadata and theirs.cell_type == ours.cell_type
        if not ours.metadata.nbgrader.solution:
            assert theirs.source == ours.source
    assert notebook.metadata == release.metadata
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert not any(cell.get("outputs") for cell in notebook.cells)


def cells_of(notebook):
    return [cell for cell in notebook.cells if "nbgrader" in cell.metadata]


def graded(notebook):
    return [cell.metadata.nbgrader.grade_id for cell in cells_of(notebook)]


def cells(notebook):
    return [(cell.cell_type, cell.source, cell.get("metadata")) for cell in notebook.cells]


def test_what_is_whole_stays_as_it_is(release):
    notebook = cases.answered(release, **RIGHT)
    notebook["cells"].insert(7, cases.cell("code", "mine = 1"))
    notebook["cells"].insert(7, cases.cell("markdown", "a thought of mine"))
    made = repair(as_bytes(cases.stale(notebook)), release)
    assert (made.repairs, made.flags) == ([], [])
    assert [cell.source for cell in made.notebook.cells] == [cell["source"] for cell in notebook["cells"]]
    assert not any(cell.get("outputs") for cell in made.notebook.cells)


def test_bytes_before_the_notebook(release):
    data = as_bytes(cases.answered(release, **RIGHT))
    for before, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"", "utf-16")):
        made = repair(before + data.decode().encode(encoding), release)
        assert made.repairs == ["a byte order mark was removed"] and not made.flags
        whole(made.notebook, release)
        assert at(made.notebook, "gaps").source == RIGHT["gaps"]


def test_a_file_in_latin_1(release):
    notebook = cases.answered(release, **RIGHT | {"essay": "größer"})
    made = repair(json.dumps(notebook, ensure_ascii=False).encode("latin-1"), release)
    assert "Latin-1" in made.repairs[0] and at(made.notebook, "essay").source == "größer"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "no notebook was handed in"),
        (b"", "the file is empty"),
        (b"\0" * 4096, "the file is empty"),
        (b"  \r\n", "the file is empty"),
        (b"PK\x03\x04 a zip", "the file is not a notebook"),
        (b"def gaps(x, y): ...", "the file is not a notebook"),
        (b'{"cells": [{"cell_type": "code", "sou', "the file is cut off"),
        (b'{"cells":\n<<<<<<< HEAD\n[]\n=======\n[]}', "git merge"),
        (b"[1, 2]", "not a notebook"),
        (b"17", "not a notebook"),
        (b'{"cells": []}', "holds no cells"),
        (b'{"cells": [1, "two"]}', "holds no cells"),
        (b'{"cells": {"a": 1}}', "holds no cells"),
        (b'{"worksheets": [3]}', "holds no cells"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"cells": ' + b"[" * 100_000, "nested too deep"),
    ],
)
def test_what_cannot_be_read_is_blank_and_flagged(release, data, says):
    made = repair(data, release)
    assert len(made.flags) == 1 and says in made.flags[0]
    assert cells(made.notebook) == cells(release)


def test_a_file_that_is_too_large_is_not_read(release, monkeypatch):
    monkeypatch.setattr(reading, "MOST", 1000)
    assert "more than" in repair(as_bytes(cases.answered(release)), release).flags[0]


def test_another_assignment_is_flagged(release):
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
    made = repair(nbformat.writes(other).encode(), release)
    assert "is it another one?" in made.flags[0]
    whole(made.notebook, release)


def test_cells_of_ones_own_stay_where_they_matter(release):
    """A helper above the answer that needs it stays above it when the answer is put back."""
    notebook = cases.answered(release, **RIGHT)
    where = notebook["cells"].index(at(notebook, "gaps"))
    notebook["cells"].insert(where, cases.cell("code", "def helper(a):\n    return a"))
    made = repair(as_bytes(cases.without(notebook, "check_tiny_gaps")), release)
    order = [cell.source.splitlines()[0] for cell in made.notebook.cells]
    assert order.index("def helper(a):") < order.index("def gaps(x, y):") < order.index('grading.check("tiny.gaps", gaps)')


def test_pictures_in_an_essay_stay(release):
    notebook = cases.answered(release, **RIGHT)
    at(notebook, "essay")["attachments"] = {"plot.png": {"image/png": "aGVsbG8="}, "evil": {"text/html": "<script>"}, "odd": 3}
    made = repair(as_bytes(notebook), release)
    assert at(made.notebook, "essay").attachments == {"plot.png": {"image/png": "aGVsbG8="}} and not made.repairs
    nbformat.validate(made.notebook)


def test_odd_metadata_does_no_harm(release):
    notebook = cases.answered(release, **RIGHT)
    odd = [{"tags": 5}, {"tags": ["demo", 7]}, {"nbgrader": "no"}, {"nbgrader": {"grade_id": ["gaps"], "grade": True}}, [1]]
    notebook["cells"] += [cases.cell("code", f"odd = {k}") | {"metadata": each} for k, each in enumerate(odd)]
    made = repair(as_bytes(notebook), release)
    whole(made.notebook, release)
    assert [cell.metadata for cell in made.notebook.cells[-5:]] == [{}, {"tags": ["demo"]}, {}, {}, {}]


def test_more_than_anyone_writes_is_cut_and_said(release, monkeypatch):
    notebook = cases.answered(release, **RIGHT | {"essay": "word " * 30_000})
    made = repair(as_bytes(notebook), release)
    assert len(at(made.notebook, "essay").source) == reading.TEXT and "150,000 characters" in made.repairs[0]
    monkeypatch.setattr(reading, "CELLS", 12)
    made = repair(as_bytes(cases.answered(release, **RIGHT)), release)
    assert made.repairs == ["the notebook has 13 cells; only the first 12 were read"]
