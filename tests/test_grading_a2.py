"""a2: right answers keep their points, wrong ones lose theirs and are known by name; and the held-back runs say what we say."""

import numpy as np
import pytest
import torch
from grading_cases import everything
from right.a2 import RIGHT

from labkit import grading, results
from labkit.directions import unit
from labkit.grading.a2.runs import few_label_accuracy, shots
from labkit.grading.draw import Draw

globals().update(everything("a2", RIGHT))


def test_the_held_back_runs_are_what_their_recipe_makes():
    stored = results.load("course_temperature")
    made = results.compute("course_temperature", kinds=["nested"], temperatures=[1.0], seeds=[103])
    at = stored["temperatures"].tolist().index(1.0), stored["seeds"].tolist().index(103)
    assert np.array_equal(made["nested_labels"], stored["nested_labels"])
    assert made["nested_loss"][0, 0] == pytest.approx(stored["nested_loss"][at], abs=0.01)
    ours, theirs = (unit(torch.tensor(z, dtype=torch.float64)) for z in (made["nested_z"][0, 0], stored["nested_z"][at]))
    assert (ours @ ours.T - theirs @ theirs.T).abs().max() < 0.2  # another number of threads rounds otherwise


@pytest.fixture(scope="module")
def held():
    """Accuracies (temperatures, seeds) of all stored runs, by kind, over many draws of labels."""
    stored, found = results.load("course_temperature"), {}
    for kind in ("digits", "nested"):
        labels = torch.from_numpy(stored[f"{kind}_labels"].astype("int64"))
        labelled, z = shots(Draw(0, kind), labels, 100), torch.tensor(stored[f"{kind}_z"], dtype=torch.float64)
        found[kind] = np.array([[few_label_accuracy(one, labels, labelled) for one in row] for row in z])
    return stored["temperatures"].tolist(), found


def test_the_two_data_sets_want_opposite_temperatures(held):
    temperatures, found = held
    best = {kind: {temperatures[k] for k in table.argmax(0)} for kind, table in found.items()}
    assert best["digits"] <= {0.5, 1.0} and best["nested"] == {0.05}  # at every seed
    cold, warm = temperatures.index(0.05), temperatures.index(0.5)
    assert (found["digits"][warm] - found["digits"][cold]).min() > 0.1
    assert (found["nested"][cold] - found["nested"][warm]).min() > 0.4


def test_the_lowest_loss_names_the_lowest_temperature_whatever_the_data():
    stored = results.load("course_temperature")
    for kind in ("digits", "nested"):
        assert set(stored[f"{kind}_loss"].argmin(0).tolist()) == {stored["temperatures"].argmin()}


@pytest.mark.parametrize("variant", ["practice", "2026", "a student"])
def test_what_the_notebook_says_about_pushes(variant):
    mine, own_push = grading.given("a2", variant), grading.find("a2.own_push")
    for kind, gap in (("digits", 0.02), ("nested", 0.03)):
        runs = sorted(getattr(mine, kind), key=lambda run: (run["seed"], abs(run["temperature"] - 0.5)))[:5]
        weighed, trained = (dict(zip((r["temperature"] for r in runs), own_push(runs, how), strict=True)) for how in HOWS)
        if kind == "digits":
            assert all(weighed[t] - trained[t] > gap for t in (0.05, 0.1, 0.2))
        else:
            assert all(abs(weighed[t] - trained[t]) < gap for t in weighed) and trained[0.05] > 0.99


HOWS = ("re-weigh", "re-train")
