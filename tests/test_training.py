"""fit: deterministic, cached, resumable after kill -9, safe for two at once."""

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from labkit.paths import home
from labkit.preferences import sequence_logps, token_logps
from labkit.training import Config, Run, call, fit
from labkit.training.loop import Trainer

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


# ---------------------------------------------------------------- preferences

PAIRS = Config(
    data=call("grammar", part="same suffix"),
    model=call("tiny_lm", d=8, heads=2, layers=1),
    loss=call("dpo"),
    optimizer=call("adam", lr=1e-2),
    steps=5,
    batch=4,
)


def test_a_reference_is_computed_once_for_the_same_weights_and_data(monkeypatch, tmp_path):
    run = fit(PAIRS)
    (file,) = (tmp_path / "references").glob("*.npz")
    stored = np.load(file)
    start, data = run.start(), run.data
    want = sequence_logps(start(data.chosen), data.chosen, data.chosen_mask)
    torch.testing.assert_close(torch.from_numpy(stored["ref_chosen_token_logps"].sum(-1)), want.detach(), rtol=0, atol=1e-5)
    written = file.stat().st_mtime_ns
    fit(PAIRS.replace(loss=call("ipo"), steps=7))  # another run from the same start
    assert [f.stat().st_mtime_ns for f in (tmp_path / "references").glob("*.npz")] == [written]
    fit(PAIRS.replace(seed=1))
    fit(PAIRS.replace(data=call("grammar", part="other suffix")))
    assert len(list((tmp_path / "references").glob("*.npz"))) == 3


def test_the_history_of_pairs_says_what_each_answer_gained():
    history = fit(PAIRS.replace(batch=64)).history
    names = {"chosen_logps", "rejected_logps", "margin", "chosen_gain", "rejected_gain", "ranking_accuracy", "reward_accuracy"}
    assert names <= history.keys()
    assert history["chosen_gain"][0] == history["rejected_gain"][0] == 0
    change = history["chosen_logps"][-1] - history["chosen_logps"][0]
    assert history["chosen_gain"][-1] == pytest.approx(change, abs=1e-5)
    assert history["margin"][-1] == pytest.approx(history["chosen_gain"][-1] - history["rejected_gain"][-1], abs=1e-6)
    assert history["reward_accuracy"][-1] == 1


def test_snapshots_of_pairs_hold_every_token_and_the_openings():
    run = fit(PAIRS)
    shot, data = run.snapshots[5], run.data
    model = run.model()
    logps = model(data.chosen).log_softmax(-1).detach()
    torch.testing.assert_close(torch.from_numpy(shot["logps"]), logps, rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.from_numpy(shot["first"]), logps[:, 0], rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.from_numpy(shot["fork"]), logps[:, 0], rtol=0, atol=1e-5)  # No, and not Never
    for side in ("chosen", "rejected"):
        want = token_logps(model(getattr(data, side)), getattr(data, side), getattr(data, f"{side}_mask"))
        torch.testing.assert_close(torch.from_numpy(shot[side]), want.detach(), rtol=0, atol=1e-5)


def test_checkpoints_wait_for_slow_disks(monkeypatch):
    now, saves = [0.0], []
    monkeypatch.setattr("labkit.training.loop.time.monotonic", lambda: now[0])
    monkeypatch.setattr(Trainer, "advance", lambda self: (now.__setitem__(0, now[0] + 1), {"loss": 0.0})[1])
    monkeypatch.setattr(Trainer, "save", lambda self: (saves.append(now[0]), now.__setitem__(0, now[0] + 5))[0])
    fit(PAIRS.replace(steps=300), progress=False)
    assert saves[0] == 3 and all(b - a - 5 > 100 for a, b in itertools.pairwise(saves)) and len(saves) == 3


def losses_of(name, **options):
    return fit(PAIRS.replace(loss=call(name, **options), batch=64, steps=2)).history["loss"]


def test_batches_carry_tokens_and_their_masks():
    """With alpha=1 LD-DPO is DPO, and its answers are equally long here anyway: two steps of each are the same."""
    assert losses_of("ld_dpo", alpha=0.25) == pytest.approx(losses_of("dpo"), abs=1e-6)


