"""fit: deterministic, cached, resumable after kill -9, safe for two at once."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from labkit.paths import home
from labkit.training import Config, call, fit

SMALL = Config(
    data=call("digits"),
    model=call("mlp", width=32, out=8),
    augment=call("noise", sigma=0.2),
    loss=call("nt_xent", temperature=0.3),
    steps=12,
    batch=32,
)


@pytest.fixture(autouse=True)
def _own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))


def test_a_run_is_what_its_config_says():
    run = fit(SMALL)
    assert run.history["step"] == list(range(12))
    assert run.history["loss"][-1] < run.history["loss"][0] < run.chance
    assert run.floor < run.history["loss"][-1]
    assert list(run.snapshots) == [0, 1, 2, 4, 8, 12]
    assert run.embeddings.shape == (len(run.labels), 8)
    assert torch.equal(run.embeddings, torch.from_numpy(run.snapshots[12]["z"]))
    assert not torch.equal(run.embeddings, torch.from_numpy(run.snapshots[8]["z"]))


def test_the_same_config_gives_the_same_numbers_and_another_seed_does_not(tmp_path, monkeypatch):
    first = fit(SMALL)
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "another"))
    again, other = fit(SMALL), fit(SMALL.replace(seed=1))
    assert again.folder != first.folder
    assert again.history == first.history
    assert torch.equal(again.embeddings, first.embeddings)
    assert other.history != first.history


def test_a_run_is_trained_once(monkeypatch):
    first = fit(SMALL)
    monkeypatch.setattr("labkit.training.loop.Trainer.train", lambda *_: pytest.fail("trained again"))
    assert fit(SMALL).history == first.history
    assert fit(SMALL.replace(device="cpu")).folder == first.folder  # where it runs is not what it is


def test_fit_leaves_the_callers_random_stream_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(SMALL)
    assert torch.equal(torch.rand(3), expected)


LONG = """
    from labkit.training import Config, call, fit
    config = Config(data=call("digits"), model=call("mlp", width=32, out=8), augment=call("noise", sigma=0.2),
                    loss=call("nt_xent", temperature=0.3), optimizer=call("adam", lr=1e-3), steps={steps}, batch=64)
    run = fit(config, progress=False)
    print(run.folder, run.history["loss"], run.embeddings.sum().item())
"""


def start(steps, where):
    code = textwrap.dedent(LONG.format(steps=steps))
    environment = os.environ | {"LABKIT_HOME": str(where), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)


def answer(process):
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    return out.split(maxsplit=1)[1]


def test_killed_and_called_again_gives_the_numbers_of_an_uninterrupted_run(tmp_path):
    steps = 1500
    interrupted, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(steps, interrupted)
    deadline = time.monotonic() + 200
    while not list(interrupted.glob("runs/*/checkpoint.pt")):
        assert process.poll() is None, "it finished before its first checkpoint: raise `steps`"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (checkpoint,) = interrupted.glob("runs/*/checkpoint.pt")
    reached = torch.load(checkpoint, weights_only=True)["step"]
    assert 0 < reached < steps
    assert not list(interrupted.glob("runs/*/history.json"))
    assert answer(start(steps, interrupted)) == answer(start(steps, whole))


def test_two_processes_asking_at_once_train_it_once(tmp_path):
    both = [start(40, tmp_path), start(40, tmp_path)]
    first, second = (answer(p) for p in both)
    assert first == second
    assert len(list(tmp_path.glob("runs/*"))) == 1


def test_starting_from_another_runs_weights():
    first = fit(SMALL)
    untouched = fit(SMALL.replace(start=SMALL, steps=0))
    assert torch.equal(untouched.embeddings, first.embeddings)
    assert not torch.equal(fit(SMALL.replace(start=SMALL)).embeddings, first.embeddings)


def test_until_stops_at_a_value_of_the_history():
    full = fit(SMALL.replace(loss=call("align_uniform"), steps=8))
    ceiling = sorted(full.history["loss"])[-1]
    stopped = fit(SMALL.replace(loss=call("align_uniform"), steps=8, until=("loss", ceiling)))
    assert stopped.history["loss"][-1] >= ceiling
    assert stopped.history["loss"] == full.history["loss"][: len(stopped.history["loss"])]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": call("no_such_loss")}, "unknown loss 'no_such_loss'; there are"),
        ({"optimizer": call("adagrand", lr=1.0)}, "unknown optimizer 'adagrand'; there are adam"),
        ({"data": call("mnist-of-fashion")}, "no data set called 'mnist-of-fashion'"),
        ({"model": call("transformer9000")}, "no model called 'transformer9000'"),
        ({"batch": 1}, "n >= 2"),
    ],
)
def test_a_config_that_cannot_run_says_why(change, message):
    with pytest.raises(ValueError, match=message):
        fit(SMALL.replace(**change))


def test_bad_fields_are_refused_when_they_are_written():
    with pytest.raises(TypeError, match="steps must be a whole number"):
        Config(steps=1.5)
    with pytest.raises(ValueError, match="batch must be >= 1"):
        Config(batch=0)
    with pytest.raises(TypeError, match="loss must be a call"):
        Config(loss=3)
    with pytest.raises(TypeError, match="temperature must be a number, a word"):
        call("nt_xent", temperature=torch.tensor(0.5))
    assert Config(data="digits") == Config(data=call("digits"))


def test_a_loss_that_explodes_is_named():
    with pytest.raises((FloatingPointError, ValueError), match=r"step|NaN"):
        fit(SMALL.replace(optimizer=call("sgd", lr=1e38), steps=5))


def test_home_is_where_it_says(tmp_path):
    assert home() == tmp_path
