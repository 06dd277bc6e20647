"""Stored results: written whole or not at all, read back as they were, and refused by name when they do not exist."""

import json

import numpy as np
import pytest

from labkit import results


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(results, "RESULTS", {})
    monkeypatch.setattr(results, "TOPICS", ())
    results.load.cache_clear()
    yield results.RESULTS
    results.load.cache_clear()


@pytest.fixture
def kept(tmp_path, monkeypatch, registered):
    monkeypatch.setattr(results, "shipped", lambda name: tmp_path / name)
    return tmp_path / "results"


def test_arrays_come_back_as_they_were(kept):
    results.result("curve")(lambda: {"x": np.arange(3, dtype=np.uint8), "loss": np.float16([0.5, 0.25])})
    assert results.run("curve") == kept / "curve.npz"
    back = results.load("curve")
    assert back["x"].dtype == np.uint8 and back["x"].tolist() == [0, 1, 2]
    assert back["loss"].dtype == np.float16 and back["loss"].tolist() == [0.5, 0.25]
    with pytest.raises(ValueError, match="read-only"):
        back["loss"][0] = 1


def test_plain_numbers_are_kept_as_json(kept):
    results.result("table")(lambda: {"b": [1, 2.5], "a": 3})
    path = results.run("table")
    assert path.suffix == ".json" and json.loads(path.read_text()) == {"a": 3, "b": [1, 2.5]} == results.load("table")


def test_a_new_run_replaces_the_old_one_and_is_read(kept):
    values = iter([1, 2])
    results.result("value")(lambda: {"value": next(values)})
    results.run("value")
    assert results.load("value") == {"value": 1}
    results.run("value")
    assert results.load("value") == {"value": 2}


def test_the_same_numbers_make_the_same_file(kept):
    results.result("curve")(lambda: {"x": np.arange(1000)})
    assert results.run("curve").read_bytes() == results.run("curve").read_bytes()


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(kept, monkeypatch):
    results.result("value")(lambda: {"value": 1})
    path = results.run("value")

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(results.Path, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        results.run("value")
    assert [p.name for p in kept.iterdir()] == ["value.json"] and json.loads(path.read_text()) == {"value": 1}


def test_options_ask_for_a_slice(registered):
    @results.result("grid")
    def grid(temperatures=(0.1, 0.5)):
        return {"temperatures": list(temperatures)}

    assert results.compute("grid", temperatures=[0.5]) == {"temperatures": [0.5]}


def test_an_unknown_result_is_named(registered):
    results.result("grid")(dict)
    with pytest.raises(ValueError, match="one of grid; got 'gird'"):
        results.compute("gird")
    with pytest.raises(FileNotFoundError, match="python -m labkit results nowhere"):
        results.load("nowhere")


def test_every_stored_file_has_the_function_that_makes_it():
    stored = {p.stem for p in results.shipped("results").glob("*.*") if p.suffix in (".npz", ".json")}
    assert stored <= set(results.names())
