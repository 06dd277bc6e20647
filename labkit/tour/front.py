"""The first page of the tour: a figure that moves, a door to every lesson, and the table of all claims."""

import html
from typing import Any

from labkit.tour.pages import WIDE, card, facts, page, plot

TAGLINE = "See what contrastive and preference losses really do."


def index_page(lessons: list[dict[str, Any]], about: dict[str, str]) -> str:
    """The index of all lessons that were run."""
    first = [lesson for lesson in lessons if lesson["name"].startswith("00")]
    doors = "".join(door(lesson) for lesson in lessons if lesson not in first)
    start = "".join(f'<a class="start" href="{x["name"]}.html">{html.escape(x["title"])} →</a>' for x in first)
    body = (
        f'<header class="hero"><h1>labkit</h1><p>{TAGLINE} Real models are trained, every sentence with a number is asserted '
        f"by the code that made it, and nothing on these pages needs a network.</p>{start}</header>"
        f'<main id="main" class="wide">{hero(lessons)}'
        f'<section aria-label="Lessons"><div class="doors">{doors}</div></section>'
        f"{table(lessons)}</main>"
        f"<footer>{html.escape(' · '.join(f'{k} {v}' for k, v in about.items()))}. "
        "To change the code behind a page, run <code>python -m labkit lab</code>.</footer>"
    )
    return page("labkit", body)


def hero(lessons: list[dict[str, Any]]) -> str:
    """The first explorer, or figure with a slider, that any lesson shows."""
    for lesson in lessons:
        for figure in lesson["figures"]:
            if "explorer" in figure:
                return f'<div class="out" id="hero">{card(figure["explorer"], WIDE)}</div>'
            if figure.get("plotly", {}).get("layout", {}).get("sliders"):
                wish = figure["plotly"]["layout"].get("width") or 0
                return f'<div class="out">{card(plot(figure["plotly"], figure["alt"], "hero"), wish)}</div>'
    return ""


def cover(lesson: dict[str, Any]) -> str:
    """The figure on a lesson's door: the one tagged "cover", or else its first picture."""
    chosen = [f for f in lesson["figures"] if f["cover"]] or [f for f in lesson["figures"] if "png" in f] or lesson["figures"]
    if not chosen:
        return ""
    if image := chosen[0].get("png") or chosen[0].get("still"):
        picture = f'<img src="{image}" alt="{html.escape(chosen[0]["alt"], quote=True)}">'
    else:
        still = {**chosen[0]["plotly"], "frames": []}
        layout = {k: v for k, v in still["layout"].items() if k not in ("sliders", "updatemenus", "height", "width")}
        picture = plot({**still, "layout": layout}, chosen[0]["alt"], f"cover-{lesson['name']}", still=True)
    return f'<div class="pic">{picture}</div>'


def door(lesson: dict[str, Any]) -> str:
    number, _, _ = lesson["name"].partition("_")
    failed = f'<p class="fail">✗ {html.escape(lesson["error"])}</p>' if lesson["error"] else ""
    return (
        f'<article class="door">{cover(lesson)}<div class="body">'
        f'<h3><a href="{lesson["name"]}.html">{number} {html.escape(lesson["title"])}</a></h3>'
        f'<p>{lesson["lede"]}</p>{failed}<p class="facts">{facts(lesson)}</p></div></article>'
    )


def table(lessons: list[dict[str, Any]]) -> str:
    """Every claim: the sentence, its number with its spread, its bound, the verdict, when it was verified."""
    every = [c for lesson in lessons for c in lesson["claims"]]
    if not every:
        return ""
    asserted = [c for c in every if c["asserted"]]
    seconds = sum(lesson["seconds"] for lesson in lessons)
    return (
        f'<h2 id="claims">What the lessons claim</h2><p>{sum(c["passed"] for c in asserted)} of {len(asserted)} asserted '
        f"claims hold; all lessons together took {seconds:.0f} s. Over several seeds, every seed must pass and the mean must "
        f"lie at least two standard deviations from the bound.</p>{''.join(group(x) for x in lessons if x['claims'])}"
    )


def group(lesson: dict[str, Any]) -> str:
    """The claims of one lesson, folded away unless one of them fails; a click on its name shows them."""
    asserted = [c for c in lesson["claims"] if c["asserted"]]
    held = sum(c["passed"] for c in asserted)
    columns = "".join(f'<th scope="col">{c}</th>' for c in ("Claim", "Number", "Must be", "Kind", "Verified", "Verdict"))
    return (
        f'<details class="claims"{" open" * (held < len(asserted))}><summary>{html.escape(lesson["title"])} '
        f'<span class="facts">{held} of {len(asserted)} hold; {lesson["seconds"]:.0f} s; '
        f'<a href="{lesson["name"]}.html">the lesson</a></span></summary>'
        f'<div class="scroll"><table class="claims"><thead><tr>{columns}</tr></thead><tbody>'
        f"{''.join(row(c) for c in lesson['claims'])}</tbody></table></div></details>"
    )


def row(c: dict[str, Any]) -> str:
    verdict = (
        '<td class="idle">· measured</td>'
        if not c["asserted"]
        else '<td class="pass">✓ holds</td>'
        if c["passed"]
        else '<td class="fail">✗ fails</td>'
    )
    return (
        f'<tr><td>{html.escape(c["text"])}</td><td class="number" data-label="Number">{html.escape(c["number"])}</td>'
        f'<td class="number" data-label="Must be">{html.escape(c["op"])} {c["bound"]:.4g}</td>'
        f'<td data-label="Kind">{c["kind"]}</td><td data-label="Verified">{c["date"]}</td>{verdict}</tr>'
    )
