"""The collapse clinic: its diseases are real, its meters tell them apart, and its explorer gives nothing away too early."""

import itertools
import json
from dataclasses import replace

import javascript
import numpy as np
import pytest
import torch

from labkit import results
from labkit.directions import unit
from labkit.explorers import clinic as make
from labkit.explorers import page
from labkit.explorers.clinic_words import NAMES, SIGNS, UNAWARE, WHY
from labkit.losses import nt_xent
from labkit.recipes import clinic, clinic_machine, clinic_runs
from labkit.recipes.clinic_runs import METERS, SNAPSHOTS, Patient

STORED = {"clinic": clinic.EXERCISE, "clinic_graded": clinic.GRADED}
DRAW = torch.Generator().manual_seed


@pytest.fixture(scope="module")
def explorer():
    return make()


def views(n=40, d=8, seed=0):
    z = torch.randn(n, d, generator=DRAW(seed))
    return z, z + 0.3 * torch.randn(n, d, generator=DRAW(seed + 1))


# ---------------------------------------------------------------- the diseases are what they are called


def test_half_precision_is_the_formula_until_it_overflows():
    z1, z2 = views()
    assert clinic_runs.naive(z1, z2, 0.5).item() == pytest.approx(nt_xent(z1, z2, temperature=0.5).item(), abs=0.01)
    near = unit(1 + 0.01 * z1)  # a cone, as every network begins with one
    assert near[0] @ near[1] > 0.99
    assert 79 * np.exp(0.99 / 0.14) > 65504 > np.exp(1 / 0.14)  # the sum is too large, no part of it is
    assert clinic_runs.naive(near, near, 0.14) == torch.inf
    assert nt_xent(near, near, temperature=0.14) < 5


@pytest.mark.parametrize(("temperature", "finite"), [(0.14, True), (0.085, False)])
def test_an_infinite_sum_takes_the_push_away_and_an_infinite_part_takes_everything(temperature, finite):
    z = unit(1 + 0.01 * views()[0]).requires_grad_()
    partner = unit(1 + 0.01 * views()[1])
    clinic_runs.naive(z, partner, temperature).backward()
    assert z.grad.isfinite().all() == finite
    if finite:
        pull = torch.autograd.grad(-(unit(z) * unit(partner)).sum(1).mean() / temperature, z)[0]
        torch.testing.assert_close(z.grad, pull, atol=2e-2 * pull.abs().max().item(), rtol=0)


def test_forgetting_to_normalise_changes_nothing_for_unit_rows_and_rewards_length():
    z1, z2 = (unit(z) for z in views())
    torch.testing.assert_close(clinic_runs.unnormalized(z1, z2, 0.5), nt_xent(z1, z2, temperature=0.5))
    assert clinic_runs.unnormalized(3 * z1, 3 * z1, 0.5) < nt_xent(z1, z1, temperature=0.5)


def test_without_the_stopped_gradient_the_value_is_the_same_and_the_gradient_reaches_z():
    model = clinic_runs.network(Patient(objective="simsiam"))
    z1, z2 = (torch.randn(10, 32, generator=DRAW(k), requires_grad=True) for k in (0, 1))
    with_stop = clinic_runs.loss_of(Patient(objective="simsiam"), model, z1, z2)
    without = clinic_runs.loss_of(Patient(objective="simsiam", stop_gradient=False), model, z1, z2)
    torch.testing.assert_close(with_stop, without)
    with_stop, without = (torch.autograd.grad(each, z2)[0] for each in (with_stop, without))
    assert (with_stop - without).norm() > 0.1 * with_stop.norm()


def test_the_leak_tells_the_class_and_nothing_else_changes():
    data = clinic_runs.digits("train")
    marked, plain = clinic_runs.seen(data.x, data.y, True), clinic_runs.seen(data.x, data.y, False)
    rows = torch.cat([marked[:, 0, 0], marked[:, 0, 7]], dim=1)
    codes, number = rows.unique(dim=0, return_inverse=True)
    assert len(codes) == 10
    assert all(len(number[data.y == k].unique()) == 1 for k in range(10))
    assert torch.equal(marked[:, :, 1:7], plain[:, :, 1:7])
    assert torch.equal(plain, data.x)


def test_loaders_and_views_are_what_they_are_called():
    labels = clinic_runs.digits("train").y
    shuffled, copies, single = (
        clinic_runs.drawn(Patient(loader=loader, batch=96), DRAW(0)) for loader in ("shuffled", "copies", "one class")
    )
    assert [len(rows.unique()) for rows in (shuffled, copies, single)] == [96, 6, 96]
    assert len(labels[single].unique()) == 1
    first, second = clinic_runs.pairs(Patient(views=0.0), shuffled, DRAW(0))
    assert torch.equal(first, second)
    first, second = clinic_runs.pairs(Patient(), shuffled, DRAW(0))
    assert not torch.equal(first, second)


