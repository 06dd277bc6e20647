"""Read what a student handed in, in whatever state it is, as a list of cells; say in words what was strange about it.

`nbformat` reads notebooks that are nearly right. Here a byte order mark, Windows line endings, missing ids or a kernel of
another name are no reason not to grade somebody's work.
"""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MOST = 200_000_000  # bytes of a file that is read at all
LARGE = 10_000_000  # and from here on it is worth a word
CELLS, TEXT, PICTURES = 2000, 100_000, 5_000_000  # cells; characters of one; bytes of the pictures in one
BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
PICTURE = ("image/png", "image/jpeg", "image/gif")
BASE64 = re.compile(r"^[A-Za-z0-9+/=\s]*$")
VARIANT = re.compile(r"^VARIANT\s*=\s*(['\"])(.*?)\1", re.MULTILINE)  # the line of a notebook that says whose numbers it has
CELL_ID = re.compile(r"^[a-zA-Z0-9-_]{1,64}$")


class Unreadable(ValueError):
    """There are no cells in it; the message says in words what there is instead."""


@dataclass
class Cell:
    """A cell as the student left it: outputs dropped, line endings mended, an id that is its own."""

    kind: str
    source: str
    id: str
    metadata: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Any] = field(default_factory=dict)

    @property
    def nbgrader(self) -> dict[str, Any]:
        found = self.metadata.get("nbgrader")
        return found if isinstance(found, dict) else {}

    @property
    def grade_id(self) -> str:
        found = self.nbgrader.get("grade_id")
        return found if isinstance(found, str) else ""

    def plain(self) -> "Cell":
        """Without any claim to points."""
        return Cell(self.kind, self.source, self.id, {"tags": self.tags} if self.tags else {}, self.pictures)

    @property
    def tags(self) -> list[str]:
        found = self.metadata.get("tags")
        return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def read(data: bytes) -> tuple[list[Cell], dict[str, Any], list[str]]:
    """Cells, the notebook's metadata, and what was mended.

    Raises:
        Unreadable: no notebook can be made of it.
    """
    notes: list[str] = []
    notebook = parsed(text_of(data, notes), notes)
    if not isinstance(notebook, dict):
        raise Unreadable("the file is JSON, but not a notebook")
    raw = raw_cells(notebook, notes)
    cells = list(mended(raw, notes))
    if any("\r" in joined(each.get("source", each.get("input", ""))) for each in raw if isinstance(each, dict)):
        notes.append("Windows line endings were changed to plain ones")
    metadata = notebook.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    if metadata.get("widgets"):
        notes.append("the saved state of widgets was dropped")
    if len(data) > LARGE:
        notes.append(f"the file has {len(data) / 1e6:.0f} MB, most of it saved outputs, which were dropped")
    return cells, metadata, notes


def text_of(data: bytes, notes: list[str]) -> str:
    if not data.strip(b"\0 \t\r\n"):
        raise Unreadable("the file is empty")
    if len(data) > MOST:
        raise Unreadable(f"the file has {len(data) / 1e6:.0f} MB; more than {MOST / 1e6:.0f} MB is not read")
    for mark, encoding in BOMS:
        if data.startswith(mark):
            notes.append("a byte order mark was removed")
            return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        notes.append("the file is not UTF-8; it was read as Latin-1")
        return data.decode("latin-1")


def parsed(text: str, notes: list[str]) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise Unreadable("the file is nested too deep to be a notebook") from None
    except ValueError:
        pass
    if re.search(r"^<<<<<<< ", text, re.MULTILINE):
        raise Unreadable("the file holds the marks of a git merge that was not finished")
    try:
        found = json.loads(text, strict=False)  # line ends and tabs inside strings, from an editor
    except (ValueError, RecursionError) as error:
        what = "is cut off" if text.lstrip()[:1] == "{" and not text.rstrip().endswith("}") else "is not a notebook"
        raise Unreadable(f"the file {what}: {str(error)[:120]}") from None
    notes.append("control characters inside strings were let pass")
    return found


def raw_cells(notebook: dict[str, Any], notes: list[str]) -> list[Any]:
    """Of format 4, or of format 3 and its worksheets."""
    cells, major, minor = notebook.get("cells"), notebook.get("nbformat"), notebook.get("nbformat_minor")
    if cells is None and isinstance(notebook.get("worksheets"), list):
        cells = [each for sheet in notebook["worksheets"] if isinstance(sheet, dict) for each in sheet.get("cells") or []]
        notes.append("the notebook was of format 3")
    elif isinstance(cells, list) and (major != 4 or not isinstance(minor, int) or minor < 5):
        notes.append(
            f"the notebook was of format {major}.{minor}, without ids of cells" if major == 4 else "its format was not said"
        )
    if not isinstance(cells, list) or not any(isinstance(each, dict) for each in cells):
        raise Unreadable("the file is JSON, but holds no cells")
    if len(cells) > CELLS:
        notes.append(f"the notebook has {len(cells)} cells; only the first {CELLS} were read")
    return cells[:CELLS]


def joined(source: Any) -> str:
    if isinstance(source, list):
        return "".join(each for each in source if isinstance(each, str))
    return source if isinstance(source, str) else ""


def mended(raw: list[Any], notes: list[str]) -> Iterator[Cell]:
    seen: set[str] = set()
    again = strange = 0
    for each in raw:
        if not isinstance(each, dict):
            strange += 1
            continue
        kind, source = each.get("cell_type"), joined(each.get("source", each.get("input", "")))
        if kind == "heading":  # of format 3
            level = each.get("level")
            kind, source = "markdown", f"{'#' * (level if isinstance(level, int) and 0 < level < 7 else 1)} {source}"
        if kind not in ("code", "markdown", "raw"):
            kind, strange = "raw", strange + 1
        name, metadata = each.get("id"), each.get("metadata")
        again += name in seen if isinstance(name, str) else 0
        if not isinstance(name, str) or not CELL_ID.match(name) or name in seen:
            name = uuid.uuid4().hex[:12]
        seen.add(name)
        source = source.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()  # no lone surrogates
        if len(source) > TEXT:
            notes.append(f"a cell has {len(source):,} characters; it was cut after {TEXT:,}")
        metadata = metadata if isinstance(metadata, dict) else {}
        yield Cell(str(kind), source[:TEXT], name, metadata, pictures(each) if kind == "markdown" else {})
    if again:
        notes.append(f"{again} cell{'s' * (again > 1)} had the id of another; they got ids of their own")
    if strange:
        notes.append(
            f"{strange} cell{'s' * (strange > 1)} of no known kind {'were' if strange > 1 else 'was'} kept as text or dropped"
        )


def pictures(cell: dict[str, Any]) -> dict[str, Any]:
    """What was pasted into a text, as far as it is pictures."""
    found, kept = cell.get("attachments"), dict[str, Any]()
    for name, bundle in found.items() if isinstance(found, dict) else ():
        data = {k: v for k, v in bundle.items() if k in PICTURE and isinstance(v, str)} if isinstance(bundle, dict) else {}
        if data and sum(map(len, data.values())) <= PICTURES and all(map(BASE64.match, data.values())):
            kept[name] = data
    return kept
