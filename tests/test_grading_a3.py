"""a3: right answers keep their points, wrong ones lose theirs and are known by name; and the runs support what we say."""

import numpy as np
import pytest
from grading_cases import everything
from right.a3 import RIGHT

from labkit import grading, results
from labkit.training import call

globals().update(everything("a3", RIGHT))


def test_the_plane_is_what_its_recipe_makes():
    stored = results.load("course_plane")
    assert len(stored["seed"]) == 54
    made = results.compute("course_plane", losses=[call("align_uniform", weight=1.0)], strengths=[1.0], seeds=[100])
    row = (
        (stored["loss"] == "align_uniform") & (stored["option"] == 1.0) & (stored["strength"] == 1.0) & (stored["seed"] == 100)
    )
    assert row.sum() == 1
    for name in ("alignment", "uniformity", "kNN", "probe"):
        assert made[name][0] == pytest.approx(stored[name][row][0], abs=0.02), name


def test_the_places_are_what_their_recipe_makes():
    stored, made = results.load("course_places"), results.compute("course_places", kinds=["untrained network"], seeds=[101])
    at = stored["kinds"].tolist().index("untrained network"), stored["seeds"].tolist().index(101)
    assert np.array_equal(made["labels"], stored["labels"])
    assert np.abs(made["z"][0, 0].astype(int) - stored["z"][at]).max() <= 2


@pytest.mark.parametrize("variant", ["practice", "2026", "2027", "a student", "another"])
def test_the_sentences_have_the_same_verdict_in_every_variant(variant):
    verdicts = {name: said["supported"] for name, said in grading.find("a3.sentences")(variant).items()}
    assert [name for name, supported in verdicts.items() if supported] == ["sum, kNN, pooled", "uniformity, kNN, pooled"]


def test_letters_differ_between_variants_and_hold_every_name():
    answers = [grading.find("a3.places")(str(year)) for year in range(2026, 2034)]
    assert all(sorted(answer) == list("ABCDE") and len(set(answer.values())) == 5 for answer in answers)
    assert len({tuple(answer.values()) for answer in answers}) > 4
