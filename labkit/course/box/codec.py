"""Plain data as bytes and back: what crosses the wall between a student's process and the grader's.

A head in JSON says how the data is built, the numbers of tensors follow raw. Nothing is executed and no class is looked up, so
the worst that bytes can do is to be refused with a `ValueError`, before they cost much time or memory.
"""

import json
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

LARGEST = 64 * 2**20  # bytes of a message
HEAD = 4 * 2**20  # bytes of its head
DEPTH = 16
KEYS = 10_000  # of one dict: keys can be chosen to collide
TENSORS = {
    str(t).removeprefix("torch."): t for t in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
}
TENSORS |= {str(t).removeprefix("torch."): t for t in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}
ARRAYS = {
    name: np.dtype(name).newbyteorder("<")
    for name in "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 float32 float64".split()
}
PACKED = {float: "float64", int: "int64", bool: "bool"}  # long lists of these travel as raw numbers, too
SCALARS = (type(None), bool, int, float, str)


def encode(value: Any) -> bytes:
    """Tensors, arrays, numbers, words, None, and lists, tuples and dicts of these.

    Raises:
        ValueError: it is something else, too deep or too large.
    """
    raw: list[bytes] = []
    try:
        head = json.dumps(described(value, raw, 0)).encode("ascii")
    except (TypeError, OverflowError, RecursionError, RuntimeError, UnicodeError) as error:
        raise ValueError(f"not plain data: {error}") from None
    if len(head) > HEAD or 4 + len(head) + sum(map(len, raw)) > LARGEST:
        raise ValueError(f"too large: more than {LARGEST >> 20} MB, or too many parts")
    return b"".join([struct.pack(">I", len(head)), head, *raw])


def decode(data: bytes | bytearray | memoryview) -> Any:
    """What `encode` made.

    Raises:
        ValueError: it did not make this.
    """
    data = memoryview(data)
    if not 4 <= len(data) <= LARGEST:
        raise ValueError(f"a message has 4 bytes to {LARGEST >> 20} MB, this has {len(data)} bytes")
    (size,) = struct.unpack(">I", data[:4])
    if size > min(HEAD, len(data) - 4):
        raise ValueError("the head is longer than the message, or too long")
    raw = Raw(data[4 + size :])
    try:
        value = built(json.loads(str(data[4 : 4 + size], "ascii")), raw, 0)
    except (TypeError, OverflowError, RecursionError, RuntimeError, UnicodeError) as error:
        raise ValueError(f"not what was encoded: {type(error).__name__}: {error}") from None
    if len(raw.data):
        raise ValueError(f"{len(raw.data)} bytes are left over")
    return value


# ---------------------------------------------------------------- from data to the head


def described(value: Any, raw: list[bytes], depth: int) -> Any:
    """The head's part for a value; what is raw is appended."""
    if type(value) in SCALARS:
        return tame(value)
    if depth >= DEPTH:
        raise ValueError(f"nested more than {DEPTH} deep")
    if isinstance(value, np.generic):
        return described(value.item(), raw, depth + 1)
    if isinstance(value, Tensor):
        return ["tensor", *tensor_bytes(value, raw)]
    if isinstance(value, np.ndarray):
        return ["array", *array_bytes(value, raw)]
    if type(value) is dict:
        if len(value) > KEYS:
            raise ValueError(f"a dict of more than {KEYS} keys")
        return ["dict", *([hashable(described(k, raw, depth + 1)), described(v, raw, depth + 1)] for k, v in value.items())]
    if type(value) not in (list, tuple):
        raise ValueError(f"{type(value).__name__} is not plain data")
    word = type(value).__name__
    kinds = set(map(type, value))
    if len(kinds) == 1 and (kind := kinds.pop()) in PACKED and (kind is not int or all(-(2**63) <= v < 2**63 for v in value)):
        return [word, "packed", *array_bytes(np.array(value, dtype=PACKED[kind]), raw)]
    if len(value) > HEAD:
        raise ValueError("too many entries")
    return [word, "items", *(described(item, raw, depth + 1) for item in value)]


def tame(value: Any) -> Any:
    """What Python allows and few expect is refused: half a character, and a whole number that no float can hold."""
    if isinstance(value, str):
        value.encode()
    if isinstance(value, int):
        float(value)
    return value


def hashable(described_key: Any) -> Any:
    if isinstance(described_key, list) and described_key[0] not in ("tuple",):
        raise ValueError("keys are numbers, words or tuples of these")
    return described_key


