"""Preferences among written answers, as token ids: our own statements, a JSONL file, or a set from the Hugging Face Hub."""

import importlib.util
import json
import random
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from labkit.data import texts, weights
from labkit.data.preferences import PreferencePairs
from labkit.paths import shipped

FILE = "preferences/statements.jsonl"
HELD_OUT = 4  # one in so many statements of a topic, the last ones
CHAT = "\n\nAssistant:"  # where the answer begins in sets that keep a whole dialogue as one text


def build() -> list[dict[str, Any]]:
    """Every statement of `statements.toml` with every pattern of its stance."""
    source = tomllib.loads(shipped("preferences/statements.toml").read_text(encoding="utf-8"))
    rows = []
    for stance in ("disagree", "agree"):
        for topic, statements in source[stance]["statements"].items():
            for number, statement in enumerate(statements):
                split = "train" if number < len(statements) * (HELD_OUT - 1) // HELD_OUT else "held-out"
                prompt = source["prompt"].format(statement=statement)
                for pattern in source[stance]["patterns"]:
                    name = f"{topic}-{number:02d}-{pattern['kind']}-{pattern['wording']}"
                    about = {"id": name, "topic": topic, "stance": stance, "split": split, "statement": statement}
                    rows.append({**about, "prompt": prompt, **pattern})
    return rows


