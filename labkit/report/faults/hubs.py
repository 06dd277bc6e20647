"""Rows that are everybody's neighbour."""

from collections.abc import Iterator

from labkit.report.faults.look import NEIGHBOURS, Look
from labkit.report.faults.words import percent
from labkit.report.pieces import Finding

EVERYBODY = 0.1  # of the rows have it among their nearest
FAIR = 20  # times as many as a fair share


def crowded(look: Look) -> Iterator[Finding]:
    """One row that a tenth of all others find among their nearest."""
    for view in look.apart:
        m = len(view.distinct)
        if m < 100 or view.variance < 1e-12:
            continue
        counts = view.near.who.flatten().bincount(minlength=m)
        most = int(counts.max())
        if most <= max(EVERYBODY * m, FAIR * NEIGHBOURS):
            continue
        row = view.distinct[int(counts.argmax())]
        which = f"Row {int(look.sample.rows[row]):,}" if look.in_order(view) else "One row"
        yield Finding(
            "hubs",
            False,
            view.name,
            "neighbours",
            f"{which} is among the {NEIGHBOURS} nearest of {percent(most / m)} of the rows ({most:,} of {m:,}).",
            "Look at its input: often an empty or very short one, near the mean of all. Take the mean away, or rank neighbours "
            "by mutual nearness, before you search with these rows.",
            {"rows": most, "share": most / m},
        )