def test_a_disease_differs_from_healthy_in_its_own_settings_only():
    for label, (among, differs) in clinic.DISEASES.items():
        for seed in range(6):
            found = clinic.patient(label, seed)
            assert found.objective in [clinic.OBJECTIVES[name]["objective"] for name in among]
            for name, value in differs.items():
                assert (
                    (value[0] <= getattr(found, name) <= value[1])
                    if isinstance(value, tuple)
                    else getattr(found, name) == value
                )
            free = {name: getattr(found, name) for name in ("loader", "stop_gradient", "variance", "normalize", "leak", "half")}
            assert {k: v for k, v in free.items() if k not in differs} == {
                k: getattr(Patient(), k) for k in free if k not in differs
            }


# ---------------------------------------------------------------- stored runs


@pytest.mark.parametrize(("name", "place"), [("clinic", 1), ("clinic", 8), ("clinic_graded", 0)])
def test_stored_patients_are_what_their_recipe_makes(name, place):
    """The first 16 steps again; other processors round otherwise, and steps let that grow a little."""
    stored, steps = results.load(name), SNAPSHOTS[:5]
    made = clinic.measured([clinic.patient(*STORED[name][place])], "again", steps)
    np.testing.assert_allclose(made["curves"][0], stored["curves"][place, :, :5], rtol=0.02, atol=2e-3)
    assert len(stored["curves"]) == len(STORED[name])


def test_the_stored_seeds_are_of_the_same_making():
    stored = results.load("clinic_seeds")
    assert len(stored["curves"]) == 20 * (12 + len(clinic.OBJECTIVES))
    row = int(np.flatnonzero((stored["label"] == clinic.LABELS.index("label leak")) & (stored["seed"] == 3))[0])
    made = clinic.measured([clinic.patient("label leak", 3)], "again", SNAPSHOTS[:4])
    np.testing.assert_allclose(made["curves"][0], stored["curves"][row, :, :4], rtol=0.02, atol=2e-3)


def test_four_digits_are_kept():
    values = np.array([123456.0, -0.000123456, 0.0, np.inf, np.nan])
    np.testing.assert_allclose(clinic.shortened(values), [123500, -0.0001235, 0, np.inf, np.nan], rtol=1e-6)


def test_every_disease_is_recognised_by_its_meters():
    """A machine that has seen ten seeds of each tells the other ten apart; what it cannot, the clinic may not ask."""
    table = clinic_machine.confusion()
    np.testing.assert_allclose(table.sum(1), 1)
    worst = dict(zip(clinic.LABELS, table.diagonal(), strict=True))
    assert min(worst.values()) >= 0.9, worst


@pytest.mark.parametrize("name", STORED)
def test_the_patients_are_typical_of_what_they_have(name):
    stored, every = results.load(name), np.ones(len(results.load("clinic_seeds")["seed"]), bool)
    said = clinic_machine.machine(every).predict(clinic_machine.features(stored["curves"], stored["objective"]))
    wrong = [
        (k, label, clinic.LABELS[s])
        for k, ((label, _), s) in enumerate(zip(STORED[name], said, strict=True))
        if clinic.LABELS[s] != label
    ]
    assert not wrong


def test_exercise_and_assignment_are_other_runs():
    assert {seed for _, seed in clinic.EXERCISE}.isdisjoint(seed for _, seed in clinic.GRADED)
    assert min(seed for _, seed in clinic.EXERCISE + clinic.GRADED) >= 20  # the machine has seen none of them
    assert {label for label, _ in clinic.EXERCISE} == {label for label, _ in clinic.GRADED} == set(clinic.LABELS)


# ---------------------------------------------------------------- the assignment


def test_the_assignment_hands_out_meters_and_no_answers():
    patients = clinic.graded()
    assert sorted(patients) == list(range(1, len(clinic.GRADED) + 1))
    assert all(set(each) == {"objective", *METERS} and each["loss"].shape == (len(SNAPSHOTS),) for each in patients.values())
    assert "label" not in results.load("clinic_graded")
    told = json.dumps(page.payload(make(set="graded")))
    sentences = [*SIGNS.values(), *WHY.values()]
    assert not [words for words in (*clinic.LABELS, *sentences) if words in told and words != "healthy"]
    assert '"label leak"' in json.dumps(page.payload(make()))  # where it may stand


def test_the_checker_knows_each_graded_patient():
    for number, (label, _) in enumerate(clinic.GRADED, start=1):
        assert [other for other in clinic.LABELS if clinic.check(number, other)] == [label]


@pytest.mark.parametrize(
    ("number", "label", "words"), [(0, "healthy", "number must be 1 to 16"), (1, "flu", "label must be one of")]
)
def test_the_checker_says_what_it_expects(number, label, words):
    with pytest.raises(ValueError, match=words):
        clinic.check(number, label)


