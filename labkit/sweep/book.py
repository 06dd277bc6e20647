"""What is known of a sweep's runs: a file for each, so that nothing finished is lost, and the table made of them."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labkit.progress import bar
from labkit.sweep.table import line, store
from labkit.sweep.worker import Job, keep

STORE_SECONDS = 2.0  # between two writings of the table


class Book:
    """todo: the runs that are left, in order."""

    def __init__(self, folder: Path, jobs: list[Job], axes: list[str], retry: bool):
        self.folder, self.jobs, self.axes = folder, jobs, axes
        (folder / "rows").mkdir(parents=True, exist_ok=True)
        found = {job.name: json.loads(job.path.read_text()) for job in jobs if job.path.exists()}
        self.kept = {job.name: found[job.name] for job in jobs if job.name in found and stands(found[job.name], job, retry)}
        self.todo = [job for job in jobs if job.name not in self.kept]
        self.stored, self.bar = time.monotonic(), bar(disable=True)

    @contextlib.contextmanager
    def open(self, progress: bool) -> Iterator[None]:
        """A bar over the runs; the table is written every now and then, and at the end however that comes about."""
        done = len(self.jobs) - len(self.todo)
        try:
            with bar(total=len(self.jobs), initial=done, desc=self.folder.name, unit="run", disable=not progress) as self.bar:
                self.tell()
                yield
        finally:
            self.store()

    def enter(self, job: Job, row: Mapping[str, Any]) -> None:
        """A run is finished, or has failed."""
        self.kept[job.name] = keep(job, dict(row))
        self.todo = [other for other in self.todo if other.name != job.name]
        self.bar.update()
        self.tell()
        if time.monotonic() - self.stored > STORE_SECONDS:
            self.store()

    def tell(self) -> None:
        failed = sum(row["status"] == "failed" for row in self.kept.values())
        self.bar.set_postfix({"failed": failed} if failed else {}, refresh=False)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [line(job, self.kept.get(job.name), self.axes) for job in self.jobs]

    def store(self) -> None:
        store(self.folder / "table.parquet", self.rows)
        self.stored = time.monotonic()


def stands(row: Mapping[str, Any], job: Job, retry: bool) -> bool:
    """Whether this run need not be looked at again: finished and measured in the same way, or failed and left at that."""
    return row.get("measures") == job.measures and (row["status"] == "done" or not retry)
