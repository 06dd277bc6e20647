"""A report in a notebook: the same parts on a card that is legible in any theme, without figures."""

from labkit.report.paper import parts
from labkit.report.paper.strip import Axis, axis
from labkit.report.paper.words import grouped, is_clean, meters, of_class, sampling, size
from labkit.report.pieces import Number
from labkit.report.result import Report, Section

OPEN = ("scale", "spectrum", "geometry")  # the others are a click away


def notebook(report: Report) -> str:
    """What `_repr_html_` gives."""
    inputs = " · ".join(f"{g.name} {size(g).replace(' x ', ' × ')}" for g in report.given)
    loud = [m for m in meters(report) if not all(is_clean(n) for n in report.numbers if n.meter == m)]
    absent = parts.missing(report)
    return (
        f'<div class="labkit-report lk-card"><style>{parts.style()}</style>'
        f'<p class="lk-name"><b>{parts.words(report.name)}</b> <span class="lk-says">{parts.words(inputs)}</span></p>'
        f"{parts.banner(report)}{parts.findings(report)}"
        f"{''.join(section(s) for s in report.sections if s.numbers)}"
        + (f"<details><summary>Not measured, and what it needs</summary>{absent}</details>" if absent else "")
        + f"<details><summary>What the numbers say, and what they do not</summary>{parts.meaning(loud)}</details>"
        + f'<p class="lk-says">{parts.words(sampling(report))} Keep it: <code>report.save("folder")</code>; '
        "its figures: <code>report.figures()</code>.</p></div>"
    )


def section(found: Section) -> str:
    loud = grouped(n for n in found.numbers if not is_clean(n) and not of_class(n))
    rows = "".join(row(n, axis(numbers), k == 0) for numbers in loud.values() for k, n in enumerate(numbers))
    table = f'<table class="lk-rows lk-compact"><tbody>{rows}</tbody></table>' if rows else ""
    is_open = " open" if found.key in OPEN else ""
    return f"<details{is_open}><summary>{parts.words(found.title)}</summary>{parts.clean(found)}{table}</details>"


def row(number: Number, on: Axis | None, first: bool) -> str:
    name = parts.words(number.card.title) if first else ""
    return (
        f'<tr><th scope="row">{name} <span class="lk-of">{parts.words(number.of)}</span></th><td>{parts.value(number)}</td>'
        f'<td class="lk-n"><i>n = </i>{number.n:,}</td><td>{parts.picture(number, on)}</td>'
        f"<td>{parts.nulls(number, brief=True)}</td></tr>"
    )
