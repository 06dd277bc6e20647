"""Preferences that we wrote: whole, in natural form, split by statement; and anyone's, read with an exact border."""

import json
import re
from collections import Counter, defaultdict

import pytest
import torch

from labkit.data import statements, texts, weights
from labkit.data.preferences import load
from labkit.paths import shipped

ROWS = statements.rows()
FIELDS = {"id", "topic", "stance", "split", "statement", "prompt", "kind", "wording", "grade", "chosen", "rejected"}


def test_the_file_is_what_its_source_says():
    assert statements.build() == ROWS
    assert len(ROWS) >= 300 and len({row["id"] for row in ROWS}) == len(ROWS)
    assert all(set(row) == FIELDS for row in ROWS)


def test_every_text_is_a_sentence_and_no_pair_is_there_twice():
    for row in ROWS:
        for text in (row["statement"], row["chosen"], row["rejected"]):
            assert re.fullmatch(r"[A-Z][A-Za-z' ,]*\.", text) and "  " not in text, text
        assert row["statement"].startswith("I would ") and f'"{row["statement"]}"' in row["prompt"]
        assert row["chosen"] != row["rejected"]
    assert len({(row["prompt"], row["chosen"], row["rejected"]) for row in ROWS}) == len(ROWS)


def test_no_statement_is_on_both_sides_of_the_split():
    sides = defaultdict(set)
    for row in ROWS:
        sides[row["statement"]].add(row["split"])
    assert all(len(side) == 1 for side in sides.values())
    held = Counter(row["topic"] for row in ROWS if row["split"] == "held-out")
    everywhere = Counter(row["topic"] for row in ROWS)
    assert all(held[topic] * 4 == n for topic, n in everywhere.items())


def shared_words(row):
    chosen, rejected = (set(re.findall(r"[a-z']+", row[side].lower())) for side in ("chosen", "rejected"))
    return len(chosen & rejected) / len(chosen | rejected)


def test_grades_say_how_alike_the_answers_are():
    alike = defaultdict(list)
    for row in ROWS:
        alike[row["grade"]].append(shared_words(row))
    means = {grade: sum(shares) / len(shares) for grade, shares in alike.items()}
    assert sorted(means) == [0, 1, 2, 3, 4] and means[4] > 0.6 and means[0] == 0
    assert means[4] > means[3] > means[1] > means[0]  # the weaker answer is short: its meaning is alike, few of its words are
    opposite = {"Yes": "No", "No": "Yes", "Sure": "No", "Never": "Yes"}
    for row in ROWS:
        first = [re.match(r"\w+", row[side])[0] for side in ("chosen", "rejected")]
        assert (row["grade"] <= 1) == (opposite.get(first[1]) == first[0]), row


def test_rows_are_picked_by_name():
    near = statements.rows(topic="lie", kind="near", wording="say")
    assert len(near) == 16 and {row["rejected"] for row in near} == {"Never, I would not say that."}
    with pytest.raises(ValueError, match=r"kind must be one of 'distinct', .*, got 'close'"):
        statements.rows(kind="close")


