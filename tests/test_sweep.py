"""sweep: one table, nothing finished is repeated, and a run that fails or dies is a row like the others."""

import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from labkit.metrics import uniformity
from labkit.paths import home
from labkit.sweep import Sweep, sweep, worker
from labkit.sweep import backends as places
from labkit.sweep.grid import axes, configs
from labkit.training import Config, call, fit

BASE = Config(data=call("gaussian", n=64), model=call("linear", out=4), augment="noise", loss="nt_xent", steps=3, batch=16)


@pytest.fixture(autouse=True)
def _own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))


def here(grid, over=None, **options) -> Sweep:
    return sweep(grid, over, backend="sequential", **options)


# ------------------------------------------------------------------ the grid


def test_axes_are_dotted_names_and_make_a_product():
    made = configs(BASE, {"seed": range(2), "loss.temperature": [0.1, 0.2], "model": ["linear", call("mlp", width=8)]})
    assert len(made) == len(set(made)) == 8
    assert [c.seed for c in made] == [0] * 4 + [1] * 4
    assert made[1] == BASE.replace(loss=call("nt_xent", temperature=0.1), model=call("mlp", width=8))
    assert axes(made, None) == ["model", "model.width", "loss.temperature", "seed"]


def test_a_loss_is_chosen_before_its_temperature_is_set():
    made = configs(BASE, {"loss.temperature": [0.3], "loss": ["dcl", "info_nce"]})
    assert [repr(c.loss) for c in made] == ["dcl(temperature=0.3)", "info_nce(temperature=0.3)"]


def test_numpy_values_name_the_same_runs_as_plain_ones():
    import numpy as np

    assert configs(BASE, {"loss.temperature": np.array([0.25, 0.5])}) == configs(BASE, {"loss.temperature": [0.25, 0.5]})
    assert type(configs(BASE, {"seed": np.arange(2)})[1].seed) is int


def test_a_list_of_configs_is_told_apart_by_what_differs_and_twins_are_trained_once():
    every = [BASE, BASE.replace(loss="dcl"), BASE, BASE.replace(start=BASE)]
    assert configs(every, None) == [BASE, BASE.replace(loss="dcl"), BASE.replace(start=BASE)]
    assert axes(configs(every, None), None) == ["loss", "start"]
    nested = configs(BASE.replace(start=BASE), {"start.loss.temperature": [0.1]})[0]
    assert nested.start == BASE.replace(loss=call("nt_xent", temperature=0.1))


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"temperature": [1]}, "a Config has no 'temperature'; it has data, model, loss"),
        ({"loss.temprature": [1]}, "nt_xent has no option 'temprature'; it has temperature"),
        ({"optimizer.rate": [1]}, "adam has no option 'rate'; it has lr"),
        ({"data.size": [1]}, "gaussian has no option 'size'; it has split, n, dim, seed"),
        ({"augment.zigma": [1]}, "noise has no option 'zigma'; it has sigma"),
        ({"steps.lr": [1]}, "steps is 3, which has no options"),
        ({"target.decay": [0.9]}, "target is None, which has no options"),
        ({"seed": []}, "has no values"),
    ],
)
def test_an_axis_that_is_not_there_is_refused_before_anything_is_trained(over, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        here(BASE, over)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"over": {"seed": 3}}, TypeError, "must be a list of values"),
        ({"over": {"loss": "dcl"}}, TypeError, "must be a list of values"),
        ({"over": {"steps": [0.5]}}, TypeError, "steps must be a whole number"),
        ({"meters": "knn"}, ValueError, "no meter 'knn'.* knn_accuracy"),
        ({"meters": [3]}, TypeError, "must be a function of a Run"),
        ({"meters": {"seed": len}, "over": {"seed": [0, 1]}}, ValueError, "'seed' is an axis"),
        ({"backend": "spark"}, ValueError, "backend must be one of loky, dask, ray, sequential"),
        ({"backend": "threading"}, ValueError, "share its random stream"),
        ({"jobs": 0}, ValueError, "jobs must be"),
        ({"threads": 0}, ValueError, "threads must be"),
        ({"client": "tcp://somewhere"}, ValueError, "client is for"),
        ({"name": "../x"}, ValueError, "name must be a word"),
    ],
)
def test_other_questions_without_sense_are_refused(options, error, says):
    with pytest.raises(error, match=says):
        sweep(BASE, **options)
    with pytest.raises(TypeError, match="grid must be a Config or a list of Configs"):
        sweep("digits")


def test_what_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"needs ray: pip install 'labkit\[scale\]'"):
        sweep(BASE, backend="ray")


def test_ray_is_asked_for_as_many_actors_as_have_room():
    cluster = {"CPU": 16.0, "GPU": 4.0, "memory": 1e9}
    assert places.room(cluster, {"num_cpus": 1}) == 16
    assert places.room(cluster, {"num_cpus": 3, "num_gpus": 1}) == 4
    with pytest.raises(ValueError, match="no room for one run"):
        places.room(cluster, {"num_cpus": 1, "resources": {"TPU": 1}})


