"""DisplacementCallback inside transformers' Trainer, and what `diagnose` reads from its files."""

import json
import time
import types

import pytest
import torch

import labkit
from labkit import preferences
from labkit.diagnose.callback import DisplacementCallback, sample
from labkit.diagnose.probes import looks
from labkit.diagnose.tokens import WholeModel, tokenized

pytest.importorskip("transformers")
import llamas
import pyarrow.parquet
from transformers import Trainer, TrainingArguments, default_data_collator


class Dpo(Trainer):
    """DPO in twenty lines: the reference is the model as it was."""

    def __init__(self, *given, reference, **named):
        super().__init__(*given, **named)
        self.reference = reference

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        logps = []
        for policy in (model, self.reference):
            for side in ("chosen", "rejected"):
                tokens, mask = inputs[side], inputs[f"{side}_mask"]
                logps.append(preferences.sequence_logps(policy(input_ids=tokens).logits, tokens, mask))
        return preferences.dpo(*logps[:2], *(x.detach() for x in logps[2:]))


def train(folder, *callbacks, steps=12, seed=0, resume=None, same=True, lr=3e-3, save=None, **options):
    words = llamas.tokenizer()
    data, _ = tokenized(llamas.records(same), words)
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=9, learning_rate=lr, report_to=[], use_cpu=True,
        disable_tqdm=True, logging_strategy="no", save_strategy="steps" if save else "no", save_steps=save or 500, seed=seed,
        remove_unused_columns=False, lr_scheduler_type="constant", **options,
    )  # fmt: skip
    given = {"train_dataset": llamas.Pairs(data), "callbacks": list(callbacks), "processing_class": words}
    trainer = Dpo(llamas.llama(seed), arguments, reference=llamas.llama(seed), data_collator=default_data_collator, **given)
    trainer.train(resume_from_checkpoint=resume)
    return trainer, data


def test_every_token_of_every_answer(tmp_path):
    watch = DisplacementCallback(llamas.records(), every=4)
    trainer, _ = train(tmp_path, watch)
    folder = tmp_path / "displacement"
    files = looks(folder)
    assert list(files) == [0, 4, 8, 12]
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]  # nothing half-written is left
    meta = json.loads((folder / "probe.json").read_text())
    data, names = tokenized(sample(llamas.records(), 64), llamas.tokenizer())
    assert meta["ids"] == names and set(meta["fork_chosen"]) == {"No"} and set(meta["fork_rejected"]) == {"Never"}
    policy = WholeModel(trainer.model.eval(), pad=0)
    rows = pyarrow.parquet.read_table(files[12]["tokens"]).to_pylist()
    for side in ("chosen", "rejected"):
        tokens, mask = getattr(data, side), getattr(data, f"{side}_mask")
        want = preferences.token_logps(policy(tokens), tokens, mask).detach()
        told = {(r["pair"], r["place"]): r["logp"] for r in rows if r["side"] == side}
        assert told.keys() == {tuple(x) for x in mask.nonzero().tolist()}
        assert all(value == pytest.approx(want[key].item(), abs=1e-4) for key, value in told.items())
    gained = pyarrow.parquet.read_table(files[12]["receivers"]).to_pylist()
    spoken = [policy(data.chosen)[i, int(data.chosen_mask[i].int().argmax()) - 1].softmax(-1) for i in range(9)]
    for row in gained:
        if row["where"] == "first":
            assert row["after"] == pytest.approx(spoken[row["pair"]][row["token"]].item(), abs=2e-3)
            assert llamas.WORDS[row["token"]] == row["word"]