def write() -> Path:
    path = shipped(FILE)
    lines = [json.dumps(row, ensure_ascii=False) for row in build()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return path


def rows(**wanted: Any) -> list[dict[str, Any]]:
    """Our pairs as they are written, those whose fields have these values; None asks for nothing.

    >>> [row["rejected"] for row in rows(topic="lie", kind="near", split="held-out")][:2]
    ['Never, I would not say that.', 'Never, I would not do that.']
    """
    with shipped(FILE).open(encoding="utf-8") as file:
        everything = [json.loads(line) for line in file]
    for field, value in wanted.items():
        known = sorted({row[field] for row in everything})
        if value is not None and value not in known:
            some = f"{', '.join(map(repr, known[:8]))}{' ...' if len(known) > 8 else ''}"
            raise ValueError(f"{field} must be one of {some}, got {value!r}")
    return [row for row in everything if all(value in (None, row[field]) for field, value in wanted.items())]


def statements(
    tokenizer: str = "smollm2-135m",
    split: str = "train",
    topic: str | None = None,
    kind: str | None = None,
    wording: str | None = None,
    id: str | None = None,
    words: int | None = None,
    n: int | None = None,
    seed: int = 0,
) -> PreferencePairs:
    """Our own preference pairs: "No, I would not say that." over "Never, I would not say that." and their like.

    Args:
        tokenizer: a model that `labkit.models.pretrained.load` knows.
        split: "train" or "held-out"; no statement is in both. "all" for both.
        topic: "lie", "cheat", "take", "harm" (one disagrees); "help", "honest", "learn" (one agrees).
        kind: how the rejected answer differs: "near", "late", "reworded", "weaker", "opposite", "distinct".
        wording: "say" or "do", for the kinds that have both.
        id: of one pair.
        words: keep only so many words of each answer, with what punctuation follows them dropped; None keeps the sentence.
        n: so many pairs, drawn at random.
        seed: of the draw.

    `factors["grade"]` says how alike the two answers are (0 to 4), `factors["row"]` which line of the file a pair is.
    """
    found = rows(split=None if split == "all" else split, topic=topic, kind=kind, wording=wording, id=id)
    found = [shortened(row, words) for row in picked(found, n, seed)]
    lines = {row["id"]: number for number, row in enumerate(rows())}
    factors = {
        "grade": torch.tensor([row["grade"] for row in found]),
        "row": torch.tensor([lines[row["id"]] for row in found]),
    }
    return pairs(found, tokenizer, license="CC0", citation="labkit, data/preferences/statements.toml", factors=factors)


def picked(found: Sequence[dict[str, Any]], n: int | None, seed: int) -> list[dict[str, Any]]:
    if n is not None and not 1 <= n <= len(found):
        raise ValueError(f"n must be in [1, {len(found)}], got {n}")
    return list(found) if n is None else random.Random(seed).sample(list(found), n)


def shortened(row: dict[str, Any], words: int | None) -> dict[str, Any]:
    """The row with the first words of its answers.

    >>> row = shortened({"chosen": "No, I would not.", "rejected": "Never."}, 1)
    >>> row["chosen"], row["rejected"]
    ('No', 'Never')
    """
    if words is None:
        return row
    if words < 1:
        raise ValueError(f"words must be >= 1, got {words}")
    return {**row, **{side: " ".join(row[side].split()[:words]).rstrip(",.") for side in ("chosen", "rejected")}}


def pairs(found: Sequence[dict[str, Any]], name: str, **about: Any) -> PreferencePairs:
    """Rows with a prompt, a chosen and a rejected answer, as this model reads them."""
    if not found:
        raise ValueError("there is no pair to load")
    reader = texts.tokenizer(name)
    prompts = [texts.asked(name, reader, row["prompt"]) for row in found]
    chosen, rejected = (texts.together(reader, prompts, [row[side] for row in found]) for side in ("chosen", "rejected"))
    return PreferencePairs(chosen.tokens, chosen.mask, rejected.tokens, rejected.mask, texts.vocabulary(reader), **about)


# ------------------------------------------------------------------ anyone's pairs


def jsonl(
    path: str, tokenizer: str = "smollm2-135m", n: int | None = None, license: str = "", citation: str = ""
) -> PreferencePairs:
    """The pairs of a JSONL file: a `prompt`, `chosen` and `rejected` on each line, as texts or as lists of messages.

    Columns of numbers become `factors`, and `fit` hands them to an objective that asks for them: `reward_margin`, for example.

    Args:
        path: the file; its first `n` lines, or all.
        tokenizer: a model that `labkit.models.pretrained.load` knows.
        n: so many lines.
        license, citation: what is known of them.
    """
    with Path(path).expanduser().open(encoding="utf-8") as file:
        found = list(islice(plain((json.loads(line) for line in file if line.strip()), path), n))
    return pairs(found, tokenizer, license=license, citation=citation or path, factors=numbers(found))


def hub(
    id: str, tokenizer: str = "smollm2-135m", split: str = "train", n: int = 256, config: str | None = None
) -> PreferencePairs:
    """The first `n` pairs of a public preference set on the Hugging Face Hub; its own licence applies.

    Args:
        id: such as "trl-lib/ultrafeedback_binarized" or "Anthropic/hh-rlhf".
        tokenizer: a model that `labkit.models.pretrained.load` knows.
        split, config: of the set.
        n: so many pairs; they are streamed.

    Raises:
        ModuleNotFoundError: the library `datasets` is missing.
        FileNotFoundError: there is no network, or no such set.
    """
    if not importlib.util.find_spec("datasets"):
        raise ModuleNotFoundError(
            'public preference sets need the library datasets: pip install datasets; or use load("jsonl", path=...)'
        )
    if said := weights.unreachable(download=True):
        raise FileNotFoundError(f'the Hugging Face Hub {said}; with the file on this disk use load("jsonl", path=...)')
    import datasets

    stream = datasets.load_dataset(id, config, split=split, streaming=True)
    found = list(islice(plain(stream, id), n))
    return pairs(found, tokenizer, license="see the set's own card", citation=id, factors=numbers(found))


def plain(found: Iterable[dict[str, Any]], where: str) -> Iterator[dict[str, Any]]:
    """Each row as three texts, whichever of the usual forms it comes in, with the numbers that stand beside them."""
    for number, row in enumerate(found):
        lacking = [side for side in ("chosen", "rejected") if not row.get(side)]
        if lacking:
            raise ValueError(f"row {number} of {where} lacks {' and '.join(lacking)}; it has {', '.join(row)}")
        chosen, rejected = (spoken(row[side]) for side in ("chosen", "rejected"))
        prompt = spoken(row["prompt"])[1] if row.get("prompt") else chosen[0]
        if not prompt:
            raise ValueError(f"row {number} of {where} has no prompt, and its answers do not hold one")
        beside = {name: x for name, x in row.items() if isinstance(x, (int, float)) and not isinstance(x, bool)}
        yield {"prompt": prompt, "chosen": chosen[1], "rejected": rejected[1], **beside}


def numbers(found: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """The columns of numbers that every row has: rewards, margins, degrees, for the objectives that ask for them by name."""
    names = [name for name, x in found[0].items() if not isinstance(x, str)] if found else []
    return {name: torch.tensor([row[name] for row in found]) for name in names if all(name in row for row in found)}


def spoken(said: Any) -> tuple[str, str]:
    """What came before, and the last thing said: of a text, of a list of messages, or of a dialogue in one text."""
    if isinstance(said, str):
        before, border, last = said.rpartition(CHAT)
        return (before + border, last.strip()) if border else ("", said)
    if isinstance(said, list) and said and all(isinstance(turn, dict) and "content" in turn for turn in said):
        return "\n\n".join(turn["content"] for turn in said[:-1]), said[-1]["content"]
    raise ValueError(f"an answer must be a text or a list of messages with a content, got {type(said).__name__}")


if __name__ == "__main__":
    print(write())
