"""The precision lab: what overflows, what is stuck, and that the stable form is neither."""

import math

import numpy as np
import pytest
import torch

from labkit import explorers, losses
from labkit.explorers.precision import LOST, Precision
from labkit.recipes import precision as recipe
from labkit.recipes.precision import BROKEN, FINE, FORMS, INPUTS, OFF, STUCK, TEMPERATURES, TYPES


@pytest.fixture(scope="module")
def explorer():
    return explorers.precision()


def every(explorer, **fixed):
    """The states with these values, and what they show."""
    for state in explorer.states():
        if all(getattr(state, name) == value for name, value in fixed.items()):
            yield state, explorer.seen(state)


def test_the_stable_form_never_breaks(explorer):
    for state, shown in every(explorer, form="stable"):
        assert shown["verdict"] in (FINE, OFF), state
        assert shown["verdict"] == FINE or state.dtype == "bfloat16", state  # whose inputs have three digits


def test_what_the_stable_form_is_off_by_is_the_rounding_of_its_inputs():
    for dtype in ("float16", "bfloat16"):
        for inputs in INPUTS:
            rounded = [z.to(TYPES[dtype]).double() for z in recipe.views(inputs)]
            for temperature in TEMPERATURES:
                found = recipe.computed(dtype, "stable", inputs, temperature).value
                assert found == pytest.approx(losses.info_nce(*rounded, temperature=temperature).item(), rel=1e-3, abs=1e-6)


def test_the_stable_form_is_the_loss_of_the_library(explorer):
    for inputs in INPUTS:
        z1, z2 = recipe.views(inputs)
        for temperature in (0.001, 0.1, 1.0):
            assert recipe.exact(inputs, temperature).value == losses.info_nce(z1, z2, temperature=temperature).item()


@pytest.mark.parametrize("form", FORMS[:2])
def test_where_the_largest_logit_does_not_fit_there_is_no_gradient(explorer, form):
    over = [(s, shown) for s, shown in every(explorer, form=form) if shown["logit"] > shown["limit"]]
    assert len(over) > 50
    for state, shown in over:
        assert shown["verdict"] == BROKEN, state
        assert not math.isfinite(shown["gradient"]), state


def test_the_limits_are_those_of_the_types():
    assert {name: round(recipe.limit(name), 2) for name in TYPES} == {
        "float16": 11.09,
        "bfloat16": 88.72,
        "float32": 88.72,
        "float64": 709.78,
    }


def test_every_type_gives_birth_to_a_nan_when_the_loss_is_written_naively(explorer):
    for dtype in TYPES:
        gradients = [shown["gradient"] for _, shown in every(explorer, dtype=dtype, form="naive", inputs="random")]
        assert math.isnan(gradients[0]) and math.isfinite(gradients[-1])
        lost = np.isnan(gradients)
        assert (np.diff(lost.astype(int)) <= 0).all()  # once it is a number, it stays one


def test_eps_is_nothing_in_float16(explorer):
    """Its smallest number is 6e-8, so adding 1e-8 changes nothing."""
    for state, shown in every(explorer, dtype="float16", form="naive"):
        other = explorer.seen(Precision("float16", "log(x + eps)", state.inputs, state.temperature))
        assert shown["value"] == other["value"] or (math.isnan(shown["value"]) and math.isnan(other["value"]))


def test_eps_caps_the_loss_and_stops_the_gradient(explorer):
    stuck = [(s, shown) for s, shown in every(explorer, form="log(x + eps)", dtype="float64") if shown["verdict"] == STUCK]
    assert stuck
    for _, shown in stuck:
        assert shown["value"] == pytest.approx(-math.log(1e-8), rel=0.2) and shown["gradient"] < 0.01 * shown["true"]