def test_the_training_is_not_touched(tmp_path):
    watched, _ = train(tmp_path / "a", DisplacementCallback(llamas.records(), every=2))
    alone, _ = train(tmp_path / "b")
    for a, b in zip(watched.model.parameters(), alone.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert watched.model.training == alone.model.training


def test_what_it_wrote_is_diagnosed(tmp_path):
    trainer, data = train(tmp_path, DisplacementCallback(llamas.records(), every=5), steps=20)
    told = labkit.diagnose(tmp_path / "displacement")
    before, after = WholeModel(llamas.llama(0), 0), WholeModel(trainer.model.eval(), 0)
    change = [preferences.sequence_logps(m(data.chosen), data.chosen, data.chosen_mask).mean().item() for m in (before, after)]
    assert (told.level, told.n) == ("L2", 9) and "all pairs of the run" in str(told)  # nine were trained on
    sample_of_many = labkit.diagnose(tmp_path / "displacement", population=10_000)
    assert sample_of_many.chosen.low < told.chosen.value < sample_of_many.chosen.high
    assert told.chosen.value == pytest.approx(change[1] - change[0], abs=1e-3)
    assert told.fell == (told.chosen.high < 0) and told.curves["step"] == [0, 5, 10, 15, 20]
    assert told.opening + told.ending == pytest.approx(told.chosen.value, abs=1e-6)
    assert {r.kind for r in told.receivers} <= {"opposite", "similar", "other", "rejected"}
    assert "Account" in str(told) and "Looked at 5 times" in str(told)


def test_a_resumed_run_goes_on_in_the_same_files(tmp_path):
    watch = DisplacementCallback(llamas.records(), every=4)
    train(tmp_path, watch, steps=10, save=8)
    first = {step: files["tokens"].read_bytes() for step, files in looks(tmp_path / "displacement").items()}
    assert list(first) == [0, 4, 8, 10]
    train(
        tmp_path,
        DisplacementCallback(llamas.records(), every=4),
        steps=14,
        save=8,
        resume=str(tmp_path / "checkpoint-8"),
    )
    again = {step: files["tokens"].read_bytes() for step, files in looks(tmp_path / "displacement").items()}
    assert list(again) == [0, 4, 8, 12, 14]  # the look at step 10 belonged to what was repeated
    assert all(again[step] == first[step] for step in (0, 4, 8))
    with pytest.raises(ValueError, match="looks at other pairs"):
        train(tmp_path, DisplacementCallback(llamas.records(same=False)), resume=str(tmp_path / "checkpoint-8"))


def test_only_the_first_process_looks(tmp_path):
    watch = DisplacementCallback(llamas.records(), every=1, folder=tmp_path / "none")
    state = types.SimpleNamespace(is_world_process_zero=False, global_step=0)
    for event in (watch.on_train_begin, watch.on_step_end, watch.on_train_end):
        event(None, state, None, model=None)
    assert watch.on_epoch_begin(None, state, None) is None and not (tmp_path / "none").exists()


def test_it_takes_its_share_and_no_more(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    watch = DisplacementCallback(llamas.records(), every=50)
    looked = []

    def look(model, args, step, **_):
        looked.append(step)
        watch.last = step
        watch.cost = 4.0
        watch.spent += 4.0
        clock[0] += 4.0

    monkeypatch.setattr(watch, "look", look)
    monkeypatch.setattr(watch, "prepare", lambda *_: None)
    watch.folder = tmp_path
    state = types.SimpleNamespace(is_world_process_zero=True, global_step=0)
    watch.on_train_begin(types.SimpleNamespace(), state, None)
    for state.global_step in range(1, 2001):
        clock[0] += 1.0
        watch.on_step_end(None, state, None)
    watch.on_train_end(None, state, None)
    assert looked == [0, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000]
    assert 4.0 * (len(looked) - 1) <= 0.02 * 2000  # without the first look


def test_whoever_asks_for_close_looks_gets_them():
    assert DisplacementCallback(llamas.records(), every=50).share == 0.02
    assert DisplacementCallback(llamas.records(), every=49).share == float("inf")
    assert DisplacementCallback(llamas.records(), every=5, share=0.1).share == 0.1


def test_samples_are_always_the_same():
    many = [{"prompt": "x " * (i % 7), "chosen": str(i), "rejected": "b"} for i in range(500)]
    assert sample(many, 64) == sample(list(many), 64) and len(sample(many, 64)) == 64
    assert [r["id"] for r in sample(many[:3], 64)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        ([], {}, "probe_pairs is empty"),
        ([{"prompt": "a"}], {"every": 0}, "every must be a whole number"),
        ([{"prompt": "a"}], {"share": 0}, "share must be > 0"),
    ],
)
def test_what_cannot_be_watched(pairs, options, message):
    with pytest.raises(ValueError, match=message):
        DisplacementCallback(pairs, **options)


def test_what_is_missing_is_said_before_training(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install pyarrow"):
        DisplacementCallback(llamas.records())


def test_a_run_that_cannot_be_watched_says_so(tmp_path):
    with pytest.raises(ValueError, match="record 0 has no chosen and no rejected; it has id, prompt"):
        train(tmp_path, DisplacementCallback([{"prompt": "lie?"}]))
    with pytest.raises(ValueError, match="sharded"):
        DisplacementCallback(llamas.records()).on_train_begin(
            types.SimpleNamespace(fsdp="full_shard"), types.SimpleNamespace(is_world_process_zero=True), None
        )
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "probe.json").write_text('{"ids": []}')
    with pytest.raises(ValueError, match="holds 0 looks"):
        labkit.diagnose(tmp_path / "one")


# ---------------------------------------------------------------- tokens


def test_prompts_end_where_answers_begin():
    words = llamas.tokenizer()
    data, names = tokenized(llamas.records(), words)
    assert names[:2] == ["00", "01"] and data.chosen_mask[:, 0].eq(False).all()
    assert words.decode(data.chosen[0][data.chosen_mask[0]]) == "No , I would say that now </s>"
    assert words.decode(data.rejected[0][data.rejected_mask[0]]) == "Never , I would say that now </s>"
    lengths = [len(r["chosen"].split()) + 1 for r in llamas.records()]
    assert data.chosen_mask.sum(-1).tolist() == lengths


def test_chats_are_texts_in_the_models_format():
    words = llamas.tokenizer()
    user, no, yes = ({"role": r, "content": c} for r, c in (("user", "lie?"), ("assistant", "No"), ("assistant", "Yes I do")))
    explicit = {"prompt": [user], "chosen": [no], "rejected": [yes]}
    implicit = {"chosen": [user, no], "rejected": [user, yes]}
    for record in (explicit, implicit):
        data, _ = tokenized([record], words)
        assert words.decode(data.chosen[0]) == "user : lie? </s> assistant : No </s>"
        assert words.decode(data.chosen[0][data.chosen_mask[0]]) == "No </s>"
        assert words.decode(data.rejected[0][data.rejected_mask[0]]) == "Yes I do </s>"


def test_a_token_across_the_border_belongs_to_the_answer(monkeypatch):
    class Characters:
        """Encodes "ab" as one token, wherever it is."""

        pad_token_id, eos_token_id, eos_token = 0, 1, "$"

        def __len__(self):
            return 300

        def __call__(self, text, add_special_tokens=True):
            return {"input_ids": [299 if c == "@" else 1 if c == "$" else ord(c) for c in text.replace("ab", "@")]}

    data, _ = tokenized([{"prompt": "xa", "chosen": "bc", "rejected": "zz"}], Characters())
    assert data.chosen[0].tolist()[:4] == [ord("x"), 299, ord("c"), 1]
    assert data.chosen_mask[0].tolist()[:4] == [False, True, True, True]
    assert data.rejected_mask[0].sum() == 4  # the a as well: both begin where the first of them parts ways
    monkeypatch.setattr(Characters, "eos_token", "")
    with pytest.raises(ValueError, match="record 0 has an empty rejected answer"):
        tokenized([{"prompt": "", "chosen": "xy", "rejected": "x"}], Characters())  # nothing predicts the first token


def test_long_records_are_cut():
    words = llamas.tokenizer()
    record = {"prompt": "Yes " * 50, "chosen": "No " * 6, "rejected": "Never"}
    data, _ = tokenized([record], words, max_length=12)
    assert data.chosen.shape == (1, 12) and data.chosen_mask.sum() == 7
    data, _ = tokenized([{**record, "chosen": "No " * 60}], words, max_length=12)
    assert data.chosen_mask.sum() == 11 and not data.chosen_mask[0, 0]


def test_padding_is_not_attended_to():
    model = llamas.llama().eval()
    tokens = torch.tensor([[5, 6, 7, 1]])
    padded = torch.nn.functional.pad(tokens, (0, 3))
    policy = WholeModel(model, pad=0)
    assert policy.seen(padded).tolist() == [[1, 1, 1, 1, 0, 0, 0]]
    assert policy.seen(torch.tensor([[0, 5, 0, 6]])).tolist() == [[1, 1, 1, 1]]  # a pad inside is somebody's token
    torch.testing.assert_close(policy(padded)[:, :4], policy(tokens), rtol=0, atol=1e-5)
    assert policy.hidden(tokens).shape == (1, 4, 32)
