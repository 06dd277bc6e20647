"""An executed notebook as a page of our own: readable in the dark, on a phone, from a folder, with no network and no kernel."""

import base64
import functools
import html
import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.tour import markdown

PLOTLY = "application/vnd.plotly.v1+json"
EXPLORER = '<div class="labkit-explorer"'
WIDE = 1180  # pixels that an explorer likes to have
ASSETS = Path(__file__).parent / "assets"
ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def shared(folder: Path) -> None:
    """What every page uses, written once beside them: the style, the script, and plotly."""
    from plotly.offline import get_plotlyjs

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tour.css", "tour.js"):
        shutil.copyfile(ASSETS / name, folder / name)
    (folder / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")


def page(title: str, body: str) -> str:
    """The frame of every page; plotly's megabytes only where a figure needs them."""
    scripts = '<script src="plotly.min.js"></script><script src="tour.js"></script>' if 'class="plot"' in body else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n"
        '<link rel="stylesheet" href="tour.css">\n<link rel="icon" href="data:,">\n</head>\n<body>\n'
        f'<a class="skip" href="#main">Skip to the text</a>\n{body}\n{scripts}\n</body>\n</html>\n'
    )


@dataclass
class Writer:
    """Turns the cells of one lesson into HTML, and puts its pictures into files beside the page."""

    name: str
    folder: Path
    figures: list[dict[str, Any]] = field(default_factory=list)

    def cell(self, cell: Any) -> str:
        tags, slide = cell.metadata.get("tags", []), cell.metadata.get("slideshow", {}).get("slide_type")
        if cell.cell_type == "markdown":
            text = markdown.render(cell.source)
            if "notes" in tags or slide == "notes":
                return f'<details class="notes"><summary>For a lecture</summary>{text}</details>\n'
            return text
        if cell.cell_type != "code":
            return ""
        outputs = "".join(self.output(o, cover="cover" in tags) for o in cell.outputs)
        return code(cell.source) + (f'<div class="out">{outputs}</div>\n' if outputs else "")

    def output(self, output: Any, *, cover: bool) -> str:
        if output.output_type == "stream":
            return stream(output)
        if output.output_type == "error":
            trace = ANSI.sub("", "\n".join(output.traceback))
            return f'<pre class="error">{html.escape(trace)}</pre>'
        data = output.data
        if PLOTLY in data:
            return self.plot(data[PLOTLY], data.get("text/plain", ""), cover)
        if "image/png" in data:
            return self.png(data["image/png"], output.metadata.get("image/png", {}), data.get("text/plain", ""), cover)
        if "application/vnd.jupyter.widget-view+json" in data:
            return ""  # a progress bar: nothing that a page could show
        if data.get("text/html", "").startswith(EXPLORER):
            return self.explorer(data["text/html"], data.get("text/plain", ""), cover)
        if "text/html" in data:
            return f'<div class="scroll">{data["text/html"]}</div>'
        if "text/markdown" in data:
            return markdown.render(data["text/markdown"])
        return f"<pre>{html.escape(data.get('text/plain', ''))}</pre>"

    def png(self, content: str, size: dict[str, Any], plain: str, cover: bool) -> str:
        path, alt = self.written(content), size.get("alt") or plain
        self.figures.append({"png": path, "alt": alt, "cover": cover})
        shape = f' width="{size["width"]}" height="{size["height"]}"' if "width" in size and "height" in size else ""
        return card(f'<img src="{path}" alt="{html.escape(alt, quote=True)}"{shape}>', size.get("width", 0))

    def explorer(self, content: str, alt: str, cover: bool) -> str:
        """An explorer moves by itself; the picture in it, which stands where no script runs, can be a lesson's cover."""
        still = re.search(r'src="data:image/png;base64,([^"]+)"', content)
        figure = {"explorer": content, "alt": alt, "cover": cover}
        if still:
            figure["still"] = self.written(still[1])
        self.figures.append(figure)
        return card(content, WIDE)

    def written(self, content: str) -> str:
        """The address of a picture in a file beside the page."""
        path = self.folder / "figures" / f"{self.name}-{len(self.figures) + 1}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content))
        return f"figures/{path.name}"

    def plot(self, figure: dict[str, Any], alt: str, cover: bool) -> str:
        self.figures.append({"plotly": figure, "alt": alt, "cover": cover})
        return card(plot(figure, alt, f"{self.name}-{len(self.figures)}"), figure.get("layout", {}).get("width") or 0)


