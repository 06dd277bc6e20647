"""Hand an assignment out: nbgrader takes the solutions away, and we make sure that they are gone."""

import copy
import datetime
import hashlib
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.course import leaks, nb
from labkit.course.files import handed_in, write
from labkit.course.reading import VARIANT
from labkit.course.settings import Course
from labkit.paths import notebooks
from labkit.progress import bar

GIVEN = "given"  # the grade id of the cell that says the variant


@dataclass(frozen=True)
class Released:
    """What was handed out, and whether the instructor's own source was kept."""

    assignment: str
    variant: str
    file: Path
    points: float
    students: int = 0
    kept: bool = False


def shipped() -> dict[str, Path]:
    """The assignments that come with labkit, in a checkout and in an installed wheel."""
    found = (notebooks() / "assignments").glob("*/*.ipynb")
    return {path.stem: path for path in sorted(found) if path.stem == path.parent.name}


def release(
    course: Course,
    names: Iterable[str] | None = None,
    *,
    variant: str | None = None,
    students: Iterable[str] | None = None,
    due: str | None = None,
    force: bool = False,
) -> list[Released]:
    """Write `source/`, then `release/` without solutions, and with `students` one copy for each, with numbers of its own.

    Args:
        course: where to.
        names: of assignments, or how they begin ("a1"); default: all graded ones.
        variant: seeds the numbers of this year (default: the one before, else the year).
        students: ids; each then gets the variant "VARIANT-ID".
        due: when it is due, such as "2026-10-12 23:59 UTC", for late penalties.
        force: replace a source in the course that was edited.

    Raises:
        ValueError: no such assignment, or something in the release that must not be there.
    """
    wanted = chosen(course, names)
    ids = list(students or ())
    strange = [each for each in ids if not re.match(r"^[\w.@-][\w.@ -]*$", each) or each in (".", "..")]
    if strange:
        raise ValueError(f"an id of a student is letters, digits, and . _ @ - , got {', '.join(map(repr, strange[:3]))}")
    if due:
        dated(due)
    made = []
    with bar(total=len(wanted), desc="release") as progress:
        for name in wanted:
            progress.set_postfix_str(name)
            made.append(one(course, name, variant, ids, due, force))
            progress.update()
    return made


def dated(due: str) -> None:
    from nbgrader.utils import parse_utc

    try:
        parse_utc(due)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"due must be a date such as '2026-10-12 23:59 UTC', got {due!r}") from error


def chosen(course: Course, names: Iterable[str] | None) -> list[str]:
    own = {path.stem for path in course.source.glob("*/*.ipynb") if path.stem == path.parent.name}
    known = sorted(own | set(shipped()))
    if names is None:
        return [name for name in known if re.match(r"a\d+_", name)]
    return matching(names, known, "there")


def matching(names: Iterable[str], known: list[str], where: str) -> list[str]:
    """Full names of assignments, from these or from how they begin.

    Raises:
        ValueError: one is not among those that are `where`, "there" or "released".
    """
    found = []
    for name in names:
        matches = [each for each in known if each == name] or [each for each in known if each.partition("_")[0] == name]
        if len(matches) != 1:
            none = (
                "no assignment {!r} was released here; released"
                if where == "released"
                else "there is no assignment {!r}; there"
            )
            raise ValueError(f"{none.format(name)} are {', '.join(known) or 'none'}")
        found += matches
    return found


def one(course: Course, name: str, variant: str | None, students: list[str], due: str | None, force: bool) -> Released:
    variants = course.settings().get("variants", {})
    said = variant or variants.get(name, {}).get("all") or str(datetime.date.today().year)
    kept = place_source(course, name, said, force)
    nb.generate(course, name, due=due)
    source, target = (folder / name / f"{name}.ipynb" for folder in (course.source, course.release))
    faults = leaks.faults(nb.load(source), nb.load(target), weighted=kept)
    if faults:
        shutil.rmtree(target.parent)
        raise ValueError(f"{name} is not handed out:\n  " + "\n  ".join(faults))
    own = variants.get(name, {}).get("students", {}) | {each: f"{said}-{each}" for each in students}
    course.remember(variants=variants | {name: {"all": said, "students": own}})
    for each in students:
        for_student(course, name, each)
    points = sum(cell.metadata.nbgrader.get("points", 0) for cell in nb.load(target).cells if "nbgrader" in cell.metadata)
    return Released(name, said, target, points, len(students), kept)


def place_source(course: Course, name: str, variant: str, force: bool) -> bool:
    """labkit's notebook into `source/`, unless somebody edited what is there; whether it was kept."""
    target = course.source / name / f"{name}.ipynb"
    written = course.settings().get("sources", {})
    ours = shipped().get(name)
    edited = target.exists() and sha(target.read_bytes()) != written.get(name)
    kept = ours is None or (edited and not force)
    notebook = nb.load(target if ours is None or kept else ours)
    with_variant(notebook, variant)
    text = nb.text(notebook)
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        write(target, text)
    if not kept:
        course.remember(sources=written | {name: sha(text.encode())})
    return kept


def with_variant(notebook: Any, variant: str) -> None:
    """Set the variant in the cell that says it, and the checksum by which nbgrader's Validate knows the cell."""
    from nbgrader.utils import compute_checksum

    for cell in notebook.cells:
        data = cell.metadata.get("nbgrader", {})
        if data.get("grade_id") == GIVEN:
            cell.source = VARIANT.sub(lambda _: f'VARIANT = "{variant}"', cell.source)
            if "checksum" in data:
                data["checksum"] = compute_checksum(cell)


def for_student(course: Course, name: str, student: str) -> Path:
    """The release with one student's own numbers; everything else is the same."""
    folder = course.root / "release_by_student" / student / name
    for path in handed_in(course.release / name):
        write(folder / path.relative_to(course.release / name), path.read_bytes())
    target = folder / f"{name}.ipynb"
    write(target, nb.text(handout(course, name, student)))
    return target


def handout(course: Course, name: str, student: str) -> Any:
    """The notebook that this student was given."""
    notebook = copy.deepcopy(nb.load(course.release / name / f"{name}.ipynb"))
    with_variant(notebook, course.variant(name, student))
    return notebook


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
