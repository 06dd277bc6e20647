"""Collapse: a spectrum and its rank, a verdict in the right order, what holds a run up, a ward, one repair."""

from labkit.grading.a4 import rank, repair, sides, spectrum, verdict, ward

__all__ = ["rank", "repair", "sides", "spectrum", "verdict", "ward"]
