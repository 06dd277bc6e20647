"""Two checkpoints of a causal model and the pairs between them: the doctor for runs that are over."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from labkit.data.preferences import PreferencePairs
from labkit.diagnose.foreseen import at_the_start, output_vectors
from labkit.diagnose.report import Diagnosis
from labkit.diagnose.scores import Row, scores, write_csv
from labkit.diagnose.snapshots import Words, movement_of
from labkit.diagnose.tokens import WholeModel, tokenized
from labkit.diagnose.verdicts import judge
from labkit.training.answers import picture
from labkit.training.logs import columns

LIMIT = 256
GRADIENTS = 16  # pairs whose gradients stand for all, at the start
NO_ACCOUNT = "No first-order account: it needs every update, and here are two checkpoints."


class Looked(NamedTuple):
    """The pairs that were compared, and what both models say of them, token by token: what a figure of one pair needs.

    names: of all pairs in `data`; rows: those that were compared; before, after: as `training.answers.picture` has them.
    """

    data: PreferencePairs
    names: list[str]
    rows: Tensor
    before: dict[str, Tensor]
    after: dict[str, Tensor]


class Examined(NamedTuple):
    """What became of the pairs, what could be known of each before, and what was looked at."""

    diagnosis: Diagnosis
    scores: list[Row]
    looked: Looked | None = None


def examine(
    before: str | Path | nn.Module,
    after: str | Path | nn.Module,
    pairs: Any,
    *,
    tokenizer: Any = None,
    opposites: Words = (),
    paraphrases: Words = (),
    limit: int = LIMIT,
    max_length: int = 1024,
    gradients: bool | None = None,
    population: int | None = None,
    k: int = 5,
) -> Examined:
    """L3: compare a causal model before and after preference training, on the pairs that it was trained on.

    Args:
        before, after: folders or ids of Hugging Face models, or models.
        pairs: records of `prompt`, `chosen`, `rejected` and an `id`, or a file of them.
        tokenizer: default: that of `after`, or of `before`.
        opposites, paraphrases, k, gradients: as in `diagnose`.
        limit: of more pairs a fixed sample is compared; all are scored.
        population: how many pairs the model was trained on; default: these are all of them.
        max_length: longer records are cut.

    Raises:
        ValueError: a model, a tokenizer or a file that cannot be read, records without their parts.
    """
    records = load_records(pairs)
    tokenizer = tokenizer or load_tokenizer([after, before])
    data, names = tokenized(records, tokenizer, max_length=max_length)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    rows = sampled(len(data), limit)
    about: dict[str, float] = {}
    shots, said, table = [], [NO_ACCOUNT], []
    for which in (before, after):
        policy = WholeModel(load_model(which), -1 if pad is None else pad).eval()
        data.vocabulary.size = max(data.vocabulary.size, vocabulary(policy.model))  # type: ignore[attr-defined]
        shots.append({name: torch.from_numpy(x) for name, x in picture(policy, data, rows).items()})
        if len(shots) == 1:
            about, more = at_the_start(policy, data, rows[:GRADIENTS], wanted=gradients)
            said += more
            table = scores(records, policy.model, tokenizer, gradients=gradients, max_length=max_length)
    how: dict[str, Any] = {"opposites": opposites, "paraphrases": paraphrases, "k": k, "vectors": output_vectors(policy)}
    movement = movement_of(data, rows, dict(enumerate(shots)), population or len(data), **how)
    for i, row in zip(rows.tolist(), movement.chosen.tolist(), strict=True):
        table[i]["chosen_change"] = row
    for row in table:
        row.setdefault("chosen_change", None)
    if len(rows) < len(names):
        said.append(f"A sample of {len(rows)} of {len(names)} pairs was compared; all were scored.")
    return Examined(judge(movement, said=said, **about), table, Looked(data, names, rows, *shots))


def sampled(n: int, limit: int) -> Tensor:
    if limit < 1:
        raise ValueError(f"limit must be >= 1, got {limit}")
    return (
        torch.arange(n) if n <= limit else torch.randperm(n, generator=torch.Generator().manual_seed(0))[:limit].sort().values
    )


def vocabulary(model: Any) -> int:
    return int(model.get_output_embeddings().weight.shape[0])


def load_records(pairs: Any) -> list[dict]:
    """Records from a file, a list, or a data set that yields them."""
    if isinstance(pairs, (str, Path)):
        table = columns(pairs)
        return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    return [dict(record) for record in pairs]


def load_model(which: Any) -> nn.Module:
    if isinstance(which, nn.Module):
        return which.eval()
    if (Path(which) / "adapter_config.json").exists():
        raise ValueError(
            f"{which} holds an adapter only: merge it into its model first (peft's merge_and_unload), and save that"
        )
    try:
        return library().AutoModelForCausalLM.from_pretrained(str(which), dtype=torch.float32).eval()
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read a causal model from {which}: {first_line(error)}") from None


def load_tokenizer(places: Sequence[Any]) -> Any:
    problem = "give tokenizer="
    for place in places:
        if isinstance(place, nn.Module):
            continue
        try:
            return library().AutoTokenizer.from_pretrained(str(place))
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = first_line(error)
    raise ValueError(f"no tokenizer in {' or '.join(str(p) for p in places if not isinstance(p, nn.Module))}: {problem}")


def library() -> Any:
    try:
        import transformers
    except ImportError:
        raise ValueError("reading checkpoints needs transformers: pip install 'labkit[lm]'") from None
    return transformers


def first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def report(found: Examined, folder: Path) -> list[Path]:
    """`report.txt`, `report.html`, `report.json` and `scores.csv`, with a row for each pair."""
    folder.mkdir(parents=True, exist_ok=True)
    page = f"<!doctype html><meta charset='utf-8'><title>dpo-doctor</title>{found.diagnosis._repr_html_()}"
    texts = {
        "report.txt": str(found.diagnosis) + "\n",
        "report.html": page,
        "report.json": json.dumps(found.diagnosis.numbers(), indent=1),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    write_csv(found.scores, folder / "scores.csv")
    return [folder / name for name in (*texts, "scores.csv")]


__all__ = ["Examined", "examine", "report"]
