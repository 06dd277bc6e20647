"""Stored numbers that explorers and lessons show: they can be computed again, and the grids of lesson 02 hold what they say."""

import numpy as np
import pytest
import torch

from labkit import reader, results
from labkit.explorers import recompute
from labkit.explorers.grids import stored
from labkit.explorers.recompute import button as recompute_button
from labkit.recipes.temperature import METERS, TEMPERATURES, meters, recipe

on_each = pytest.mark.parametrize("data", list(TEMPERATURES))


# ---------------------------------------------------------------- stored numbers, computed again


@pytest.fixture
def counted(monkeypatch):
    """A stored result that comes out the same, and one that does not."""
    monkeypatch.setattr(results, "RESULTS", {"same": lambda: {"x": np.arange(5.0)}, "other": lambda: {"x": np.arange(5.0) * 2}})
    monkeypatch.setattr(results, "TOPICS", ())
    monkeypatch.setattr(results, "load", lambda name: {"x": np.arange(5.0), "words": np.array(["a"])})


def test_the_button_says_how_far_apart_the_numbers_lie(counted, monkeypatch):
    shown = []
    monkeypatch.setattr(reader, "live", lambda: True)
    monkeypatch.setattr(reader, "display", lambda item, text: shown.append(item))
    for name, says in (("same", "to within 1 % of their range"), ("other", "x differs from the stored numbers by up to 100 %")):
        recompute(name)
        press, said = shown[-1].children
        press.click()
        assert says in said.value and not press.disabled


def test_the_button_tells_of_a_failure(counted, monkeypatch):
    monkeypatch.setitem(results.RESULTS, "same", lambda: 1 / 0)
    press, said = recompute_button("same").children
    press.click()
    assert said.value == "ZeroDivisionError: division by zero" and not press.disabled


def test_where_nobody_can_press_the_command_is_told(counted, capsys):
    recompute("same")
    assert "python -m labkit results same" in capsys.readouterr().out
    with pytest.raises(ValueError, match="name must be one of other, same; got 'none'"):
        recompute("none")


# ---------------------------------------------------------------- the grids of lesson 02


@on_each
def test_stored_meters_are_those_of_the_stored_embeddings(data):
    grid = stored(data)
    for column, t in enumerate(grid.temperatures.tolist()):
        found = meters(*grid.views(column), torch.tensor(grid.labels, dtype=torch.long), t)
        for meter in METERS:
            assert found[meter] == pytest.approx(float(grid.meters[meter][0, column]), abs=0.02), (t, meter)


@pytest.mark.parametrize("data", ["circle", "digits"])
def test_a_slice_of_the_grid_is_found_again(data):
    """Another processor rounds differently, and 300 steps of training make something of it: the tolerance is for that."""
    column = TEMPERATURES[data].index(0.5)
    made = results.compute(f"temperature_{data}", temperatures=[0.5], seeds=[0])
    kept = results.load(f"temperature_{data}")
    assert np.array_equal(made["labels"], kept["labels"])
    for meter in (*METERS, "probe"):
        for new, old in ((0, column), (-1, -1)):  # the model trained at 0.5, and the untrained one
            assert made[meter][0, new] == pytest.approx(float(kept[meter][0, old]), abs=0.03), meter


@on_each
def test_the_grid_holds_what_its_recipe_says(data):
    grid = stored(data)
    assert tuple(grid.temperatures) == TEMPERATURES[data]
    assert grid.z1.shape == grid.z2.shape == (len(grid.temperatures), 256, grid.z1.shape[2])
    assert recipe(data, 0.2).loss.kwargs == {"temperature": 0.2}
    assert (results.shipped("results") / f"temperature_{data}.npz").stat().st_size < 500_000
