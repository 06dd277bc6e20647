"""The file formats that data sets come in, read into arrays without running anything they contain."""

import gzip
import io
import pickle
import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

IDX_UINT8 = 8  # the third byte of the format says what the numbers are


def read_idx(path: Path) -> np.ndarray:
    """An array in MNIST's format, gzipped: two zeros, the type, the number of dimensions, their sizes, the bytes."""
    with gzip.open(path) as stream:
        content = stream.read()
    zeros, kind, ndim = content[:2], content[2], content[3]
    shape = np.frombuffer(content, ">i4", count=ndim, offset=4)
    if zeros != b"\0\0" or kind != IDX_UINT8 or len(content) != 4 + 4 * ndim + int(np.prod(shape)):
        raise ValueError(f"{path} is not an IDX file of bytes")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def read_members(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """The contents of these members of a .tar.gz: nothing is unpacked onto the disk, and reading stops at the last of them."""
    found: dict[str, bytes] = {}
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            if member.name in names:
                stream = archive.extractfile(member)
                if stream is not None:
                    found[member.name] = stream.read()
                if len(found) == len(names):
                    return found
    raise ValueError(f"{path} lacks {', '.join(sorted(set(names) - set(found)))}")


# What a pickled array is made of. numpy has moved _reconstruct about; the pickles name the place it had in Python 2's days.
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class Unpickler(pickle.Unpickler):
    """Reads CIFAR's batches, which Python 2 pickled: dictionaries of lists, texts and arrays, and calls nothing else.

    A pickle may name any function for the reader to call; this one knows the three that arrays are made of.
    """

    def __init__(self, stream: BinaryIO):
        super().__init__(stream, encoding="latin1")  # Python 2's texts: one byte, one letter; numpy turns them back

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"the file wants to call {module}.{name}: it is not a CIFAR batch, and was not read")
        return ALLOWED[module, name]


def unpickle(content: bytes) -> Any:
    return Unpickler(io.BytesIO(content)).load()
