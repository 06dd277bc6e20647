"""Whether something speaks of preference training: what `labkit.report` asks before it reads embeddings."""

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from labkit.diagnose.pairs import which
from labkit.diagnose.tracks import role
from labkit.training import Run
from labkit.training.trackers import EVENTS

GLANCE = 65536  # characters of a file that are looked at
STATE = "trainer_state.json"


def speaks_of(x: Any) -> bool:
    """Whether `x` is for `diagnose`: a run on pairs, a trainer's log, a table of log-probabilities, a callback's folder, or a
    file of one of these. Arrays, and files of numbers, are not. Looks at names and at the head of a file, never at all of it.

    >>> speaks_of([{"step": 1, "rewards/chosen": -0.1}]), speaks_of({"layer1": [[0.1, 0.2]]}), speaks_of("z1.npy")
    (True, False, False)
    """
    if isinstance(x, Run):
        return tells(x.history) or (x.folder is not None and getattr(x.data, "rejected", None) is not None)
    if isinstance(x, (str, Path)):
        path = Path(x).expanduser()
        return folder_speaks(path) if path.is_dir() else path.is_file() and file_speaks(path)
    if isinstance(x, Mapping):
        return "log_history" in x or tells(x)
    if isinstance(x, (list, tuple)) and x and all(isinstance(row, Mapping) for row in x[:1]):
        return any(tells(row) for row in x[:64] if isinstance(row, Mapping))
    names = getattr(x, "column_names", getattr(x, "columns", None))  # a table of pyarrow, a DataFrame
    return names is not None and not callable(names) and tells(names)


def tells(names: Iterable[Any]) -> bool:
    """Whether a column of this name tells about chosen or rejected answers."""
    return any(isinstance(name, str) and (role(name) or which(name)) for name in names)


def folder_speaks(folder: Path) -> bool:
    """Whether a callback, a trainer or TensorBoard wrote here; not in folders of folders."""
    if (folder / "probe.json").exists() or (folder / STATE).exists():
        return True
    return any(folder.glob(f"checkpoint-*/{STATE}")) or any(folder.glob(f"{EVENTS}*"))


def file_speaks(path: Path) -> bool:
    kind = path.suffix.lower()
    if path.name == STATE or path.name.startswith(EVENTS):
        return True
    if kind == ".parquet":
        return tells(schema(path))
    if kind not in (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".log", ".txt"):
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        head = file.read(GLANCE)
    if kind in (".csv", ".tsv"):
        rows = csv.reader(head.splitlines()[:1], delimiter="\t" if kind == ".tsv" else ",")
        names = next(rows, [])
        curve = {"Step", "Value"} <= set(names) <= {"Wall time", "Step", "Value"}
        return tells(name.rpartition(" - ")[2] for name in names) or (curve and tells([path.stem]))
    if kind == ".json" and tells([path.stem]) and head.lstrip().startswith("[["):  # a curve that TensorBoard handed out
        return True
    return '"log_history"' in head or tells(re.findall(r"""["']([\w/ .-]{1,80})["']\s*:""", head))


def schema(path: Path) -> list[str]:
    try:
        import pyarrow.parquet as pq

        return pq.read_schema(path).names
    except (ImportError, ValueError, OSError):  # whoever reads it next says what is wrong
        return []