def test_batches_carry_the_old_policy_which_is_where_the_run_starts():
    assert losses_of("inpo", eta=0.1, tau=0.02) == pytest.approx(losses_of("ipo", beta=0.1), abs=1e-4)


def test_batches_carry_logits_for_those_that_imitate():
    history = fit(PAIRS.replace(loss=call("dft"), batch=64, steps=40)).history  # its value, -p log p, need not fall
    assert history["chosen_logps"][-1] > history["chosen_logps"][0] + 1


def test_batches_carry_what_the_data_knows_of_its_pairs(monkeypatch):
    from dataclasses import replace

    from labkit.data import preferences

    plain = preferences.load("grammar")
    known = replace(plain, factors={"reward_margin": torch.linspace(-1, 2, len(plain)), "row": torch.arange(len(plain))})
    monkeypatch.setattr(preferences, "load", lambda name, **options: known)
    losses = losses_of("mm_dpo", weight=0.5)
    assert losses[0] == pytest.approx(np.log(2), abs=1e-6)
    assert losses[1] != pytest.approx(losses_of("mm_dpo", weight=0.0)[1], abs=1e-6)


def test_an_objective_that_needs_more_than_a_batch_carries_says_so():
    with pytest.raises(
        ValueError, match="bradley_terry needs chosen_rewards, rejected_rewards; these batches carry chosen_logps"
    ):
        fit(PAIRS.replace(loss=call("bradley_terry")))


# ---------------------------------------------------------------- somebody's numbers

ROWS = [{"step": 1, "rewards/chosen": 0.5, "id": "007"}, {"step": 2, "eval_loss": 1.5, "id": "x"}]
COLUMNS = {"step": [1, 2], "rewards/chosen": [0.5, None], "id": ["007", "x"], "eval_loss": [None, 1.5]}


class Frame:
    """What from_logs asks of pandas."""

    columns = tuple(COLUMNS)

    def to_dict(self, how):
        return {name: [float("nan") if x is None else x for x in column] for name, column in COLUMNS.items()} if how else None


def files(folder):
    import pyarrow
    import pyarrow.parquet

    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)) + "\n")
    (folder / "rows.json").write_text(json.dumps(ROWS))
    (folder / "state" / "checkpoint-9").mkdir(parents=True)
    (folder / "state" / "checkpoint-9" / "trainer_state.json").write_text(json.dumps({"log_history": ROWS, "global_step": 9}))
    (folder / "rows.csv").write_text("step,rewards/chosen,id,eval_loss\n1,0.5,007,\n2,,x,1.5\n")
    pyarrow.parquet.write_table(pyarrow.table(COLUMNS), folder / "rows.parquet")
    return [folder / n for n in ("rows.jsonl", "rows.json", "state", "rows.csv", "rows.parquet")]


def test_anyones_logs_become_a_run(tmp_path):
    sources = [ROWS, {"log_history": ROWS}, COLUMNS, Frame(), {n: np.array(c, dtype=object) for n, c in COLUMNS.items()}]
    paths = files(tmp_path)
    for source in [*sources, *paths, *map(str, paths)]:
        run = Run.from_logs(source, beta=0.1, loss_type="ipo")
        assert run.history == COLUMNS and (run.beta, run.loss_type, run.config) == (0.1, "ipo", None), source
    assert "somebody's numbers: step, rewards/chosen" in repr(run)


@pytest.mark.parametrize(
    ("records", "error", "message"),
    [
        ("nowhere.jsonl", ValueError, "there is no file nowhere.jsonl"),
        ([], TypeError, "an empty list"),
        ({"a": []}, ValueError, "no rows"),
        ({"a": [1], "b": [1, 2]}, ValueError, "different lengths"),
        ({"a": 3}, TypeError, r"records\['a'\] must be a column"),
        (3.5, TypeError, "got float"),
    ],
)
def test_what_is_no_log_is_refused(records, error, message):
    with pytest.raises(error, match=message):
        Run.from_logs(records)
    with pytest.raises(ValueError, match="beta must be > 0"):
        Run.from_logs(ROWS, beta=0)
