"""A report as plain text: findings first, a table for each section, what is missing, what the numbers mean."""

import textwrap
from collections.abc import Iterable

from labkit.report.paper.words import (
    PERCENT,
    grouped,
    is_clean,
    lacking,
    listed,
    measured,
    meters,
    of_class,
    sampling,
    shown,
    size,
    title,
    verdict,
)
from labkit.report.pieces import CARDS, Finding, Null, Number
from labkit.report.result import Report, Section

WIDTH = 100
FEW = 6  # classes that are printed one by one; of more, the lowest and the highest


def text(report: Report) -> str:
    """What `print(report)` shows, 100 columns wide."""
    blocks = [head(report), findings(report), *map(table, report.sections), missing(report), legend(report)]
    return "\n\n".join(block for block in blocks if block)


def wrap(words: str, first: str = "", then: str | None = None) -> str:
    return textwrap.fill(
        words,
        WIDTH,
        initial_indent=first,
        subsequent_indent=first if then is None else then,
        break_long_words=False,
        break_on_hyphens=False,
    )


def head(report: Report) -> str:
    inputs = "; ".join(
        f"{g.name}: {g.source} ({size(g)})" if g.source != g.name else f"{g.name} ({size(g)})" for g in report.given
    )
    return "\n".join([f"labkit report: {report.name}", wrap(inputs), wrap(sampling(report))])


def findings(report: Report) -> str:
    return "\n".join([verdict(report), *map(finding, report.findings)])


def finding(found: Finding) -> str:
    mark = "! ALARM " if found.alarm else "- notice"
    lines = [wrap(f"{found.code}, {found.of}: {found.says}", f"{mark} ", "         ")]
    return "\n".join([*lines, wrap(f"Try: {found.try_next}", "         ")] if found.try_next else lines)


# ---------------------------------------------------------------- tables


def table(section: Section) -> str:
    """The numbers of a section; counts of faults that are 0 share a line."""
    if not section.numbers:
        return ""
    clean = [number for number in section.numbers if is_clean(number)]
    lines = [wrap(f"None in {', '.join(of)}: {listed(names)}.", "  ", "    ") for of, names in together(clean)]
    rows = [row for numbers in grouped(n for n in section.numbers if not is_clean(n)).values() for row in chosen(numbers)]
    if rows:
        cells = [("", "of", f"value [{PERCENT}]", "n", "floor", "further null rows"), *map(cell, rows)]
        wide = [max(len(each[k]) for each in cells) for k in range(4)]
        lines += [line(each, wide) for each in cells]
    return "\n".join([section.title, *lines])


def together(numbers: Iterable[Number]) -> list[tuple[list[str], list[str]]]:
    """What is clean, by what it is clean of: (["z1", "z2"], ["zero rows", "duplicate rows"])."""
    by: dict[tuple[str, ...], list[str]] = {}
    for meter, these in grouped(numbers).items():
        by.setdefault(tuple(number.of for number in these), []).append(title(meter))
    return [(list(of), names) for of, names in by.items()]


def chosen(numbers: list[Number]) -> list[Number]:
    """All of them, or of many classes the two lowest and the two highest."""
    whole, classes = [n for n in numbers if not of_class(n)], [n for n in numbers if of_class(n)]
    if len(classes) > FEW:
        ordered = sorted(classes, key=lambda number: number.value)
        classes = [*ordered[:2], *ordered[-2:]]
    return whole + classes


def cell(number: Number) -> tuple[str, ...]:
    nulls = [null(each) for each in number.nulls]
    return title(number.meter), number.of, measured(number.estimate), f"{number.n:,}", nulls[0], "; ".join(nulls[1:])


def null(found: Null) -> str:
    return f"{found.name} {shown(found.estimate.value)}"


def line(cells: tuple[str, ...], wide: list[int]) -> str:
    """One row; null rows that are too long for the screen go on below themselves."""
    start = f"  {cells[0]:<{wide[0]}}  {cells[1]:<{wide[1]}}  {cells[2]:<{wide[2]}}  {cells[3]:>{wide[3]}}  "
    nulls = "; ".join(filter(None, cells[4:])) if cells[0] else "null rows, the floor first"
    if len(start) > WIDTH - 24:
        return start.rstrip() + "\n" + wrap(nulls, "      ")
    return wrap(nulls, start, " " * len(start))


# ---------------------------------------------------------------- the end


def missing(report: Report) -> str:
    """What could not be measured, and what it needs."""
    lines = [wrap(f"{listed(names)}: needs {needs}.", "  ", "    ") for needs, names in lacking(report).items()]
    return "\n".join(["Not measured", *lines]) if lines else ""


def legend(report: Report) -> str:
    """What each number says and what it does not; counts that are clean explain themselves."""
    loud = [m for m in meters(report) if any(n.meter == m and not is_clean(n) for n in report.numbers)]
    lines = [wrap(f"{c.title}: {c.means} NOT: {c.implies_not}", "  ", "    ") for c in (CARDS[m] for m in loud)]
    return "\n".join(["What the numbers say, and what they do NOT imply", *lines]) if lines else ""
