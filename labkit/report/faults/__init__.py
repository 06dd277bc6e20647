"""What a reader must know before the numbers: faults by name, how many rows, which, what to do; and the counts themselves."""

from labkit.report.faults import columns, flat, hubs, labels, lines, modalities, pairs, precision, scale
from labkit.report.faults.look import Look
from labkit.report.faults.tally import counts
from labkit.report.pieces import Finding, Given, Sample

__all__ = ["DETECTORS", "counts", "find"]

# In the order in which their findings are read; each looks at everything and speaks of one thing.
DETECTORS = (
    lines.broken,
    lines.repeated,
    columns.still,
    columns.directions,
    lines.lengths,
    columns.loud,
    precision.rounded,
    precision.mixed,
    scale.few,
    scale.collapsed,
    modalities.exchanged,
    scale.two_clusters,
    flat.flat,
    hubs.crowded,
    pairs.paired,
    labels.labelled,
)


def find(given: Given, sample: Sample) -> list[Finding]:
    """Everything that was found, faults (alarm) and facts (notice), in the order of the sections."""
    look = Look.of(given, sample, keep=True)
    found: list[Finding] = []
    for detector in DETECTORS:
        found += detector(look)
        look.alarms = {finding.code for finding in found if finding.alarm}
        look.named = {finding.code for finding in found}
    return found
