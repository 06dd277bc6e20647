"""The contract of a claim: every seed, two standard deviations, and what smoke mode leaves out."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from labkit import lessons
from labkit.lessons import CLAIMS, ClaimError, claim, scaled, seed, seeds, smoke


@pytest.fixture(autouse=True)
def _a_quiet_house(monkeypatch):
    for name in ("LABKIT_SMOKE", "LABKIT_SEED", "LABKIT_CLAIMS", "LABKIT_LESSON", "LABKIT_STATIC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(lessons, "CLAIMS", CLAIMS)
    CLAIMS.clear()


HOLD = [
    (0.3, "<", 0.5),
    (0.5, "<=", 0.5),
    (0.5, ">=", 0.5),
    (torch.tensor(0.7), ">", 0.5),
    (np.array([0.7, 0.71, 0.72]), ">", 0.5),
    ([torch.tensor(0.7), torch.tensor(0.72)], ">", 0.5),
    ((4, 4), "==", 4),
    (True, "==", True),
]
FAIL = [
    (0.5, "<", 0.5, "is not|are not"),
    (0.4, ">", 0.5, "1 of 1"),
    (math.nextafter(0.5, 1), "<=", 0.5, "1 of 1"),
    ([0.9, 0.9, 0.4], ">", 0.5, "1 of 3 values .*seed 2: 0.4"),
    ([0.51, 0.6, 0.7], ">", 0.5, "two standard deviations"),  # all pass, but the spread reaches the bound
    (3.0001, "==", 3, "1 of 1"),
]
BAD = [
    ({"value": 1, "op": "~", "bound": 0}, ValueError, "op must be one of"),
    ({"value": 1, "op": ">", "bound": 0, "kind": "feeling"}, ValueError, "kind must be"),
    ({"value": math.nan, "op": ">", "bound": 0}, ValueError, "value must be finite"),
    ({"value": [1.0, math.inf], "op": ">", "bound": 0}, ValueError, "value must be finite"),
    ({"value": 1, "op": ">", "bound": math.nan}, ValueError, "bound must be finite"),
    ({"value": [], "op": ">", "bound": 0}, ValueError, "value is empty"),
    ({"value": "many", "op": ">", "bound": 0}, TypeError, "value must be a number"),
    ({"value": None, "op": ">", "bound": 0}, TypeError, "value must be a number"),
]


@pytest.mark.parametrize("value, op, bound", HOLD)
def test_a_claim_that_holds_is_said_and_remembered(value, op, bound, capsys):
    claim("it is so", value, op, bound)
    assert "✓ it is so: " in capsys.readouterr().out
    assert CLAIMS[-1].passed and CLAIMS[-1].bound == bound


@pytest.mark.parametrize("value, op, bound, words", FAIL)
def test_a_claim_that_fails_raises_with_its_numbers_and_is_remembered(value, op, bound, words):
    with pytest.raises(ClaimError, match=words):
        claim("it is so", value, op, bound)
    assert not CLAIMS[-1].passed


def test_the_spread_decides_at_two_standard_deviations():
    claim("mean 1, sd 0.4", [0.6, 1.0, 1.4], ">", 0.19)
    with pytest.raises(ClaimError, match="two standard deviations"):
        claim("mean 1, sd 0.4", [0.6, 1.0, 1.4], ">", 0.21)


@pytest.mark.parametrize("arguments, error, words", BAD)
def test_nonsense_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        claim("it is so", **arguments)
    assert not CLAIMS


def test_smoke_mode_asserts_identities_and_orderings_but_only_measures_sizes(monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_SMOKE", "1")
    claim("large", 0.1, ">", 0.5, kind="size")
    assert "measured only" in capsys.readouterr().out
    assert not CLAIMS[-1].asserted
    for kind in ("exact", "ordering"):
        with pytest.raises(ClaimError):
            claim("large", 0.1, ">", 0.5, kind=kind)
    monkeypatch.setenv("LABKIT_SMOKE", "0")
    with pytest.raises(ClaimError):
        claim("large", 0.1, ">", 0.5, kind="size")


def test_claims_are_written_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_CLAIMS", str(tmp_path / "claims.jsonl"))
    monkeypatch.setenv("LABKIT_LESSON", "02_temperature")
    monkeypatch.setenv("LABKIT_SEED", "7")
    claim("a < b", [1.0, 2.0], "<", 9)
    with pytest.raises(ClaimError):
        claim("b < a", 9, "<", 1)
    first, second = map(json.loads, (tmp_path / "claims.jsonl").read_text().splitlines())
    assert first["seeds"] == [7, 8] and first["mean"] == 1.5 and first["lesson"] == "02_temperature" and first["passed"]
    assert not second["passed"] and second["text"] == "b < a"


def test_html_escapes_the_sentence():
    claim("<b>a</b> & b", 1, "<", 2)
    assert "&lt;b&gt;a&lt;/b&gt; &amp; b" in CLAIMS[-1]._repr_html_()


def test_modes_and_seeds(monkeypatch):
    assert not smoke() and scaled(1200, 60) == 1200 and seeds(3) == [0, 1, 2]
    monkeypatch.setenv("LABKIT_SMOKE", "1")
    monkeypatch.setenv("LABKIT_SEED", "40")
    assert smoke() and scaled(1200, 60) == 60 and seed() == 40 and seeds(2) == [40, 41]
    monkeypatch.setenv("LABKIT_SEED", "lucky")
    with pytest.raises(ValueError, match="LABKIT_SEED must be a whole number"):
        seed()


PROBE = """
import sys, time
import torch
start = time.process_time()  # of the processor: the clock on the wall depends on who else is at work
import labkit
bare = time.process_time() - start
labkit.claim, labkit.losses.nt_xent, labkit.catalog
heavy = [m for m in ("plotly", "matplotlib", "umap", "ipywidgets", "IPython") if m in sys.modules]
print(bare, time.process_time() - start, *heavy)
"""


def test_import_is_cheap_and_brings_no_drawing_library():
    def probe():
        done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=120)
        bare, used, *heavy = done.stdout.split()
        return float(bare), float(used), heavy

    tries = [probe() for _ in range(2)]
    assert min(t[0] for t in tries) < 0.05
    assert min(t[1] for t in tries) < 0.3
    assert tries[0][2] == []
