"""From measurements to the report: ratios with their spread, and whether each target holds."""

import math
from argparse import Namespace
from itertools import pairwise
from statistics import median
from typing import Any

OURS = "labkit"
GROWING = 4096  # rows from which the exponents of growth are read
UNITS = {"seconds": "CPU seconds", "wall": "seconds by the clock", "mib": "peak extra MiB"}
GROWS = ("seconds", "mib")
SAME = 2e-3  # relative difference up to which two losses, and their gradients, are called the same

HEAD = """# labkit beside its peers

Made by `python tests/benchmarks/run.py` (`make bench`) on {date}: {processor}, {cores} cores, {memory}, {system}; {threads}
threads, load {load} at the start. {where}.

{versions}.

Every measurement is one call, forward and backward, in a fresh process, after a tiny one that loads what is to be loaded; the
same input for all (seed {seed}). Ours and the peers take turns; a ratio is labkit's over the peer's in the same round, given as
median and range: below 1 labkit is ahead. Memory is the peak of the process beside what it held before the call, gradients
included. *again* is the median of more calls in the same process, where one is short; *same*, whether value and gradient
agree."""

Rows = dict[str, list[dict[str, Any]]]
Found = dict[tuple[str, int], Rows]


def report(facts: dict[str, Any], cases: dict[str, Any], found: Found, asked: Namespace) -> str:
    lines = [*head(facts, asked), *targets(cases, found), *growth(cases, found)]
    for (name, size), rows in found.items():
        lines += section(cases[name], size, rows)
    return "\n".join(lines) + "\n"


def head(facts: dict[str, Any], asked: Namespace) -> list[str]:
    where = f"GPU: {facts['gpu']}, and its seconds" if facts["gpu"] else "CPU seconds, of all threads"
    told = {**facts, "where": where, "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items())}
    return [HEAD.format(**told, seed=asked.seed), ""]


# ---------------------------------------------------------------------------------------------------------- one comparison


def section(case: dict[str, Any], size: int, rows: Rows) -> list[str]:
    lines = [
        f"## {case['title']}" + (f": {size:,}" if size > 1 else ""),
        "",
        "| | CPU s | again | s by the clock | peak extra MiB | labkit's CPU | labkit's clock | labkit's memory | same |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return lines + [line(name, seen, rows.get(OURS, [])) for name, seen in rows.items()] + [""]


def line(name: str, seen: list[dict[str, Any]], ours: list[dict[str, Any]]) -> str:
    if not seen or "skip" in seen[0]:
        return f"| {name} | {seen[0]['skip'] if seen else 'not measured'} | | | | | | | |"
    cells = [spread([one["seconds"] for one in seen]), spread([one["again"] for one in seen if "again" in one])]
    cells += [spread([one[what] for one in seen]) for what in ("wall", "mib")]
    if name != OURS and ours and "skip" not in ours[0]:
        cells += [spread(ratios(ours, seen, what)) for what in UNITS]
        cells.append(same(ours[0], seen[0]))
    else:
        cells += [""] * 4
    return f"| {name} | {' | '.join(cells)} |"


def ratios(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], what: str) -> list[float]:
    """Ours over theirs, round by round; a peer that was asked once stands against every round."""
    last = theirs[-1]
    pairs = [(one, theirs[i] if i < len(theirs) else last) for i, one in enumerate(ours)]
    return [a[what] / b[what] for a, b in pairs if "skip" not in a and "skip" not in b and b[what] > 0]


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Whether value and gradient agree; a loss on another scale is told by its factor."""
    if math.isnan(theirs["value"]) or math.isnan(ours["value"]):
        return ""
    off = [theirs[what] / ours[what] if ours[what] else 1.0 for what in ("value", "slope")]
    if all(abs(x - 1) <= SAME for x in off):
        return "yes"
    return f"value x {off[0]:.3g}, gradient x {off[1]:.3g}"


def spread(values: list[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return number(values[0])
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


# ----------------------------------------------------------------------------------------------------------------- targets


def targets(cases: dict[str, Any], found: Found) -> list[str]:
    lines = [
        told
        for (name, size), rows in found.items()
        for target in cases[name]["targets"]
        if target["size"] in (None, size) and (told := judged(cases[name], size, target, rows))
    ]
    if not lines:
        return []
    return ["## Targets", "", "| | at most | measured | holds |", "|---|---|---|---|", *lines, ""]


def judged(case: dict[str, Any], size: int, target: dict[str, Any], rows: Rows) -> str:
    """One line: what should hold, what came out, and yes or no by the median."""
    what, peer, ours = target["what"], target["peer"], [one for one in rows.get(OURS, []) if "skip" not in one]
    subject = f"{case['title']}" + (f", {size:,}" if size > 1 else "") + f": {UNITS[what]}"
    if peer is not None:
        if peer not in rows:  # not asked for
            return ""
        subject += f" over those of {peer}"
        values = ratios(ours, rows[peer], what) if rows[peer] else []
    else:
        values = [one[what] for one in ours]
    if not values:
        return f"| {subject} | {number(target['at_most'])} | not measured | |"
    holds = "yes" if median(values) <= target["at_most"] else "NO"
    return f"| {subject} | {number(target['at_most'])} | {spread(values)} | {holds} |"


def growth(cases: dict[str, Any], found: Found) -> list[str]:
    """Between neighbouring sizes: time as n to this power, memory as n to that."""
    lines = []
    for name, case in cases.items():
        sizes = sorted(n for (asked, n), rows in found.items() if asked == name and n >= GROWING and measured(rows))
        for low, high in pairwise(sizes if case["growth"] else []):
            powers = [power(found[name, low][OURS], found[name, high][OURS], what, high / low) for what in GROWS]
            lines.append(f"| {case['title']}, {low:,} to {high:,} | {powers[0]:.2f} | {powers[1]:.2f} |")
    if not lines:
        return []
    return ["## Growth of labkit's cost", "", "| | time as n to the power | memory |", "|---|---|---|", *lines, ""]


def measured(rows: Rows) -> bool:
    return bool(rows.get(OURS)) and "skip" not in rows[OURS][0]


def power(low: list[dict[str, Any]], high: list[dict[str, Any]], what: str, factor: float) -> float:
    return math.log(median(one[what] for one in high) / median(one[what] for one in low)) / math.log(factor)
