"""Rows of several processes: the loss and its gradient are those of one process, with 2, 3 and 4 of them and uneven rows."""

import json
from pathlib import Path

import pytest
import torch
from ranks import launch, losses

from labkit import gather
from labkit.losses import nt_xent

EXACT = {"float32": 1e-6, "float64": 1e-12}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """All checks, in one set of four processes."""
    folder = tmp_path_factory.mktemp("ranks")
    launch(Path(__file__).with_name("ranks.py"), 4, folder)
    return json.loads((folder / "found.json").read_text())


def near(told, tolerance):
    assert told["value"] <= tolerance
    assert told["gradient"] <= 2 * tolerance
    assert abs(told["cosine"] - 1) <= tolerance
    assert abs(told["ratio"] - 1) <= tolerance


@pytest.mark.parametrize("name", [entry.name for entry in losses(True)])
def test_a_loss_in_tiles_is_that_of_one_process(found, name):
    told = {case: t for case, t in found["tiled"].items() if case.split()[0] == name}
    assert len(told) >= 4
    for case, t in told.items():
        near(t, EXACT[case.split()[1]])


def test_so_is_the_gradient_of_the_temperature(found):
    assert found["temperatures"]
    for case, told in found["temperatures"].items():
        assert told["temperature"] <= 1e-11, case
        assert told["gradient"] <= 1e-11, case
        assert told["value"] <= 1e-12, case


def test_any_other_loss_is_exact_with_all_rows_gathered(found):
    assert {"vicreg", "barlow_twins", "spectral", "simsiam"} <= set(found["others"])
    for told in found["others"].values():
        near(told, 1e-11)


@pytest.mark.parametrize("what", ["same", "flat", "first", "second", "pair"])
def test_rows_come_in_order_with_their_gradient_to_any_order(found, what):
    assert found["rows"][what]


def test_what_is_often_done_instead_is_wrong(found):
    """The tests above can fail: these variants do."""
    wrong = found["wrong"]
    assert wrong["local"]["cosine"] < 0.99
    assert wrong["anchors"]["cosine"] < 0.999
    assert abs(wrong["detached"]["ratio"] - 1 / 4) < 1e-9
    assert abs(wrong["averaged"]["ratio"] - 1 / 4) < 1e-9
    assert all(wrong[way]["value"] < 1e-12 for way in ("anchors", "detached", "averaged"))  # nothing is seen in the loss


def test_torchs_own_ddp_takes_the_step_of_one_process(found):
    assert found["ddp"]["across"] <= 1e-12
    assert found["ddp"]["rows"] <= 1e-12


def test_the_ring_never_holds_everyones_rows(found):
    assert 0 < found["narrow"]["rows"] <= found["narrow"]["everyone"] / 2


def test_it_refuses_what_would_be_wrong(found):
    for rank, said in enumerate(found["refusals"]):
        assert "vicreg" in said["batch"] and "gather.rows" in said["batch"]
        assert "cpo" in said["pairs"]
        assert "same kind of rows" in said["kinds"]
        assert "second derivative" in said["twice"]
        assert ("no member" in said["outside"] or "must hold this process" in said["outside"]) == (rank > 1)


def test_alone_nothing_changes():
    z1, z2 = torch.randn(5, 3), torch.randn(5, 3)
    assert gather.rows(z1) is z1
    with gather.across():
        assert gather.active() is None
        assert torch.equal(nt_xent(z1, z2), nt_xent(z1, z2))
