"""Every assignment's source, with its answers in place, runs from top to end and earns every point it offers."""

import json
import os
import re
import subprocess
import sys

import pytest

from labkit import grading, pairs
from labkit.grading import draw

SOURCES = [p for p in pairs.scripts() if p.parent.name != "notebooks"]
RUN = """
import json, runpy, sys, warnings
import matplotlib; matplotlib.use("Agg")
runpy.run_path(sys.argv[1])
from labkit import grading
print("\\nREPORTS", json.dumps([report.record() for report in grading.REPORTS]))
"""


def prefix(source):
    return source.stem.partition("_")[0]


def exercises(source):
    draw.load(prefix(source))
    return [each for name, each in grading.EXERCISES.items() if name.startswith(f"{prefix(source)}.")]


def cells(source, kind):
    """Cells whose `nbgrader` metadata says so, by id."""
    every = [cell for cell in pairs.read(source).cells if cell.metadata.get("nbgrader", {}).get(kind)]
    return {cell.metadata["nbgrader"]["grade_id"]: cell for cell in every}


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_the_answers_earn_every_point(source):
    environment = {**os.environ, "LABKIT_SMOKE": "1", "LABKIT_STATIC": "1", "PYTHONWARNINGS": "error::UserWarning:__main__"}
    ran = subprocess.run(
        [sys.executable, "-c", RUN, str(source)], capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    reports = json.loads(ran.stdout.rpartition("REPORTS ")[2])
    assert {r["exercise"] for r in reports} == {exercise.name for exercise in exercises(source)}
    for report in reports:
        assert report["earned"] == report["points"], report


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_every_exercise_has_its_cells_and_its_points(source):
    solutions, grades = cells(source, "solution"), cells(source, "grade")
    for exercise in exercises(source):
        assert exercise.function in solutions, f"no cell for the answer to {exercise.name}"
        cell = grades[exercise.grade_id]
        assert cell.source.strip() == f'grading.check("{exercise.name}", {exercise.function})'
        assert cell.metadata["nbgrader"]["points"] == exercise.points, f"{exercise.name} has {exercise.points:g} points"
    automatic = {id for id in grades if id not in solutions}
    assert automatic == {exercise.grade_id for exercise in exercises(source)}


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_the_cells_are_what_nbgrader_takes(source):
    notebook = pairs.read(source)
    marked = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    ids = [cell.metadata["nbgrader"]["grade_id"] for cell in marked]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[\w-]+", each) for each in ids)
    for cell in marked:
        assert set(cell.metadata["nbgrader"]) <= {"grade", "grade_id", "locked", "points", "schema_version", "solution", "task"}
        if cell.metadata["nbgrader"]["solution"]:
            assert cell.source.count("### BEGIN SOLUTION") == cell.source.count("### END SOLUTION") >= 1, cell.source
    others = [cell for cell in notebook.cells if not cell.metadata.get("nbgrader", {}).get("solution")]
    assert not any("SOLUTION" in cell.source for cell in others)


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_the_points_of_the_parts_are_told_at_the_top(source):
    points = sum(cell.metadata["nbgrader"]["points"] for cell in cells(source, "grade").values())
    rows = re.findall(r"\| *([\d. +]+) *\|$", pairs.read(source).cells[0].source, re.MULTILINE)
    assert sum(float(each) for row in rows for each in row.split("+")) == points
