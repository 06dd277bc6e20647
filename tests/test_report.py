"""From what a reader has to a report, end to end: every number beside its floor, the same bytes twice, nothing made up."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import labkit
from labkit.cli import main
from labkit.report import SECTIONS


def clouds(n=300, d=16, classes=3, noise=0.3, seed=0):
    """Two views of rows in a few classes, and the classes."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=draw)
    rows = torch.randn(classes, d, generator=draw)[labels] + 0.7 * torch.randn(n, d, generator=draw)
    z1, z2 = (rows + noise * torch.randn(n, d, generator=draw) for _ in range(2))
    return z1, z2, labels


@pytest.fixture(scope="module")
def healthy():
    z1, z2, labels = clouds()
    return labkit.report(z1, z2, labels=labels, name="clouds")


def test_every_number_stands_beside_its_interval_its_rows_and_its_floor(healthy):
    assert [section.key for section in healthy.sections] == list(SECTIONS)
    names = [number.name for number in healthy.numbers]
    assert len(names) == len(set(names)) > 20
    for number in healthy.numbers:
        value, low, high = number.estimate
        assert low <= value <= high and all(map(math.isfinite, number.estimate)), number
        assert number.n >= 2 and number.nulls and all(map(math.isfinite, number.floor.estimate)), number
        assert len(number.card.means) > 20 and len(number.card.implies_not) > 20, number.card


def test_healthy_rows_raise_no_alarm(healthy):
    assert not healthy.alarms
    assert "no alarm" in str(healthy).lower()


def test_what_was_not_given_is_said_and_not_made_up():
    z1, _, _ = clouds()
    found = labkit.report(z1)
    needs = {missing.meter: missing.needs for missing in found.missing}
    assert "z2" in needs["alignment"] and "labels" in needs["knn_accuracy"] and "z2" in needs["modality_gap"]
    assert not {"alignment", "knn_accuracy", "modality_gap"} & {number.meter for number in found.numbers}
    with pytest.raises(KeyError, match=r"alignment.*needs.*z2"):
        found["alignment"]
    with pytest.raises(KeyError, match=r"there are .*z1\.uniformity"):
        found["niceness"]


def test_files_and_tensors_give_the_same_report(healthy, tmp_path):
    z1, z2, labels = clouds()
    for name, rows in (("z1", z1), ("z2", z2), ("y", labels)):
        np.save(tmp_path / f"{name}.npy", rows.numpy())
    read = labkit.report(tmp_path / "z1.npy", str(tmp_path / "z2.npy"), labels=tmp_path / "y.npy")
    assert [number.estimate for number in read.numbers] == [number.estimate for number in healthy.numbers]
    assert [each.sha256 for each in read.given] == [each.sha256 for each in healthy.given]


def test_the_same_input_gives_the_same_bytes(healthy, tmp_path):
    z1, z2, labels = clouds()
    again = labkit.report(z1, z2, labels=labels, name="clouds")
    first, second = (each.save(tmp_path / name) for each, name in ((healthy, "a"), (again, "b")))
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert {"report.html", "report.json", "numbers.csv"} <= {str(path) for path in files}
    for path in files:
        if path.suffix != ".pdf":
            assert (first / path).read_bytes() == (second / path).read_bytes(), path
    other = labkit.report(z1, z2, labels=labels, name="clouds", seed=1)
    assert json.loads((first / "report.json").read_text())["seed"] == 0
    assert [n.estimate.low for n in other.numbers] != [n.estimate.low for n in healthy.numbers]


def test_an_untrained_model_stands_beside_the_trained_one():
    z1, z2, labels = clouds()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    found = labkit.report(model(z1).detach(), model(z2).detach(), labels=labels, model=model, inputs=z1)
    beside = {number.meter: [null.name for null in number.nulls] for number in found.numbers if number.of == "z1"}
    assert all("untrained" in beside[meter] for meter in ("uniformity", "effective_rank", "knn_accuracy"))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    with pytest.raises(ValueError, match="model and inputs belong together"):
        labkit.report(z1, model=model)
    with pytest.raises(ValueError, match="no layer with reset_parameters"):
        labkit.report(z1, model=nn.Identity(), inputs=z1)
    with pytest.raises(ValueError, match=r"inputs must be those of z1's 300 rows, got 299"):
        labkit.report(z1, model=model, inputs=z1[1:])


