"""From a value to an array: what is in memory stays there, what is a path is opened as what it is."""

import errno
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.report.rows.memory import held
from labkit.report.rows.names import choose, listed, recognise
from labkit.report.rows.npy import open_npy, open_npz
from labkit.report.rows.parquet import open_parquet
from labkit.report.rows.sniff import CALLED, FORMATS, Unreadable, kind
from labkit.report.rows.stores import Later, Store
from labkit.report.rows.tensors import open_safetensors, open_torch
from labkit.report.rows.text import open_text

OPENERS: dict[str, Callable[[Path], dict[str, Store]]] = {
    "npy": open_npy,
    "npz": open_npz,
    "torch": open_torch,
    "safetensors": open_safetensors,
    "parquet": open_parquet,
    "text": open_text,
}


@dataclass(frozen=True)
class Entry:
    """An array that was found: where, and what a reader must be told of how it was read."""

    store: Store
    source: str
    notes: tuple[str, ...] = ()


def opened(value: Any, name: str, what: str) -> Entry:
    """The array that `value` is, or that it names as "file.npy" or "file.npz:key".

    what: "rows", "classes" or "pairs", by which one of several arrays in a file is chosen.
    """
    if isinstance(value, Entry):
        return _ready(value, name)
    if not isinstance(value, (str, Path)):
        return Entry(*held(value, name))
    path, key = _located(value, name)
    try:
        arrays = _arrays(path)
        chosen = choose(arrays, name, what, key, path.name)
    except Unreadable as error:
        raise ValueError(f"{name}: {error}") from None
    return _ready(_entry(path, arrays, chosen), name)


def read_bundle(path: Any) -> dict[str, Any]:
    """What a file that stands alone holds, by the argument it is for: {"z1": ..., "z2": ..., "labels": ...}; {} of no path.

    The values go to `read`, `read_classes` and `read_pairs`. Arrays are known by their names ("z1", "embeddings", "labels",
    "y" ...: `names.KNOWN`); a single array is z1, whatever it is called.

    Raises:
        FileNotFoundError: no such file. ValueError: a file that is not what it says, or none of whose arrays is known.
    """
    if not isinstance(path, (str, Path)):
        return {}
    found, key = _located(path, "z1")
    if key is not None:
        return {"z1": opened(path, "z1", "rows")}
    try:
        arrays = _arrays(found)
        known = recognise(arrays)
        if "z1" not in known:
            known["z1"] = choose(arrays, "z1", "rows", None, found.name)
    except Unreadable as error:
        raise ValueError(f"z1: {error}") from None
    others = [key for key in arrays if key not in known.values()]
    notes = (f"{found.name} also holds {listed({k: arrays[k] for k in others})}, not used",) if others else ()
    return {
        argument: Entry(arrays[key], _source(found, arrays, key), notes if argument == "z1" else ())
        for argument, key in known.items()
    }


def _entry(path: Path, arrays: Mapping[str, Store], chosen: str) -> Entry:
    """Of a table, the columns that are no part of the embedding are told about."""
    apart = {key: store for key, store in arrays.items() if key != chosen}
    notes = (f"{path.name}: left out of the embedding: {listed(apart)}",) if chosen == "columns" and apart else ()
    return Entry(arrays[chosen], _source(path, arrays, chosen), notes)


def _source(path: Path, arrays: Mapping[str, Store], key: str) -> str:
    return path.name if len(arrays) == 1 or key == "columns" else f"{path.name}:{key}"


def _ready(entry: Entry, name: str) -> Entry:
    """Unpacked now, so that a file that lies is refused when it is read and not halfway through the numbers."""
    store = entry.store
    if not isinstance(store, Later):
        return entry
    file = entry.source.partition(":")[0]
    try:
        return Entry(_spoken(lambda: store.store, file, "the table or archive that it is"), entry.source, entry.notes)
    except Unreadable as error:
        raise ValueError(f"{name}: {error}") from None


def _located(value: str | Path, name: str) -> tuple[Path, str | None]:
    text = str(value)
    if re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE):
        raise ValueError(f"{name}: {text} is an address; labkit fetches nothing: download the file and pass its path")
    path, key = Path(text).expanduser(), None
    if not path.exists() and ":" in path.name:
        before, _, key = text.rpartition(":")
        path = Path(before).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{name}: there is no file {text}")
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix.lower() in FORMATS)
        holds = f"it holds {', '.join(inside[:5])}" if inside else "and holds no file that labkit reads"
        raise ValueError(f"{name}: {path.name} is a folder, {holds}; pass a file")
    if not path.is_file():
        raise ValueError(f"{name}: {path.name} is no regular file")
    return path, key


def _arrays(path: Path) -> dict[str, Store]:
    """All arrays of a file."""
    found = _spoken(lambda: kind(path), path.name, "any file")
    return _spoken(lambda: OPENERS[found](path), path.name, CALLED[found])


def _spoken(work: Callable[[], Any], file: str, called: str) -> Any:
    """Whatever goes wrong is said in words: nobody should have to read another library's errors."""
    try:
        return work()
    except (Unreadable, MemoryError):
        raise
    except PermissionError as error:
        raise Unreadable(f"{file} may not be read: look at its permissions") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise Unreadable(f"{file} is damaged: its contents and its own checksums differ; copy it again") from error
    except Exception as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            says = f"{file} must be unpacked, and the temporary folder is full; free some of it, or set TMPDIR"
            raise Unreadable(says) from error
        says = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise Unreadable(f"{file} could not be read as {called}: {says}; copy it again, or save it again") from error