def test_naive_and_stable_agree_where_nothing_is_lost():
    for inputs in INPUTS:
        for temperature in (0.1, 1.0):
            naive, stable = (recipe.computed("float64", form, inputs, temperature) for form in ("naive", "stable"))
            assert naive.value == pytest.approx(stable.value, abs=1e-10)
            torch.testing.assert_close(naive.gradient, stable.gradient, atol=1e-9, rtol=1e-9)


def test_the_table_agrees_with_the_curves(explorer):
    for state, shown in every(explorer):
        cell = list(TYPES).index(state.dtype) * len(FORMS) + FORMS.index(state.form)
        assert shown["verdicts"][cell] == shown["verdict"]
        place = TEMPERATURES.index(state.temperature)
        drawn, lost = shown["values"][place], shown["values_lost"][place]
        assert math.isfinite(drawn) == math.isfinite(shown["value"]) != math.isfinite(lost)


def test_what_is_said_holds(explorer):
    for state, shown in every(explorer):
        said = explorer.explain(state, state)
        assert f"{state.dtype}, {state.form}, temperature {state.temperature:g}" in said
        assert ("value and slope are right" in said) == (shown["verdict"] == FINE and state.form != "stable")
        assert ("is ∞, for it lies above" in said) == (state.form != "stable" and shown["logit"] > shown["limit"])
        if "fits below" in said:
            assert shown["logit"] < shown["limit"]
        if "log 0" in said:
            assert math.isinf(shown["value"])
        if "slope NaN" in said:
            assert not math.isfinite(shown["gradient"])


def test_what_is_off_is_blamed_on_what_makes_it_off(explorer):
    """Nothing is rounded away in float64; where only the slope has lost something that became 0, the value is right."""
    causes = {"eps": 0, "zero": 0, "rounding": 0}
    for state, shown in every(explorer):
        said = explorer.explain(state, state)
        assert bool(shown["cause"]) == (shown["verdict"] == OFF)
        assert ("eps itself" in said) == (shown["cause"] == "eps")
        if state.form == "stable" or shown["verdict"] != OFF:
            continue
        causes[shown["cause"]] += 1
        assert ("rounded away" in said) == (shown["cause"] == "rounding") and ("becomes 0" in said) == (
            shown["cause"] == "zero"
        )
        in_float64 = recipe.judged(
            recipe.computed("float64", state.form, state.inputs, state.temperature),
            recipe.exact(state.inputs, state.temperature),
        )
        if shown["cause"] == "eps":
            assert state.form == "log(x + eps)" and in_float64 == OFF and state.dtype != "float16"
        if shown["cause"] == "rounding":
            assert in_float64 == FINE and state.dtype != "float64"
        if shown["cause"] == "zero":
            share = recipe.computed(state.dtype, "naive", state.inputs, state.temperature)
            assert share.value == pytest.approx(shown["true"], rel=0.01)  # only the slope has lost something
    assert min(causes.values()) > 2, causes


def test_crosses_lie_where_no_number_can(explorer):
    for _, shown in every(explorer):
        for name in ("values", "slopes"):
            assert np.nanmax([*shown[name], 0]) < 0.1 * LOST and set(
                shown[f"{name}_lost"][~np.isnan(shown[f"{name}_lost"])]
            ) <= {LOST}


def test_a_change_is_named(explorer):
    start = explorer.start
    for name, value, words in (
        ("temperature", 0.1, "divided by 0.1 now"),
        ("dtype", "float32", "another type"),
        ("form", "stable", "another way"),
        ("inputs", "aligned", "Other pairs"),
    ):
        assert words in explorer.explain(start, explorer.moved(start, **{name: value}))


def test_a_start_that_does_not_exist():
    with pytest.raises(ValueError, match="dtype must be one of 'float16', 'bfloat16'"):
        explorers.precision(dtype="int8")
    with pytest.raises(ValueError, match="temperature must be a number from"):
        explorers.precision(temperature=0)
    with pytest.raises(ValueError, match="hide must name controls"):
        explorers.precision(hide=("batch",))
