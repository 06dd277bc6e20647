"""How a table in text is written: what separates cells, whether names stand above, which columns are numbers."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from labkit.report.rows.names import APART
from labkit.report.rows.sniff import refuse

MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "<na>"}


@dataclass(frozen=True)
class Layout:
    """delimiter: None for blanks. names: of all columns. skip: lines above the first row of numbers.

    numeric: columns of the embedding. apart: labels, row numbers and words. What is in neither is empty.
    """

    delimiter: str | None
    names: tuple[str, ...]
    skip: int
    numeric: tuple[int, ...]
    apart: tuple[int, ...]


def cells(lines: Iterable[str], delimiter: str | None) -> Iterator[list[str]]:
    """The cells of each row; a quoted cell may hold delimiters and line breaks."""
    return (line.split() for line in lines) if delimiter is None else csv.reader(lines, delimiter=delimiter)


def layout(path: Path, file: IO[str]) -> Layout:
    """Read off the first two rows.

    Raises:
        Unreadable: no rows, or names and nothing below them.
    """
    above = 0
    for line in file:
        if line.strip() and not line.startswith("#"):
            break
        above += 1
    else:
        raise refuse(path, "holds no rows", "write one row of numbers per line")
    if ";" in line and all(re.fullmatch(r"\s*-?\d+,\d+\s*", cell) for cell in line.split(";")):
        raise refuse(path, f"writes {line.split(';')[0].strip()!r} with a decimal comma", "write a point: 1.5")
    delimiter = _delimiter(line)
    rows = list(itertools.islice((row for row in cells(itertools.chain([line], file), delimiter) if any(row)), 2))
    first, second = rows[0], rows[1] if len(rows) > 1 else None
    header = _is_header(first, second)
    if header and second is None:
        raise refuse(path, "has a header and no rows", "write the rows below it")
    names, body = (first, second) if header and second else ([""] * len(first), first)
    return _columns(names, body, header, delimiter, above + header)


def _delimiter(line: str) -> str | None:
    found = max(",\t;|", key=line.count)
    if line.count(found):
        return found
    return None if len(line.split()) > 1 else ","


def _is_header(first: list[str], second: list[str] | None) -> bool:
    """Names stand where the row below has numbers; or they are 0, 1, 2 ..., as pandas calls what has no names."""
    if second is None:
        return not any(number(cell) for cell in first)
    if not first[0].strip() and second[0].strip() in ("0", "1"):
        return True  # above row numbers stands nothing
    counted = [int(cell) for cell in first if cell.strip().isdecimal()]
    if len(counted) > 1 and counted in (list(range(len(counted))), list(range(1, len(counted) + 1))):
        return len(counted) >= 8 or any("." in cell for cell in second)
    if any(number(below) and not number(above) for above, below in zip(first, second, strict=False)):
        return True
    return not any(map(number, first)) and any(cell.strip().lower() in APART for cell in first)


def _columns(names: list[str], body: list[str], header: bool, delimiter: str | None, skip: int) -> Layout:
    last = len(body) - 1
    empty = [j for j in (last,) if j and not body[j].strip() and not "".join(names[j:]).strip()]  # a delimiter ends each row
    words = [j for j in range(len(body)) if not number(body[j])]
    known = [j for j in range(min(len(names), len(body))) if header and names[j].strip().lower() in APART]
    apart = sorted({*words, *known} - {*empty})
    called = [
        (names[j].strip() if j < len(names) else "") or ("row numbers" if j in known else f"column {j + 1}")
        for j in range(len(body))
    ]
    if not header and len(words) == 1:
        called[words[0]] = "label"
    numeric = (j for j in range(len(body)) if j not in (*apart, *empty))
    return Layout(delimiter, tuple(called), skip, tuple(numeric), tuple(apart))


def number(cell: str) -> bool:
    """Whether a cell is a number, or says that one is missing."""
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() in MISSING
    return True
