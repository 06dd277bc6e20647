"""What a sweep found: one row for each run, kept as parquet."""

import html
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from labkit.paths import home
from labkit.sweep.grid import flat
from labkit.sweep.worker import Job
from labkit.training import Run
from labkit.training.run import write

SHOWN = 20  # rows of a sweep that is printed
ABOUT = ("status", "error", "seconds", "steps")  # of every run, before what it gave
LAST = ("run", "host", "config")


def pyarrow() -> Any:
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise ImportError(f"a sweep's table needs pyarrow: pip install 'labkit[scale]' ({error})") from error


def line(job: Job, kept: Mapping[str, Any] | None, axes: Sequence[str]) -> dict[str, Any]:
    """A run as a row: its place on the axes, how it went, its history's last values, what was measured, where it is."""
    point, kept = flat(job.config), kept or {"status": "waiting"}
    row = {name: point.get(name) for name in axes} | {name: kept.get(name) for name in ABOUT}
    row |= {f"final.{name}": value for name, value in kept.get("final", {}).items()} | kept.get("measured", {})
    return row | {name: kept.get(name) for name in LAST} | {"config": job.config.text}


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every name once; those that stand last in a row last."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name not in LAST] + list(LAST)


def arrow(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Columns of one kind each: numbers, or words where an axis mixes them."""
    pa = pyarrow()

    def array(values: list[Any]) -> Any:
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return pa.array([None if v is None else str(v) for v in values])

    return pa.table({name: array([row.get(name) for row in rows]) for name in columns(rows)})


@dataclass(frozen=True)
class Sweep:
    """The runs of a sweep in one table; what they trained is opened when it is asked for.

    rows: a dict for each run, in the order of the grid, and the same as `table`. Columns: the axes ("loss.temperature"),
    "status" ("done", "failed"; "waiting" where the sweep was stopped before it), "error" (the traceback's last line),
    "seconds", "steps", the last value of each column of the history ("final.loss"), the meters, then "run" (its folder's
    name under `LABKIT_HOME/runs`), "host" and "config".
    folder: where the table is, and `rows/` with what is known of each run, tracebacks included.
    """

    name: str
    folder: Path
    rows: list[dict[str, Any]] = field(repr=False)
    jobs: list[Job] = field(repr=False)
    axes: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The table as a parquet file, for pandas, polars, DuckDB or R."""
        return self.folder / "table.parquet"

    @cached_property
    def table(self) -> Any:
        """A pyarrow.Table."""
        return arrow(self.rows)

    def frame(self) -> Any:
        """The table as a pandas DataFrame."""
        try:
            importlib.import_module("pandas")
        except ImportError as error:
            raise ImportError(f"frame() needs pandas: pip install 'labkit[scale]' ({error})") from error
        return self.table.to_pandas()

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The rows of runs that failed, each with its "error"."""
        return [row for row in self.rows if row["status"] == "failed"]

    def runs(self) -> list[Run]:
        """The runs that are done, in the order of the table.

        Of a run that was trained where this machine cannot see its files there is the history, but no model.
        """
        return [opened(job) for job, row in zip(self.jobs, self.rows, strict=True) if row["status"] == "done"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> list[Any]:
        """A column: `sweep["final.loss"]`."""
        if column not in columns(self.rows):
            raise KeyError(f"there is no column {column!r}; there are {', '.join(columns(self.rows))}")
        return [row.get(column) for row in self.rows]

    @property
    def sentence(self) -> str:
        counts = {s: sum(row["status"] == s for row in self.rows) for s in ("done", "failed", "waiting")}
        said = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
        again = "; sweep(..., retry=True) tries what failed again" if counts["failed"] else ""
        return f"sweep {self.name!r}: {len(self)} runs, {said}{again}"

    @property
    def shown(self) -> tuple[list[str], list[list[str]]]:
        names = [n for n in columns(self.rows) if n not in (*LAST, "error", "steps")]
        if self.failed:
            names.append("error")
        return names, [[said(row.get(name)) for name in names] for row in self.rows[:SHOWN]]

    def __str__(self) -> str:
        names, cells = self.shown
        widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in (names, *cells)]
        more = [f"... and {len(self) - SHOWN} more"] if len(self) > SHOWN else []
        return "\n".join([self.sentence, *lines, *more, str(self.path)])

    def _repr_html_(self) -> str:
        names, cells = self.shown
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in cells)
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        more = f"<p>... and {len(self) - SHOWN} more</p>" if len(self) > SHOWN else ""
        return f"<p>{html.escape(self.sentence)}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def said(value: Any) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def opened(job: Job) -> Run:
    kept = json.loads(job.path.read_text())
    folder = home() / "runs" / kept["run"]
    return Run.open(job.config, folder) if "history" not in kept else Run(job.config, kept["history"])


def store(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    parquet = importlib.import_module("pyarrow.parquet")
    write(path, lambda file: parquet.write_table(arrow(rows), file))