def test_pairs_at_chance_alarm_where_both_views_are_of_one_space():
    draw = torch.Generator().manual_seed(0)
    space = torch.randn(24, 24, generator=draw) * torch.linspace(3, 0.2, 24)[:, None]
    z1, noise = (torch.randn(400, 24, generator=draw) @ space for _ in range(2))
    z2 = 0.3 * z1 + noise  # alike, but too little for anybody to find a partner
    order = torch.randperm(400, generator=draw)

    def said(a, b):
        return [(f.code, f.alarm) for f in labkit.report(a, b).findings if "pairs" in f.code]

    assert said(z1, z2) == []
    assert said(z1, z2[order]) == [("shuffled-pairs", True)]
    assert said(*torch.randn(2, 400, 24, generator=draw)) == [("shuffled-pairs", False)]


def test_a_run_brings_all_that_it_has():
    run = labkit.fit(labkit.Config(steps=4, batch=64, augment=labkit.call("digits")), progress=False)
    found = labkit.report(run, name="four steps")
    assert [each.name for each in found.given] == ["z1", "z2", "untrained", "labels"] and found.name == "four steps"
    assert "untrained" in [null.name for null in found["z1.uniformity"].nulls]
    plain = labkit.report(labkit.fit(labkit.Config(steps=4, batch=64), progress=False))
    assert [each.name for each in plain.given] == ["z1", "untrained", "labels"]
    with pytest.raises(ValueError, match="keeps no model"):
        labkit.report(labkit.Run.from_logs([{"step": 1, "loss": 2.0}]))


def test_a_sample_is_drawn_and_its_size_is_said():
    z1, z2, labels = clouds(n=600)
    found = labkit.report(z1, z2, labels=labels, sample=128)
    assert (found.sampled.n, found.sampled.total) == (128, 600)
    assert "128 of 600" in str(found)
    assert found["alignment"].n == 128
    assert labkit.report(z1, z2, sample=128, seed=1)["alignment"].value != found["alignment"].value


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"sample": 3}, ValueError, "sample must be 16 or more"),
        ({"sample": 100.0}, TypeError, "sample must be a whole number"),
        ({"seed": -1}, ValueError, "seed must be 0 or more"),
        ({"labels": torch.zeros(7)}, ValueError, "labels"),
        ({"z2": torch.randn(7, 16)}, ValueError, "z2"),
        ({"untrained": torch.randn(7, 16)}, ValueError, "untrained must have a row for each of the 300"),
        ({"groups": "nowhere.npy"}, FileNotFoundError, "groups"),
    ],
)
def test_what_does_not_fit_is_named(wrong, error, says):
    z1, z2, labels = clouds()
    with pytest.raises(error, match=says):
        labkit.report(z1, **{"z2": z2, "labels": labels, **wrong})


def test_from_the_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    z1, z2, labels = clouds()
    for name, rows in (("z1", z1), ("z2", z2), ("y", labels)):
        np.save(f"{name}.npy", rows.numpy())
    assert main(["report", "z1.npy", "z2.npy", "--labels", "y.npy", "--check", "uniformity<-1", "alarms==0"]) == 0
    said = capsys.readouterr().out
    assert "uniformity" in said and "report.html" in said
    assert (tmp_path / "build" / "report" / "z1" / "report.html").exists()
    assert main(["report", "z1.npy", "--out", "there", "--check", "uniformity<-100"]) == 1
    assert "uniformity" in capsys.readouterr().out
    assert main(["report", "z1.npy", "--check", "uniformity"]) == 2
    assert "--check must be a meter and a bound" in capsys.readouterr().err
    assert main(["report", "nothing.npy"]) in (1, 2)
    assert "nothing.npy" in capsys.readouterr().err
