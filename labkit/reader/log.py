"""What readers committed to: one line of JSON for each guess, in a file that stays on the reader's machine.

A line says when, in which lesson, by whom (a random word, no name), what was asked and what was answered. So files of several
readers may be put one after the other, and counted together.
"""

import html
import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.paths import home

Record = dict[str, Any]


def path() -> Path:
    return home() / "guesses.jsonl"


def commit(key: str, guess: str, options: Iterable[str] = ()) -> None:
    """Write down a guess: one short line, appended at once, so that two kernels may write side by side."""
    if not path().exists():
        append(before())
    append([{"time": now(), "reader": who(), "lesson": lesson(), "key": key, "options": list(options), "guess": guess}])


def append(records: Iterable[Record]) -> None:
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    with path().open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            lines = lines if file.read(1) == b"\n" else "\n" + lines  # somebody's line broke off: not ours, too
        file.write(lines.encode())


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def who() -> str:
    """A random word for the reader of this machine, made once."""
    name = home() / "reader.txt"
    if not name.exists():
        partial = name.with_suffix(f".{os.getpid()}.part")
        partial.write_text(secrets.token_hex(6), encoding="ascii")
        try:
            os.link(partial, name)  # of two kernels that come here at once, one is the first
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            partial.replace(name)
        partial.unlink(missing_ok=True)
    return name.read_text("ascii").strip()


def lesson() -> str:
    """The lesson that asks: as the tour says, or as JupyterLab and VS Code call the notebook; "" if nobody says."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    notebook = getattr(shell, "user_ns", {}).get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME", "")
    return os.environ.get("LABKIT_LESSON") or (Path(notebook).stem if str(notebook).endswith(".ipynb") else "")


def before() -> list[Record]:
    """The guesses of an earlier labkit, which kept only the last of each question."""
    old = home() / "guesses.json"
    try:
        known = json.loads(old.read_text(encoding="utf-8"))
        time = datetime.fromtimestamp(old.stat().st_mtime, UTC).isoformat(timespec="milliseconds")
    except (OSError, ValueError):
        return []
    if not isinstance(known, dict):
        return []
    made = [{"time": time, "reader": who(), "lesson": "", "key": k, "options": [], "guess": v} for k, v in known.items()]
    return [record for record in made if whole(record)]


def records(file: Path | None = None) -> list[Record]:
    """The lines of a file (default: this reader's), from first to last; damaged ones are passed over.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if file is None and not path().exists():
        return before()
    found = [readable(line) for line in (file or path()).read_text("utf-8", errors="replace").splitlines()]
    return sorted((record for record in found if record), key=lambda record: str(record.get("time", "")))


def readable(line: str) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if whole(record) else None


def whole(record: Any) -> bool:
    return isinstance(record, dict) and all(isinstance(record.get(name), str) for name in ("key", "guess"))


def own() -> dict[str, str]:
    """What this reader committed to last, by key."""
    return {record["key"]: record["guess"] for record in records()}


# ---------------------------------------------------------------- many readers


class Counts(dict[str, dict[str, int]]):
    """For each question, how many readers chose each of its options."""

    def __init__(self, counts: dict[str, dict[str, int]], lessons: dict[str, str]) -> None:
        super().__init__(counts)
        self.lessons = lessons  # that ask, by key

    def _ipython_display_(self) -> None:
        """Nothing: `guesses()` has shown it."""

    def bars(self) -> Iterator[tuple[str, list[tuple[str, int, float]]]]:
        """Questions by lesson; each option with its count and its share."""
        for key in sorted(self, key=lambda key: (self.lessons[key], key)):
            total = sum(self[key].values())
            yield key, [(option, n, n / total) for option, n in self[key].items()]

    def text(self) -> str:
        if not self:
            return "No guesses yet."
        lines = []
        for key, rows in self.bars():
            lines.append(self.title(key))
            wide = max(len(option) for option, _, _ in rows)
            lines += [f"  {option:{wide}}  {n:4d}  {'█' * round(20 * share)}" for option, n, share in rows]
        return "\n".join(lines)

    def title(self, key: str) -> str:
        return f"{self.lessons[key]}: {key}" if self.lessons[key] else key

    def html(self) -> str:
        if not self:
            return "<p>No guesses yet.</p>"
        style = "height:12px;background:#0072B2;border-radius:2px"
        tables = []
        for key, rows in self.bars():
            cells = "".join(
                f'<tr><th scope="row" style="text-align:left;font-weight:400">{html.escape(option)}</th>'
                f'<td style="text-align:right">{n}</td><td style="width:220px">'
                f'<div role="presentation" style="{style};width:{share:.0%}"></div></td></tr>'
                for option, n, share in rows
            )
            caption = f'<caption style="text-align:left;font-weight:600">{html.escape(self.title(key))}</caption>'
            tables.append(f'<table class="labkit-guesses" style="margin:0 0 14px">{caption}<tbody>{cells}</tbody></table>')
        return "".join(tables)


def count(*files: str | Path) -> Counts:
    """The last guess of each reader counts, for each question.

    Raises:
        FileNotFoundError: there is no such file.
    """
    last: dict[str, dict[str, Record]] = {}
    for file in map(Path, files) if files else [None]:
        for record in records(file):
            reader = str(record.get("reader") or file)
            latest = last.setdefault(record["key"], {})
            if reader not in latest or str(latest[reader].get("time", "")) <= str(record.get("time", "")):
                latest[reader] = record
    lessons = {key: next((str(r["lesson"]) for r in readers.values() if r.get("lesson")), "") for key, readers in last.items()}
    return Counts({key: tally(list(readers.values())) for key, readers in last.items()}, lessons)


def tally(chosen: list[Record]) -> dict[str, int]:
    """How often each option was chosen, in the order in which they were offered.

    >>> tally([{"options": ["near", "far"], "guess": "far"}, {"options": [], "guess": "all"}])
    {'near': 0, 'far': 1, 'all': 1}
    """
    offered = [str(o) for record in chosen if isinstance(record.get("options"), list) for o in record["options"]]
    counts = dict.fromkeys([*offered, *(record["guess"] for record in chosen)], 0)
    for record in chosen:
        counts[record["guess"]] += 1
    return counts
