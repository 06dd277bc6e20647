"""Logs of preference training as three versions of TRL wrote them (fixtures/trl/make.py), and as trackers hand them on."""

import json
import math
import shutil
import struct
from pathlib import Path

import pytest
import torch

from labkit.diagnose import diagnose, speaks_of
from labkit.diagnose.tracks import tracks
from labkit.training import Run
from labkit.training.logs import columns
from labkit.training.trackers import events

FIXTURES = Path(__file__).parent / "fixtures" / "trl"
VERSIONS = ("0.7.11", "0.15.2", "1.16.0")
LOSSES = {"fell": "sigmoid", "rose": "sigmoid", "sft": ["sigmoid", "sft"]}


def state(name):
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


def rows(name, *, evaluated=False):
    """The rows of the training steps, or of the evaluations."""
    wanted = "eval_loss" if evaluated else "loss"
    return [row for row in state(name)["log_history"] if wanted in row]


def ends_at(name, column, last=3):
    """The mean of the last rows, by hand."""
    return sum(row[column] for row in rows(name)[-last:]) / last


# ------------------------------------------------------------------ what each version wrote


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "beta", "verdict"), [("fell", 0.1, "fell"), ("rose", 0.3, "no displacement")])
def test_every_version_is_read_and_told(version, name, beta, verdict):
    """Beta is nowhere in the file, and is read off the evaluations; so the change is told in nats without being asked."""
    told = diagnose(FIXTURES / f"{version}-{name}.json", loss_type="sigmoid")
    assert (told.level, told.verdict) == ("L0", verdict)
    assert told.chosen.value == pytest.approx(ends_at(f"{version}-{name}", "rewards/chosen") / beta)
    assert told.rejected.value == pytest.approx(ends_at(f"{version}-{name}", "rewards/rejected") / beta)
    said = str(told)
    assert f"beta is {beta}: on the held-out pairs" in said and "nats" in said and "diagnose(..., beta=...)" not in said
    held_out = rows(f"{version}-{name}", evaluated=True)[-1]["eval_rewards/chosen"] / beta
    assert f"On held-out pairs it ends at {held_out:+.3g} nats" in said
    assert "logps/* of loss_type='sigmoid' are sums" in said


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_versions_have_in_common_and_what_not(version):
    first, evaluated = rows(f"{version}-fell")[0], rows(f"{version}-fell", evaluated=True)[0]
    assert {"step", "epoch", "learning_rate", "rewards/margins", "logits/chosen"} < first.keys()
    assert {"eval_rewards/chosen", "eval_logps/rejected", "eval_runtime", "step"} < evaluated.keys()
    assert ("grad_norm" in first) == (version != "0.7.11")
    assert ({"entropy", "num_tokens", "mean_token_accuracy"} <= first.keys()) == (version == "1.16.0")
    assert list(first) == sorted(first) and "train_loss" in state(f"{version}-fell")["log_history"][-1]


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda p: p.stem)
def test_every_fixture_knows_its_beta_and_its_rows(path):
    assert path.stat().st_size < 20_000 and speaks_of(path) and speaks_of(str(path)) and speaks_of(state(path.stem))
    found = tracks(columns(path))
    for (what, side, held_out), track in found.items():
        by_hand = rows(path.stem, evaluated=held_out)
        assert track.values == [row[f"{'eval_' * held_out}{what}/{side}"] for row in by_hand], "train and evaluation mixed"
        assert list(track.at) == [row["step"] for row in by_hand] and not track.broken and not track.twice
    assert len(found) == 8  # rewards and logps, both sides, in training and held out


@pytest.mark.parametrize(
    ("name", "beta", "what"),
    [("0.15.2-ipo", 0.1, "means"), ("1.16.0-ipo", 0.1, "sums"), ("1.16.0-sft", 0.1, "sums"), ("0.15.2-kto", 0.1, "sums"),
     ("1.16.0-kto", 0.1, "sums"), ("1.16.0-simpo", 2.0, "means"), ("1.16.0-orpo", 0.1, "means")],
)  # fmt: skip
def test_sums_or_means_by_loss_type_and_version(name, beta, what):
    loss_type = LOSSES.get(name.rpartition("-")[2], name.rpartition("-")[2])
    told = diagnose(FIXTURES / f"{name}.json", loss_type=loss_type)
    said = str(told)
    assert f"are {what} over an answer's tokens" in said
    if "has no reference" in said:
        assert name.endswith(("simpo", "orpo")) and "they are no displacement" in said
        moved = [row["eval_logps/chosen"] for row in rows(name, evaluated=True)]
        assert told.chosen.value == pytest.approx(moved[-1] - moved[0])
    else:
        assert f"beta is {beta:g}" in said and told.chosen.value == pytest.approx(ends_at(name, "rewards/chosen") / beta)
    assert ("nats a token" in said) == (name == "0.15.2-ipo")
    if name == "1.16.0-simpo":  # and without being told its name
        assert "2 times logps/chosen in every row" in str(diagnose(FIXTURES / f"{name}.json"))


