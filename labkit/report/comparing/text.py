"""A Comparison as plain text, 100 columns wide: findings, what differs, what is noise, what is shared, every number."""

from collections.abc import Iterable, Sequence

from labkit.report.comparing.result import SMALL, Comparison, Difference
from labkit.report.comparing.words import signed
from labkit.report.paper.text import WIDTH, wrap
from labkit.report.paper.words import PERCENT, listed, measured, point, shown, size, title
from labkit.report.pieces import Finding, Number


def text(found: Comparison) -> str:
    """What `print(comparison)` shows."""
    body = [over_layers(found)] if found.layered else [said(heading, some) for heading, some in kinds(found).items()]
    blocks = [head(found), findings(found), *body, shared(found), "" if found.layered else table(found), missing(found)]
    return "\n\n".join(block for block in blocks if block)


def head(found: Comparison) -> str:
    inputs = "; ".join(
        f"{g.name}: {g.source} ({size(g)})" if g.source != g.name else f"{g.name} ({size(g)})" for g in found.given
    )
    return "\n".join([f"labkit compare: {listed(found.names)}", wrap(inputs), wrap(sampling(found))])


def sampling(found: Comparison) -> str:
    """Which rows the numbers rest on, and what the brackets are."""
    apart = any(f.code == "different-rows" for f in found.findings)
    rows = (
        f"Each saw {found.sampled.n:,} rows of its own" if apart else f"The meters saw {found.sampled}, the same of every model"
    )
    return (
        f"{rows}. In brackets {PERCENT} intervals: how far a difference would move on other rows of this kind; another "
        "training seed may move it further, and that takes several models to see. One interval in twenty misses. "
        f"Too small to matter is what is beyond noise, and with its whole interval within {SMALL:g} of how far other rows "
        "would move the number itself."
    )


def verdict(found: Comparison) -> str:
    """The first sentence of every comparison."""
    alarms = f"{'One alarm' if len(found.alarms) == 1 else f'{len(found.alarms)} alarms'}: read before the numbers."
    return f"{alarms if found.alarms else 'No alarm.'} {tally(found)}"


def tally(found: Comparison) -> str:
    """How many differences there are of each kind."""
    some, small, noisy = (len(each) for each in kinds(found).values())
    many = f"{some + small + noisy} differences" + (f" over {len(found.names) - 1} steps" if found.layered else "")
    if not some and not small:
        return f"Within noise: all {many}."
    if not some:
        return (
            f"No difference that matters: of {many}, {noisy} are within noise and {small} beyond it, but too small to matter."
        )
    return f"Of {many}: {some} beyond noise, {small} beyond noise but too small to matter, {noisy} within noise."


def findings(found: Comparison) -> str:
    return "\n".join([wrap(verdict(found)), *map(finding, found.findings)])


def finding(found: Finding) -> str:
    mark = "! ALARM " if found.alarm else "- notice"
    return "\n".join(
        [wrap(f"{found.code}, {found.of}: {found.says}", f"{mark} ", "         "), wrap(f"Try: {found.try_next}", "         ")]
    )


KINDS = {
    "What differs": "beyond noise",
    "Beyond noise, but too small to matter": "too small to matter",
    "Within noise": "within noise",
}


def kinds(found: Comparison) -> dict[str, list[Difference]]:
    """heading -> its differences."""
    return {heading: [d for d in found.differences if d.verdict == kind] for heading, kind in KINDS.items()}


def said(heading: str, differences: Sequence[Difference]) -> str:
    return "\n".join([heading, *(wrap(each.says, "  ", "    ") for each in differences)]) if differences else ""


def shared(found: Comparison) -> str:
    """CKA and neighbours of each two; of layers as a table without intervals."""
    if not found.likeness:
        return ""
    if not found.layered:
        return "\n".join(["What they have in common", *(wrap(in_common(number), "  ", "    ") for number in found.likeness)])
    meters = list(dict.fromkeys(number.meter for number in found.likeness))
    rows = [("", *map(title, meters))]
    for of in dict.fromkeys(number.of for number in found.likeness):
        mine = {number.meter: point(number.estimate) for number in found.likeness if number.of == of}
        rows.append((of, *(mine.get(meter, "not measured") for meter in meters)))
    floors = {number.meter: shown(number.floor.estimate.value) for number in found.likeness}
    rows.append(("shuffled rows", *(floors[meter] for meter in meters)))
    return "\n".join(["What each has in common with the one before, and with the first", *aligned(rows)])


def in_common(number: Number) -> str:
    return (
        f"{number.of}: {title(number.meter)} {measured(number.estimate)}; {number.floor.name} {measured(number.floor.estimate)}"
    )


# ---------------------------------------------------------------- tables


def table(found: Comparison) -> str:
    """Every number of two models, with its null row."""
    first, second = found.names
    rows = [("", first, second, f"{second} minus {first}", "floors")]
    for each in found.differences:
        floors = [shown(number.floor.estimate.value) for number in (each.a, each.b)]
        told = f"{each.a.floor.name} {'; '.join(dict.fromkeys(floors))}"
        values = (measured(each.a.estimate), measured(each.b.estimate), signed(each.change))
        rows.append((title(each.meter) + ("" if each.of == "z1" else f", {each.of}"), *values, told))
    tables = [line for some in pieces(rows) for line in (*aligned(some), "")]
    return "\n".join([f"Every number, n = {found.sampled.n:,}", *tables[:-1]])


def over_layers(found: Comparison) -> str:
    """A column for each layer, a row for each meter and its null row; and where each changes most."""
    numbers = found.numbers
    rows = [("", *found.names)]
    for key in dict.fromkeys(each.name for each in found.differences):
        mine = [numbers[name].get(key) for name in found.names]
        of, _, meter = key.rpartition(".")
        label = title(meter) + ("" if of == "z1" else f" of {of}")
        rows.append((label, *("–" if n is None else point(n.estimate) for n in mine)))
        rows.append(("  its floor", *("–" if n is None else shown(n.floor.estimate.value) for n in mine)))
    lines = [wrap(each.says, "  ", "    ") for each in largest_steps(found)]
    tables = [line for some in pieces(rows) for line in (*aligned(some), "")]
    return "\n".join([f"Layer by layer, n = {found.sampled.n:,}", *tables, "The largest step of each meter", *lines])


def pieces(rows: Sequence[Sequence[str]]) -> Iterable[list[list[str]]]:
    """The columns of a wide table in groups that fit the width, each with the first column."""
    wide = [max(len(row[k]) for row in rows) + 2 for k in range(len(rows[0]))]
    at: list[int] = []
    room = WIDTH - 2 - wide[0]
    for k in range(1, len(wide)):
        if at and wide[k] > room:
            yield [[row[0], *(row[j] for j in at)] for row in rows]
            at, room = [], WIDTH - 2 - wide[0]
        at.append(k)
        room -= wide[k]
    yield [[row[0], *(row[j] for j in at)] for row in rows]


def largest_steps(found: Comparison) -> list[Difference]:
    """Of each meter, where it changes most from one layer to the next."""
    best: dict[str, Difference] = {}
    for each in found.differences:
        if each.name not in best or abs(each.change.value) > abs(best[each.name].change.value):
            best[each.name] = each
    return list(best.values())


def aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    wide = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows]


def missing(found: Comparison) -> str:
    by: dict[str, list[str]] = {}
    for each in found.missing:
        by.setdefault(each.needs, []).append(title(each.meter))
    lines = [wrap(f"{listed(list(dict.fromkeys(names)))}: needs {needs}.", "  ", "    ") for needs, names in by.items()]
    return "\n".join(["Not measured", *lines]) if lines else ""
