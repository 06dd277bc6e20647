"""Anything that a user may have, as rows of numbers: read lazily, checked in words, scanned once, drawn by number."""

from typing import Any

from labkit.report.rows.classes import Classes, read_classes, read_pairs
from labkit.report.rows.draw import draw, usable
from labkit.report.rows.files import opened
from labkit.report.rows.scan import Scan, scan
from labkit.report.rows.table import Rows, checked

__all__ = ["Classes", "Rows", "Scan", "draw", "read", "read_classes", "read_pairs", "scan", "usable"]


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
    store, source = opened(value, name, "rows")
    return Rows(name, source, checked(store, name))