def test_the_same_run_of_two_versions_has_the_same_verdict():
    """0.15.2 and 1.16.0 trained the same model on the same pairs: IPO's means became sums, DPO's numbers stayed."""
    old, new = (diagnose(FIXTURES / f"{version}-fell.json") for version in ("0.15.2", "1.16.0"))
    assert old.chosen.value == pytest.approx(new.chosen.value, rel=1e-4)
    old, new = (diagnose(FIXTURES / f"{version}-ipo.json", loss_type="ipo") for version in ("0.15.2", "1.16.0"))
    assert old.verdict == new.verdict == "fell" and new.chosen.value < 5 * old.chosen.value


# ------------------------------------------------------------------ beta


def test_beta_given_wrongly_is_contradicted():
    told = str(diagnose(FIXTURES / "1.16.0-rose.json", beta=0.1))
    assert "beta=0.1 was given, but the held-out rows say 0.3" in told
    assert "beta is" not in str(diagnose(FIXTURES / "1.16.0-rose.json", beta=0.3))


def test_beta_is_asked_for_where_the_log_does_not_tell_it():
    alone = {"log_history": rows("1.16.0-fell")}
    told = diagnose(alone)
    assert "diagnose(..., beta=...) tells nats" in str(told) and told.chosen.value == pytest.approx(
        ends_at("1.16.0-fell", "rewards/chosen")
    )
    assert diagnose(alone, beta=0.1).chosen.value == pytest.approx(10 * told.chosen.value)
    moving = state("1.16.0-fell")  # a reference that is moved too: rewards lie on no line over logps
    for k, row in enumerate(r for r in moving["log_history"] if "eval_loss" in r):
        row["eval_rewards/chosen"] *= 1 + k
    assert "beta is" not in str(diagnose(moving))


# ------------------------------------------------------------------ rows that are not as they should be


def test_a_resumed_run_counts_its_later_rows():
    """Steps 1 to 30 of one run, then 20 to 48 of the one that went on: rows of steps 21 to 30 are there twice."""
    history = state("1.16.0-fell")["log_history"]
    stale = [{**row, "rewards/chosen": 99.0} if "rewards/chosen" in row else row for row in history if 20 < row["step"] <= 30]
    resumed = [row for row in history if row["step"] <= 20] + stale + [row for row in history if row["step"] > 20]
    told = diagnose(resumed)
    assert told.chosen == diagnose(history).chosen and tracks(columns(resumed))["rewards", "chosen", False].values == [
        row["rewards/chosen"] for row in rows("1.16.0-fell")
    ]
    assert "4 steps were logged twice" in str(told)


@pytest.mark.parametrize("nan", [math.nan, "nan", "NaN", math.inf, "-Infinity"])
def test_nan_is_no_missing_cell(nan):
    history = state("1.16.0-fell")["log_history"]
    for row in history:
        if "rewards/chosen" in row and row["step"] == 12:
            row["rewards/chosen"] = nan
    told = diagnose(history)
    assert told.verdict == "fell" and "rewards/chosen is NaN or infinite in 1 of 16 rows, first at step 12" in str(told)
    for row in history:
        if "rewards/chosen" in row and row["step"] > 40:
            row |= {"rewards/chosen": nan, "rewards/rejected": nan, "loss": 0.0, "grad_norm": nan}
    told = diagnose(history)
    assert told.verdict == "cannot tell" and told.chosen is None and "From step 48 on" in str(told)
    assert "smaller learning rate" in str(told)


def test_numbers_written_as_words_are_numbers():
    history = [{k: f"{v:.4g}" for k, v in row.items()} for row in state("1.16.0-rose")["log_history"]]
    told, exact = diagnose(history), diagnose(FIXTURES / "1.16.0-rose.json")
    assert told.verdict == exact.verdict and told.chosen.value == pytest.approx(exact.chosen.value, rel=1e-3)
    assert "beta is 0.3" in str(told)


# ------------------------------------------------------------------ files of trackers


