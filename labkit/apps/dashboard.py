"""All explorers as a dashboard: a page that lists them, and a page for each, served by Voila.

What Voila runs is short: each page is made once, before the server starts, and its kernel only hands it over.
"""

import html
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labkit import apps, pairs
from labkit.explorers import EXPLORERS
from labkit.figures import theme
from labkit.figures.picture import png

if TYPE_CHECKING:
    from labkit.explorers.core import Explorer

TEMPLATES = Path(__file__).parent / "templates"
CELL = 'from IPython.display import HTML\n\nHTML(filename="{name}.html")'


def build(folder: Path, names: Sequence[str] = EXPLORERS, tick: Callable[[], object] = lambda: None) -> None:
    """Write everything that the dashboard serves; `tick` is called after each explorer."""
    folder.mkdir(parents=True, exist_ok=True)
    cards = []
    for name in names:
        shown = apps.made(name)
        put(folder / f"{name}.html", shown.html())
        put(folder / f"{name}.ipynb", notebook(shown))
        (folder / f"{name}.png").write_bytes(png(shown.figure()))
        cards.append(card(shown))
        tick()
    target = folder / "jupyter" / "voila" / "templates" / "labkit"
    target.mkdir(parents=True, exist_ok=True)
    for template in ("conf.json", "index.html.j2"):
        shutil.copyfile(TEMPLATES / template, target / template)
    put(target / "tree.html", index(cards))


def put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def notebook(shown: "Explorer") -> str:
    """The notebook that Voila runs for a page: a way back, the title, and the explorer as it was made."""
    import nbformat
    from nbformat import v4

    cells = [
        v4.new_markdown_cell(f"[← All explorers](../tree)\n\n# {shown.title}", id=f"{shown.name}-title"),
        v4.new_code_cell(CELL.format(name=shown.name), id=f"{shown.name}-cell"),
    ]
    return nbformat.writes(v4.new_notebook(cells=cells, metadata={"kernelspec": pairs.KERNEL, "title": shown.title}))


def card(shown: "Explorer") -> str:
    """An explorer in the list: its picture, its title, and a sentence on what it shows."""
    first = shown.alt.partition(". ")[0].rstrip(".") + "."
    return (
        f'<li><a href="{{{{ base_url }}}}voila/render/{shown.name}.ipynb">'
        f'<img alt="" src="{{{{ base_url }}}}voila/files/{shown.name}.png">'
        f"{{% raw %}}<h2>{html.escape(shown.title)}</h2></a><p>{html.escape(first)}</p>{{% endraw %}}</li>"
    )


def index(cards: Sequence[str]) -> str:
    """The list, as a template that only has to be told where Voila serves."""
    made = (TEMPLATES / "tree.html").read_text(encoding="utf-8")
    return made.replace("FONT", theme.FONT).replace("CARDS", "\n".join(cards))


def command(folder: Path, python: str) -> list[str]:
    """How Voila is started on the dashboard."""
    own = {"template": "labkit", "classic_tree": True, "extension_allowlist": ["none"]}
    return [python, "-m", "voila", str(folder), *(f"--VoilaConfiguration.{name}={value}" for name, value in own.items())]


def environment(folder: Path) -> dict[str, str]:
    """Where Voila finds our template."""
    path = os.pathsep.join(p for p in (str(folder / "jupyter"), os.environ.get("JUPYTER_PATH", "")) if p)
    return {**os.environ, "JUPYTER_PATH": path}
