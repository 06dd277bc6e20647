"""Put a damaged notebook back into the shape that can be graded, cell by cell, from the release it came from.

What belongs to the course (tests, data, points) is taken from the release. What belongs to the student (answers, cells of their
own) is kept, and where it lost its id it is found again: by the id that Jupyter gave the cell, by the function that it defines,
or by its neighbour.
"""

import ast
import copy
import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

from labkit.course.reading import VARIANT, Cell, Unreadable, read

FIELDS = ("grade", "solution", "locked", "task", "points", "schema_version")


@dataclass
class Repaired:
    """A notebook that has every cell of the release, and in words what had to be done."""

    notebook: Any
    repairs: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)


class Release:
    """The notebook that was handed out, by grade id."""

    def __init__(self, notebook: Any):
        self.notebook = notebook
        self.cells = [cell_of(each) for each in notebook.cells]
        self.order = [each.grade_id for each in self.cells if each.grade_id]
        self.known = {each.grade_id: each for each in self.cells if each.grade_id}
        self.by_id = {each.id: each for each in self.cells}

    def answers(self, name: str) -> bool:
        """Whether the cell is the student's to write."""
        return bool(self.known[name].nbgrader.get("solution"))

    def judged_by(self, name: str) -> str:
        """The grade cell after an answer."""
        after = self.order[self.order.index(name) :]
        return next((each for each in after if self.known[each].nbgrader.get("grade")), "")

    def before(self, name: str) -> Cell | None:
        at = self.cells.index(self.known[name])
        return self.cells[at - 1] if at else None


def cell_of(each: Any) -> Cell:
    return Cell(each.cell_type, each.source, each.get("id", ""), each.metadata, each.get("attachments", {}))


def repair(data: bytes | None, notebook: Any) -> Repaired:
    """The student's answers in the frame of the release.

    Args:
        data: the file that was handed in; None if there was none.
        notebook: the release, as `nbformat` reads it; it is not changed.
    """
    release = Release(notebook)
    made = Repaired(copy.deepcopy(notebook))
    if data is None:
        made.flags.append("no notebook was handed in")
        return made
    try:
        cells, metadata, made.repairs = read(data)
    except Unreadable as error:
        made.flags.append(str(error))
        return made
    for key, says in (("kernelspec", "kernel"), ("language_info", "language")):
        theirs, ours = (named(each.get(key)) for each in (metadata, notebook.metadata))
        if theirs != ours and ours:
            made.repairs.append(f"the {says} was {theirs or 'missing'}, it is {ours} again")
    claims = claimed(cells, release, made)
    if not claims:
        made.flags.append("not one cell of the assignment is in this notebook: is it another one?")
    chosen = {name: choose(name, found, cells, release, made) for name, found in claims.items()}
    made.notebook.cells = nodes(laid_out(cells, chosen, release, made))
    return made


def named(spec: Any) -> str:
    return str(spec.get("name", ""))[:40] if isinstance(spec, dict) else ""


# ------------------------------------------------------------------ which cell is which?


def claimed(cells: list[Cell], release: Release, made: Repaired) -> dict[str, list[Cell]]:
    """The student's cells by the grade id that they bear, or that can be told from something else."""
    claims: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.grade_id in release.known:
            claims.setdefault(cell.grade_id, []).append(cell)
    for says, test in (("its id", same_id), ("its text", same_text), ("what it defines", defines), ("its neighbour", follows)):
        for name in [each for each in release.order if each not in claims]:
            taken = {id(cell) for found in claims.values() for cell in found}
            free = [cell for cell in cells if id(cell) not in taken]
            found = [cell for cell in free if test(cell, name, release, cells)]
            if found:
                claims[name] = found[-1:]
                made.repairs.append(f"cell {name} had lost its grading data; it was found again by {says}")
    return claims


def same_id(cell: Cell, name: str, release: Release, _: list[Cell]) -> bool:
    return cell.id == release.known[name].id


def same_text(cell: Cell, name: str, release: Release, _: list[Cell]) -> bool:
    return not release.answers(name) and cell.source.strip() == release.known[name].source.strip()


def defines(cell: Cell, name: str, release: Release, _: list[Cell]) -> bool:
    return release.answers(name) and bool(defined(release.known[name].source) & defined(cell.source))


def follows(cell: Cell, name: str, release: Release, cells: list[Cell]) -> bool:
    before, at = release.before(name), cells.index(cell)
    if not release.answers(name) or before is None or not at or cell.source in {each.source for each in release.cells}:
        return False
    return cells[at - 1].source.strip() == before.source.strip() and cell.kind == release.known[name].kind


def defined(source: str) -> set[str]:
    """The functions, classes and variables that code gives a name at its top."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(re.findall(r"^(?:def|class)\s+(\w+)", source, re.MULTILINE))
    names = {each.name for each in body if isinstance(each, (ast.FunctionDef, ast.ClassDef))}
    targets = [target for each in body if isinstance(each, ast.Assign) for target in each.targets]
    return names | {target.id for target in targets if isinstance(target, ast.Name)}


def choose(name: str, found: list[Cell], cells: list[Cell], release: Release, made: Repaired) -> Cell:
    """Of several cells with one id, the one that is graded; the others go, or stay as cells of the student's own."""
    ours = release.known[name]
    if len(found) == 1:
        return found[0]
    made.repairs.append(f"cell {name} was there {len(found)} times")
    changed = [cell for cell in found if cell.source.strip() != ours.source.strip()] or found[:1]
    for cell in found:
        if not any(cell is each for each in changed):
            cells.remove(cell)
    if not release.answers(name):
        return changed[0]
    judge = release.judged_by(name)
    end = next((k for k, cell in enumerate(cells) if cell.grade_id == judge != name), len(cells))
    in_time = [cell for cell in changed if cells.index(cell) < end]
    return (in_time or changed)[-1]