# ------------------------------------------------------------------ the table


def test_the_table_has_a_row_for_each_run_with_what_it_gave():
    def rows(run):
        return {"rows": len(run.embeddings), "first": torch.tensor(run.history["loss"][0])}

    found = here(BASE, {"loss.temperature": [0.1, 1]}, meters=[rows, "uniformity", "alignment", "knn_accuracy"], name="t")
    assert found.path == home() / "sweeps" / "t" / "table.parquet"
    assert found.table.equals(importlib.import_module("pyarrow.parquet").read_table(found.path))
    runs = [fit(BASE.replace(loss=call("nt_xent", temperature=t))) for t in (0.1, 1)]
    assert found["loss.temperature"] == [0.1, 1]
    assert found["final.loss"] == [run.history["loss"][-1] for run in runs] == found.table["final.loss"].to_pylist()
    assert found["first"] == [run.history["loss"][0] for run in runs]
    assert found["uniformity"] == [float(uniformity(run.embeddings)) for run in runs]
    assert found["run"] == [run.folder.name for run in runs]
    assert found["steps"] == [3, 3]
    assert all(0 <= accuracy <= 1 for accuracy in found["knn_accuracy"])
    assert found["config"] == [run.config.text for run in runs]
    assert [run.history for run in found.runs()] == [run.history for run in runs]
    assert "loss.temperature  status" in str(found) and "<td>0.1</td>" in found._repr_html_()
    assert len(found) == 2 and not found.failed
    with pytest.raises(KeyError, match="no column 'nothing'"):
        found["nothing"]


def test_an_axis_of_numbers_and_words_is_a_column_of_words():
    found = here([BASE.replace(model=call("mlp", projector=p, width=4, out=4)) for p in (False, 8)], meters="uniformity")
    assert found["model.projector"] == [False, 8]
    assert found.table["model.projector"].to_pylist() == ["False", "8"]


def test_the_table_as_a_frame():
    pytest.importorskip("pandas")
    assert here(BASE, {"seed": range(2)}).frame().groupby("seed")["final.loss"].mean().shape == (2,)


def test_a_failure_is_a_row_and_the_others_go_on():
    grid = [
        BASE,
        BASE.replace(loss="vicreg", optimizer=call("sgd", lr=1e30)),
        BASE.replace(loss="nonsense"),
        BASE.replace(seed=1),
    ]
    found = here(grid, name="faults")
    assert found["status"] == ["done", "failed", "failed", "done"]
    assert [row["error"].partition(":")[0] for row in found.failed] == ["FloatingPointError", "ValueError"]
    assert "the loss became" in found["error"][1] and "unknown loss 'nonsense'" in found["error"][2]
    assert "2 done, 2 failed" in str(found) and len(found.runs()) == 2
    kept = json.loads(found.jobs[1].path.read_text())
    assert "Traceback" in kept["traceback"] and kept["status"] == "failed"


def test_a_meter_that_fails_keeps_what_was_trained():
    def wrong(run):
        raise RuntimeError("no ruler")

    row = here(BASE, meters=wrong).rows[0]
    assert (row["status"], row["error"]) == ("failed", "RuntimeError: no ruler")
    assert row["final.loss"] == fit(BASE).history["loss"][-1]
    row = here(BASE, meters=lambda run: "long").rows[0]
    assert "must give a number" in row["error"]


# ------------------------------------------------------------------ nothing twice


def test_a_finished_sweep_is_read_and_a_longer_grid_trains_what_is_new(monkeypatch):
    first = here(BASE, {"seed": range(2)}, meters="uniformity", name="s")
    before = {path: path.stat().st_mtime_ns for path in (first.folder / "rows").iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(worker, "fit", lambda *_, **__: pytest.fail("trained again"))
        again = here(BASE, {"seed": range(2)}, meters="uniformity", name="s")
    assert again.rows == first.rows
    longer = here(BASE, {"seed": range(3)}, meters="uniformity", name="s")
    assert longer.rows[:2] == first.rows and len(longer) == 3
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())


def test_other_meters_are_measured_without_training(monkeypatch):
    def double(run):
        return 2 * run.history["loss"][-1]

    def triple(run):
        return 3 * run.history["loss"][-1]

    first = here(BASE, meters={"m": double}, name="m")
    monkeypatch.setattr("labkit.training.loop.Trainer.train", lambda *_: pytest.fail("trained again"))
    assert here(BASE, meters={"m": triple}, name="m")["m"][0] == pytest.approx(1.5 * first["m"][0])


def test_what_failed_is_tried_again_when_it_is_asked_for(tmp_path):
    ready = tmp_path / "ready"

    def needs(run):
        return len(ready.read_text())

    assert here(BASE, meters=needs, name="r")["status"] == ["failed"]
    ready.write_text("yes")
    assert here(BASE, meters=needs, name="r")["status"] == ["failed"]
    again = here(BASE, meters=needs, name="r", retry=True)
    assert (again["status"], again["needs"]) == (["done"], [3.0])