def tensor_bytes(value: Tensor, raw: list[bytes]) -> tuple[str, list[int]]:
    name = str(value.dtype).removeprefix("torch.")
    if name not in TENSORS or value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
        raise ValueError(f"a tensor of {value.dtype}, {value.layout} on {value.device}")
    if value.numel() * value.element_size() > LARGEST:
        raise ValueError(f"too large: a tensor of {value.numel():,} numbers")
    flat = value.detach().cpu().resolve_neg().contiguous().reshape(-1)
    raw.append(flat.view(torch.uint8).numpy().tobytes())
    return name, list(value.shape)


def array_bytes(value: np.ndarray, raw: list[bytes]) -> tuple[str, list[int]]:
    name = value.dtype.name
    if name not in ARRAYS:
        raise ValueError(f"an array of {name}")
    if value.nbytes > LARGEST:
        raise ValueError(f"too large: an array of {value.size:,} numbers")
    raw.append(np.ascontiguousarray(value, dtype=ARRAYS[name]).tobytes())
    return name, list(value.shape)


# ---------------------------------------------------------------- and back


class Raw:
    """The bytes behind the head, taken from the front."""

    def __init__(self, data: memoryview):
        self.data = data

    def take(
        self, shape: Any, width: int, check: Callable[[Any], bool] = lambda n: type(n) is int and 0 <= n < 2**31
    ) -> bytearray:
        if not (isinstance(shape, list) and len(shape) <= DEPTH and all(map(check, shape))):
            raise ValueError("not a shape")
        size = math.prod(shape) * width
        if size > len(self.data):
            raise ValueError("fewer bytes than the shapes say")
        taken, self.data = bytearray(self.data[:size]), self.data[size:]
        return taken


def built(head: Any, raw: Raw, depth: int) -> Any:
    if type(head) in SCALARS:
        return tame(head)
    if depth >= DEPTH or type(head) is not list or not head or type(head[0]) is not str:
        raise ValueError("too deep, or not a description")
    word, *rest = head
    if word == "tensor":
        return tensor_of(rest, raw)
    if word == "array":
        return array_of(rest, raw)
    if word == "dict":
        return dict_of(rest, raw, depth)
    if word not in ("list", "tuple") or not rest:
        raise ValueError(f"there is no {word[:20]!r}")
    make: Callable[[Any], Any] = list if word == "list" else tuple
    if rest[0] == "packed":
        flat = array_of(rest[1:], raw)
        if flat.ndim != 1 or flat.dtype.name not in PACKED.values():
            raise ValueError("a packed list has one dimension")
        return make(flat.tolist())
    if rest[0] != "items":
        raise ValueError("neither packed nor items")
    return make([built(item, raw, depth + 1) for item in rest[1:]])


def dict_of(entries: list[Any], raw: Raw, depth: int) -> dict[Any, Any]:
    if len(entries) > KEYS or not all(type(entry) is list and len(entry) == 2 for entry in entries):
        raise ValueError("a dict is pairs, and not too many")
    made = {built(hashable(k), raw, depth + 1): built(v, raw, depth + 1) for k, v in entries}
    if len(made) < len(entries):
        raise ValueError("a key comes twice")
    return made


def tensor_of(rest: list[Any], raw: Raw) -> Tensor:
    name, shape = pair(rest)
    if name not in TENSORS:
        raise ValueError("an unknown kind of number")
    taken = raw.take(shape, TENSORS[name].itemsize)
    if name == "bool" and taken.translate(None, b"\0\1"):
        raise ValueError("a truth value is 0 or 1")
    if not taken:
        return torch.empty(shape, dtype=TENSORS[name])
    return torch.frombuffer(taken, dtype=torch.uint8).view(TENSORS[name]).reshape(shape)


def array_of(rest: list[Any], raw: Raw) -> np.ndarray:
    name, shape = pair(rest)
    if name not in ARRAYS:
        raise ValueError("an unknown kind of number")
    taken = raw.take(shape, ARRAYS[name].itemsize)
    if name == "bool" and taken.translate(None, b"\0\1"):
        raise ValueError("a truth value is 0 or 1")
    return np.frombuffer(taken, dtype=ARRAYS[name]).reshape(shape)


def pair(rest: list[Any]) -> tuple[Any, Any]:
    if len(rest) != 2 or type(rest[0]) is not str:
        raise ValueError("a kind of number and a shape belong here")
    return rest[0], rest[1]
