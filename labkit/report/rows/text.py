"""Tables as text (.csv, .tsv): read once into a temporary file of numbers; labels and words stay apart."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from labkit.progress import bar
from labkit.report.rows.layout import MISSING, Layout, cells, layout, number
from labkit.report.rows.sniff import refuse
from labkit.report.rows.stores import Flat, Held, Store, spooled

LINES = 1024  # read at a time


def open_text(path: Path) -> dict[str, Store]:
    """The numeric columns side by side as "columns"; labels, row numbers and columns of words by their names."""
    try:
        with _text(path) as file:
            form = layout(path, file)
        return Table(path, form).arrays()
    except UnicodeDecodeError as error:
        raise refuse(path, f"is not UTF-8 text (byte {error.start} of a block)", "save it as UTF-8") from error
    except csv.Error as error:
        raise refuse(path, f"is no table: {error}", "write one row per line, cells separated by commas") from error


def _text(path: Path) -> IO[str]:
    return path.open(encoding="utf-8-sig", newline="")


class Table:
    """A table while it is read: rows so far, the words of the columns that stay apart, whether the first column counts."""

    def __init__(self, path: Path, form: Layout):
        self.path, self.form = path, form
        self.rows, self.counts, self.start = 0, True, 0.0
        self.words: dict[int, list[str]] = {column: [] for column in form.apart}

    def arrays(self) -> dict[str, Store]:
        width = len(self.form.numeric)
        flat = spooled(self._blocks(), lambda: (self.rows, width), np.dtype(np.float64))
        wide = self._without_row_numbers(flat) if width else {}
        return wide | {self.form.names[column]: Held(_typed(found)) for column, found in self.words.items()}

    def _without_row_numbers(self, flat: Flat) -> dict[str, Store]:
        """A first column 0, 1, 2 ... is no dimension of an embedding: pandas writes one unless it is told not to."""
        if not self.counts or flat.width < 3 or self.rows < 4:
            return {"columns": flat}
        table = np.memmap(flat.path, np.float64, "r", 0, flat.shape)
        return {"columns": Held(table[:, 1:], release=True, keep=flat), "row numbers": Held(np.arange(self.rows))}

    def _blocks(self) -> Iterator[np.ndarray]:
        size = self.path.stat().st_size
        with _text(self.path) as file, bar(total=size, desc=f"reading {self.path.name}", unit="B", unit_scale=True) as told:
            for _ in range(self.form.skip):
                file.readline()
            at = self.form.skip + 1
            while lines := list(itertools.islice(file, LINES)):
                block = self._fast(lines)
                if block is None:
                    block, read = self._slow(at, itertools.chain(lines, file), len(lines))
                    at += max(read - len(lines), 0)
                self._count(block)
                at += len(lines)
                told.update(sum(map(len, lines)))
                yield block

    def _fast(self, lines: list[str]) -> np.ndarray | None:
        """Lines that are as plain as most are: no quotes, nothing missing, cells enough. None where they are not."""
        delimiter, columns = self.form.delimiter, len(self.form.names)
        full = [line for line in lines if line.strip()]
        if any('"' in line or _many(line, delimiter) != columns for line in full):
            return None
        try:
            block = np.loadtxt(full, np.float64, comments=None, delimiter=delimiter, usecols=self.form.numeric, ndmin=2)
        except ValueError:
            return None
        if self.words:
            self._keep([line.split(delimiter) for line in full])
        return block

    def _slow(self, at: int, lines: Iterator[str], many: int) -> tuple[np.ndarray, int]:
        """(numbers, lines read): cell by cell, so that what is wrong can be named by its line and column."""
        reader = cells(lines, self.form.delimiter)
        rows, where, read = [], [], 0
        for row in itertools.islice(reader, many):
            if len(row) > 1 or any(cell.strip() for cell in row):  # cells that are all empty are a row with nothing in it
                rows.append(row)
                where.append(at + read)
            read = getattr(reader, "line_num", read + 1)
        for row, line in zip(rows, where, strict=True):
            self._check(row, line)
        self._keep(rows)
        numbers = [[row[j] for j in self.form.numeric] for row in rows]
        try:
            return np.array(numbers, np.float64).reshape(len(rows), -1), read
        except ValueError:  # something is missing, or is no number
            return np.array([self._values(row, line) for row, line in zip(numbers, where, strict=True)]), read

    def _check(self, row: list[str], line: int) -> None:
        if len(row) != len(self.form.names):
            says = f"has {len(row)} cells in line {line} and {len(self.form.names)} in line {self.form.skip + 1}"
            raise refuse(self.path, says, "every row needs as many; is a line cut off, or a delimiter inside a cell?")

    def _values(self, row: list[str], line: int) -> list[float]:
        for cell, j in zip(row, self.form.numeric, strict=True):
            if not number(cell):
                comma = cell.strip().lstrip("-").replace(",", "", 1).isdecimal()
                hint = "missing numbers may be empty or nan; a column of words must have one in its first row"
                hint = "write 1.5, not 1,5" if comma else hint
                raise refuse(self.path, f"has {cell.strip()[:40]!r} in line {line}, {self.form.names[j]}: no number", hint)
        return [_value(cell) for cell in row]

    def _keep(self, rows: list[list[str]]) -> None:
        for column, found in self.words.items():
            found += [row[column].strip() for row in rows]

    def _count(self, block: np.ndarray) -> None:
        if block.shape[1] and len(block):
            self.start = block[0, 0] if self.rows == 0 else self.start
            numbers = self.start + np.arange(self.rows, self.rows + len(block))
            self.counts = self.counts and self.start in (0, 1) and bool((block[:, 0] == numbers).all())
        self.rows += len(block)


def _many(line: str, delimiter: str | None) -> int:
    return line.count(delimiter) + 1 if delimiter else len(line.split())


def _value(cell: str) -> float:
    return np.nan if cell.strip().lower() in MISSING else float(cell)


def _typed(words: list[str]) -> np.ndarray:
    """Numbers if all are; else words, None where a cell is empty."""
    if all(map(number, words)):
        return np.array([_value(word) for word in words])
    return np.array([word or None for word in words], object)
