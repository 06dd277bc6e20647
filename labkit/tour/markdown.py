"""Markdown to HTML, with formulas as MathML: browsers draw it by themselves, so a page needs no network and no script."""

import functools
import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise
from typing import Any

MATHML = "http://www.w3.org/1998/Math/MathML"
ROWS = {"math", "mrow", "mstyle", "mtd", "mpadded"}  # whose children stand side by side
# Delimiters that the converter leaves as they are when they come with a size (`\\big\\langle`).
SIZED = {"\\langle": "⟨", "\\rangle": "⟩", "\\lVert": "‖", "\\rVert": "‖", "\\lvert": "|", "\\rvert": "|"}
MATH = re.compile(r"```.*?```|`[^`\n]*`|\$\$(?:(?!\n\n).)+?\$\$|(?<![\\$])\$(?![\s$])(?:(?!\n\n)[^$])+?\$", re.DOTALL)
BARS, CLOSING = {"‖", "|", "/"}, {")", "]", "}", "⟩"}
SCRIPTS = {"msub", "msup", "msubsup", "munder", "mover", "munderover"}


def formula(tex: str, *, block: bool = False) -> str:
    """A formula as MathML.

    Raises:
        ValueError: it cannot be converted; better said than shown wrong.

    >>> formula("x")
    '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>x</mi></mrow></math>'
    """
    from latex2mathml.converter import convert

    tex = re.sub(r"\{(aligned|split)\}", "{align*}", tex.strip())
    try:
        made = convert(tex, display="block" if block else "inline")
        tree = ET.fromstring(made)
    except Exception as error:  # the converter has many kinds of its own
        raise ValueError(f"this formula cannot be shown: {tex} ({type(error).__name__})") from error
    for element in tree.iter():
        element.text = SIZED.get(element.text or "", element.text)
    if "\\" in "".join(tree.itertext()):
        raise ValueError(f"this formula has a command that cannot be shown: {tex}")
    for element in list(tree.iter()):
        if local(element) in ROWS:
            space_around_names(element)
        if local(element) == "mo" and element.text in BARS:  # not relations, though they may stand in the middle
            element.attrib.update(lspace="0", rspace="0")
    ET.register_namespace("", MATHML)
    return ET.tostring(tree, encoding="unicode")


def local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def is_name(element: ET.Element) -> bool:
    """`log`, `max` and their like, with or without something below."""
    if local(element) in SCRIPTS and len(element):
        return is_name(element[0])
    return local(element) in ("mi", "mo") and len(element.text or "") > 1 and (element.text or "").isalpha()


def space_around_names(row: ET.Element) -> None:
    """TeX puts a thin space around `log`; MathML has to be told."""
    for child, after in pairwise(list(row)):
        joins = is_name(child) and (is_name(after) or not starts_with_operator(after))
        follows = is_name(after) and not is_name(child) and (local(child) != "mo" or child.text in CLOSING)
        if joins or follows:
            row.insert(list(row).index(child) + 1, ET.Element(f"{{{MATHML}}}mspace", width="0.17em"))


def starts_with_operator(element: ET.Element) -> bool:
    if local(element) == "mrow" and len(element):
        return starts_with_operator(element[0])
    return local(element) == "mo"


def shown(tex: str, block: bool) -> str:
    try:
        return formula(tex, block=block)
    except ValueError:
        return f'<code class="tex">{html.escape(tex)}</code>'


@functools.cache
def converter() -> Callable[[str], Any]:
    import mistune
    from mistune.plugins.math import math, math_in_list, math_in_quote

    class Renderer(mistune.HTMLRenderer):
        """Headings get anchors, links to notebooks lead to their pages."""

        def heading(self, text: str, level: int, **attributes: object) -> str:
            return f'<h{level} id="{slug(text)}">{text}</h{level}>\n'

        def link(self, text: str, url: str, title: str | None = None) -> str:
            return super().link(text, re.sub(r"\.(ipynb|py)(?=$|#)", ".html", url) if "://" not in url else url, title)

    markdown = mistune.create_markdown(
        renderer=Renderer(escape=False),
        plugins=["table", "strikethrough", "footnotes", "task_lists", math, math_in_list, math_in_quote],
    )
    assert isinstance(markdown.renderer, Renderer)
    markdown.renderer.register("block_math", lambda _, text: f'<div class="formula">{shown(text, True)}</div>\n')
    markdown.renderer.register("inline_math", lambda _, text: shown(text, False))
    return markdown


def slug(text: str) -> str:
    """An anchor for a heading.

    >>> slug("Who <b>pushes</b>? (part 1)")
    'who-pushes-part-1'
    """
    plain = html.unescape(re.sub(r"<[^>]+>", "", text)).lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def one_line(found: re.Match[str]) -> str:
    """A formula may run over several lines, one of which may begin like a list; code may not be touched."""
    return found[0] if found[0].startswith("`") else re.sub(r"\s*\n\s*", " ", found[0])


def render(source: str) -> str:
    """HTML of a markdown cell.

    >>> render("The loss is **large**.")
    '<p>The loss is <strong>large</strong>.</p>\\n'
    """
    made = converter()(MATH.sub(one_line, source))
    return made.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
