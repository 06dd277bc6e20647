"""Parquet tables: an embedding as one list column, or as a numeric column for each dimension; read in batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from labkit.report.rows.names import APART
from labkit.report.rows.sniff import refuse
from labkit.report.rows.stores import Columns, Held, Later, Store, spooled

BATCH = 2**26  # bytes of numbers at a time


def open_parquet(path: Path) -> dict[str, Store]:
    """Each list column of numbers by its name; the numeric columns side by side as "columns"; labels and words by name."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise refuse(path, "is a Parquet table", "install pyarrow to read it, or save the array with numpy.save") from error
    try:
        with parquet.ParquetFile(path) as file:
            schema, n = file.schema_arrow, file.metadata.num_rows
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise refuse(path, "is cut off or damaged: its last bytes are no Parquet footer", "copy it again") from error
    arrays: dict[str, Store] = {}
    wide, kinds = [], arrow.types
    for field in schema:
        inner = _inner(field.type, kinds)
        if inner is not None and _number(inner, kinds):
            arrays[field.name] = _lists(path, field.name, n, inner, kinds)
        elif field.name.lower() in APART or _words(field.type, kinds):
            arrays[field.name] = _plain(path, field.name, n)
        elif _number(field.type, kinds):
            wide.append(field)
    if wide:
        arrays["columns"] = _wide(path, wide, n)
    if not arrays:
        kinds_found = ", ".join(f"{f.name}: {f.type}" for f in list(schema)[:4])
        raise refuse(path, f"has no column of numbers or of lists of numbers ({kinds_found})", "save the embedding as one")
    return arrays


def _inner(kind: Any, kinds: Any) -> Any:
    """What a list column is a list of."""
    kind = getattr(kind, "storage_type", kind)
    lists = kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
    return kind.value_type if lists else None


def _number(kind: Any, kinds: Any) -> bool:
    return kinds.is_floating(kind) or kinds.is_integer(kind)


def _words(kind: Any, kinds: Any) -> bool:
    return kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_dictionary(kind) or kinds.is_boolean(kind)


def _plain(path: Path, name: str, n: int) -> Later:
    def unpack() -> Store:
        import pyarrow.parquet as parquet

        return Held(np.asarray(parquet.read_table(path, columns=[name]).column(name).to_pylist()))

    return Later((n,), "column", unpack)


def _wide(path: Path, fields: list[Any], n: int) -> Later:
    """Column after column, as they lie in the file: side by side, a thousand of them would be in memory at once."""
    dtype = np.result_type(*(_numpy(field) for field in fields))
    shape = (n, len(fields))

    def columns() -> Iterator[np.ndarray]:
        import pyarrow.parquet as parquet

        with parquet.ParquetFile(path, pre_buffer=False) as file:
            for field in fields:
                (column,) = file.read([field.name], use_threads=False).columns
                yield column.to_numpy().astype(dtype)

    def unpack() -> Store:
        flat = spooled(columns(), shape, dtype)
        return Columns(flat.path, 0, shape, dtype, keep=flat)

    return Later(shape, dtype.name, unpack)


def _numpy(field: Any) -> np.dtype:
    """Missing whole numbers become NaN, which only floats have."""
    dtype = np.dtype(field.type.to_pandas_dtype())
    return np.result_type(dtype, np.float32) if dtype.kind in "iu" and field.nullable and dtype.itemsize > 1 else dtype


def _lists(path: Path, name: str, n: int, inner: Any, kinds: Any) -> Later:
    dtype = np.dtype(inner.to_pandas_dtype())
    first = next(iter(_batches(path, [name], 1024)), None)
    width = int(_lengths(first.column(0))[0]) if first is not None and first.num_rows else 0

    def batches() -> Iterator[np.ndarray]:
        at = 0
        for batch in _batches(path, [name], width):
            column = batch.column(0)
            yield np.ascontiguousarray(_flattened(path, name, column, width, at), dtype)
            at += len(column)

    return Later((n, width), dtype.name, lambda: spooled(batches(), (n, width), dtype))


def _flattened(path: Path, name: str, column: Any, width: int, at: int) -> np.ndarray:
    lengths = _lengths(column)
    odd = np.flatnonzero((lengths != width) | (lengths < 0))
    if len(odd):
        says = "is missing" if lengths[odd[0]] < 0 else f"has {lengths[odd[0]]} numbers and row 0 has {width}"
        raise refuse(path, f"column {name!r} {says} at row {at + odd[0]}", "every row needs as many")
    return getattr(column, "storage", column).flatten().to_numpy(zero_copy_only=False)


def _lengths(column: Any) -> np.ndarray:
    """How many numbers each row of a list column has, -1 where it is missing."""
    import pyarrow.compute as compute

    lengths = compute.list_value_length(getattr(column, "storage", column))
    return compute.fill_null(lengths, -1).to_numpy(zero_copy_only=False)


def _batches(path: Path, names: list[str], width: int) -> Iterator[Any]:
    import pyarrow.parquet as parquet

    buffer = max(2**16, 2**24 // max(len(names), 1))  # else a column of a row group, which may be all of it, is read at once
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=buffer) as file:
        yield from file.iter_batches(max(1, BATCH // (8 * max(width, 1))), columns=names)
