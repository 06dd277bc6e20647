"""One page for the instructor: how it went, what was misunderstood, and what a person has to look at.

A single file: no server, no network, no library. It holds students' names and work, so it stays where it was written. What
students wrote is text on it and nothing else, and the page's own policy forbids any script but ours.
"""

import base64
import hashlib
import os
import urllib.parse
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from labkit.course.files import write as write_file
from labkit.course.records import Record
from labkit.course.report import parts as parts
from labkit.course.report import people as people
from labkit.course.report.similarity import of_records
from labkit.course.report.view import Grade, View, text


def write(
    course: str | Path | Any,
    assignments: str | Sequence[str],
    path: str | Path | None = None,
    *,
    records: Iterable[Record] | None = None,
) -> Path:
    """Write the instructor's page of one or more assignments; where it lies now.

    Args:
        course: the course, or its folder.
        assignments: full names; the page shows one at a time.
        path: of the page (default: `report.html` in the course).
        records: of what was graded (default: the course's own).
    """
    from labkit.course import records as stored

    root = Path(course) if isinstance(course, (str, Path)) else Path(course.root)
    target = Path(path) if path else root / "report.html"
    names = [assignments] if isinstance(assignments, str) else list(assignments)
    known = list(records) if records is not None else [r for name in names for r in stored.records(root, name)]
    grades = from_gradebook(root)
    views = []
    for number, name in enumerate(names):
        mine = tuple(sorted((r for r in known if r.assignment == name), key=lambda r: r.student))
        pairs = tuple(of_records(mine, released(root, name)))
        views.append(View(number, name, mine, grades.get(name, {}), pairs, feedback_pages(root, name, mine, target.parent)))
    write_file(target, page(views, root.resolve().name), mode=0o600)
    return target


def from_gradebook(root: Path) -> dict[str, dict[str, Grade]]:
    """assignment -> student -> grade, as nbgrader has them; nothing where there is no gradebook."""
    if not (root / "gradebook.db").exists() or not (root / "nbgrader_config.py").exists():
        return {}
    from labkit.course.office import grades
    from labkit.course.settings import Course

    found: dict[str, dict[str, Grade]] = {}
    for row in grades(Course(root)):
        due, when = row["duedate"], row["timestamp"]
        late = max(0.0, (when - due).total_seconds() / 3600) if due and when else 0.0
        made = Grade(row["score"], row["max_score"], row["late_submission_penalty"], row.get("needs_manual_grade", False), late)
        found.setdefault(row["assignment"], {})[row["student_id"]] = made
    return found


def released(root: Path, assignment: str) -> list[str]:
    """The cells that everybody was given."""
    from labkit.course.nb import load

    files = [root / "release" / assignment / f"{assignment}.ipynb"]
    return [cell.source for file in files if file.exists() for cell in load(file).cells]


def feedback_pages(root: Path, assignment: str, records: Iterable[Record], start: Path) -> dict[str, str]:
    pages = {r.student: root / "feedback" / r.student / assignment / f"{assignment}.html" for r in records}
    return {who: urllib.parse.quote(Path(os.path.relpath(p, start)).as_posix()) for who, p in pages.items() if p.exists()}


def page(views: Sequence[View], course: str) -> str:
    """The whole page."""
    assets = resources.files("labkit.course.report") / "assets"
    style, script = ((assets / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    sha = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{sha}'; base-uri 'none'; form-action 'none'"
    links = "".join(f'<a href="#a{v.number}">{text(v.assignment)}</a>' for v in views)
    body = "".join(section(view) for view in views) or "<p>Nothing was graded yet.</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>{text(course)}: how it went</title><style>{style}</style></head>
<body><a class="skip" href="#main">To the content</a>
<header class="top"><h1>{text(course)}: how it went</h1>
<p class="lead">Written {datetime.now():%d %B %Y, %H:%M}, for the instructor. It names students: keep it with the grades.</p>
{f'<nav class="which" aria-label="Assignments">{links}</nav>' if len(views) > 1 else ""}</header>
<main id="main">{body}</main>
<footer>Made on this machine from <code>graded/</code> and <code>gradebook.db</code>. Nothing on this page is fetched, and
nothing leaves it. Points of the machine are drawn from the course's own secret; people's points and penalties for late work are
nbgrader's.</footer>
<script>{script}</script></body></html>
"""


def section(view: View) -> str:
    anchor, name = f"a{view.number}", text(view.assignment)
    if not view.records:
        return f'<section class="assignment" id="{anchor}"><h2>{name}</h2><p>Nothing was graded yet.</p></section>'
    variants = {record.variant for record in view.records}
    whose = f"variant {next(iter(variants))}" if len(variants) == 1 else f"{len(variants)} variants"
    cards = "".join(part(view) for part in PARTS)
    return (
        f'<section class="assignment" id="{anchor}" aria-labelledby="{anchor}-title"><div class="head">'
        f'<h2 id="{anchor}-title">{name}</h2><span class="muted">{text(whose)}</span></div>'
        f'{parts.alarm(view)}{parts.tiles(view)}<div class="cards">{cards}</div></section>'
    )


PARTS = (
    parts.histogram, parts.exercises, parts.mistakes, people.waiting, people.students, people.trouble, people.pairs,
    people.details,
)  # fmt: skip