def sheet(path, table, sep=","):
    names = list(dict.fromkeys(name for row in table for name in row))
    lines = [sep.join(names), *(sep.join(str(row.get(name, "")) for name in names) for row in table)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def tracked(name):
    """As transformers renames columns for W&B and TensorBoard."""
    for row in state(name)["log_history"]:
        step = row["step"]
        yield {"Step": step} | {(f"eval/{k[5:]}" if k.startswith("eval_") else f"train/{k}"): v for k, v in row.items()}


def as_jsonl(folder):
    path = folder / "log.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in state("1.16.0-fell")["log_history"]), encoding="utf-8")
    return path


def as_json_that_is_lines(folder):
    return shutil.copy(as_jsonl(folder), folder / "log.json")


def as_history_of_wandb(folder):
    """Every row has every column; what was not logged is NaN."""
    table = list(tracked("1.16.0-fell"))
    names = dict.fromkeys(name for row in table for name in row)
    return sheet(folder / "history.csv", [{name: row.get(name, "NaN") for name in names} for row in table])


def as_panel_of_wandb(folder):
    """One panel's export: the run's name before every column, its least and largest value after."""
    table = []
    for row in tracked("1.16.0-fell"):
        if "train/loss" in row:
            named = {"Step": row["Step"]}
            for side in ("chosen", "rejected"):
                tag = f"eval-of-test-run - train/rewards/{side}"
                named |= {tag: row[f"train/rewards/{side}"], f"{tag}__MIN": -99, f"{tag}__MAX": 99}
            table.append(named)
    return sheet(folder / "wandb_export_2026.csv", table)


def as_curve_of_tensorboard(folder):
    table = [
        {"Wall time": 1.7e9 + row["step"], "Step": row["step"], "Value": row["rewards/chosen"]} for row in rows("1.16.0-fell")
    ]
    return sheet(folder / "run-.-tag-train_rewards_chosen.csv", table)


def as_json_of_tensorboard(folder):
    path = folder / "run-.-tag-train_rewards_chosen.json"
    path.write_text(json.dumps([[1.7e9, row["step"], row["rewards/chosen"]] for row in rows("1.16.0-fell")]), encoding="utf-8")
    return path


def as_printed(folder):
    lines = ["Loading model\n", *(f"  3%|     | {row['step']}/48\n{row}\n" for row in state("1.16.0-fell")["log_history"])]
    path = folder / "train.log"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def as_tsv(folder):
    return sheet(folder / "log.tsv", list(tracked("1.16.0-fell")), "\t")


def as_parquet(folder):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(state("1.16.0-fell")["log_history"]), folder / "log.parquet")
    return folder / "log.parquet"


def as_events(folder):
    return FIXTURES / "events.out.tfevents.1.16.0-fell"


def as_folder_of_events(folder):
    (folder / "runs" / "Nov22").mkdir(parents=True)
    shutil.copy(as_events(folder), folder / "runs" / "Nov22")
    return folder


