"""Log-probabilities of every pair, before and after, in a table of anyone's."""

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from labkit.diagnose.evidence import Movement
from labkit.diagnose.report import Diagnosis
from labkit.diagnose.verdicts import judge

LOGP = re.compile(r"log_?p(rob)?s?$|log_?prob(abilit(y|ies))?$")
BEFORE, AFTER = {"ref", "reference", "before", "start", "base", "sft"}, {"after", "policy", "end", "now", "dpo"}
LOOK = "Who gained and where: `python -m labkit dpo-doctor --before REF --after CKPT --pairs pairs.jsonl`"


def which(column: str) -> tuple[str, str] | None:
    """A column's name as (side, time), or None if it is something else.

    >>> which("ref_chosen_logp"), which("rejected_logps_after"), which("chosen_length")
    (('chosen', 'before'), ('rejected', 'after'), None)
    """
    words = set(re.split(r"[^a-z]+", re.sub(r"log[_ ]?p(rob)?s?(?![a-z])", "logps", column.lower())))
    side = "chosen" if "chosen" in words else "rejected" if words & {"rejected", "reject"} else None
    if side is None or "logps" not in words or words & {"token", "tokens", "train", "eval"}:
        return None
    return side, "before" if words & BEFORE else "after"


def per_pair(history: dict[str, list]) -> dict[tuple[str, str], str]:
    """(side, time) -> column, if this is a table with one row for each pair: both times of the chosen answers, and no steps."""
    found = {key: name for name in history if (key := which(name))}
    return found if {("chosen", "before"), ("chosen", "after")} <= found.keys() and "step" not in history else {}


def of_pairs(history: dict[str, list], found: dict[tuple[str, str], str], population: int | None = None) -> Diagnosis:
    """L1: what `diagnose` says of such a table."""
    columns = {key: numbers(history[name], name) for key, name in found.items()}
    chosen = columns["chosen", "after"] - columns["chosen", "before"]
    rejected = start = None
    if {("rejected", "before"), ("rejected", "after")} <= columns.keys():
        rejected = columns["rejected", "after"] - columns["rejected", "before"]
        start = (columns["chosen", "before"], columns["rejected", "before"])
    ids = tuple(history.get("id", range(len(chosen))))
    movement = Movement("L1", chosen, rejected, start, population=population, ids=ids, notes=worst(chosen, ids))
    missing = [LOOK] if rejected is not None else ["The rejected answers' log-probabilities, before and after.", LOOK]
    return judge(movement, missing=tuple(missing))


def worst(chosen: Tensor, ids: Iterable[Any], k: int = 3) -> tuple[str, ...]:
    """The pairs that fell most, by name."""
    fell = sorted((x, str(i)) for x, i in zip(chosen.tolist(), ids, strict=True) if x < 0)[:k]
    return ("Fell most: " + ", ".join(f"{i} ({x:+.2f})" for x, i in fell) + ".",) if fell and len(chosen) > 1 else ()


def numbers(values: list, name: str) -> Tensor:
    bad = [i for i, x in enumerate(values) if isinstance(x, (str, bool)) or x is None]
    if bad:
        raise ValueError(f"{name} holds no number in row {bad[0]}, but {values[bad[0]]!r}")
    x = torch.tensor(values, dtype=torch.float64)
    if not x.isfinite().all():
        raise ValueError(f"{name} holds NaN or infinite values")
    if (x > 1e-6).any():
        raise ValueError(f"{name} holds {x.max():g}: a log-probability is at most 0")
    return x
