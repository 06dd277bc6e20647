"""A table of scores with a row for each pair, to drop the pairs most likely to displace, and as many at random beside them."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from labkit import metrics
from labkit.data.preferences import PreferencePairs
from labkit.diagnose.foreseen import CHEAP, mean_gradient, similarity
from labkit.diagnose.tokens import WholeModel, tokenized
from labkit.training.answers import answers, blocks

Row = dict[str, Any]
# column -> how bad a value is: the larger, the worse
WORST = {
    "ratio": float,
    "sign_ratio": float,
    "ln_ches": float,
    "edit_distance": lambda x: -x,
    "length_gap": abs,
}


def scores(
    pairs: Any, model: nn.Module, tokenizer: Any = None, *, gradients: bool | None = None, max_length: int = 1024
) -> list[Row]:
    """What can be known of every pair before training on it.

    A row for each pair, `id` first, ready for `pandas.DataFrame` or a join: "ratio", entanglement for plain gradient descent at
    this model, and "sign_ratio", the same for sign steps (None where no gradients were computed); "ln_ches" (None for models
    without hidden states); "edit_distance" between the answers, as a share of the longer one; "length_gap", tokens of the
    chosen answer minus tokens of the rejected one; both "chosen_logp", "rejected_logp". No column is a verdict: drop by one,
    and drop as many at random beside it.

    Args:
        pairs: PreferencePairs, or records of `prompt`, `chosen`, `rejected` and, to be found again, `id`.
        model: a policy of labkit, or a causal model of Hugging Face.
        tokenizer: of the latter.
        gradients: compute ratios: two backward passes a pair. None: where that takes seconds.
        max_length: longer records are cut.

    Raises:
        ValueError: records without a tokenizer, or without their parts.

    >>> from labkit.data.preferences import load
    >>> from labkit.models import build
    >>> data = load("three_answers")
    >>> row = scores(data, build("softmax_policy", data, train="features"))[0]
    >>> print(f"ratio {row['ratio']:.2f}, edit distance {row['edit_distance']:.0f}, length gap {row['length_gap']}")
    ratio 3.44, edit distance 1, length gap 0
    """
    data, names, policy = prepared(pairs, model, tokenizer, max_length)
    was_training = policy.training
    policy.eval()
    rows = torch.arange(len(data), device=data.chosen.device)
    assert data.rejected is not None and data.rejected_mask is not None
    columns: dict[str, Sequence] = {"id": names, **ratios(policy, data, gradients)}
    columns["ln_ches"] = similarity(policy, data, rows)["ln_ches"].tolist() if hasattr(policy, "hidden") else [None] * len(data)
    columns["edit_distance"] = metrics.edit_distance(data.chosen, data.rejected, data.chosen_mask, data.rejected_mask).tolist()
    with torch.no_grad():
        parts = [answers(policy, data, block) for block in blocks(data, rows)]
    whole = {name: torch.cat([p[name] for p in parts]) for name in parts[0]}
    columns["length_gap"] = metrics.length_gap(whole["chosen_lengths"], whole["rejected_lengths"]).tolist()
    columns |= {f"{side}_logp": whole[f"{side}_logps"].double().tolist() for side in ("chosen", "rejected")}
    policy.train(was_training)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def prepared(pairs: Any, model: nn.Module, tokenizer: Any, max_length: int) -> tuple[PreferencePairs, list[Any], nn.Module]:
    device = next(model.parameters()).device
    if isinstance(pairs, PreferencePairs):
        return pairs.to(device), list(range(len(pairs))), model
    if tokenizer is None:
        raise ValueError("records need the model's tokenizer: scores(pairs, model, tokenizer)")
    size = getattr(getattr(model, "config", None), "vocab_size", None)
    data, names = tokenized(pairs, tokenizer, max_length=max_length, size=size)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return data.to(device), names, WholeModel(model, -1 if pad is None else pad)


def ratios(policy: nn.Module, data: PreferencePairs, wanted: bool | None) -> dict[str, list[float | None]]:
    """Entanglement of every pair, if it is wanted or cheap."""
    size = sum(p.numel() for p in policy.parameters() if p.requires_grad) * int(data.chosen_mask.sum())
    found: dict[str, list[float | None]] = {"ratio": [None] * len(data), "sign_ratio": [None] * len(data)}
    if wanted is False or size == 0 or (wanted is None and size > CHEAP):
        return found
    for i in range(len(data)):
        up, down = (
            mean_gradient(policy, getattr(data, s)[i : i + 1], getattr(data, f"{s}_mask")[i : i + 1])
            for s in ("chosen", "rejected")
        )
        if up.any():
            found["ratio"][i] = float(metrics.entanglement(up, down))
            found["sign_ratio"][i] = float(metrics.sign_entanglement(up, down))
    return found


def drop_worst(table: Iterable[Row], share: float = 0.05, by: str = "ln_ches") -> list[Row]:
    """The rows that stay when the worst are dropped; `{row["id"] for row in drop_worst(table)}` picks the pairs to train on.

    Args:
        table: what `scores` returns, or those rows of a table of anyone's that have the column.
        share: in (0, 1), of the rows; at least one is dropped.
        by: "ln_ches", "ratio", "sign_ratio": the largest; "edit_distance": the smallest; "length_gap": the largest either way.

    Raises:
        ValueError: an unknown column, or one without numbers.

    >>> table = [{"id": i, "ln_ches": x} for i, x in enumerate([3.0, 9.0, -1.0])]
    >>> [row["id"] for row in drop_worst(table, 1 / 3)]
    [0, 2]
    """
    rows = list(table)
    if by not in WORST:
        raise ValueError(f"by must be one of {', '.join(WORST)}, got {by!r}")
    missing = [row.get("id", i) for i, row in enumerate(rows) if row.get(by) is None]
    if missing:
        raise ValueError(f"{by} is missing for {len(missing)} of {len(rows)} rows, the first of them {missing[0]}")
    order = sorted(range(len(rows)), key=lambda i: WORST[by](rows[i][by]), reverse=True)
    return left(rows, set(order[: dropped(len(rows), share)]))


def drop_random(table: Iterable[Row], share: float = 0.05, seed: int = 0) -> list[Row]:
    """As many rows dropped, at random: the control that every filter has to beat.

    >>> len(drop_random([{"id": i} for i in range(40)]))
    38
    """
    rows = list(table)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    return left(rows, set(order[: dropped(len(rows), share)]))


def dropped(n: int, share: float) -> int:
    if not 0 < share < 1:
        raise ValueError(f"share must be in (0, 1), got {share}")
    return max(1, math.floor(share * n + 0.5))


def left(rows: list[Row], gone: set[int]) -> list[Row]:
    return [row for i, row in enumerate(rows) if i not in gone]


def write_csv(table: list[Row], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


__all__ = ["drop_random", "drop_worst", "scores"]
