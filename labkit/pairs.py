"""Lessons are pairs: `NN_name.py` is what people edit and review, `NN_name.ipynb` is made from it, without outputs.

Cells are compared, never modification times, which mean nothing in a fresh clone. Each generated notebook remembers a
fingerprint of the cells it was made from; so a notebook that was edited since can be told from one that is merely old.
"""

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.paths import notebooks

# How every script begins, so that jupytext and whoever reads it know what it is.
HEADER = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

"""
# The first code cell of every lesson: it finds labkit, or says how to get it (the path is that of a clone).
FIRST_CELL = """\
try:
    import labkit
except ModuleNotFoundError:
    raise SystemExit("labkit is missing here: run  %pip install -e ..  in a cell, then restart the kernel") from None"""
# That of an assignment, which students have without the clone.
HANDED_OUT = FIRST_CELL.replace("run  %pip install -e ..  in a cell, then", "install it as your course says, then")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
KEPT = ("tags", "nbgrader", "slideshow")  # of a cell's metadata
ANSWER = re.compile(r"^[ \t]*### BEGIN SOLUTION.*?^[ \t]*### END SOLUTION\n?", re.MULTILINE | re.DOTALL)  # gone when handed out


class EditedNotebook(Exception):
    """A notebook holds edits that its script lacks; the message shows them."""


def scripts(folder: Path | None = None) -> list[Path]:
    """The sources of all lessons, then of all assignments (`assignments/NAME/NAME.py`), in order."""
    root = folder or notebooks()
    return sorted(root.glob("*.py")) + sorted(p for p in root.glob("assignments/*/*.py") if p.stem == p.parent.name)


def pair(script: Path) -> Path:
    return script.with_suffix(".ipynb")


def read(path: Path) -> Any:
    """A notebook from its script or from its `.ipynb`."""
    import jupytext

    return jupytext.read(path, fmt="py:percent" if path.suffix == ".py" else "ipynb")


def cells(notebook: Any) -> list[str]:
    """What counts when two notebooks are compared: kinds, sources and the metadata we keep; not outputs, ids, counters."""
    return [f"[{c.cell_type}] {kept(c) or ''}".rstrip() + "\n" + c.source.rstrip() for c in notebook.cells if c.source.strip()]


def kept(cell: Any) -> dict[str, Any]:
    return {k: cell.metadata[k] for k in KEPT if k in cell.metadata}


def fingerprint(notebook: Any) -> str:
    return hashlib.sha256("\0".join(cells(notebook)).encode()).hexdigest()[:16]


def ids(notebook: Any) -> Iterator[str]:
    """A stable id per cell: its content, and a number where the same content comes again."""
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        name = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:10]
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}"


def generate(script: Path) -> str:
    """The text of the `.ipynb`: the same bytes every time for the same script."""
    import nbformat

    notebook = read(script)
    made = nbformat.v4.new_notebook(
        metadata={"kernelspec": KERNEL, "labkit": {"source": fingerprint(notebook)}, "language_info": {"name": "python"}}
    )
    for cell, name in zip(notebook.cells, ids(notebook), strict=True):
        new = nbformat.v4.new_markdown_cell if cell.cell_type == "markdown" else nbformat.v4.new_code_cell
        new = nbformat.v4.new_raw_cell if cell.cell_type == "raw" else new
        made.cells.append(new(cell.source, id=name, metadata=kept(cell)))
    return nbformat.writes(made) + "\n"


def edits(script: Path) -> str:
    """The difference script -> notebook, or "" if their cells agree."""
    ours, theirs = (cells(read(p)) for p in (script, pair(script)))
    lines = difflib.unified_diff(
        "\n\n".join(ours).splitlines(), "\n\n".join(theirs).splitlines(), script.name, pair(script).name, lineterm="", n=2
    )
    return "\n".join(lines)


def edited(script: Path) -> bool:
    """Whether someone changed the notebook after it was made from some version of the script."""
    notebook = read(pair(script))
    return notebook.metadata.get("labkit", {}).get("source") != fingerprint(notebook)


def write(script: Path, *, overwrite: bool = False) -> bool:
    """Make the notebook from its script; whether anything was written.

    Raises:
        EditedNotebook: the notebook holds edits that the script lacks; with `overwrite` they are dropped.
    """
    target, text = pair(script), generate(script)
    if target.exists():
        if target.read_text(encoding="utf-8") == text:
            return False
        difference = edits(script)
        if difference and edited(script) and not overwrite:
            raise EditedNotebook(
                f"{target.name} holds edits that {script.name} lacks:\n\n{difference}\n\n"
                f"Keep them:  python -m labkit notebooks --keep {script.stem}\n"
                f"Drop them:  python -m labkit notebooks --overwrite {script.stem}"
            )
    target.write_text(text, encoding="utf-8", newline="\n")
    return True


def keep(script: Path) -> None:
    """Take the notebook's cells into the script, then make the notebook afresh."""
    import jupytext

    notebook = read(pair(script))
    for cell in notebook.cells:
        cell.metadata = type(cell.metadata)(kept(cell))
    notebook.metadata.clear()
    notebook.metadata["jupytext"] = {"notebook_metadata_filter": "-all"}
    script.write_text(HEADER + jupytext.writes(notebook, fmt="py:percent"), encoding="utf-8", newline="\n")
    write(script, overwrite=True)


def faults(script: Path) -> list[str]:
    """What is wrong with a pair, in words; nothing if all is well."""
    found = []
    if not pair(script).exists():
        return [f"{pair(script).name} is missing: run  python -m labkit notebooks"]
    difference = edits(script)
    if difference:
        who = (
            "holds edits that the script lacks"
            if edited(script)
            else "is older than its script: run  python -m labkit notebooks"
        )
        found.append(f"{pair(script).name} {who}\n{difference}")
    elif pair(script).read_text(encoding="utf-8") != generate(script):
        found.append(f"{pair(script).name} has outputs or stray metadata: run  python -m labkit notebooks")
    if not script.read_text(encoding="utf-8").startswith(HEADER[: HEADER.index("#     text")]):  # JupyterLab may add to it
        found.append(f"{script.name} must begin with\n{HEADER}")
    code = [c.source for c in read(script).cells if c.cell_type == "code"]
    first = HANDED_OUT if script.parent.parent.name == "assignments" else FIRST_CELL
    if not code or not code[0].startswith(first):
        found.append(f"the first code cell of {script.name} must be\n{first}")
    found += [
        f"a cell of {script.name} has {n} lines, 25 are enough: {c.splitlines()[0]}"
        for c in code
        if (n := len(ANSWER.sub("", c).splitlines())) > 25
    ]
    return found
