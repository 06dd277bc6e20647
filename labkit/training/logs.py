"""Anyone's logs as columns: a trainer's state, a table in memory, or a file of either."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

READABLE = "trainer_state.json, .json, .jsonl, .csv or .parquet"


def columns(records: Any) -> dict[str, list]:
    """`{name: values}` with a value for every row; None where a row does not have it.

    >>> columns({"log_history": [{"step": 1, "loss": 0.7}, {"step": 2, "eval_loss": 0.6}]})
    {'step': [1, 2], 'loss': [0.7, None], 'eval_loss': [None, 0.6]}
    """
    if isinstance(records, (str, Path)):
        records = read(Path(records).expanduser())
    if hasattr(records, "to_dict") and hasattr(records, "columns"):  # pandas, without importing it
        records = records.to_dict("list")
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
    """A number as Python's, a missing one as None."""
    x = x.item() if hasattr(x, "item") and getattr(x, "ndim", 0) == 0 else x
    return None if isinstance(x, float) and x != x else x


def read(path: Path) -> Any:
    """What a file holds; a checkpoint's folder stands for the trainer state in it."""
    if path.is_dir():
        inside = sorted(path.rglob("trainer_state.json"), key=lambda p: p.stat().st_mtime)
        if not inside:
            raise ValueError(f"there is no trainer_state.json in {path}")
        path = inside[-1]  # the last checkpoint's: it holds the whole history
    if not path.exists():
        raise ValueError(f"there is no file {path}")
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return [{name: number(name, text) for name, text in row.items()} for row in csv.DictReader(file)]
    if path.suffix == ".parquet":
        return parquet(path)
    raise ValueError(f"cannot read {path.name}: give a {READABLE} file")


def number(name: str, text: str) -> Any:
    """A cell of a CSV file: empty ones are missing, and what names a row stays a word, whatever it looks like."""
    if name == "id":
        return text
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except (TypeError, ValueError):
        return text or None


def parquet(path: Path) -> dict[str, list]:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError(f"reading {path.name} needs pyarrow: pip install pyarrow") from None
    return pq.read_table(path).to_pydict()
