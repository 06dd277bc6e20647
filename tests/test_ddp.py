"""`torchrun` trains what one process trains: the same weights, taken up again by another number of processes after a death."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import ddp_ranks
import pytest
import torch

from labkit import catalog
from labkit.training import Config, Run, call, fit, parallel
from labkit.training.given import made

RANKS = Path(ddp_ranks.__file__)
RUNS = [*ddp_ranks.configs(), "own"]


def torchrun(world, home, *words, timeout=300):
    """What torchrun says, and its exit status; processes find each other on this machine alone, at a free port."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "LABKIT_HOME": str(home), "LABKIT_TYPECHECK": "0"}
    env |= {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--local-addr=127.0.0.1",
        f"--nproc_per_node={world}",
    ]
    ran = subprocess.run([*command, *map(str, words)], env=env, capture_output=True, text=True, timeout=timeout, check=False)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Three processes train all runs, and die in the last; two take that one up again."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("kept")
    code, _, said = torchrun(3, home, RANKS, folder)
    assert (folder / "runs.pt").exists(), said
    (path,) = home.glob("runs/*-shared/checkpoint.pt")
    left, checkpoint = path.parent, torch.load(path, weights_only=True)
    words = "train --data digits --augment digits --optimizer sgd lr=0.01 --batch 31 --steps 40 --seed 7".split()
    again = torchrun(2, home, "-m", "labkit", *words)
    return {
        "runs": torch.load(folder / "runs.pt"),
        "died": (code, said),
        "left": left,
        "checkpoint": checkpoint,
        "again": again,
    }


@pytest.fixture(scope="module")
def alone():
    return ddp_ranks.all_runs()


def far(weights, others):
    """The distance of two sets of weights, as a share of their length."""
    one, other = (torch.cat([w.flatten().double() for w in ws.values()]) for ws in (weights, others))
    return ((one - other).norm() / one.norm()).item()


@pytest.mark.parametrize("name", RUNS)
def test_weights_are_those_of_one_process(shared, alone, name):
    """Three uneven parts of a batch of 31, or of 7 pairs: one gradient."""
    weights, start = alone[name].model().state_dict(), alone[name].start().state_dict()
    assert list(weights) == list(shared["runs"][name]["weights"])
    assert far(weights, shared["runs"][name]["weights"]) < 1e-5
    assert far(weights, start) > 1e-3
    assert shared["runs"][name]["loss"] == pytest.approx(alone[name].history["loss"], rel=1e-5)


def test_when_one_dies_all_end(shared):
    code, said = shared["died"]
    assert code != 0
    assert "exitcode  : 9" in said


def test_two_processes_take_up_what_three_left(shared):
    code, out, said = shared["again"]
    assert code == 0, said
    assert out.count("loss ") == 1  # one of them speaks
    assert 1 <= shared["checkpoint"]["step"] < 40
    history = torch.tensor(shared["checkpoint"]["history"]["loss"])
    run = fit(ddp_ranks.INTERRUPTED, progress=False)
    other = Run.open(ddp_ranks.INTERRUPTED, shared["left"])
    assert torch.equal(torch.tensor(other.history["loss"])[: len(history)], history)
    assert far(run.model().state_dict(), other.model().state_dict()) < 1e-5
    assert sorted(other.snapshots) == sorted(run.snapshots)
    assert not (shared["left"] / "checkpoint.pt").exists()


def test_parts_are_uneven_by_one_at_most(monkeypatch):
    from labkit.gather import Group

    for world in (1, 2, 3, 4):
        parts = []
        for rank in range(world):
            monkeypatch.setattr(parallel.gather, "members", lambda rank=rank, world=world: Group(None, world, rank))
            parts.append(list(range(11))[parallel.part(11)])
        assert list(itertools.chain(*parts)) == list(range(11))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with pytest.raises(ValueError, match="batch must be at least 4"):
        parallel.part(3)


def test_batch_statistics_are_batchnorms():
    """Alone, `Synced` is BatchNorm: value, slope and what it remembers."""
    for momentum in (0.1, None):
        for shape in ((6, 3), (4, 3, 5)):
            x = torch.randn(shape, dtype=torch.float64)
            kind = torch.nn.BatchNorm1d
            layers = [kind(3, momentum=momentum, dtype=torch.float64) for _ in range(2)]
            layers[1].__class__ = parallel.Synced
            found = []
            for layer in layers:
                for scale in (1.0, 2.0):
                    leaf = (scale * x).requires_grad_()
                    (layer(leaf) ** 3).sum().backward()
                found.append((leaf.grad, layer.weight.grad, layer.running_mean, layer.running_var, layer.eval()(x)))
            for one, other in zip(*found, strict=True):
                assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)


def test_an_account_is_of_one_process():
    catalog()
    config = Config(data=call("grammar"), model=call("tiny_lm"), loss=call("dpo"), account=True)
    with pytest.raises(ValueError, match="without torchrun"):
        parallel.Shared(config, made(config), Path())
