"""What a section's meters say of a sample: a file for each section, with the cards of its numbers."""

import importlib
from collections.abc import Callable

from labkit.report.pieces import Measured, Sample

MEASURED = ("scale", "spectrum", "geometry", "neighbours", "modalities", "classes")


def of(section: str) -> Callable[[Sample], Measured]:
    """`measure` of that section; importing it registers its cards."""
    assert section in MEASURED, section
    measure: Callable[[Sample], Measured] = importlib.import_module(f"labkit.report.meters.{section}").measure
    return measure
