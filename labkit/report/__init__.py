"""Bring your own: a report on anyone's embeddings, and two of them side by side."""

from labkit.report.comparing import Comparison, compare, film
from labkit.report.making import report
from labkit.report.paper import CheckFailed
from labkit.report.pieces import CARDS, SECTIONS, Card, Finding, Given, Measured, Missing, Null, Number, Sample
from labkit.report.result import Described, Report, Sampled, Section

__all__ = [
    "CARDS",
    "SECTIONS",
    "Card",
    "CheckFailed",
    "Comparison",
    "Described",
    "Finding",
    "Given",
    "Measured",
    "Missing",
    "Null",
    "Number",
    "Report",
    "Sample",
    "Sampled",
    "Section",
    "compare",
    "film",
    "report",
]