def as_output_folder(folder):
    """Two checkpoints and what lies about them: the later one holds the whole history, whichever file is newer."""
    for step in (100, 24):
        (folder / f"checkpoint-{step}").mkdir()
        told = state("1.16.0-fell") if step == 100 else {"log_history": rows("1.16.0-fell")[:2]}
        (folder / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


FORMS = [as_jsonl, as_json_that_is_lines, as_history_of_wandb, as_panel_of_wandb, as_curve_of_tensorboard,
         as_json_of_tensorboard, as_printed, as_tsv, as_parquet, as_events, as_folder_of_events, as_output_folder]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_diagnosis(form, tmp_path):
    path, exact = form(tmp_path), diagnose(FIXTURES / "1.16.0-fell.json", beta=0.1)
    for given in (path, str(path)):
        told = diagnose(given, beta=0.1)
        assert told.verdict == "fell" and told.chosen.value == pytest.approx(exact.chosen.value, rel=1e-5)
        assert told.chosen.low == pytest.approx(exact.chosen.low, rel=1e-4)
        assert speaks_of(given) or form is as_folder_of_events  # a folder of folders is not searched
    if form not in (as_curve_of_tensorboard, as_json_of_tensorboard):  # which hold one column
        assert told.rejected.value == pytest.approx(exact.rejected.value, rel=1e-5)


def test_event_files_hold_what_was_written_to_them(tmp_path):
    found = {(row["step"], name): x for row in events(as_events(tmp_path)) for name, x in row.items()}
    for row in rows("1.16.0-fell"):
        for name in ("rewards/chosen", "logps/rejected", "loss"):
            assert found[row["step"], f"train/{name}"] == struct.unpack("f", struct.pack("f", row[name]))[0]
    whole = as_events(tmp_path).read_bytes()
    cut = tmp_path / "events.out.tfevents.9"
    cut.write_bytes(whole[:-20])  # while a run goes on, its last record may be half-written
    assert len(columns(cut)["step"]) >= len(columns(as_events(tmp_path))["step"]) - 1
    for bytes_, says in (
        (b"", "no whole record"),
        (b"not a file of events at all", "no whole record"),
        (whole[: 16 + struct.unpack_from("<Q", whole)[0]], "no scalars"),
    ):
        cut.write_bytes(bytes_)
        with pytest.raises(ValueError, match=says):
            diagnose(cut)


# ------------------------------------------------------------------ files that lie


LIES = {
    "cut.json": ('{"log_history": [{"step": 1, "rewards/chos', "cut.json is cut off after 42 characters"),
    "empty.json": ("  \n", "empty.json is empty"),
    "foreign.json": (
        '{"model_type": "llama", "vocab": 32000}',
        "neither a trainer's log nor a table .* it holds model_type, vocab",
    ),
    "number.json": ("3", "number.json is neither"),
    "untrained.json": (
        '{"log_history": [], "global_step": 0}',
        "empty log_history: nothing was logged; train with logging_steps",
    ),
    "bad.json": ('{"step": 1,, "loss": 2}', "bad.json is no JSON: .* line 1, column 12"),
    "cut.jsonl": ('{"step": 1, "rewards/chosen": 0.1}\n{"step": 2, "rew', "line 2 of cut.jsonl is cut off"),
    "none.csv": ("step,rewards/chosen\n", "none.csv holds no rows"),
    "curve.csv": ("Wall time,Step,Value\n1.0,1,0.5\n", "does not say of what"),
    "panel.csv": ("Step,a - train/rewards/chosen,b - train/rewards/chosen\n1,0.1,0.2\n", "holds 2 runs, a, b"),
    "bytes.json": (b"\x93NUMPY\x01\x00\xff\xfe", "bytes.json holds no text"),
    "cut.parquet": (b"PAR1\x00\x01", "cut.parquet is no whole parquet file"),
    "words.log": ("nothing was printed here\n", "no row of a trainer's log"),
    "state.bin": (b"\x80\x04", "cannot read state.bin: give a trainer_state.json"),
}


@pytest.mark.parametrize("name", LIES)
def test_files_that_lie_are_refused_in_words(name, tmp_path):
    content, says = LIES[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=says):
        diagnose(tmp_path / name)


def test_folders_that_hold_nothing_or_too_much(tmp_path):
    with pytest.raises(ValueError, match=r"no trainer_state.json in .* and no event file"):
        diagnose(tmp_path)
    for run in ("a", "b"):
        (tmp_path / run / "checkpoint-3").mkdir(parents=True)
        shutil.copy(FIXTURES / "1.16.0-fell.json", tmp_path / run / "checkpoint-3" / "trainer_state.json")
    with pytest.raises(ValueError, match="holds 2 runs, a, b: give one of them"):
        diagnose(tmp_path)
    assert diagnose(tmp_path / "a").verdict == "fell"


# ------------------------------------------------------------------ which door


def test_embeddings_are_not_mistaken_for_a_run(tmp_path):
    import numpy as np
    import pyarrow
    import pyarrow.parquet

    z = np.zeros((4, 3))
    np.save(tmp_path / "z1.npy", z)
    np.savez(tmp_path / "z.npz", z1=z)
    sheet(tmp_path / "z.csv", [{"x0": 0.1, "x1": 0.2, "label": "chosen"}])
    (tmp_path / "bare.csv").write_text("0.1,0.2\n0.3,0.4\n")
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    pyarrow.parquet.write_table(pyarrow.table({"embedding": z.tolist(), "label": [0, 1, 0, 1]}), tmp_path / "z.parquet")
    for given in [*tmp_path.iterdir(), tmp_path, tmp_path / "nowhere.npy", "nowhere.csv"]:
        assert not speaks_of(given) and not speaks_of(str(given)), given
    for given in (z, torch.zeros(4, 3), z.tolist(), {"layer1": z, "layer2": z}, [{"x": 1}], [], None, 3, ("z1.npy", "z2.npy")):
        assert not speaks_of(given)


def test_tables_of_pairs_and_runs_are_known(tmp_path):
    table = {"chosen_logps": [-5.0], "ref_chosen_logps": [-4.0], "id": [1]}
    assert speaks_of(table) and speaks_of([{k: v[0] for k, v in table.items()}])
    assert speaks_of(Run.from_logs([{"step": 1, "rewards/chosen": 0.1}])) and not speaks_of(
        Run.from_logs([{"step": 1, "loss": 1}])
    )
    (tmp_path / "probe.json").write_text("{}")
    assert speaks_of(tmp_path)


def test_a_large_file_is_only_glanced_at(tmp_path):
    big = tmp_path / "z.csv"
    with big.open("wb") as file:
        file.write(b"x0,x1\n")
        file.truncate(3 * 2**30)  # three gigabytes of nothing, none of them on the disk
    assert not speaks_of(big)


def test_the_analysis_door_hands_a_log_over(capsys):
    import labkit
    from labkit.cli import main

    told = labkit.report(FIXTURES / "1.16.0-rose.json")
    assert isinstance(told, labkit.Diagnosis) and told.verdict == "no displacement"
    assert main(["report", str(FIXTURES / "0.15.2-ipo.json"), "--loss-type", "ipo"]) == 0
    printed = capsys.readouterr().out
    assert "Verdict: fell" in printed and "nats a token" in printed
