"""One run of a sweep, wherever it is trained: what goes out to a worker, and what comes back."""

import contextlib
import hashlib
import json
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

import labkit
from labkit import data
from labkit.paths import home
from labkit.registry import ENTRIES, catalog
from labkit.training import Config, Run, fit
from labkit.training.run import write

ONE_AT_A_TIME = threading.Lock()  # a run draws from its process's random stream; a Dask worker may have several threads
WATCHED: set[int] = set()


@dataclass(frozen=True)
class Job:
    """What a worker is told.

    meters: column -> a function of the run, or a meter's name in the catalog. measures: stands for what they compute.
    threads: how many torch may use. home, folder: of the caller; a worker that sees them writes there.
    parent: the caller's process: a worker that is its child stops when it is gone.
    """

    config: Config
    meters: Mapping[str, Callable[[Run], Any] | str] = field(default_factory=dict)
    measures: str = ""
    threads: int = 1
    home: str = ""
    folder: str = ""
    parent: int = 0
    version: str = labkit.__version__

    @cached_property
    def name(self) -> str:
        """The name of its row: what decides the run's numbers, as far as the Config knows them."""
        return hashlib.sha256(f"labkit {self.version}; {self.config.text}".encode()).hexdigest()[:16]

    @property
    def path(self) -> Path:
        return Path(self.folder) / "rows" / f"{self.name}.json"


def work(job: Job) -> dict[str, Any]:
    """Train, measure, and say how it went; whatever goes wrong is part of the answer."""
    row: dict[str, Any] = {
        "name": job.name,
        "status": "failed",
        "error": None,
        "measures": job.measures,
        "config": job.config.text,
    }
    row |= {"host": socket.gethostname(), "measured": {}}
    with ONE_AT_A_TIME, where(job), threads(job.threads):
        begun = time.monotonic()
        try:
            if job.version != labkit.__version__:
                raise ValueError(f"this worker has labkit {labkit.__version__}, the sweep was asked for by {job.version}")
            run = fit(job.config, progress=False)
            assert run.folder is not None
            row |= {"run": run.folder.name, "history": run.history}
            row["measured"] = measured(run, job.meters)
            row["status"] = "done"
        except (Exception, SystemExit) as error:  # a meter is the reader's code
            row["error"] = traceback.format_exception_only(error)[-1].strip()
            row["traceback"] = traceback.format_exc()
        row["seconds"] = time.monotonic() - begun
        if job.folder and Path(job.folder).is_dir():
            keep(job, row)
    return row


def keep(job: Job, row: dict[str, Any]) -> dict[str, Any]:
    """Write a row down; its history only where the run itself cannot be seen from here."""
    history = row.get("history") or {}
    kept = {"final": {name: column[-1] for name, column in history.items() if name != "step" and column}} | row
    kept["steps"] = kept.get("steps", len(history.get("step", ())))
    if (home() / "runs" / str(row.get("run")) / "history.json").exists():
        kept.pop("history", None)
    write(job.path, lambda file: file.write(json.dumps(kept).encode()))
    return kept


@contextlib.contextmanager
def where(job: Job) -> Iterator[None]:
    """In the caller's home where it can be seen from here; and not for longer than the caller lives."""
    if job.parent == os.getppid() and not WATCHED:
        WATCHED.add(job.parent)
        threading.Thread(target=outlived, args=(job.parent,), daemon=True).start()
    before = os.environ.get("LABKIT_HOME")
    try:
        if job.home and Path(job.home).is_dir():
            os.environ["LABKIT_HOME"] = job.home
        yield
    finally:
        if before is None:
            os.environ.pop("LABKIT_HOME", None)
        else:
            os.environ["LABKIT_HOME"] = before


def outlived(parent: int) -> None:
    """End this process when the one that started it is gone: joblib's workers would go on for the rest of their run."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Sums are taken in another order by another number of threads: rounding, and so the bits of a run, depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ------------------------------------------------------------------ what is measured


def seen(run: Run) -> dict[str, Callable[[], Any]]:
    """The tensors that a meter of the catalog may ask a run of an encoder for, by the meter's names for them."""

    def views() -> torch.Tensor:
        return torch.from_numpy(run.snapshots[max(run.snapshots)]["views"])

    def test() -> Any:
        return data.load(run.config.data.name, "test", **run.config.data.kwargs)

    return {
        "z": lambda: run.embeddings,
        "labels": lambda: run.labels,
        "z1": lambda: views()[0],
        "z2": lambda: views()[1],
        "train_z": lambda: run.embed(run.data.x),
        "train_y": lambda: run.data.y,
        "test_z": lambda: run.embed(test().x),
        "test_y": lambda: test().y,
    }


def usable() -> list[str]:
    """The catalog's meters that can be read off a run and are one number."""
    found = [e for e in catalog() if e.kind == "metric" and e.name != "singular_spectrum"]
    return [e.name for e in found if set(e.tensors) <= set(seen(None))]  # type: ignore[arg-type]


def measured(run: Run, meters: Mapping[str, Callable[[Run], Any] | str]) -> dict[str, float]:
    """Column -> number; a meter that gives a dict fills a column for each of its keys."""
    row: dict[str, float] = {}
    for name, meter in meters.items():
        if isinstance(meter, str):
            entry, tensors = ENTRIES[meter], seen(run)
            value: Any = entry.fn(**{tensor: tensors[tensor]() for tensor in entry.tensors})
        else:
            value = meter(run)
        for key, number in (value if isinstance(value, Mapping) else {name: value}).items():
            try:
                row[str(key)] = float(number)
            except (TypeError, ValueError):
                raise TypeError(f"meter {name} must give a number, or a dict of numbers; {key} is {number!r:.60}") from None
    return row
