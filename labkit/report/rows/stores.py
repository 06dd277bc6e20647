"""Where an array lies, and how some of its rows are read: in memory, in a mapped file, or flat in a file at an offset."""

import contextlib
import ctypes
import mmap
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

FEW = 64  # rows of a mapping between two releases: the system may map two MiB around each


class Store(Protocol):
    """An array of any shape whose rows are read when they are asked for, in the type they are kept in."""

    shape: tuple[int, ...]
    dtype: str  # "float32", as it came

    def read(self, start: int, stop: int) -> Tensor: ...

    def pick(self, index: Tensor) -> Tensor: ...


def tensor(array: np.ndarray) -> Tensor:
    """A numpy array as a CPU tensor with the same numbers: native byte order, contiguous, its own memory if need be."""
    if array.dtype.name == "bfloat16":  # jax's and ml_dtypes' own type, of which numpy knows the name only
        return torch.from_numpy(np.array(array, order="C").view(np.int16)).view(torch.bfloat16)
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return torch.from_numpy(native if native.flags.writeable else native.copy())


class Held:
    """A tensor or an array that somebody holds; of a mapped file, the pages that were read are given back.

    release: whether pages may be dropped: they come back from the file, unless someone wrote into a private copy.
    keep: what must live as long as the array.
    """

    def __init__(self, array: Tensor | np.ndarray, *, release: bool = False, keep: Any = None):
        self.array, self.keep = array, keep
        self.shape = tuple(array.shape)
        self.dtype = named(array.dtype)
        self.release = release

    def read(self, start: int, stop: int) -> Tensor:
        return self._copied(self.array[start:stop])

    def pick(self, index: Tensor) -> Tensor:
        few = index.split(FEW) if self.release and len(index) else (index,)
        return torch.cat([self._copied(self._rows(some)) for some in few])

    def _rows(self, index: Tensor) -> Tensor | np.ndarray:
        return self.array[index.to(self.array.device)] if isinstance(self.array, Tensor) else self.array[index.numpy()]

    def _copied(self, rows: Tensor | np.ndarray) -> Tensor:
        mine = rows.detach().cpu() if isinstance(rows, Tensor) else tensor(rows)
        if not self.release:
            return mine.contiguous()
        mine = mine.clone(memory_format=torch.contiguous_format)
        forget(self.array)
        return mine


class Flat:
    """Rows that lie one after the other in a file, from byte `offset` on: read by position, never mapped.

    kind: the numpy type, or torch's name of a type that numpy has not ("bfloat16").
    """

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...], kind: np.dtype | str):
        self.path, self.offset, self.shape = path, offset, tuple(shape)
        self.torch_kind = getattr(torch, kind) if isinstance(kind, str) else None
        self.kind = np.dtype(f"i{self.torch_kind.itemsize}") if self.torch_kind else np.dtype(kind)
        self.dtype = kind if isinstance(kind, str) else kind.name
        self.width = int(np.prod(self.shape[1:], dtype=np.int64)) if self.shape else 1

    def read(self, start: int, stop: int) -> Tensor:
        with self.path.open("rb") as file:
            return self._from(file, start, max(stop, start))

    def pick(self, index: Tensor) -> Tensor:
        with self.path.open("rb") as file:
            rows = [self._from(file, i, i + 1) for i in index.tolist()]
        return torch.cat(rows) if rows else self.read(0, 0)

    def words(self) -> np.ndarray:
        """The whole array as numpy has it: labels, which may be words."""
        return np.fromfile(self.path, self.kind, int(np.prod(self.shape)), offset=self.offset).reshape(self.shape)

    def _from(self, file: Any, start: int, stop: int) -> Tensor:
        stop = min(stop, self.shape[0])
        size = (stop - start) * self.width
        file.seek(self.offset + start * self.width * self.kind.itemsize)
        array = np.fromfile(file, self.kind, size)
        if array.size < size:
            raise ValueError(f"{self.path.name} became shorter while it was read: row {start} is no longer there")
        rows = tensor(array.reshape(stop - start, *self.shape[1:]))
        return rows.view(self.torch_kind) if self.torch_kind else rows


class Columns:
    """A matrix whose columns lie one after the other, as Fortran and pandas keep them: read column by column."""

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...], kind: np.dtype, keep: Any = None):
        self.path, self.offset, self.shape, self.kind, self.keep = path, offset, shape, kind, keep
        self.dtype = kind.name

    def read(self, start: int, stop: int) -> Tensor:
        return self._rows(start, max(min(stop, self.shape[0]), start), slice(None))

    def pick(self, index: Tensor) -> Tensor:
        return self._rows(0, self.shape[0], index.numpy())

    def _rows(self, start: int, stop: int, of_them: Any) -> Tensor:
        n, d = self.shape
        size = self.kind.itemsize
        with self.path.open("rb") as file:
            columns = []
            for j in range(d):
                file.seek(self.offset + (j * n + start) * size)
                column = np.fromfile(file, self.kind, stop - start)
                if len(column) < stop - start:
                    raise ValueError(f"{self.path.name} became shorter while it was read")
                columns.append(column[of_them])
        return tensor(np.stack(columns, 1))


class Later:
    """An array of which only shape and type are known until it is unpacked."""

    def __init__(self, shape: tuple[int, ...], dtype: str, unpack: Callable[[], Store]):
        self.shape, self.dtype, self.unpack = shape, dtype, unpack

    @cached_property
    def store(self) -> Store:
        return self.unpack()

    def read(self, start: int, stop: int) -> Tensor:
        return self.store.read(start, stop)

    def pick(self, index: Tensor) -> Tensor:
        return self.store.pick(index)


def spooled(chunks: Iterable[Any], shape: Callable[[], tuple[int, ...]] | tuple[int, ...], kind: np.dtype | str) -> Flat:
    """Chunks of bytes (or contiguous arrays) in a temporary file, which goes when nobody reads it any more."""
    descriptor, name = tempfile.mkstemp(prefix="labkit-", suffix=".rows")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
        flat = Flat(path, 0, shape() if callable(shape) else shape, kind)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    weakref.finalize(flat, path.unlink, missing_ok=True)
    return flat


def named(dtype: Any) -> str:
    """ "float32" for torch's and for numpy's type."""
    return str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else np.dtype(dtype).name


def forget(array: Tensor | np.ndarray) -> None:
    """Give the pages of a mapped array back to the system: reading a file once must not fill the memory."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if isinstance(array, Tensor):
            storage = array.untyped_storage()
            start = -(-storage.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
            size = (storage.data_ptr() + storage.nbytes() - start) // mmap.PAGESIZE * mmap.PAGESIZE
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(max(size, 0)), mmap.MADV_DONTNEED)
        else:
            _map_of(array).madvise(mmap.MADV_DONTNEED)


def _map_of(array: Any) -> Any:
    while isinstance(array, np.ndarray):
        array = array.base
    return getattr(array, "obj", array)  # numpy holds the mapping through a memoryview


def mapped(array: Any) -> bool:
    """Whether pages of `array` may be dropped: a view of a file's mapping that is shared with the file.

    >>> mapped(np.zeros(3))
    False
    """
    while array is not None:
        if isinstance(array, np.memmap) and array.mode is not None:
            return array.mode != "c"  # a private copy holds what was written into it
        array = getattr(array, "base", None)
    return False
