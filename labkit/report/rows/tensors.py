"""Tensors in files: torch.save (.pt, .pth, .bin), read without running what is in it, and safetensors."""

import json
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.report.rows.sniff import LEGACY, PICKLE, refuse
from labkit.report.rows.stores import Flat, Held, Store

NUMPY = {"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1"}
NUMPY |= {"U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "?"}
TORCH = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
LONGEST = 10**8  # bytes of a safetensors header: its authors' own limit


def open_torch(path: Path) -> dict[str, Store]:
    """The tensors of a file of torch.save, by their keys; mapped, so that they are read where rows are asked for."""
    with path.open("rb") as file:
        legacy = file.read(len(LEGACY)) == LEGACY
    if legacy and tarfile.is_tarfile(path):  # two formats at once: torch before 2.6 runs the second of them
        raise refuse(path, f"is {PICKLE[0]}", PICKLE[1])
    if not legacy:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise refuse(path, "is compressed, which torch.save never does", "save the tensor again with torch.save")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about its own loader
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=not legacy)
    except MemoryError:
        raise
    except Exception as error:  # torch raises many kinds
        if "weights_only" in str(error).lower() or "weights only" in str(error).lower():
            says = f"holds more than tensors: {PICKLE[0]}"
            raise refuse(path, says, "load it yourself where you trust it, and torch.save the tensor alone") from error
        raise refuse(path, "is cut off or damaged: torch cannot read it", "copy it again, or save it again") from error
    tensors = dict(_tensors(found))
    if not tensors:
        raise refuse(path, f"holds no tensor but a {type(found).__name__}", "torch.save the tensor, or a dict of tensors")
    return {key: _held(path, key, value, legacy) for key, value in tensors.items()}


def _tensors(found: Any, key: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(found, Tensor):
        yield key, found
    elif isinstance(found, dict | list | tuple):
        for name, value in found.items() if isinstance(found, dict) else enumerate(found):
            yield from _tensors(value, f"{key}.{name}" if key else str(name))


def _held(path: Path, key: str, value: Tensor, legacy: bool) -> Held:
    if value.layout != torch.strided:
        raise refuse(path, f"holds a sparse tensor ({value.layout})", "save z.to_dense()")
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        says = f"holds a tensor {tuple(value.shape)} that repeats few numbers (expand)"
        raise refuse(path, says, "save z.contiguous()")
    return Held(value.detach(), release=not legacy)


def open_safetensors(path: Path) -> dict[str, Store]:
    """The tensors of a safetensors file: a length, a JSON header, then the numbers, which are read by position."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size - 8, LONGEST):
            raise refuse(path, f"is cut off: its header says {length:,} bytes and the file has {size:,}", "copy it again")
        text = file.read(length)
    try:
        header = json.loads(text)
        entries = {key: (e["dtype"], tuple(e["shape"]), tuple(e["data_offsets"])) for key, e in header.items() if _entry(key)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise refuse(path, "has a broken safetensors header", "copy it again, or save it again") from error
    if not entries:
        raise refuse(path, "holds no tensor", "save one with safetensors.torch.save_file({'z1': z}, path)")
    end = max(stop for _, _, (_, stop) in entries.values())
    if 8 + length + end > size:
        says = f"is cut off: its header says {8 + length + end:,} bytes, and {size:,} are there"
        raise refuse(path, says, "copy it again")
    return {key: _flat(path, key, 8 + length, *entry) for key, entry in entries.items()}


def _entry(key: str) -> bool:
    return key != "__metadata__"


def _flat(path: Path, key: str, offset: int, kind: str, shape: tuple[int, ...], where: tuple[int, int]) -> Flat:
    if kind not in NUMPY and kind not in TORCH:
        raise refuse(path, f"holds {key!r} as {kind}, which labkit does not read", "save it as float32 or bfloat16")
    numbers = np.dtype(NUMPY[kind]).newbyteorder("<") if kind in NUMPY else TORCH[kind]
    flat = Flat(path, offset + where[0], shape, numbers)
    if flat.width * (shape[0] if shape else 1) * flat.kind.itemsize != where[1] - where[0] or min((*shape, where[0])) < 0:
        raise refuse(path, f"has a broken header: {key!r} is {shape} {kind} in {where[1] - where[0]:,} bytes", "save it again")
    return flat