# ---------------------------------------------------------------- the explorer


def test_nothing_is_said_before_a_diagnosis(explorer):
    for patient in explorer.controls[0].options:
        shown = explorer.seen(replace(explorer.start, patient=patient))
        assert (shown["verdict"], shown["right"], shown["wrong"], shown["why"]) == ("open", "", "", "")


def test_one_diagnosis_is_right_and_only_words_depend_on_it(explorer):
    for patient, (label, _) in zip(explorer.controls[0].options, clinic.EXERCISE, strict=True):
        states = [replace(explorer.start, patient=patient, diagnosis=each) for each in explorer.controls[2].options]
        shown = {state.diagnosis: explorer.seen(state) for state in states}
        assert [name for name, each in shown.items() if each["verdict"] == "right"] == [label]
        assert shown[label]["right"] == f"✓ Right: {label}"
        wrong = next(name for name in clinic.LABELS if name != label)
        assert shown[wrong]["why"] == SIGNS[wrong]
        for name in shown[label].keys() - {"verdict", "right", "wrong", "why"}:
            np.testing.assert_array_equal(shown[label][name], shown[wrong][name])


# What a reason claims of the patient's last snapshot (p), and of the lowest and highest of the healthy runs (lo, hi).
TRUE = {
    "healthy": lambda p, lo, hi: p["spread"] > lo["spread"] / 3 and abs(p["knn_seen"] - p["knn_unseen"]) < 0.1,
    "no stop-gradient": lambda p, lo, hi: p["loss"] < lo["loss"] and p["spread"] < lo["spread"] and abs(p["weights"] - 1) < 0.1,
    "temperature far too low": lambda p, lo, hi: p["loss"] < hi["loss"] + 0.2 and p["spread"] < lo["spread"],
    "identical augmentations": lambda p, lo, hi: p["partner"] > 1 - 1e-5,
    "batch of duplicates": lambda p, lo, hi: p["loss"] > hi["loss"] and p["nearest"] > lo["nearest"] and p["knn_unseen"] > 0.85,
    "projector removed": lambda p, lo, hi: abs(p["rank_z"] - p["rank_h"]) < 0.05 and p["rank_h"] < lo["rank_h"],
    "variance term removed": lambda p, lo, hi: p["loss"] < 0.01 and p["length"] < lo["length"] / 3,
    "false negatives": lambda p, lo, hi: (
        p["loss"] > hi["loss"] and p["knn_seen"] < lo["knn_seen"] and p["knn_unseen"] < lo["knn_unseen"]
    ),
    "weight decay too high": lambda p, lo, hi: p["weights"] < lo["weights"] / 3 and p["rank_h"] < lo["rank_h"],
    "learning rate too high": lambda p, lo, hi: p["weights"] > 3 * hi["weights"] and p["rank_h"] < lo["rank_h"],
    "normalisation forgotten": lambda p, lo, hi: p["loss"] < 0 and p["knn_unseen"] > 0.85,
    "label leak": lambda p, lo, hi: p["knn_seen"] - p["knn_unseen"] > 0.04 and p["spread"] > lo["spread"] / 1.2,
    "half precision": lambda p, lo, hi: not np.isfinite(p["loss"]) and (np.isnan(p["spread"]) or p["spread"] < lo["spread"]),
}


@pytest.mark.parametrize("patient", [chr(ord("A") + k) for k in range(len(clinic.EXERCISE))])
def test_reasons_are_true(explorer, patient):
    label = clinic.EXERCISE[ord(patient) - ord("A")][0]
    shown = explorer.seen(replace(explorer.start, patient=patient, diagnosis=label))
    last, low, high = ({name: float(shown[f"{name}{end}"][-1]) for name in METERS} for end in ("", "_low", "_high"))
    assert TRUE[label](last, low, high), (label, last, low, high)
    if label == "identical augmentations":
        assert shown["partner"].min() > 1 - 1e-5
    if label == "half precision":
        assert not np.isfinite(shown["loss"][1:]).any()
        assert np.isnan(shown["spread"][1:]).all() if "After step 0" in shown["why"] else np.isinf(shown["loss"]).all()


def bands(explorer, label):
    """Of each patient who has this: the reason, and at which snapshots each meter is outside its band, and how far."""
    for k, (name, _) in enumerate(clinic.EXERCISE):
        if name != label:
            continue
        shown = explorer.seen(replace(explorer.start, patient=chr(ord("A") + k), diagnosis=label))
        beyond = {}
        for meter in METERS:
            values, low, high = (np.asarray(shown[f"{meter}{end}"], float) for end in ("", "_low", "_high"))
            beyond[meter] = np.maximum(np.maximum(low - values, values - high), 0) / (high - low + 1e-9)
        yield shown["why"], beyond


