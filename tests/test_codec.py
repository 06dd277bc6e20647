"""What crosses the wall comes back the same, and whatever else comes is refused with a ValueError."""

import contextlib
import json
import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from labkit.course.box.codec import ARRAYS, DEPTH, KEYS, LARGEST, TENSORS, decode, encode

shapes = st.lists(st.integers(0, 3), max_size=4).map(tuple)
arrays = st.builds(
    lambda name, shape, seed: np.random.default_rng(seed).integers(0, 2, shape).astype(ARRAYS[name]),
    st.sampled_from(sorted(ARRAYS)),
    shapes,
    st.integers(0, 2**32),
)
floats = npst.arrays(st.sampled_from([np.float16, np.float32, np.float64]), shapes)  # NaN and infinities among them
tensors = st.builds(
    lambda dtype, shape, seed: torch.rand(shape, generator=torch.Generator().manual_seed(seed)).mul(2).to(dtype),
    st.sampled_from(list(TENSORS.values())),
    shapes,
    st.integers(0, 2**32),
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**1000), 2**1000), st.floats(), st.text())
keys = st.one_of(scalars, st.tuples(st.integers(), st.text(max_size=3)))
plain = st.recursive(
    st.one_of(
        scalars, arrays, floats, tensors, st.lists(st.floats()), st.lists(st.integers(-(2**70), 2**70)), st.lists(st.booleans())
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple), st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


def same(a, b):
    """Equal, of the same types, NaN at the same places."""
    if isinstance(a, torch.Tensor):
        return (
            isinstance(b, torch.Tensor)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and torch.equal(a.isnan(), b.isnan())
            and (torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)) if a.is_floating_point() else torch.equal(a, b))
        )
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a.items(), b.items(), strict=True))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@settings(deadline=None)
@given(plain)
def test_plain_data_comes_back_the_same(value):
    assert same(decode(encode(value)), value)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
@example(b"\0\0\0\2[]")
@example(b"\xff" * 64)
def test_noise_is_refused_or_read_but_never_raises_anything_else(data):
    with contextlib.suppress(ValueError):
        decode(data)


@settings(deadline=None, max_examples=300)
@given(plain, st.data())
def test_a_damaged_message_is_refused_or_read(value, data):
    message = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    message = message[: data.draw(st.integers(0, len(message)))] if data.draw(st.booleans()) else message
    with contextlib.suppress(ValueError):
        decode(message)


trees = st.recursive(
    st.one_of(
        scalars, st.sampled_from(["tensor", "array", "dict", "list", "tuple", "packed", "items", "float32", "int64", "bool"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=2), inner, max_size=2)),
    max_leaves=20,
)


@settings(deadline=None, max_examples=300)
@given(trees, st.binary(max_size=64))
def test_a_forged_head_is_refused_or_read(head, raw):
    with contextlib.suppress(ValueError):
        decode(message(head, raw))


def message(head, raw=b""):
    text = json.dumps(head).encode()
    return struct.pack(">I", len(text)) + text + raw


@pytest.mark.parametrize(
    "head, raw",
    [
        (["tensor", "float32", [3]], b"\0" * 8),  # too few bytes
        (["tensor", "float32", [3]], b"\0" * 16),  # too many
        (["tensor", "float32", [2**40]], b""),
        (["tensor", "float32", [0, 2**31]], b""),
        (["tensor", "float32", [-1]], b""),
        (["tensor", "float32", [True]], b"\0" * 4),
        (["tensor", "bool", [2]], b"\0\7"),
        (["tensor", "object", [1]], b"\0" * 8),
        (["array", "object", [1]], b"\0" * 8),
        (["array", "O", [1]], b"\0" * 8),
        (["list", "packed", "uint8", [1]], b"\0"),
        (["list", "packed", "float64", [1, 1]], b"\0" * 8),
        (["set", "items", 1], b""),
        (["dict", [["list", "items"], 1]], b""),
        (["dict", ["a", 1], ["a", 2]], b""),
        (["dict", ["a"]], b""),
        ({"a": 1}, b""),
        (["dict", *([k, None] for k in range(KEYS + 1))], b""),
        ([], b""),
    ],
)
def test_what_only_looks_like_a_message_is_refused(head, raw):
    with pytest.raises(ValueError):
        decode(message(head, raw))


def test_deep_and_large_messages_are_refused():
    deep = b"[" * 100_000
    for data in (struct.pack(">I", len(deep)) + deep, struct.pack(">I", 2**32 - 1) + b"1", bytes(LARGEST + 1), b"", b"\0\0\0"):
        with pytest.raises(ValueError):
            decode(data)
    nested = 1
    for _ in range(DEPTH + 1):
        nested = [nested, "and"]
    with pytest.raises(ValueError):
        encode(nested)


class Words(str):
    pass


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        b"bytes",
        1j,
        torch.ones(2) * 1j,
        torch.ones(2, 2).to_sparse(),
        torch.empty(3, device="meta"),
        np.array([object()]),
        np.array(["words"]),
        np.array([1j]),
        np.datetime64("2026-01-01"),
        Words("a class of its own"),
        {torch.ones(1): 1},
        {frozenset(): 1},
        10**5000,
        10**400,
        range(3),
        (k for k in range(3)),
        torch.empty(1).expand(LARGEST),
        [["a"] * 2000] * 2000,
        dict.fromkeys(range(KEYS + 1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_is_not_sent(value):
    with pytest.raises(ValueError):
        encode(value)


def test_a_million_numbers_travel_as_numbers():
    numbers = np.random.default_rng(0).standard_normal(10**6).tolist()
    assert len(encode(numbers)) < 8 * 10**6 + 100
    assert decode(encode(numbers)) == numbers


def test_a_tensor_arrives_without_history_and_can_be_written_to():
    made = decode(encode(torch.ones(3, requires_grad=True) * 2))
    assert not made.requires_grad
    made += 1
    assert made.tolist() == [3.0, 3.0, 3.0]
