"""What trackers keep of a run: TensorBoard's event files and downloads, W&B's tables, what a trainer printed."""

import ast
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

EVENTS = "events.out.tfevents."
ASIDE = {
    "step",
    "_step",
    "wall time",
    "relative time (process)",
    "relative time (wall)",
    "train/global_step",
    "_timestamp",
    "_runtime",
}


class Field(NamedTuple):
    """One field of a protocol buffer: its number, and its bytes (a whole number where it is one)."""

    number: int
    value: Any


# ------------------------------------------------------------------ TensorBoard


def events(path: Path) -> list[dict[str, Any]]:
    """The scalars of an event file, a row for each step: `{"step": 10, "train/loss": 0.6}`.

    Source: records of length, checksum, bytes, checksum (tensorflow's record_writer.h); the bytes are an Event (event.proto:
    step is field 2, summary field 5), its values have a tag (1) and a number (2, or a tensor, 8, of float_val 5).

    Raises:
        ValueError: not one whole record.
    """
    rows: dict[int, dict[str, Any]] = {}
    for record in whole(path.read_bytes(), path.name):
        parts = list(fields(record))
        step = next((part.value for part in parts if part.number == 2 and isinstance(part.value, int)), 0)
        for summary in (part.value for part in parts if part.number == 5):
            for value in (part.value for part in fields(summary) if part.number == 1):
                if (found := scalar(dict(fields(value)))) is not None:
                    rows.setdefault(step, {"step": step})[found[0]] = found[1]
    if not rows:
        raise ValueError(f"{path.name} holds no scalars: the trainer logged nothing to it")
    return [rows[step] for step in sorted(rows)]


def whole(data: bytes, name: str) -> Iterator[bytes]:
    """The records; a last one that was cut off, as while a run goes on, is left out."""
    at = 0
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        if at + 16 + length > len(data):
            break
        yield data[at + 12 : at + 12 + length]
        at += 16 + length
    if at == 0:
        raise ValueError(f"{name} holds no whole record: it is empty, cut off, or no event file of TensorBoard")


def fields(data: bytes) -> Iterator[Field]:
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
            yield Field(key >> 3, value)
            continue
        if kind == 2:
            size, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind, len(data))
        yield Field(key >> 3, data[at : at + size])
        at += size


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            break
    return value, at


def scalar(value: dict[int, Any]) -> tuple[str, float] | None:
    """Tag and number of one value of a summary; None for pictures and texts."""
    if isinstance(value.get(2), bytes) and len(value[2]) == 4:
        number = value[2]
    elif isinstance(value.get(8), bytes):
        tensor = dict(fields(value[8]))
        number = tensor.get(5) if tensor.get(1) == 1 else None
    else:
        number = None
    if not isinstance(number, bytes) or len(number) != 4:
        return None
    return value[1].decode(), struct.unpack("<f", number)[0]


def downloaded(path: Path, steps: list[Any], values: list[Any]) -> list[dict[str, Any]]:
    """One curve that TensorBoard handed out as .csv or .json: only the file's name says which.

    Raises:
        ValueError: the name does not.
    """
    tag = re.search(r"-tag-(.+)$", path.stem)
    if tag is None:
        raise ValueError(
            f"{path.name} holds one curve, step and value, and does not say of what: keep TensorBoard's name of the file "
            "(run-NAME-tag-train_rewards_chosen.csv), or rename the column Value to rewards/chosen"
        )
    return [{"step": step, tag[1]: value} for step, value in zip(steps, values, strict=True)]


# ------------------------------------------------------------------ W&B


def unnamed(rows: list[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    """W&B's export of a panel has the run's name before every column, `NAME - train/loss`, and least and largest values.

    Raises:
        ValueError: the panel showed several runs.
    """
    columns = [name for name in rows[0] if name.lower() not in ASIDE]
    parts = {name: name.rpartition(" - ") for name in columns}
    runs = list(dict.fromkeys(run for run, dash, _ in parts.values() if dash))
    if not runs or not all(dash for _, dash, _ in parts.values()):
        return rows
    if len(runs) > 1:
        raise ValueError(f"{source} holds {len(runs)} runs, {', '.join(runs[:4])}: export one at a time")
    kept = {name: tag for name, (_, _, tag) in parts.items() if not tag.endswith(("__MIN", "__MAX"))}
    return [{kept.get(name, name): value for name, value in row.items() if name in kept or name not in parts} for row in rows]


# ------------------------------------------------------------------ what was printed


def printed(path: Path) -> list[dict[str, Any]]:
    """The rows that a trainer printed, `{'loss': 0.69, ...}`, among whatever else was.

    Raises:
        ValueError: there are none.
    """
    rows: list[dict[str, Any]] = []
    for text in re.findall(r"\{'[^{}]*\}", path.read_text(encoding="utf-8", errors="replace")):
        try:
            row = ast.literal_eval(re.sub(r"(?<=: )(nan|-?inf)\b", r"'\1'", text))
        except (ValueError, SyntaxError):
            continue
        rows.append({"step": len(rows) + 1, **row})
    if not rows:
        raise ValueError(f"{path.name} holds no row of a trainer's log, such as {{'loss': 0.69, 'rewards/chosen': -0.1}}")
    return rows
