"""How numbers, intervals and inputs are said, wherever a report is read."""

import math
from collections.abc import Iterable, Sequence

from labkit.metrics import Estimate
from labkit.report.pieces import CARDS, LEVEL, Finding, Number
from labkit.report.result import Described, Report

PERCENT = f"{100 * LEVEL:.0f} %"
COUNTED = "clean"  # the null row of what is counted and should not be there


def shown(x: float) -> str:
    """Four digits, thousands with commas; a count as a whole number.

    >>> shown(-2.71828), shown(50000.0), shown(0.00001234), shown(12345.6)
    ('-2.718', '50,000', '1.234e-05', '12,346')
    """
    if not math.isfinite(x):
        return "infinite" if math.isinf(x) else "undefined"
    if abs(x) >= 1000:
        return f"{x:,.0f}"
    return f"{x + 0.0:.4g}".replace("-0", "0") if x == 0 else f"{x:.4g}"


def counted(estimate: Estimate) -> bool:
    """Whether nothing was estimated: all rows were looked at."""
    return estimate.low == estimate.value == estimate.high


def interval(estimate: Estimate) -> str:
    """The interval in brackets; "" for a count.

    >>> interval(Estimate(1.0, 0.5, 1.5)), interval(Estimate(3.0, 3.0, 3.0))
    ('[0.50, 1.50]', '')
    """
    return "" if counted(estimate) else f"[{told(estimate.low, estimate)}, {told(estimate.high, estimate)}]"


def point(estimate: Estimate) -> str:
    """The value, with as many digits as its interval leaves it."""
    return told(estimate.value, estimate)


def told(x: float, estimate: Estimate) -> str:
    """Digits down to the second that the interval's half width has; four where nothing was estimated."""
    reach = (estimate.high - estimate.low) / 2
    if not math.isfinite(x) or not math.isfinite(reach) or reach <= 0:
        return shown(x)
    decimals = max(0, 1 - math.floor(math.log10(reach)))
    return shown(x) if decimals > 5 else f"{round(x, decimals) + 0.0:,.{decimals}f}"


def measured(estimate: Estimate) -> str:
    """
    >>> measured(Estimate(39.0, 37.74, 40.31)), measured(Estimate(12.0, 12.0, 12.0))
    ('39.0 [37.7, 40.3]', '12')
    """
    return f"{point(estimate)} {interval(estimate)}".strip()


def is_clean(number: Number) -> bool:
    """A count of faults of which there are none."""
    return counted(number.estimate) and number.value == 0 and number.floor.name == COUNTED


def of_class(number: Number) -> bool:
    """Whether it is of one class only."""
    return ", class " in number.of


def title(meter: str) -> str:
    """What a meter is called, by its card where it has one."""
    return CARDS[meter].title if meter in CARDS else meter.replace("_", " ")


def meters(report: Report) -> list[str]:
    """The keys of the meters used, in the order in which they are read."""
    return list(dict.fromkeys(number.meter for number in report.numbers))


def grouped(numbers: Iterable[Number]) -> dict[str, list[Number]]:
    """meter -> its numbers, in order."""
    found: dict[str, list[Number]] = {}
    for number in numbers:
        found.setdefault(number.meter, []).append(number)
    return found


def size(given: Described) -> str:
    """
    >>> size(Described("z1", "z1.npy", (50000, 768), "float32", "00"))
    '50,000 x 768, float32'
    """
    return f"{' x '.join(f'{k:,}' for k in given.shape)}, {given.dtype}"


def listed(words: Sequence[str]) -> str:
    """
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def gathered(report: Report) -> list[list[Finding]]:
    """Findings, alarms first; those of z1 and z2 that say and ask the same go together."""
    found: dict[tuple, list[Finding]] = {}
    for each in report.findings:
        found.setdefault((each.alarm, each.code, each.try_next), []).append(each)
    return list(found.values())


def verdict(report: Report) -> str:
    """The first sentence of every report."""
    alarms, notices = len(report.alarms), len(report.notices)
    things = "one thing" if notices == 1 else f"{notices} things"
    rest = "" if not notices else f" {things.capitalize()} to know."
    if not alarms:
        return f"No alarm; {things} to know." if notices else "No alarm: none of the faults that are looked for was found."
    return (
        f"One alarm: read it before the numbers.{rest}"
        if alarms == 1
        else f"{alarms} alarms: read them before the numbers.{rest}"
    )


def sampling(report: Report) -> str:
    """Which rows the numbers rest on, and what the brackets are."""
    return (
        f"The meters saw {report.sampled}; sanity is checked on all rows. In brackets {PERCENT} intervals: how far the value "
        "would move on another sample of this size. A count over all rows has none."
    )


def lacking(report: Report) -> dict[str, list[str]]:
    """What is needed -> what could then be measured."""
    found: dict[str, list[str]] = {}
    for missing in report.missing:
        found.setdefault(missing.needs, []).append(title(missing.meter))
    return found


def sentence(words: str) -> str:
    """With a capital and a full stop.

    >>> sentence("not quality: it grows with n"), sentence("0 is fair"), sentence("kNN is meant.")
    ('Not quality: it grows with n.', '0 is fair.', 'kNN is meant.')
    """
    start = words.partition(" ")[0]
    words = words[:1].upper() + words[1:] if start.isalpha() and start.islower() else words
    return words if words.endswith((".", "!", "?")) else f"{words}."


def together(numbers: Iterable[Number]) -> list[tuple[list[str], list[str]]]:
    """What is clean, by what it is clean of: (["z1", "z2"], ["zero rows", "duplicate rows"])."""
    by: dict[tuple[str, ...], list[str]] = {}
    for meter, these in grouped(numbers).items():
        by.setdefault(tuple(number.of for number in these), []).append(title(meter))
    return [(list(of), names) for of, names in by.items()]
