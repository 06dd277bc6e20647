"""Two models on the same rows, the layers of one, or the checkpoints of a run: what differs, and what is noise."""

from labkit.report.comparing.checkpoints import film
from labkit.report.comparing.making import compare
from labkit.report.comparing.result import Comparison, Difference

__all__ = ["Comparison", "Difference", "compare", "film"]
