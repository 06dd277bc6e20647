"""The held-back runs of a8: what is stored is what the recipe makes, and is what its assignment says of it."""

import numpy as np
import torch

from labkit import results
from labkit.grading.a8.inputs import learned
from labkit.recipes import course_displacement as recipe


def test_a_slice_of_the_stored_runs_is_made_again():
    kept = results.load("course_displacement")
    made = results.compute(
        "course_displacement", seeds=[40], suffixes=["same suffix"], parts=["all"], losses=["DPO"], models=[40]
    )
    rows = np.flatnonzero((kept["seed"] == 40) & (kept["suffix"] == "same suffix") & (kept["part"] == "all"))
    for name in ("ratio", "ches", "change", "margin", "account"):
        np.testing.assert_allclose(made[name], kept[name][rows], atol=0.02)
    n = made["courses"].shape[-1]
    np.testing.assert_allclose(made["courses"][0, 0], kept["courses"][0, 0, :, :n], atol=0.02)
    np.testing.assert_allclose(made["weights_40"], kept["weights_40"], atol=0.02)
    np.testing.assert_allclose(made["closed"], kept["closed"][np.isin(kept["opened_run"], rows)], atol=0.1)


def test_its_seeds_are_those_of_no_lesson():
    assert min(recipe.SEEDS) > 12 and set(recipe.MODELS) <= set(recipe.SEEDS)


def test_the_stored_weights_are_a_policy_that_knows_the_language():
    weights = learned(recipe.MODELS[0])
    assert all(x.dtype == torch.float64 for x in weights.values())
    opener = torch.tensor(results.load("course_displacement")["opened"][0], dtype=torch.float64).softmax(-1).mean(0)
    assert abs(opener[1] - 0.88) < 0.06 and abs(opener[0] - 0.1) < 0.05


def test_held_back_runs_say_what_the_assignment_lets_its_readers_find():
    kept = results.load("course_displacement")
    fell = kept["change"] < 0
    right = {o: ((kept["ratio"] > 1) == fell)[kept["optimizer"] == o].mean() for o in ("SGD", "Adam")}
    assert right["SGD"] > 0.9 > 0.65 > right["Adam"]
    assert ((kept["account"] < 0) == fell).all()  # the account of the real updates is never wrong about the sign
    assert np.abs(kept["account"] - kept["change"]).max() < 0.05
