"""A report as one page: no network, no script, light and dark, on a phone and on paper."""

import base64
from collections.abc import Iterable
from typing import NamedTuple

from labkit.report.paper import parts
from labkit.report.paper.drawings import Drawn, figures, svg
from labkit.report.paper.methods import paragraph, versions
from labkit.report.paper.plain import SCHEMA
from labkit.report.paper.references import bibtex, sources
from labkit.report.paper.strip import Axis, axis
from labkit.report.paper.words import grouped, is_clean, of_class, sampling, sentence, title
from labkit.report.pieces import Number
from labkit.report.result import Report, Section

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
MANY = 8  # single classes that are shown without being asked for
LONG = 400  # letters of a caption
COLUMNS = ("of", "value and interval", "n", "on one axis with its null rows", "null rows, the floor first")


class Picture(NamedTuple):
    """A figure as it stands on the page."""

    name: str
    svg: bytes
    alt: str
    section: str


def picture(name: str, drawn: Drawn, image: bytes) -> Picture:
    return Picture(name, image, drawn.alt, drawn.section)


def page(report: Report, pictures: Iterable[Picture] | None = None, note: str = "") -> str:
    """The whole page.

    Args:
        pictures: its figures, where they are drawn already.
        note: a sentence more about what was left out.
    """
    drawn = [picture(k, d, svg(d)) for k, d in figures(report).items()] if pictures is None else list(pictures)
    sections = [s for s in report.sections if s.numbers or s.missing]
    links = "".join(f'<a href="#{s.key}">{parts.words(s.title)}</a>' for s in sections)
    body = "".join(section(s, [p for p in drawn if p.section == s.key]) for s in sections)
    made = " · ".join(f"{tool} {version}" for tool, version in versions().items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>{parts.words(report.name)} · labkit report</title><link rel="icon" href="data:,">
<style>{parts.style()}</style></head>
<body class="labkit-report lk-page"><a class="lk-skip" href="#main">To the numbers</a>
<header><p class="lk-over">labkit report</p><h1>{parts.words(report.name)}</h1>
{parts.banner(report)}{parts.findings(report)}<p class="lk-lead">{parts.words(f"{sampling(report)} {note}")}</p>
{parts.inputs(report)}
<nav aria-label="Sections">{links}</nav></header>
<main id="main">{overall(drawn)}{body}{lacking(report)}{appendix(report)}</main>
<footer>{parts.words(made)} · seed {report.seed} · {SCHEMA}. Nothing on this page is fetched, and none of the input's rows are
in it.</footer></body></html>
"""


def overall(pictures: list[Picture]) -> str:
    found = [p for p in pictures if not p.section]
    return fold("overview", "Numbers beside their null rows", "".join(map(figure, found))) if found else ""


def fold(key: str, title: str, inner: str, note: str = "", closed: bool = False) -> str:
    aside = f' <span class="lk-note">{note}</span>' if note else ""
    return (
        f'<details class="lk-section" id="{key}"{"" if closed else " open"}><summary><h2>{parts.words(title)}</h2>{aside}'
        f"</summary>{inner}</details>"
    )


def section(found: Section, pictures: list[Picture]) -> str:
    """The numbers of a section, meter by meter, then its figures."""
    loud = grouped(number for number in found.numbers if not is_clean(number))
    inner = parts.clean(found) + "".join(map(meter, loud.values())) + "".join(map(figure, pictures))
    needs = "".join(f"<li>{parts.words(m)}</li>" for m in dict.fromkeys(missing_here(found)))
    inner += f'<p class="lk-absent">Not measured here:</p><ul class="lk-missing">{needs}</ul>' if needs else ""
    alarms = sum(f.alarm for f in found.findings)
    note = f"{alarms} alarm{'s' * (alarms > 1)}, said above" if alarms else ""
    return fold(found.key, found.title, inner, note)


def missing_here(found: Section) -> Iterable[str]:
    return (f"{title(m.meter)}: needs {m.needs}" for m in found.missing)


def meter(numbers: list[Number]) -> str:
    """What a meter says, what it does not, and its numbers on one axis; many single classes are folded away."""
    card, on = numbers[0].card, axis(numbers)
    whole, classes = [n for n in numbers if not of_class(n)], [n for n in numbers if of_class(n)]
    if len(classes) <= MANY:
        whole, classes = numbers, []
    unit = f' <span class="lk-unit">{parts.words(card.unit)}</span>' if card.unit else ""
    folded = f"<details><summary>{len(classes)} single classes</summary>{table(classes, on)}</details>" if classes else ""
    return (
        f'<article class="lk-meter"><h3>{parts.words(card.title)}{unit}</h3>'
        f'<p class="lk-means">{parts.words(sentence(card.means))}</p>'
        f'<p class="lk-not"><b>Careful:</b> {parts.words(sentence(card.implies_not))}</p>'
        f"{table(whole, on) if whole else ''}{folded}</article>"
    )


def table(numbers: list[Number], on: Axis | None) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    rows = "".join(
        f'<tr><th scope="row">{parts.words(n.of)}</th><td>{parts.value(n)}</td><td class="lk-n"><i>n = </i>{n.n:,}</td>'
        f"<td>{parts.picture(n, on)}</td><td>{parts.nulls(n)}</td></tr>"
        for n in numbers
    )
    return f'<table class="lk-rows"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def figure(found: Picture) -> str:
    """What it shows in words is its caption, too; of a long text the first sentence."""
    data = base64.b64encode(found.svg).decode()
    caption = found.alt if len(found.alt) < LONG else found.alt.partition(". ")[0] + "."
    return (
        f'<figure id="figure-{found.name}"><img src="data:image/svg+xml;base64,{data}" alt="{parts.words(found.alt)}">'
        f"<figcaption>{parts.words(caption)}</figcaption></figure>"
    )


def lacking(report: Report) -> str:
    inner = parts.missing(report)
    return fold("missing", "Not measured, and what it needs", inner) if inner else ""


def appendix(report: Report) -> str:
    inner = f"<p>{parts.words(paragraph(report))}</p><pre>{parts.words(bibtex(sources(report)))}</pre>"
    return fold("methods", "Methods, to be quoted", inner, closed=True)