def test_what_comes_back_from_a_worker_with_a_home_of_its_own_is_kept(monkeypatch, tmp_path):
    """Of a cluster without a shared folder: history and meters are here, the model is there."""

    def far(job):
        monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "far"))
        row = worker.work(worker.Job(job.config, job.meters, job.measures))
        monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
        return row

    monkeypatch.setattr(sys.modules["labkit.sweep"], "work", far)
    found = here(BASE, meters="uniformity")
    assert found["status"] == ["done"] and found["uniformity"][0] < 0
    assert not (tmp_path / "runs").exists() and list((tmp_path / "far" / "runs").iterdir())
    run = found.runs()[0]
    assert run.folder is None and len(run.history["loss"]) == 3


def test_a_worker_of_another_version_is_told_so(monkeypatch):
    from labkit.sweep.worker import Job, work

    assert "asked for by 0.0.1" in work(Job(BASE, version="0.0.1"))["error"]


# ------------------------------------------------------------------ several processes

SWEPT = """
    import os, signal, sys, time
    from labkit.sweep import sweep
    from labkit.training import Config, call

    def slow(run):
        with open(os.environ["LABKIT_HOME"] + "/measured", "a") as file:
            file.write(f"{run.config.seed}\\\\n")
        time.sleep(0.25)
        if str(run.config.seed) == os.environ.get("DEADLY"):
            os.kill(os.getpid(), signal.SIGKILL)
        return run.config.seed

    base = Config(data=call("gaussian", n=64), model=call("linear", out=4), augment="noise", loss="nt_xent", steps=3, batch=16)
    found = sweep(base, {"seed": range(8)}, meters={"slow": slow}, backend=sys.argv[1], jobs=2, name="killed", progress=False)
    print(found)
"""


def started(tmp_path: Path, backend: str, **environment: str) -> subprocess.Popen:
    """The sweep in a process of its own: a script without a main guard, as people write them."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SWEPT).replace("\\\\n", "\\n"))
    known = {**os.environ, "LABKIT_HOME": str(tmp_path), "PYTHONPATH": str(Path(places.__file__).parents[2]), **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, str(script), backend], env=known, **pipes)


def killed_half_way(tmp_path: Path, backend: str) -> dict[Path, int]:
    """Start it, kill it -9 when some runs are finished and others are not; the files of what is finished, with their times."""
    process, rows = started(tmp_path, backend), tmp_path / "sweeps" / "killed" / "rows"
    while len(list(rows.glob("[!.]*.json"))) < 3:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    finished = list(rows.glob("[!.]*.json"))
    assert 3 <= len(finished) < 8
    trained = [tmp_path / "runs" / json.loads(path.read_text())["run"] / "history.json" for path in finished]
    return {path: path.stat().st_mtime_ns for path in [*finished, *trained]}


def finished_again(tmp_path: Path, backend: str, **environment: str) -> "tuple[str, dict[str, list]]":
    """Start it and wait; what it said and its table."""
    said, _ = (process := started(tmp_path, backend, **environment)).communicate()
    assert process.returncode == 0, said
    table = importlib.import_module("pyarrow.parquet").read_table(tmp_path / "sweeps" / "killed" / "table.parquet")
    return said, table.to_pydict()


@pytest.mark.parametrize("backend", ["loky", "dask", "ray"])
def test_a_sweep_killed_half_way_and_started_again_repeats_no_finished_run(tmp_path, backend):
    """On this machine's processes its last run then kills the process that trains it: it alone has failed."""
    deadly = backend == "loky"
    before = killed_half_way(tmp_path, backend)
    said, table = finished_again(tmp_path, backend, **({"DEADLY": "7"} if deadly else {}))
    assert ("7 done, 1 failed" if deadly else "8 runs, 8 done") in said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    measured = (tmp_path / "measured").read_text().split()
    finished = [json.loads(path.read_text())["measured"]["slow"] for path in before if path.parent.name == "rows"]
    assert [measured.count(f"{seed:g}") for seed in finished] == [1] * len(finished)
    assert len(set(measured)) == 8
    assert len(measured) <= 8 + 2 + 2 * deadly  # two were being measured when it was killed
    assert table["seed"] == list(range(8))
    assert table["slow"] == [*range(7), None if deadly else 7]
    assert table["final.loss"][3] == fit(BASE.replace(seed=3)).history["loss"][-1]
    assert [bool(error) for error in table["error"]] == [False] * 7 + [deadly]
    assert ("its worker died, twice" in (table["error"][7] or "")) == deadly


@pytest.mark.thorough
@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_run_that_kills_its_worker_has_failed_and_the_others_are_done(tmp_path, backend):
    said, table = finished_again(tmp_path, backend, DEADLY="2")
    assert table["status"] == ["done", "done", "failed", *["done"] * 5], said
    assert "its worker died, twice" in table["error"][2]
