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

ABOUT = {
    "temperature": "What a loss does at other temperatures: to one model, and to models that were trained with it.",
    "microscope": "Drag a point: who pushes it, and how hard, under two losses side by side?",
    "time_machine": "Scrub through a training run: embedding, spectrum, meters and loss share one cursor.",
    "clinic": "Read the meters of a run that may be broken, and name its disease.",
    "simplex": "Where a preference loss drives a policy over a few answers, and where both of a pair fall.",
    "displacement": "Why a chosen answer fell: whose push it was, and who received what it lost.",
    "maps": "What PCA, t-SNE and UMAP keep of the same embeddings, and what changes with the seed.",
    "precision": "Which type and which form of a loss turn into NaN, and from which temperature on.",
    "augmentation": "How far two views of an image may differ and still be alike, before and after training.",
    "same_name": "What libraries compute under one and the same name, and why their numbers differ.",
    "bridge": "One slider for the number of negatives: InfoNCE and DPO turn out to be one loss.",
}
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
    """An explorer in the list: its picture, its title, and what it is about."""
    return (
        f'<li><a href="{{{{ base_url }}}}voila/render/{shown.name}.ipynb">'
        f'<img alt="" src="{{{{ base_url }}}}voila/files/{shown.name}.png">'
        f"{{% raw %}}<h2>{html.escape(shown.title)}</h2></a><p>{html.escape(ABOUT[shown.name])}</p>{{% endraw %}}</li>"
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
