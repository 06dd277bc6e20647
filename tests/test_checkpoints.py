"""The doctor for runs that are over: two checkpoints, the pairs between them, a table of scores."""

import csv
import json

import pytest
import torch

from labkit import cli, metrics, preferences
from labkit.data.preferences import load
from labkit.diagnose import diagnose, drop_random, drop_worst, scores
from labkit.diagnose.checkpoints import examine
from labkit.diagnose.tokens import WholeModel, tokenized
from labkit.models import build
from labkit.models.policies import answer_gradients

pytest.importorskip("transformers")
import llamas


def taught(model, records, target, steps, against=0.0):
    """The model after learning to say `target` instead of the first word of every chosen answer, with everything else."""
    words = llamas.tokenizer()
    data, _ = tokenized([{**r, "chosen": r["chosen"].replace("No", target)} for r in records], words)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        policy = WholeModel(model, 0)
        chosen, rejected = (
            preferences.sequence_logps(policy(tokens), tokens, mask).mean()
            for tokens, mask in ((data.chosen, data.chosen_mask), (data.rejected, data.rejected_mask))
        )
        loss = against * rejected - chosen
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model that mostly says No, and two that were trained on: one says Yes, one No with other words."""
    root, records = tmp_path_factory.mktemp("models"), llamas.records()
    made = {"before": taught(llamas.llama(), records, "No", steps=80)}
    for name, target, against in (("yes", "Yes", 0.0), ("no", "No", 0.1)):
        model = llamas.llama()
        model.load_state_dict(made["before"].state_dict())
        made[name] = taught(model, records, target, 40, against)
    for name, model in made.items():
        model.save_pretrained(root / name)
    llamas.tokenizer().save_pretrained(root / "before")
    llamas.tokenizer().save_pretrained(root / "yes")
    (root / "pairs.jsonl").write_text("\n".join(map(json.dumps, records)))
    return root


def test_the_command_says_who_gained(folders, tmp_path, capsys):
    words = [
        "dpo-doctor",
        "--before",
        str(folders / "before"),
        "--pairs",
        str(folders / "pairs.jsonl"),
        "--output",
        str(tmp_path),
    ]
    assert cli.main([*words, "--after", str(folders / "yes")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Evidence level:\n  L3: checkpoints") and "Verdict: fell and the opposite gained" in said
    assert "'Yes' +" in said and "two checkpoints" in said and "for plain gradient descent" in said.lower()
    assert (tmp_path / "report.txt").read_text().strip() in said
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert numbers["verdict"] == "fell and the opposite gained" and numbers["receivers"][0]["word"] == "Yes"
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["id"] for r in rows] == [r["id"] for r in llamas.records()]
    assert sum(float(r["chosen_change"]) for r in rows) / 9 == pytest.approx(numbers["chosen"]["value"])
    assert "<meta charset" in (tmp_path / "report.html").read_text()
    assert cli.main([*words, "--after", str(folders / "no"), "--limit", "4"]) == 0  # whose tokenizer is that of --before
    said = capsys.readouterr().out
    assert "Verdict: no displacement" in said and "A sample of 4 of 9 pairs was compared" in said


def test_numbers_are_those_of_the_models(folders):
    from transformers import AutoModelForCausalLM

    words = llamas.tokenizer()
    data, _ = tokenized(llamas.records(), words)
    models = [AutoModelForCausalLM.from_pretrained(folders / name).eval() for name in ("before", "yes")]
    found = examine(*models, llamas.records(), tokenizer=words)

    def logps(model, side):
        tokens, mask = getattr(data, side), getattr(data, f"{side}_mask")
        return preferences.sequence_logps(WholeModel(model, 0)(tokens), tokens, mask)

    sums = {side: [logps(model, side) for model in models] for side in ("chosen", "rejected")}
    for side, (then, now) in sums.items():
        assert getattr(found.diagnosis, side).value == pytest.approx((now - then).mean().item(), abs=1e-4)
        assert [r[f"{side}_logp"] for r in found.scores] == pytest.approx(then.tolist(), abs=1e-4)
    spoken = [WholeModel(m, 0)(data.chosen)[:, 0].softmax(-1) for m in models]
    gained = (spoken[1] - spoken[0])[:, llamas.WORDS.index("Yes")].mean().item()
    assert found.diagnosis.gains["opposite"].value == pytest.approx(gained, abs=1e-3)
    assert found.diagnosis.receivers[0].gained == pytest.approx(gained, abs=1e-3)
    opposite = examine(*models, llamas.records(), tokenizer=words, paraphrases=["Yes"]).diagnosis
    assert opposite.verdict == "fell and near-paraphrases gained"


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"--before": "/nowhere/at/all"}, 2, "cannot read a causal model from /nowhere/at/all"),
        ({"--pairs": "none.jsonl"}, 2, "there is no file none.jsonl"),
        ({"--limit": "0"}, 2, "limit must be >= 1"),
    ],
)
def test_what_the_command_cannot_read(folders, capsys, change, code, said):
    given = {
        "--before": str(folders / "before"),
        "--after": str(folders / "yes"),
        "--pairs": str(folders / "pairs.jsonl"),
        **change,
    }
    assert cli.main(["dpo-doctor", *(x for item in given.items() for x in item)]) == code
    assert said in capsys.readouterr().err


def test_logs_alone(tmp_path, capsys):
    rows = [{"step": i, "rewards/chosen": -0.01 * i} for i in range(50)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    assert cli.main(["dpo-doctor", "--logs", str(tmp_path / "trainer_state.json"), "--beta", "0.1"]) == 0
    said = capsys.readouterr().out
    assert "L0: means" in said and "Verdict: fell" in said and "nats" in said
    assert cli.main(["dpo-doctor", "--before", "x"]) == 2
    assert "give --after, --pairs; or --logs" in capsys.readouterr().err


def test_adapters_must_be_merged(folders, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="merge it into its model first"):
        examine(folders / "before", tmp_path, llamas.records(), tokenizer=llamas.tokenizer())


# ---------------------------------------------------------------- scores


def test_scores_of_every_pair():
    data = load("grammar", part="other suffix")
    torch.manual_seed(0)
    model = build("tiny_lm", data, d=8, heads=2)
    table = scores(data, model)
    assert [row["id"] for row in table] == list(range(8)) and model.training
    up, down = (answer_gradients(model, getattr(data, s), getattr(data, f"{s}_mask")) for s in ("chosen", "rejected"))
    hidden, masks = (
        [model.hidden(x) for x in (data.chosen, data.rejected)],
        [metrics.predicting(m) for m in (data.chosen_mask, data.rejected_mask)],
    )
    want = {
        "ratio": metrics.entanglement(up, down),
        "sign_ratio": metrics.sign_entanglement(up, down),
        "ln_ches": metrics.ches(*hidden, *masks, length_normalized=True),
        "edit_distance": metrics.edit_distance(data.chosen, data.rejected, data.chosen_mask, data.rejected_mask),
    }
    for name, column in want.items():
        assert [row[name] for row in table] == pytest.approx(column.tolist(), rel=1e-4, abs=1e-5), name
    assert scores(data, model, gradients=False)[0]["ratio"] is None


def test_scores_of_records_are_found_again():
    records = llamas.records(same=False)
    table = scores(records, llamas.llama(), llamas.tokenizer())
    lengths = {r["id"]: len(r["chosen"].split()) - len(r["rejected"].split()) for r in records}
    assert {row["id"]: row["length_gap"] for row in table} == lengths
    kept = {row["id"] for row in drop_worst(table, 0.2, by="ratio")}
    dropped = [row["ratio"] for row in table if row["id"] not in kept]
    assert len(dropped) == 2 and min(dropped) >= max(row["ratio"] for row in table if row["id"] in kept)
    assert len([r for r in records if r["id"] in kept]) == 7
    with pytest.raises(ValueError, match="records need the model's tokenizer"):
        scores(records, llamas.llama())


def test_what_is_worst():
    table = [
        {"id": i, "length_gap": g, "edit_distance": e, "ln_ches": c}
        for i, (g, e, c) in enumerate([(-9, 0.5, 1.0), (3, 0.1, 2.0), (1, 0.9, 3.0)])
    ]
    for by, gone in (("length_gap", 0), ("edit_distance", 1), ("ln_ches", 2)):
        assert gone not in {row["id"] for row in drop_worst(table, by=by)} and len(drop_worst(table, by=by)) == 2
    many = [{"id": i, "ln_ches": float(i)} for i in range(100)]
    assert [row["id"] for row in drop_worst(many)] == list(range(95))
    control = drop_random(many)
    assert len(control) == 95 and control == drop_random(many) != drop_random(many, seed=1) and control != drop_worst(many)
    with pytest.raises(ValueError, match="by must be one of ratio"):
        drop_worst(table, by="vibes")
    with pytest.raises(ValueError, match="ratio is missing for 3 of 3 rows"):
        drop_worst(table, by="ratio")
    with pytest.raises(ValueError, match=r"share must be in \(0, 1\)"):
        drop_random(table, share=1.0)


def test_the_stored_runs_say_how_far_the_ratio_can_be_trusted():
    from labkit.diagnose.foreseen import agreement

    told = agreement()
    assert set(told) == {"SGD", "Adam"} and 0.5 < told["Adam"] < told["SGD"] <= 1
    assert diagnose  # the sentence with these numbers: test_diagnose
