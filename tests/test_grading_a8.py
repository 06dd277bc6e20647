"""The eighth assignment: right answers keep their points, and each mistake loses exactly its own."""

import math

import pytest
from grading_cases import SEEDS, everything, graded
from right.a8 import RIGHT

from labkit import grading

globals().update(everything("a8", RIGHT))


@pytest.mark.parametrize("seed", SEEDS)
def test_nan_is_not_none(seed):
    """A loss that does not win the margin has no number, and NaN is one; that costs the part about it and nothing else."""
    exercise = grading.find("a8.at_equal_margin")

    def answer(courses, margin, least):
        found = exercise.right(courses, margin, least)
        return {name: row | {"change": math.nan if row["change"] is None else row["change"]} for name, row in found.items()}

    report = graded(exercise, answer, seed)
    assert [part.name for part in report.parts if not part.passed] == ["refusals"] and not report.mistakes
    assert "None is asked for" in str(report)
