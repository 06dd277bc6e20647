"""Anything that a user may have, as rows of numbers: read lazily, checked in words, scanned once, drawn by number."""

from typing import Any

from labkit.report.rows.classes import Classes, read_classes, read_pairs
from labkit.report.rows.drawn import draw, shared, usable
from labkit.report.rows.files import opened, read_bundle
from labkit.report.rows.scanning import Scan, scan
from labkit.report.rows.table import Rows, checked

__all__ = ["Classes", "Rows", "Scan", "draw", "read", "read_bundle", "read_classes", "read_pairs", "scan", "shared", "usable"]


def read(value: Any, name: str) -> Rows:
    """Rows of numbers from a tensor, an array, a frame, a list, or a file.

    Raises:
        FileNotFoundError: a path where nothing is.
        TypeError: nothing that could be an array.
        ValueError: an array that is no (n, d) of at least 4 x 2 real numbers; a file that is not what it says.

    >>> import torch
    >>> read(torch.eye(5), "z1")
    Rows(z1: 5 x 5 float32 from torch tensor)
    """
    if isinstance(value, Rows):
        return value
    entry = opened(value, name, "rows")
    return Rows(name, entry.source, checked(entry.store, name), entry.notes)
