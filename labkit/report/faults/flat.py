"""Dimensional collapse: most of the spread along few directions, or all of it along one."""

from collections.abc import Iterator

from labkit.report.faults.look import Look, View
from labkit.report.faults.scale import POINT
from labkit.report.faults.words import counted, percent
from labkit.report.pieces import Finding

LINE = 1.1  # participation ratio below which there is one direction and a residue
FEW = 0.1  # of the participation ratio of random directions at the same n and d
FEWEST = 3.0  # directions that are few at a small width, too
FAINT = 0.01  # of the widest direction's spread: dead, as the meter of that name counts
ODD = 0.05  # of the rows: what fewer of them stretch is theirs, and no collapse of the others


def flat(look: Look) -> Iterator[Finding]:
    """A line is a fault; few directions are a fact, because language models and clear classes have few as well."""
    for view in look.apart:
        values = view.spectrum[0]
        n, d = len(view.distinct), view.rows.shape[1]
        room = min(n - 1, d)
        if view.variance < POINT or room < 3 or n < 16:
            continue
        ratio = float(values.sum() ** 2 / values.square().sum())
        random = n * d / (n + d + 1)
        if "two-clusters" in look.named:
            continue
        if ratio < LINE and spoken(view) > ODD:
            yield line(view, room, float(values[0] / values.sum()))
        elif ratio < max(FEW * random, min(FEWEST, random / 4)):
            yield few(view, room, ratio, random)


def spoken(view: View) -> float:
    """The share of rows that stretch the first direction, softly counted."""
    along = view.coordinates(1)[:, 0].square()
    return float(along.sum() ** 2 / (len(along) * along.square().sum()))


def faint(view: View, room: int) -> int:
    """Directions of the possible ones that hardly vary."""
    sigma = view.spectrum[0][:room].sqrt()
    return room - int((sigma > FAINT * sigma[0]).sum())


def line(view: View, room: int, share: float) -> Finding:
    return Finding(
        "dimensional-collapse",
        True,
        view.name,
        "spectrum",
        f"Rows lie along one line: {percent(share)} of the variance is in a single direction of {room:,}, and "
        f"{counted(faint(view, room), 'direction')} have at most 1 % of its spread.",
        "One number tells the rows apart. Look for a bottleneck, a target that copies one feature, or a loss that nothing "
        "keeps from collapsing (no negatives, no variance or covariance term, no stop-gradient).",
        {"share": share, "directions": room},
    )


def few(view: View, room: int, ratio: float, random: float) -> Finding:
    dead = faint(view, room)
    also = f"; {counted(dead, 'direction')} of {room:,} have at most 1 % of the widest one's spread" if dead else ""
    return Finding(
        "few-directions",
        False,
        view.name,
        "spectrum",
        f"Few directions carry the spread: the participation ratio is {ratio:.3g}, where random directions have {random:.3g} "
        f"at this n and d{also}.",
        "Compare it with the untrained row: k clear classes stretch k - 1 directions, and states of language models few. "
        "If it fell in training and the classes do not explain it, the dimensions collapse.",
        {"participation_ratio": ratio, "random": random, "faint": dead},
    )
