"""The parts of a report as HTML, the same on its page and in a notebook."""

import functools
import html
from collections.abc import Iterable
from importlib import resources

from labkit.report.paper.strip import Axis, sign, strip
from labkit.report.paper.words import (
    gathered,
    interval,
    is_clean,
    lacking,
    listed,
    point,
    sentence,
    size,
    together,
    verdict,
)
from labkit.report.pieces import CARDS, Finding, Null, Number
from labkit.report.result import Report, Section


@functools.cache
def style() -> str:
    return (resources.files("labkit.report.paper") / "report.css").read_text(encoding="utf-8")


def words(text: str) -> str:
    """Text as text, with a true minus before numbers and room for breaks in long names."""
    return html.escape(text, quote=True)


def banner(report: Report) -> str:
    kind = "bad" if report.alarms else "good"
    sign = "!" if report.alarms else "✓"
    return f'<p class="lk-verdict lk-{kind}"><span aria-hidden="true">{sign}</span> {words(verdict(report))}</p>'


def findings(report: Report) -> str:
    """Alarms first; a notice is a fact to know, not a fault."""
    items = "".join(map(finding, gathered(report)))
    return f'<ul class="lk-findings" aria-label="Findings">{items}</ul>' if items else ""


def finding(alike: list[Finding]) -> str:
    kind = "alarm" if alike[0].alarm else "notice"
    said = "".join(f'<p><span class="lk-of">{words(each.of)}:</span> {words(each.says)}</p>' for each in alike)
    todo = f'<p class="lk-try"><b>Try:</b> {words(alike[0].try_next)}</p>' if alike[0].try_next else ""
    return f'<li class="lk-{kind}"><p><b class="lk-kind">{kind}</b> <code>{words(alike[0].code)}</code></p>{said}{todo}</li>'


def inputs(report: Report) -> str:
    rows = "".join(
        f'<tr><th scope="row">{words(g.name)}</th><td>{words(g.source) if g.source != g.name else "in memory"}</td>'
        f'<td>{words(size(g).replace(" x ", " × "))}</td><td><code title="sha256">{words(g.sha256[:12])}</code></td></tr>'
        for g in report.given
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("input", "from", "shape and type", "sha256"))
    return f'<table class="lk-inputs"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


# ---------------------------------------------------------------- numbers


def value(number: Number) -> str:
    reach = interval(number.estimate)
    return f'<b class="lk-value">{true(point(number.estimate))}</b>' + (
        f' <span class="lk-reach">{true(reach)}</span>' if reach else ""
    )


def nulls(number: Number, brief: bool = False) -> str:
    """Each null row with the sign that it has on the strip, its value, and how it was made; briefly only its value."""
    items = "".join(null(k, each, brief) for k, each in enumerate(number.nulls))
    return f'<ul class="lk-nulls">{items}</ul>'


def null(k: int, found: Null, brief: bool) -> str:
    reach, made = ("", "") if brief else (true(interval(found.estimate)), words(found.says))
    rest = " ".join(filter(None, (reach, f'<span class="lk-says">{made}</span>' if made else "")))
    return f"<li>{sign(k)}{words(found.name)} <b>{true(point(found.estimate))}</b> {rest}</li>"


def picture(number: Number, on: Axis | None) -> str:
    return strip(number, on) if on else '<span class="lk-says">as its null row</span>'


def true(number: str) -> str:
    """
    >>> true("-2 [-3, -1]")
    '−2 [−3, −1]'
    """
    return html.escape(number).replace("-", "−")


def clean(section: Section) -> str:
    """Counts of faults that are 0, in one line."""
    none = together(number for number in section.numbers if is_clean(number))
    told = "; ".join(f"{words(listed(names))}: <b>0</b> in {words(listed(of))}" for of, names in none)
    return f'<p class="lk-clean"><span aria-hidden="true">✓</span> Counted over all rows: {told}.</p>' if none else ""


def meaning(meters: Iterable[str]) -> str:
    """What each meter says and what it does not, as a list."""
    items = "".join(
        f"<dt>{words(c.title)}</dt><dd>{words(sentence(c.means))} <b>Careful:</b> {words(sentence(c.implies_not))}</dd>"
        for c in (CARDS[m] for m in meters)
    )
    return f'<dl class="lk-meaning">{items}</dl>'


def missing(report: Report) -> str:
    """What could not be measured, by what it needs."""
    items = "".join(f"<li>{words(listed(names))}: <b>needs {words(needs)}</b></li>" for needs, names in lacking(report).items())
    return f'<ul class="lk-missing">{items}</ul>' if items else ""
