"""Anyone's logs as columns: a trainer's state, a table in memory, or a file of either."""

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit.training import trackers

READABLE = "trainer_state.json, .json, .jsonl, .csv, .tsv, .parquet, .log or events.out.tfevents"
KEYS = 6  # so many are named of a file that is something else


def columns(records: Any) -> dict[str, list]:
    """`{name: values}` with a value for every row; None where a row does not have it.

    >>> columns({"log_history": [{"step": 1, "loss": 0.7}, {"step": 2, "eval_loss": 0.6}]})
    {'step': [1, 2], 'loss': [0.7, None], 'eval_loss': [None, 0.6]}
    """
    if isinstance(records, (str, Path)):
        return of_file(Path(records).expanduser())
    if hasattr(records, "to_dict") and hasattr(records, "columns"):  # pandas, without importing it
        table = records.to_dict("list")
        records = {name: [None if missing(x) else x for x in values] for name, values in table.items()}
    if hasattr(records, "to_pydict"):  # pyarrow
        records = records.to_pydict()
    if isinstance(records, Mapping) and "log_history" in records:
        records = records["log_history"]
    if isinstance(records, Mapping):
        return of_columns(records)
    if isinstance(records, Sequence) and records and all(isinstance(row, Mapping) for row in records):
        names = list(dict.fromkeys(name for row in records for name in row))
        return {name: [plain(row.get(name)) for row in records] for name in names}
    raise TypeError(
        "records must be TRL's trainer state, a list of rows, a dict of columns, a DataFrame, or the path of a "
        f"{READABLE} file; got {'an empty list' if isinstance(records, Sequence) and not records else type(records).__name__}"
    )


def of_columns(table: Mapping) -> dict[str, list]:
    made = {name: [plain(x) for x in listed(name, values)] for name, values in table.items()}
    lengths = {name: len(values) for name, values in made.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"records has columns of different lengths: {lengths}")
    if not made or not any(lengths.values()):
        raise ValueError("records holds no rows")
    return made


def listed(name: str, values: Any) -> list:
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise TypeError(f"records[{name!r}] must be a column of values, got {type(values).__name__}")
    return list(values)


def plain(x: Any) -> Any:
    """A number as Python's."""
    return x.item() if hasattr(x, "item") and getattr(x, "ndim", 0) == 0 else x


def missing(x: Any) -> bool:
    """Whether a DataFrame says so: it has NaN where a row lacks a column, and nothing else for it."""
    x = plain(x)
    return isinstance(x, float) and x != x


# ------------------------------------------------------------------ files


def of_file(path: Path) -> dict[str, list]:
    """The columns of what a file holds; errors name the file.

    Raises:
        ValueError: there is no such file, it is cut off, or it holds something else.
    """
    if path.is_dir():
        path = inside(path)
    if not path.exists():
        raise ValueError(f"there is no file {path}")
    try:
        found = read(path)
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} holds no text, as a {path.suffix} file must") from None
    if isinstance(found, Mapping) and "log_history" in found:
        found = found["log_history"]
        if found == []:
            raise ValueError(f"{path.name} has an empty log_history: nothing was logged; train with logging_steps=10")
    try:
        return columns(found)
    except (TypeError, ValueError):
        keys = ", ".join(map(str, list(found)[:KEYS])) if isinstance(found, Mapping) else type(found).__name__
        raise ValueError(f"{path.name} is neither a trainer's log nor a table with columns: it holds {keys}") from None


def inside(folder: Path) -> Path:
    """The file that a folder stands for: the trainer state of its last checkpoint, which holds the whole history.

    Raises:
        ValueError: there is none, or there are several runs.
    """
    states = sorted(folder.rglob("trainer_state.json"), key=progress)
    runs = list(dict.fromkeys(str(home(path).relative_to(folder)) for path in states))
    if len(runs) > 1:
        raise ValueError(f"{folder} holds {len(runs)} runs, {', '.join(sorted(runs)[:KEYS])}: give one of them")
    found = states or sorted(folder.rglob(f"{trackers.EVENTS}*"))
    if not found:
        raise ValueError(f"there is no trainer_state.json in {folder}, and no event file of TensorBoard")
    return found[-1]


def progress(state: Path) -> float:
    """Checkpoints in the order of their steps, and what was saved at the end last."""
    step = re.fullmatch(r"checkpoint-(\d+)", state.parent.name)
    return float(step[1]) if step else float("inf")


def home(state: Path) -> Path:
    return state.parent.parent if re.fullmatch(r"checkpoint-\d+", state.parent.name) else state.parent


def read(path: Path) -> Any:
    if path.name.startswith(trackers.EVENTS):
        return trackers.events(path)
    if path.suffix.lower() not in READERS:
        raise ValueError(f"cannot read {path.name}: give a {READABLE} file")
    return READERS[path.suffix.lower()](path)


def from_json(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one row a line, whatever the file is called
            return from_lines(path)
        raise ValueError(f"{path.name} {broken(text, error)}") from None
    if isinstance(found, list) and found and all(isinstance(point, list) and len(point) == 3 for point in found):
        return trackers.downloaded(path, [point[1] for point in found], [point[2] for point in found])
    return found


def from_lines(path: Path) -> list:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} of {path.name} {broken(line, error)}") from None
    return rows


def broken(text: str, error: json.JSONDecodeError) -> str:
    """Why this is no JSON."""
    if not text.strip():
        return "is empty"
    if text.lstrip()[0] in "[{" and text.rstrip()[-1] not in "]}":
        return (
            f"is cut off after {len(text):,} characters: the run was stopped while it wrote; an earlier checkpoint has another"
        )
    return f"is no JSON: {error.msg} at line {error.lineno}, column {error.colno}"


def from_table(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        rows = [{name: number(name, text) for name, text in row.items() if name is not None} for row in reader]
    if not rows:
        raise ValueError(f"{path.name} holds no rows")
    if {"Step", "Value"} <= rows[0].keys() <= {"Wall time", "Step", "Value"}:
        return trackers.downloaded(path, [row["Step"] for row in rows], [row["Value"] for row in rows])
    return trackers.unnamed(rows, path.name)


def number(name: str, text: str) -> Any:
    """A cell of a CSV file: empty ones are missing, and what names a row stays a word, whatever it looks like."""
    if name == "id":
        return text
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except (AttributeError, TypeError, ValueError):
        return text or None


def from_parquet(path: Path) -> dict[str, list]:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError(f"reading {path.name} needs pyarrow: pip install pyarrow") from None
    try:
        return pq.read_table(path).to_pydict()
    except (ValueError, OSError) as error:  # pyarrow's own errors are both
        raise ValueError(f"{path.name} is no whole parquet file: {str(error).splitlines()[0]}") from None


READERS: dict[str, Callable[[Path], Any]] = {
    ".json": from_json,
    ".jsonl": from_lines,
    ".ndjson": from_lines,
    ".csv": from_table,
    ".tsv": from_table,
    ".parquet": from_parquet,
    ".log": trackers.printed,
    ".txt": trackers.printed,
}
