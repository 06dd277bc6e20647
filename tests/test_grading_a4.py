"""a4: right answers keep their points, wrong ones lose theirs and are known by name; the ward is fair, the run recovers."""

import numpy as np
import pytest
from grading_cases import everything
from right.a4 import RIGHT, diagnosis_rules

from labkit import results
from labkit.explorers import clinic as clinic_explorer
from labkit.grading import check, given
from labkit.grading.a4 import repair, ward
from labkit.recipes import clinic, course_collapse, course_repair
from labkit.recipes.clinic_machine import features, machine

globals().update(everything("a4", RIGHT))
VARIANTS = [str(year) for year in range(2026, 2036)]


def test_a_ward_holds_every_disease_once_at_most():
    assert all(course_collapse.answer(a) == course_collapse.answer(b) for a, b in ward.PAIRS)
    assert sorted(number for pair in ward.PAIRS for number in pair) == list(range(len(course_collapse.WARD)))
    wards = [given("a4", variant).ward for variant in VARIANTS]
    assert len(set(map(tuple, wards))) == len(wards)
    for numbers in wards:
        ill = [label for label in map(course_collapse.answer, numbers) if label != "healthy"]
        assert len(numbers) == ward.BEDS and len(set(ill)) == len(ill) >= 8


def test_who_copies_last_year_loses():
    answers = [[course_collapse.answer(number) for number in given("a4", variant).ward] for variant in VARIANTS]
    agree = [sum(a == b for a, b in zip(one, other, strict=True)) for k, one in enumerate(answers) for other in answers[:k]]
    assert max(agree) <= 6 and np.mean(agree) < 2.5


def test_the_ward_is_fair():
    """A machine that has read the lesson's runs names every patient, and so do ten rules that a reader can write."""
    stored, taught = results.load("course_clinic"), machine(np.ones(len(results.load("clinic_seeds")["label"]), bool))
    said = taught.predict(features(stored["curves"], stored["objective"]))
    runs = course_collapse.beds(range(len(said)))
    for bed, (run, place) in enumerate(zip(runs.values(), said, strict=True), start=1):
        assert clinic.LABELS[place] == diagnosis_rules(bed, run) == course_collapse.answer(bed - 1)


def test_the_ward_is_not_the_lessons():
    ours = results.load("course_clinic")["curves"]
    for other in ("clinic", "clinic_graded", "clinic_seeds"):
        theirs = results.load(other)["curves"]
        assert not (ours[:, None, 9, 1:] == theirs[None, :, 9, 1:]).all(-1).any()


def test_in_the_notebook_nothing_is_told_about_single_beds():
    def same_everywhere(bed, run):
        return "label leak"

    report = check("a4.diagnosis", same_everywhere, variant="2031")
    assert report.earned == report.points and not report.mistakes
    assert [part.earned for part in report.parts[1:]] == [None] * 12
    report = check("a4.diagnosis", lambda bed, run: "tired", variant="2031")
    assert report.parts[0].earned == 0 and "it should be one of" in report.parts[0].why[0]


def test_stored_results_are_what_the_recipes_make():
    again = results.compute("course_clinic", count=2)
    stored = results.load("course_clinic")
    assert (again["answers"] == stored["answers"][:2]).all()
    np.testing.assert_allclose(again["curves"][:, :, :6], stored["curves"][:2, :, :6], rtol=0.02, atol=0.02)
    again = results.compute("course_embeddings", fates=["toy, well"], seeds=[10])
    np.testing.assert_allclose(again["toy, well"][0], results.load("course_embeddings")["toy, well"][0], rtol=0.02, atol=0.02)


def test_each_sick_run_is_sick_and_recovers():
    assert repair.WELL == course_repair.HEALTHY
    for variant in VARIANTS:
        sick, cure = given("a4", variant).sick, repair.repair(variant)
        assert course_repair.lacks(course_repair.train(sick, 1))
        assert not course_repair.lacks(course_repair.train({**sick, **cure}, 2))
    assert {repair.wrong_place(variant) for variant in VARIANTS} == set(repair.ILL)


def test_no_other_single_setting_makes_it_recover():
    for variant in VARIANTS[:4]:
        sick, place = given("a4", variant).sick, repair.wrong_place(variant)
        for other in set(sick) - {place}:
            for factor in (0.1, 10):
                assert course_repair.lacks(course_repair.train({**sick, other: factor * sick[other]}, 3)), (sick, other, factor)


def test_a_sick_run_may_have_the_highest_rank_or_the_lowest_loss():
    """So neither of the two is a way to find the repair."""
    well, thin, flat = (
        course_repair.train({**course_repair.HEALTHY, **wrong}, 4)
        for wrong in ({}, {"weight_decay": 10.0}, {"covariance": 0.0})
    )
    assert flat["loss"] < 0.1 * well["loss"] and flat["variance"] > well["variance"]
    assert thin["rank"] > 7 and thin["variance"] < 0.2 * well["variance"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({}, "one setting"),
        ([1], "one setting"),
        ({"temperature": 1.0}, "no setting 'temperature'"),
        ({"variance": -1.0}, "0 or more"),
        ({"variance": float("nan")}, "0 or more"),
        (given("a4", "2031").sick | {}, "one setting"),
    ],
)
def test_what_is_no_repair_is_said(answer, why):
    report = check("a4.repair", answer, variant="2031")
    assert report.earned == 0 and all(why in part.why[0] for part in report.parts)


def test_the_settings_are_checked():
    with pytest.raises(ValueError, match="settings must be"):
        course_repair.train({"lr": 0.1})
    with pytest.raises(ValueError, match="lr must be a number"):
        course_repair.train({**course_repair.HEALTHY, "lr": -1.0})


def test_the_explorer_shows_a_ward_in_its_beds():
    numbers = given("a4", "2031").ward
    shown = clinic_explorer(set="ward", beds=numbers)
    assert shown.controls[0].options == [str(k) for k in range(1, 13)]
    run = course_collapse.beds(numbers)[5]
    seen = shown.show(shown.start.__class__("5"))
    assert seen["objective"] == run["objective"]
    np.testing.assert_array_equal(seen["spread"], run["spread"].numpy().astype(np.float32))
    np.testing.assert_array_equal(seen["weights_low"], run["low"]["weights"].numpy().astype(np.float32))
    assert not any(label in str(shown.model) for label in ("projector removed", "half precision"))
    with pytest.raises(ValueError, match="places in the set"):
        clinic_explorer(set="ward", beds=[99])
