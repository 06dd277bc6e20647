"""A small notebook for each explorer, which shows it as soon as it is opened: nothing has to be run first."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import pairs
from labkit.explorers import EXPLORERS, explorer, restore

if TYPE_CHECKING:
    from labkit.explorers.core import Explorer

__all__ = ["cell", "made", "notebook", "put", "write"]


def made(name: str, code: str = "") -> "Explorer":
    """The explorer, opening in the state of a code, if there is one.

    Raises:
        ValueError: there is no such explorer; or a damaged code, or one of another explorer.
    """
    if name not in EXPLORERS:
        raise ValueError(f"there is no explorer {name!r}; there are {', '.join(EXPLORERS)}")
    return explorer(name).opened(code) if code else explorer(name)


def cell(name: str, code: str = "") -> str:
    """What a reader has to write to see the same.

    >>> print(cell("temperature"))
    from labkit import explorers
    <BLANKLINE>
    explorers.temperature()
    """
    return f'import labkit\n\nlabkit.restore("{code}")' if code else f"from labkit import explorers\n\nexplorers.{name}()"


def notebook(name: str, code: str = "") -> Any:
    """The notebook of one explorer: its title, and a cell that has run."""
    from nbformat import v4

    shown = made(name, code)
    source = cell(name, code)
    output = v4.new_output("display_data", {"text/html": shown.html(), "text/plain": shown.alt})
    cells = [
        v4.new_markdown_cell(f"# {shown.title}", id=f"{name}-title"),
        v4.new_code_cell(source, id=f"{name}-cell", outputs=[output], execution_count=1),
    ]
    fresh = v4.new_notebook(cells=cells, metadata={"kernelspec": pairs.KERNEL, "language_info": {"name": "python"}})
    fresh.metadata["labkit"] = {"source": pairs.fingerprint(fresh)}
    return fresh


def write(folder: str | Path, names: Sequence[str] = EXPLORERS) -> list[Path]:
    """Write a notebook for each of these explorers; one that its reader has edited stays as it is.

    Raises:
        ValueError: there is no such explorer.
    """
    return [put(Path(folder), name) for name in names]


def put(folder: Path, name: str, code: str = "") -> Path:
    """Write and sign one notebook: without the signature JupyterLab would not run the script in its output."""
    import nbformat
    from nbformat.sign import NotebookNotary

    path, fresh = folder / f"{code or name}.ipynb", notebook(name, code)
    if not edited(path):
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(nbformat.writes(fresh) + "\n", encoding="utf-8")
        NotebookNotary().sign(fresh)
    return path


def edited(path: Path) -> bool:
    """Whether somebody's work lies here: its cells are not those that were written."""
    import nbformat
    from nbformat.reader import NotJSONError

    if not path.exists():
        return False
    try:
        found = nbformat.read(path, as_version=4)
    except (NotJSONError, nbformat.ValidationError):
        return True  # whatever it is, it is not ours
    return found.metadata.get("labkit", {}).get("source") != pairs.fingerprint(found)
