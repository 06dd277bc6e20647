"""Two models on the same rows, or the layers of one: what differs, and what is noise."""

from labkit.report.comparing.making import compare
from labkit.report.comparing.result import Comparison, Difference

__all__ = ["Comparison", "Difference", "compare"]