# ------------------------------------------------------------------ with a tokenizer of our own


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A folder with a small tokenizer that was trained on our texts; no network."""
    pytest.importorskip("transformers", reason='needs pip install "labkit[lm]"')
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<pad>", "<s>"], initial_alphabet=letters, show_progress=False
    )
    made.train_from_iterator([row[side] for row in ROWS for side in ("prompt", "chosen", "rejected")], trainer)
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", bos_token="<s>").save_pretrained(folder)
    return str(folder)


def test_pairs_hold_prompt_answer_and_padding_and_nothing_else(reader):
    found = load("statements", tokenizer=reader, topic="lie")
    own, expected = texts.tokenizer(reader), statements.rows(topic="lie", split="train")
    assert len(found) == len(expected) and found.license == "CC0"
    for side in ("chosen", "rejected"):
        tokens, mask = getattr(found, side), getattr(found, f"{side}_mask")
        for row, ids, answer in zip(expected, tokens, mask, strict=True):
            begin, end = answer.int().argmax().item(), answer.nonzero().max().item() + 1
            assert answer[begin:end].all() and (ids[end:] == own.pad_token_id).all()
            assert own.decode(ids[:begin]) == f"<s>{row['prompt']}\n\n" and own.decode(ids[begin:end]) == row[side]
    assert found.factors["grade"].tolist() == [row["grade"] for row in expected]
    assert [ROWS[k]["id"] for k in found.factors["row"].tolist()] == [row["id"] for row in expected]


def test_a_draw_is_named_by_its_seed(reader):
    a, b, c = (load("statements", tokenizer=reader, kind="near", n=5, seed=seed) for seed in (0, 0, 1))
    assert a.sha256 == b.sha256 != c.sha256 and len(a) == 5
    with pytest.raises(ValueError, match=r"n must be in \[1, 3\]|n must be in \[1, 12\]"):
        load("statements", tokenizer=reader, topic="lie", kind="late", n=99)


def test_a_jsonl_file_in_any_of_the_usual_forms(reader, tmp_path):
    turn = lambda role, text: {"role": role, "content": text}  # noqa: E731
    talk = [turn("user", "Hi?"), turn("assistant", "Hello."), turn("user", "Why?")]
    rows = [
        {"prompt": "Why?", "chosen": "Because.", "rejected": "No."},
        {"chosen": [*talk, turn("assistant", "Because.")], "rejected": [*talk, turn("assistant", "No.")]},
        {"prompt": [talk[-1]], "chosen": [turn("assistant", "Because.")], "rejected": [turn("assistant", "No.")]},
        {"chosen": "\n\nHuman: Why?\n\nAssistant: Because.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    found, own = load("jsonl", path=str(path), tokenizer=reader), texts.tokenizer(reader)
    assert len(found) == 4 and found.citation == str(path)
    for side, answer in (("chosen", "Because."), ("rejected", "No.")):
        tokens, mask = getattr(found, side), getattr(found, f"{side}_mask")
        assert [own.decode(ids[marked]) for ids, marked in zip(tokens, mask, strict=True)] == [answer] * 4
    begins = [own.decode(ids[: int(mask.int().argmax())]) for ids, mask in zip(found.chosen, found.chosen_mask, strict=True)]
    assert begins[0] == "<s>Why?\n\n" and begins[1] == "<s>Hi?\n\nHello.\n\nWhy?\n\n" and begins[2] == begins[0]
    assert begins[3] == "<s>\n\nHuman: Why?\n\nAssistant:\n\n"
    assert len(load("jsonl", path=str(path), tokenizer=reader, n=2)) == 2


def test_numbers_beside_the_texts_become_factors(reader, tmp_path):
    row = {"prompt": "Why?", "chosen": "Because.", "rejected": "No.", "source": "me", "good": True}
    rows = [{**row, "reward_margin": 1.5, "only_here": 1}, {**row, "reward_margin": -0.5}]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = load("jsonl", path=str(path), tokenizer=reader)
    assert list(found.factors) == ["reward_margin"] and found.factors["reward_margin"].tolist() == [1.5, -0.5]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "Why?", "chosen": "Because."}, "row 0 of .* lacks rejected; it has prompt, chosen"),
        ({"chosen": "Because.", "rejected": "No."}, "row 0 of .* has no prompt"),
        ({"prompt": "Why?", "chosen": 3, "rejected": "No."}, "an answer must be a text or a list of messages"),
        ({"prompt": "Why?", "chosen": [{"text": "x"}], "rejected": "No."}, "list of messages with a content, got list"),
    ],
)
def test_rows_that_cannot_be_read_are_named(reader, tmp_path, row, message):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load("jsonl", path=str(path), tokenizer=reader)


def test_an_empty_file_and_an_empty_answer_are_refused(reader, tmp_path):
    (tmp_path / "none.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="no pair to load"):
        load("jsonl", path=str(tmp_path / "none.jsonl"), tokenizer=reader)
    with pytest.raises(ValueError, match="row 0 has an empty answer"):
        texts.together(texts.tokenizer(reader), ["Why?"], [""])


def test_the_hub_says_what_it_needs(monkeypatch, reader):
    monkeypatch.setattr(statements.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install datasets"):
        load("hub", id="someone/pairs", tokenizer=reader)
    monkeypatch.setattr(statements.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setenv("LABKIT_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match=r'not tried: LABKIT_OFFLINE=1; .* load\("jsonl", path='):
        load("hub", id="someone/pairs", tokenizer=reader)


def test_the_data_says_who_wrote_it():
    assert "CC0" in (shipped("preferences") / "statements.toml").read_text(encoding="utf-8")
    assert "preferences/" in shipped("README.md").read_text(encoding="utf-8")
    assert set(weights.KNOWN) <= set(re.findall(r"^\[([\w-]+)\]", shipped("sources.toml").read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize("kind", sorted({row["kind"] for row in ROWS}))
def test_a_tensor_of_each_kind(reader, kind):
    found = load("statements", tokenizer=reader, split="held-out", kind=kind)
    assert found.chosen.dtype == torch.int64 and found.chosen_mask.any(-1).all() and len(found) >= 16