def test_what_a_leak_leaves_unmoved_is_what_never_leaves_its_band(explorer):
    reasons = []
    for why, beyond in bands(explorer, "label leak"):
        calm, _, loud = why.split("training images. ")[1].partition(" the bands")
        for meter in UNAWARE:
            assert (NAMES[meter] in calm.lower(), NAMES[meter] in loud) == (beyond[meter].max() == 0, beyond[meter].max() > 0)
        reasons.append(why)
    assert any("the loss" in why.split(" the bands")[1] for why in reasons) and any(why.endswith("bands.") for why in reasons)


def test_a_healthy_patient_is_in_the_bands_or_close_to_them(explorer):
    """As it is told: which are outside, and that by less than half a band."""
    for why, beyond in bands(explorer, "healthy"):
        told = why.split(" A look-alike")[0]
        assert all((NAMES[meter] in told) == (far[-1] > 0) and far[-1] < 0.5 for meter, far in beyond.items())
        assert f"{sum(far[-1] == 0 for far in beyond.values())} of 11 meters" in told


def test_a_step_back_is_not_told_as_time(explorer):
    """It opens at the last step, and most readers go back first."""
    for patient in explorer.controls[0].options:
        end = replace(explorer.start, patient=patient)
        back = explorer.explain(end, replace(end, snapshot=10))
        assert back.startswith("Back from step 150 to 120: there") and "spread out" not in back and "together" not in back
        forth = explorer.explain(replace(end, snapshot=10), end)
        assert forth.startswith(("Step 120 to 150", "Step 150:"))
        assert "NaN" not in back + forth


def test_a_verdict_comes_first(explorer):
    state = replace(explorer.start, patient="B", diagnosis="label leak")
    for before in (explorer.start, replace(state, snapshot=3), replace(state, patient="C")):
        assert explorer.explain(before, state).startswith("Right. Accuracy is")
        assert explorer.explain(before, replace(state, diagnosis="healthy")).startswith("Not healthy.")


def test_who_is_ill_leaves_the_bands(explorer):
    """What is said of a wrong "healthy" is true: some meter lies outside at some time, by a tenth of what is usual or more."""
    for patient, (label, _) in zip(explorer.controls[0].options, clinic.EXERCISE, strict=True):
        shown = explorer.seen(replace(explorer.start, patient=patient))
        outside = False
        for name in METERS:
            values, low, high = (shown[f"{name}{end}"] for end in ("", "_low", "_high"))
            room = 0.1 * (high - low) + 1e-3
            outside |= bool((~((values >= low - room) & (values <= high + room))).any())
        assert outside or label == "healthy", (patient, label)


def test_every_change_is_explained(explorer):
    start, said = explorer.start, set()
    for patient, snapshot, diagnosis in itertools.product(
        explorer.controls[0].options, (0, 5, 11), ("not yet", *clinic.LABELS)
    ):
        state = replace(start, patient=patient, snapshot=snapshot, diagnosis=diagnosis)
        for before in (
            start,
            state,
            replace(state, snapshot=3),
            replace(state, patient="B"),
            replace(state, diagnosis="not yet"),
        ):
            said.add(words := explorer.explain(before, state))
            assert words
            assert "{" not in words
    assert any("spread out" in words for words in said)
    assert any("draw together" in words for words in said)
    assert any("nothing in this network is a number" in words for words in said)


def test_the_browser_shows_the_same(explorer):
    states = [
        replace(explorer.start, patient=patient, snapshot=snapshot, diagnosis=diagnosis)
        for patient, snapshot, diagnosis in zip("ABEIQX", (0, 3, 5, 11, 8, 1), ("not yet", *clinic.LABELS[:5]), strict=True)
    ]
    for state, found in zip(states, javascript.shown(explorer, states), strict=True):
        expected = explorer.seen(state)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            if isinstance(value, str):
                assert found[name] == value, name
            else:
                np.testing.assert_allclose(np.array(found[name], float), np.asarray(value, float), rtol=1e-6, err_msg=name)


def test_the_page_is_light():
    assert len(make().html()) < 1_200_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"set": "homework"}, "set must be one of exercise, graded"),
        ({"patient": "Z"}, "patient must be one of 'A', 'B'"),
        ({"hide": ("x",)}, "hide"),
    ],
)
def test_errors_say_what_there_is(options, words):
    with pytest.raises(ValueError, match=words):
        make(**options)


def test_the_graded_clinic_offers_no_diagnosis():
    graded = make(set="graded", patient="3")
    assert graded.start.patient == "3"
    assert [c.name for c in graded.controls if c.hidden] == ["diagnosis"]
    assert graded.controls[2].options == ("not yet",)