# ------------------------------------------------------------------ put together again


def laid_out(cells: list[Cell], chosen: dict[str, Cell], release: Release, made: Repaired) -> list[Cell]:
    """Graded cells in the order of the release; each cell of the student's own stays behind the one that it stood behind."""
    name_of = {id(cell): name for name, cell in chosen.items()}
    behind: dict[str, list[Cell]] = {"": []}
    order: list[str] = []
    for cell in cells:
        if name := name_of.get(id(cell)):
            order.append(name)
        else:
            behind.setdefault(order[-1] if order else "", []).append(cell)
    moved = out_of_place([release.order.index(name) for name in order])
    made.repairs += [f"cell {release.order[k]} was moved; it is back in its place" for k in moved]
    lost = forgotten(cells, release, made)
    result = lost.get("", []) + [cell.plain() for cell in behind[""]]
    for name in release.order:
        result += restored(chosen.get(name), name, release, made) + lost.get(name, [])
        result += [cell.plain() for cell in behind.get(name, [])]
    return result


def restored(cell: Cell | None, name: str, release: Release, made: Repaired) -> list[Cell]:
    """One graded cell: the release's frame around the student's answer."""
    ours = release.known[name]
    answers = release.answers(name)
    if cell is None:
        made.repairs.append(f"cell {name} was deleted; it is back{' without an answer' if answers else ''}")
        if answers:
            made.flags.append(f"the answer {name} is missing")
        return [ours]
    strange = [f for f in FIELDS if cell.nbgrader and cell.nbgrader.get(f, None) != ours.nbgrader.get(f, None)]
    if strange:
        theirs = ", ".join(f"{f} {cell.nbgrader.get(f)!r}"[:60] for f in strange)
        made.repairs.append(f"the grading data of cell {name} was changed ({theirs}); it is as it was")
    if cell.kind != ours.kind:
        made.repairs.append(f"cell {name} was of the kind {cell.kind}; it is {ours.kind} again")
    if answers:
        return [Cell(ours.kind, cell.source, ours.id, ours.metadata, cell.pictures if ours.kind == "markdown" else {})]
    return [*edited(cell, name, ours, made), ours]


def edited(cell: Cell, name: str, ours: Cell, made: Repaired) -> list[Cell]:
    """What a student wrote into a cell of the course is not graded there; functions in it are kept in a cell before it."""
    if cell.source.strip() == ours.source.strip():
        return []
    theirs, given = VARIANT.search(cell.source), VARIANT.search(ours.source)
    if theirs and given and theirs[2] != given[2]:
        made.flags.append(f"it was worked on as variant {theirs[2][:40]!r}, but is graded as {given[2]!r}")
        return []
    made.repairs.append(f"the course's own cell {name} was edited; it is as it was")
    if cell.kind == "code" and defined(cell.source) - defined(ours.source):
        made.repairs.append(f"what was written into cell {name} was kept in a cell before it")
        return [Cell("code", cell.source, f"{cell.id[:50]}-kept")]
    return []


def forgotten(cells: list[Cell], release: Release, made: Repaired) -> dict[str, list[Cell]]:
    """Code of the release without points that the student deleted, by the graded cell that it stood behind."""
    ids, texts = {cell.id for cell in cells}, {cell.source.strip() for cell in cells}
    lost: dict[str, list[Cell]] = {}
    last = ""
    for ours in release.cells:
        if ours.grade_id:
            last = ours.grade_id
        elif ours.kind == "code" and "demo" not in ours.tags and ours.id not in ids and ours.source.strip() not in texts:
            lost.setdefault(last, []).append(ours)
            made.repairs.append(f"a cell that was deleted is back: {ours.source.strip().splitlines()[0][:60]}")
    return lost


def out_of_place(positions: list[int]) -> list[int]:
    """The fewest that have to move so that the rest are in order."""
    tails: list[int] = []
    lengths: list[int] = []
    for each in positions:
        at = bisect_left(tails, each)
        tails[at : at + 1] = [each]
        lengths.append(at + 1)
    keep: set[int] = set()
    need = len(tails)
    limit = float("inf")
    for each, length in zip(reversed(positions), reversed(lengths), strict=True):
        if length == need and each < limit:
            keep.add(each)
            need, limit = need - 1, each
    return sorted(set(positions) - keep)


def nodes(cells: list[Cell]) -> list[Any]:
    """As `nbformat` has them; an id that comes again is the course's, so the student's cell gets another."""
    import nbformat

    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell, "raw": nbformat.v4.new_raw_cell}
    taken = {cell.id for cell in cells if cell.grade_id}
    made = []
    for number, cell in enumerate(cells):
        own = cell.id if cell.grade_id or cell.id not in taken else f"own-{number}"
        taken.add(own)
        more = {"attachments": cell.pictures} if cell.pictures else {}
        made.append(make[cell.kind](cell.source, id=own, metadata=copy.deepcopy(cell.metadata), **more))
    return made