def card(figure: str, width: int) -> str:
    """A figure in the text; one that wants to be wider than the column stands out of it on both sides."""
    return f'<div class="figure" style="--wish:{width}px">{figure}</div>'


def plot(figure: dict[str, Any], alt: str, key: str, *, still: bool = False) -> str:
    """A place where `tour.js` draws, and the figure's numbers beside it."""
    content = json.dumps(figure, separators=(",", ":")).replace("</", "<\\/")
    moves = bool(figure.get("layout", {}).get("sliders"))
    label = alt + (" Arrow keys move the slider." if moves and not still else "")
    height = figure.get("layout", {}).get("height", 450)
    wide = f";max-width:{figure['layout']['width']}px" if figure.get("layout", {}).get("width") else ""
    attributes = ' data-still="yes"' if still else f' tabindex="0" style="height:{height}px{wide}"'
    return (
        f'<div class="plot" role="{"img" if still or not moves else "group"}" aria-label="{html.escape(label, quote=True)}" '
        f'data-figure="{key}"{attributes}></div>'
        f'<script type="application/json" id="{key}">{content}</script>'
    )


def code(source: str) -> str:
    """The code of a cell, folded away behind its first telling line."""
    if not source.strip() or source.startswith("try:\n    import labkit"):  # the first cell is the same everywhere
        return ""
    lines = source.strip().splitlines()
    plain = [line for line in lines if line.strip() and not line.lstrip().startswith(("#", "@", "import ", "from "))] or lines
    return (
        f'<details class="code"><summary>Code: <code>{html.escape(plain[0].strip())}</code></summary>'
        f"<pre><code>{colored(source)}</code></pre></details>\n"
    )


@functools.cache
def formatter() -> tuple[Any, Any]:
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return PythonLexer(), HtmlFormatter(nowrap=True)


def colored(source: str) -> str:
    from pygments import highlight

    return highlight(source, *formatter())


def stream(output: Any) -> str:
    """Printed text; of a progress bar, which writes over itself, only what stayed."""
    text = "\n".join(line.rpartition("\r")[2] for line in ANSI.sub("", output.text).replace("\r\n", "\n").split("\n")).strip(
        "\n"
    )
    if not text.strip():
        return ""
    return f'<pre class="{output.name}">{html.escape(text)}</pre>'


def lesson_page(notebook: Any, lesson: dict[str, Any], before: dict | None, after: dict | None, folder: Path) -> str:
    """The page of one lesson; `lesson["figures"]` receives what it shows."""
    writer = Writer(lesson["name"], folder)
    made = [writer.cell(cell) for cell in notebook.cells]
    lesson["figures"] = writer.figures
    head, rest = (made[0], made[1:]) if made else ("", [])
    text = "".join(rest)
    sections = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', text, re.DOTALL)
    contents = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title in sections)
    toc = f'<nav class="toc" aria-label="Sections"><ol>{contents}</ol></nav>' if sections else ""
    around = neighbour(before, "← ") + (neighbour(after, "", " →") or '<a href="index.html">All lessons →</a>')
    body = (
        f'<nav class="top" aria-label="Lessons"><a class="home" href="index.html">labkit</a>{neighbour(before, "← ")}'
        f"{neighbour(after, '', ' →')}</nav>\n"
        f'<main id="main">{failure(lesson)}{head}<p class="facts">{facts(lesson)}</p>{toc}{text}'
        f'<nav class="ends" aria-label="Next">{around}</nav></main>'
    )
    return page(f"{lesson['title']} · labkit", body)


def neighbour(lesson: dict | None, before: str, after: str = "") -> str:
    return f'<a href="{lesson["name"]}.html">{before}{html.escape(lesson["title"])}{after}</a>' if lesson else ""


def failure(lesson: dict[str, Any]) -> str:
    if not lesson["error"]:
        return ""
    return f'<p class="failed"><b>This lesson failed.</b> {html.escape(lesson["error"])}</p>'


def facts(lesson: dict[str, Any]) -> str:
    """When and how long the lesson ran, and how its claims fared."""
    claims = lesson["claims"]
    asserted = [c for c in claims if c["asserted"]]
    held = sum(c["passed"] for c in asserted)
    said = f"{held} of {len(asserted)} claims hold" if claims else "nothing claimed"
    mode = ", smoke mode: sizes only measured" if lesson["smoke"] else ""
    return f"ran {lesson['date']} in {lesson['seconds']:.0f} s; {said}{mode}"
