"""NumPy's files: one array (.npy), or several in a zip (.npz). Objects are pickles, and never read."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from labkit.report.rows.sniff import PICKLE, refuse
from labkit.report.rows.stores import Columns, Flat, Later, Store, spooled

BOMB, LARGE = 200, 2**30  # no array of floats shrinks 200 times, unless it is constant; small ones do no harm


def open_npy(path: Path) -> dict[str, Store]:
    """The array of a .npy file, under the name ""."""
    with path.open("rb") as file:
        shape, columns_first, dtype = _header(file, path, path.stem)
        offset = file.tell()
    wanted, there = _bytes(shape, dtype), path.stat().st_size - offset
    if there < wanted:
        says = f"is cut off: its header says {shape} {dtype.name}, {wanted:,} bytes, and {there:,} are there"
        raise refuse(path, says, "copy it again, or save it again")
    if there > wanted:
        says = f"holds {there - wanted:,} bytes after its array {shape} {dtype.name}"
        raise refuse(path, says, "several arrays in one file? save them with numpy.savez(path, z1=z1, z2=z2)")
    return {"": (Columns if columns_first and len(shape) == 2 else Flat)(path, offset, shape, dtype)}


def open_npz(path: Path) -> dict[str, Store]:
    """The arrays of a .npz file by name; one that is compressed is unpacked to a temporary file when it is read."""
    with zipfile.ZipFile(path) as archive:
        return {m.filename.removesuffix(".npy"): _member(path, archive, m) for m in archive.infolist() if _is_array(m)}


def _is_array(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith(".npy")


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Store:
    with archive.open(member) as file:
        shape, columns_first, dtype = _header(file, path, member.filename)
        offset = file.tell()
    wanted, there = _bytes(shape, dtype), member.file_size - offset
    if there != wanted:
        says = f"holds {member.filename}, whose header says {shape} {dtype.name}, {wanted:,} bytes, and {there:,} are there"
        raise refuse(path, says, "save it again")
    if member.file_size > LARGE and member.file_size > BOMB * max(member.compress_size, 1):
        says = f"would unpack to {member.file_size:,} bytes from {member.compress_size:,}: almost only zeros, or a zip bomb"
        raise refuse(path, says, "save it with numpy.save if you trust it")

    def unpack() -> Store:
        with zipfile.ZipFile(path) as again, again.open(member) as file:
            file.read(offset)
            flat = spooled(_chunks(file), shape, dtype)
        return Columns(flat.path, 0, shape, dtype, keep=flat) if columns_first and len(shape) == 2 else flat

    return Later(shape, dtype.name, unpack)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(2**22):  # reading to the end checks the archive's own checksum
        yield chunk


def _header(file: Any, path: Path, array: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, columns_first, dtype = read(file)
    except (zipfile.BadZipFile, zlib.error):
        raise  # the archive is damaged, whatever it held
    except Exception as error:  # of a dozen kinds: the header is a Python literal
        raise refuse(path, f"has a broken NumPy header ({array})", "save it again with numpy.save") from error
    if dtype.hasobject:
        raise refuse(
            path, f"holds Python objects ({array}), that is {PICKLE[0]}", "save numbers: numpy.save(path, z.astype('float32'))"
        )
    if any(size < 0 for size in shape):
        raise refuse(path, f"has a broken NumPy header ({array}): shape {shape}", "save it again with numpy.save")
    return shape, columns_first, dtype


def _bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    size = dtype.itemsize
    for side in shape:
        size *= side
    return size
