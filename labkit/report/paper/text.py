"""A report as plain text: findings first, a table for each section, what is missing, what the numbers mean."""

import textwrap

from labkit.report.paper.words import (
    PERCENT,
    gathered,
    grouped,
    is_clean,
    lacking,
    listed,
    measured,
    meters,
    of_class,
    sampling,
    sentence,
    shown,
    size,
    title,
    together,
    verdict,
)
from labkit.report.pieces import CARDS, Finding, Null, Number
from labkit.report.result import Report, Section

WIDTH = 100
FEW = 6  # classes that are all named; of more, the lowest and the highest
ROOM = 30  # columns that null rows have at least


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
    return "\n".join([verdict(report), *map(finding, gathered(report))])


def finding(alike: list[Finding]) -> str:
    """What is there, of each; what to do about it, once."""
    mark = "! ALARM " if alike[0].alarm else "- notice"
    lines = [wrap(f"{each.code}, {each.of}: {each.says}", f"{mark} ", "         ") for each in alike]
    return "\n".join([*lines, wrap(f"Try: {alike[0].try_next}", "         ")] if alike[0].try_next else lines)


# ---------------------------------------------------------------- tables


def table(section: Section) -> str:
    """The numbers of a section; counts of faults that are 0 share a line, and so do single classes."""
    if not section.numbers:
        return ""
    clean = [number for number in section.numbers if is_clean(number)]
    lines = [wrap(f"None in {', '.join(of)}: {listed(names)}.", "  ", "    ") for of, names in together(clean)]
    loud = [number for number in section.numbers if not is_clean(number)]
    whole = [number for number in loud if not of_class(number)]
    usual = max({n.n for n in whole}, key=[n.n for n in whole].count) if whole else 0
    rows = [cell(each, usual) for numbers in grouped(whole).values() for each in numbers]
    if rows:
        rows = [("", "of", f"value [{PERCENT}]", "null rows, the floor first"), *rows]
        wide = [max(len(each[k]) for each in rows) for k in range(3)]
        lines += [line(each, wide) for each in rows]
    lines += [classes(meter, numbers) for meter, numbers in grouped(n for n in loud if of_class(n)).items()]
    return "\n".join([f"{section.title} (n = {usual:,} unless said)" if whole else section.title, *lines])


def cell(number: Number, usual: int) -> tuple[str, ...]:
    nulls = "; ".join(null(each) for each in number.nulls)
    n = "" if number.n == usual else f" (n = {number.n:,})"
    return title(number.meter), number.of, measured(number.estimate), nulls + n


def null(found: Null) -> str:
    return f"{found.name} {shown(found.estimate.value)}"


def line(cells: tuple[str, ...], wide: list[int]) -> str:
    """One row; null rows that are too long for the screen go on below themselves."""
    start = f"  {cells[0]:<{wide[0]}}  {cells[1]:<{wide[1]}}  {cells[2]:<{wide[2]}}  "
    return wrap(cells[3], start, " " * min(len(start), WIDTH - ROOM))


def classes(meter: str, numbers: list[Number]) -> str:
    """All of them in a line or two, or of many the lowest and the highest."""
    ordered = sorted(numbers, key=lambda number: number.value)
    few = [*ordered[:2], *ordered[-2:]] if len(ordered) > FEW else numbers
    told = "; ".join(f"{n.of.partition(', class ')[2]} {measured(n.estimate)} (n = {n.n:,})" for n in few)
    which = "the two lowest and the two highest" if len(ordered) > FEW else "all"
    return wrap(f"{title(meter)}, {which} of {len(ordered)} classes beside {null(numbers[0].floor)}: {told}", "  ", "    ")


# ---------------------------------------------------------------- the end


def missing(report: Report) -> str:
    """What could not be measured, and what it needs."""
    lines = [wrap(f"{listed(names)}: needs {needs}.", "  ", "    ") for needs, names in lacking(report).items()]
    return "\n".join(["Not measured", *lines]) if lines else ""


def legend(report: Report) -> str:
    """What each number says and what it does not, once where it is the same; counts that are clean explain themselves."""
    loud = [m for m in meters(report) if any(n.meter == m and not is_clean(n) for n in report.numbers)]
    said: dict[str, list[str]] = {}
    for card in (CARDS[m] for m in loud):
        said.setdefault(f"{sentence(card.means)} Careful: {sentence(card.implies_not)}", []).append(card.title)
    lines = [wrap(f"{', '.join(names)}: {words}", "  ", "    ") for words, names in said.items()]
    return "\n".join(["What the numbers say, and (careful) what they do not", *lines]) if lines else ""
