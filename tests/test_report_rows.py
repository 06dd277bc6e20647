"""Whatever a user has becomes the same rows: read lazily, scanned once, drawn by number; the rest is refused in words."""

import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from labkit.report import faults, report
from labkit.report.pieces import Given
from labkit.report.rows import Rows, draw, npy, read, read_bundle, read_classes, read_pairs, scan, scanning, shared, usable
from labkit.report.rows import table as table_module


def some(n=40, d=6, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


Z = some()
Z64 = Z.double()
ROWS = Z64.tolist()
WORDS = ["cat", "dog"] * 20


# -- files: the same rows, whatever they lie in ------------------------------------------------------------------------------


def table(path, header=None, rows=None, sep=",", end="\n", also=()):
    lines = [sep.join([repr(x) for x in row] + [str(column[i]) for column in also]) for i, row in enumerate(rows or ROWS)]
    path.write_text(end.join(([header] if header is not None else []) + lines) + end)


def parquet(path, columns, **options):
    arrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    writer.write_table(arrow.table(columns), path, **options)


def parquet_fixed(path):
    arrow = pytest.importorskip("pyarrow")
    parquet(path, {"e": arrow.FixedSizeListArray.from_arrays(arrow.array(Z.numpy().ravel()), 6)}, row_group_size=7)


def parquet_tensor(path):
    arrow = pytest.importorskip("pyarrow")
    flat = arrow.FixedSizeListArray.from_arrays(arrow.array(Z.numpy().ravel()), 6)
    parquet(path, {"e": arrow.ExtensionArray.from_storage(arrow.fixed_shape_tensor(arrow.float32(), [6]), flat)})


def safetensors(path, **tensors):
    pytest.importorskip("safetensors.torch").save_file(tensors, path)


FILES = {
    "c.npy": lambda p: np.save(p, Z.numpy()),
    "fortran.npy": lambda p: np.save(p, np.asfortranarray(Z.numpy())),
    "big-endian.npy": lambda p: np.save(p, Z.numpy().astype(">f4")),
    "no_suffix": lambda p: p.write_bytes(saved(FILES["c.npy"], "c.npy", p.parent)),
    "one.npz": lambda p: np.savez(p, anything=Z.numpy()),
    "small.npz": lambda p: np.savez_compressed(p, z1=Z.numpy(), z2=-Z.numpy(), labels=np.array(WORDS)),
    "fortran.npz": lambda p: np.savez_compressed(p, z=np.asfortranarray(Z.numpy())),
    "t.pt": lambda p: torch.save(Z, p),
    "dict.pth": lambda p: torch.save({"z1": Z, "y": torch.arange(40), "epoch": 3}, p),
    "nested.bin": lambda p: torch.save({"state": {"features": Z}}, p),
    "view.pt": lambda p: torch.save(torch.cat([Z, Z], 1)[:, :6], p),
    "before_1.6.pt": lambda p: torch.save(Z, p, _use_new_zipfile_serialization=False),
    "s.safetensors": lambda p: safetensors(p, z1=Z, z2=-Z),
    "columns.parquet": lambda p: parquet(p, {f"d{i}": Z[:, i].numpy() for i in range(6)} | {"label": WORDS, "id": range(40)}),
    "list.parquet": lambda p: parquet(p, {"embedding": list(Z.numpy()), "text": WORDS}),
    "fixed.parquet": parquet_fixed,
    "tensor.parquet": parquet_tensor,
    "plain.csv": table,
    "named.csv": lambda p: table(p, "a,b,c,d,e,f"),
    "numbered.csv": lambda p: table(p, "0,1,2,3,4,5"),  # as pandas names what has no names
    "pandas.csv": lambda p: table(p, ",0,1,2,3,4,5", [[i, *row] for i, row in enumerate(ROWS)]),
    "counted.csv": lambda p: table(p, None, [[i, *row] for i, row in enumerate(ROWS)]),
    "labelled.csv": lambda p: table(p, "a,b,c,d,e,f,label", also=[WORDS]),
    "labelled_without_names.csv": lambda p: table(p, also=[WORDS]),
    "numbered_labels.csv": lambda p: table(p, "a,b,c,d,e,f,y", also=[range(40)]),
    "quoted.csv": lambda p: table(p, "a,b,c,d,e,f,text", also=[['"say ""hi"",\nthen go"'] * 40]),
    "windows.csv": lambda p: table(p, "\ufeffa,b,c,d,e,f", end="\r\n"),
    "trailing.csv": lambda p: table(p, end=",\n"),
    "tabs.tsv": lambda p: table(p, sep="\t"),
    "semicolons.csv": lambda p: table(p, sep=";"),
    "savetxt.txt": lambda p: np.savetxt(p, Z64.numpy(), fmt="%.17g", header="a b c d e f"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_and_a_tensor_are_the_same_rows(name, tmp_path):
    FILES[name](tmp_path / name)
    text = name.endswith((".csv", ".tsv", ".txt"))
    held, filed = read(Z64 if text else Z, "z1"), read(str(tmp_path / name), "z1")
    assert (filed.n, filed.d, filed.dtype) == (40, 6, "float64" if text else "float32")
    assert filed.source.partition(":")[0] == name and str(tmp_path) not in repr(filed)
    assert torch.equal(filed.take(torch.arange(40)), Z64)
    assert torch.equal(torch.cat([block for _, block in filed.blocks(7)]), Z64)
    assert [start for start, _ in filed.blocks(30)] == [0, 30]
    index = torch.tensor([3, 3, 0, 39])
    assert torch.equal(filed.take(index), held.take(index))
    assert scan(held).sha256 == scan(filed).sha256


def test_what_had_to_be_unpacked_leaves_nothing_behind(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    for name in ("small.npz", "plain.csv", "counted.csv"):
        FILES[name](tmp_path / name)
        rows = read(tmp_path / name, "z1")
        assert len(list(scratch.iterdir())) == 1
        del rows
        assert not list(scratch.iterdir())
    (tmp_path / "bad.csv").write_text("1,2\n3,4\n5\n")
    with pytest.raises(ValueError, match="line 3"):
        read(tmp_path / "bad.csv", "z1")
    assert not list(scratch.iterdir())


def test_columns_that_are_no_embedding_are_left_out_and_told(tmp_path):
    FILES["labelled.csv"](tmp_path / "labelled.csv")
    assert "label (40,)" in read(tmp_path / "labelled.csv", "z1").notes[0]
    assert read_classes(tmp_path / "labelled.csv", "labels", 40).names == ("cat", "dog")
    assert read_classes(f"{tmp_path / 'labelled.csv'}:label", "labels", 40).source == "labelled.csv:label"


def test_missing_cells_are_missing_numbers(tmp_path):
    (tmp_path / "z.csv").write_text("a,b\n1,2\nNA,3\n4,\nnan,1\n5,6\n")
    assert scan(read(tmp_path / "z.csv", "z1")).bad_rows.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "value",
    [
        Z.numpy()[::-1][::-1],
        np.asfortranarray(Z.numpy()),
        Z.T.contiguous().T,
        Z.clone().requires_grad_(),
        torch.nn.Parameter(Z),
        list(Z),
        list(Z.numpy()),
        np.ma.masked_array(Z.numpy(), False),
        type("Foreign", (), {"__array__": lambda self, dtype=None, copy=None: Z.numpy()})(),
        type("Capsule", (), {"__dlpack__": lambda s, **k: Z.__dlpack__(**k), "__dlpack_device__": lambda s: (1, 0)})(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_in_memory_is_read_as_it_lies(value):
    assert scan(read(value, "z1")).sha256 == scan(read(Z, "z1")).sha256


def test_every_kind_of_number_is_read_exactly():
    for kind in (torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.int8, torch.uint8, torch.int64, torch.uint16):
        z = (Z.abs() * 10).to(kind)
        rows = read(z, "z1")
        assert rows.dtype == str(kind).removeprefix("torch.")
        assert torch.equal(rows.take(torch.arange(40)), z.double())
        assert torch.equal(scan(rows).high, z.double().amax(0))


def test_blocks_are_the_readers_own():
    for z in (Z64.clone(), Z64.numpy().copy()):
        for _, block in read(z, "z1").blocks():
            block.zero_()
        assert (torch.as_tensor(z) == Z64).all()


def test_a_frame_names_the_columns_that_are_no_numbers():
    columns, kinds = ["a", "b", "word"], [np.dtype("f4"), np.dtype("f4"), np.dtype(object)]
    frame = type("DataFrame", (), {"__module__": "pandas.core.frame", "columns": columns, "dtypes": kinds})()
    frame.to_numpy = lambda: np.array([[1.0, 2.0, "x"]] * 5, object)
    with pytest.raises(ValueError, match=r"z1 is a frame with columns that hold no numbers: word; .* labels="):
        read(frame, "z1")
    frame.to_numpy = lambda: Z.numpy()
    assert read(frame, "z1").source == "pandas DataFrame" and torch.equal(read(frame, "z1").take(torch.arange(40)), Z64)


def test_a_masked_entry_is_a_missing_one():
    z = np.ma.masked_array(Z.numpy(), np.arange(240).reshape(40, 6) == 13)
    assert scan(read(z, "z1")).bad_rows.tolist() == [2]


def test_a_mapped_array_is_read_and_never_changed(tmp_path):
    np.save(tmp_path / "z.npy", Z.numpy())
    for mode in ("r", "c"):
        mapped = np.load(tmp_path / "z.npy", mmap_mode=mode)
        if mode == "c":
            mapped[3] = 7  # in this process only: dropping its pages would lose it
        found = scan(read(mapped, "z1"))
        assert (found.low[0] == mapped[:, 0].min()) and (mapped[3, 0] == 7) == (mode == "c")


# -- files that lie ----------------------------------------------------------------------------------------------------------


class Runs:
    """What a pickle may do when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def saved(write, name, folder):
    write(folder / name)
    return (folder / name).read_bytes()


def pickled(folder):
    import pickle

    return pickle.dumps(Runs(folder / "it ran"))


def huge(folder):
    with (folder / "h").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 10**6)})
    return (folder / "h").read_bytes() + bytes(100)


def objects(folder):
    np.save(folder / "o.npy", np.array([[1, None]] * 9, object))
    return (folder / "o.npy").read_bytes()


def one_npy(folder):
    return saved(FILES["c.npy"], "c.npy", folder)


def one_npz(folder):
    return saved(FILES["small.npz"], "small.npz", folder)


LIES = {
    "npy.csv": (one_npy, "is called .csv but is a NumPy array"),
    "npz.npy": (one_npz, "is called .npy but is NumPy arrays in a zip"),
    "torch.npz": (lambda f: saved(FILES["t.pt"], "t.pt", f), "is called .npz but is a file of torch.save"),
    "words.pt": (lambda f: b"hello\n1 2 3\n", "is called .pt but is a table as text .*'hello"),
    "page.npy": (lambda f: b"<!DOCTYPE html><html>log in", "is a web page"),
    "page.csv": (lambda f: b"\n <html>log in", "is a web page"),
    "lfs.safetensors": (lambda f: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "empty.npy": (lambda f: b"", "is empty"),
    "zeros.npy": (lambda f: bytes(5000), "nothing but zero bytes"),
    "gzip.npy": (lambda f: b"\x1f\x8b\x08" + bytes(9), "gunzip"),
    "raw.bin": (lambda f: Z.numpy().tobytes(), "numpy.fromfile"),
    "json.json": (lambda f: b'{"a": [1, 2]}', "is JSON"),
    "text.dat": (lambda f: b"1,2\n3,4\n", "call it .csv"),
    "cut.npy": (lambda f: one_npy(f)[:-10], "is cut off: .*960 bytes, and 950 are there"),
    "header.npy": (lambda f: one_npy(f)[:60], "broken NumPy header"),
    "huge.npy": (huge, "is cut off"),
    "twice.npy": (lambda f: one_npy(f) * 2, "after its array"),
    "objects.npy": (objects, "Python objects"),
    "pickle.npy": (pickled, "is a Python pickle, which can run code"),
    "pickle.pkl": (pickled, "is a Python pickle, which can run code"),
    "pickle.pt": (pickled, "is a Python pickle, which can run code"),
    "code.pt": (lambda f: saved(lambda p: torch.save({"z": Z, "x": Runs(f / "it ran")}, p), "x", f), "more than tensors"),
    "code_old.pt": (
        lambda f: saved(lambda p: torch.save([Runs(f / "it ran")], p, _use_new_zipfile_serialization=False), "x", f),
        "more than tensors",
    ),
    "module.pt": (lambda f: saved(lambda p: torch.save(torch.nn.Linear(3, 3), p), "x", f), "more than tensors"),
    "nothing.pt": (lambda f: saved(lambda p: torch.save({"epoch": 3}, p), "x", f), "holds no tensor"),
    "repeats.pt": (lambda f: saved(lambda p: torch.save(torch.ones(1, 5).expand(10**9, 5), p), "x", f), "repeats few"),
    "cut.pt": (lambda f: saved(FILES["t.pt"], "t.pt", f)[:600], "is cut off"),
    "cut_old.pt": (lambda f: saved(FILES["before_1.6.pt"], "t.pt", f)[:-50], "is cut off"),
    "cut.npz": (lambda f: one_npz(f)[:-30], "is cut off"),
    "flipped.npz": (lambda f: one_npz(f)[:60] + b"??" + one_npz(f)[62:], "is damaged"),
    "flipped_numbers.npz": (lambda f: one_npz(f)[:700] + b"??" + one_npz(f)[702:], "is damaged"),
    "cut.safetensors": (lambda f: saved(FILES["s.safetensors"], "s", f)[:-10], "is cut off"),
    "header.safetensors": (lambda f: saved(FILES["s.safetensors"], "s", f)[:50], "is cut off"),
    "cut.parquet": (lambda f: saved(FILES["list.parquet"], "s", f)[:-100], "is cut off or damaged"),
    "ragged.parquet": (lambda f: saved(lambda p: parquet(p, {"e": [[1.0, 2.0], [3.0]] * 5}), "s", f), "1 numbers .* row 1"),
    "missing.parquet": (lambda f: saved(lambda p: parquet(p, {"e": [[1.0], None] * 5}), "s", f), "is missing at row 1"),
    "ragged.csv": (lambda f: b"1,2,3\n4,5\n6,7,8\n", "2 cells in line 2 and 3 in line 1"),
    "word.csv": (lambda f: b"a,b\n1,2\n3,4\n5,x\n", "'x' in line 4, b"),
    "quoted.csv": (lambda f: b'"1",2\n"3\n",4\n5,x\n', "'x' in line 4, column 2"),
    "comma.csv": (lambda f: b"1,5;2,5\n" * 5, "decimal comma"),
    "header.csv": (lambda f: b"a,b,c\n", "a header and no rows"),
    "words.csv": (lambda f: b"a,b\nc,d\ne,f\ng,h\n", "none could be z2"),
    "utf16.csv": (lambda f: "1,2\n3,4".encode("utf-16"), "UTF-16"),
    "latin.csv": (lambda f: b"\xe4,b\n1,2\n3,4\n", "not UTF-8"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_file_that_lies_is_refused_in_words(name, tmp_path):
    write, says = LIES[name]
    content = write(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"z2: {name} .*{says}") as caught:
        read(tmp_path / name, "z2")
    assert caught.value.__suppress_context__ and caught.value.__cause__ is None  # no other library's errors to read
    assert not (tmp_path / "it ran").exists()


def test_the_pickle_of_these_tests_would_run(tmp_path):
    import pickle

    pickle.loads(pickled(tmp_path))
    assert (tmp_path / "it ran").exists()


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(npy, "LARGE", 2**20)
    np.savez_compressed(tmp_path / "z.npz", z=np.zeros((1000, 1000)))
    with pytest.raises(ValueError, match=r"z1: z.npz would unpack to 8,000,128 bytes from .* a zip bomb"):
        read(tmp_path / "z.npz", "z1")


def test_where_no_file_is_one_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"z1: there is no file nowhere.npy"):
        read("nowhere.npy", "z1")
    with pytest.raises(ValueError, match=r"is a folder, it holds a.npy; pass a file"):
        np.save(tmp_path / "a.npy", Z)
        read(tmp_path, "z1")
    with pytest.raises(ValueError, match="labkit fetches nothing"):
        read("https://example.org/z.npy", "z1")
    with pytest.raises(ValueError, match=r"z1: small.npz holds no 'q'; it holds z1 \(40, 6\), z2"):
        FILES["small.npz"](tmp_path / "small.npz")
        read(f"{tmp_path / 'small.npz'}:q", "z1")
    with pytest.raises(ValueError, match=r"say which: 'two.pt:a'"):
        torch.save({"a": Z, "b": Z}, tmp_path / "two.pt")
        read(tmp_path / "two.pt", "z1")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (torch.ones(9), "must be \\(n, d\\)"),
        (torch.ones(9, 3, 4), "mean\\(1\\)"),
        ((Z, Z), "z1\\[:, 0\\]"),
        (torch.ones(3, 4), "at least 4 rows"),
        (torch.ones(9, 1), "at least 2 dimensions"),
        (torch.ones(9, 3, dtype=torch.bool), "real numbers, got bool"),
        (torch.ones(9, 3, dtype=torch.complex64), "real numbers, got complex64"),
        (np.array([[None, 1]] * 5), "real numbers, got object"),
        ([["a", "b"]] * 5, "labels= takes words"),
        ([[1, 2], [3]], "not alike, of 1, 2 numbers"),
        (torch.ones(9, 3).to_sparse(), "to_dense"),
        (torch.ones(9, 3, device="meta"), "meta device"),
        (np.zeros(9, [("a", "f4")]), "real numbers, got void32"),
    ],
)
def test_what_is_no_rows_is_refused_in_words(value, says):
    with pytest.raises(ValueError, match=f"z1.*{says}"):
        read(value, "z1")


def test_what_is_no_array_is_refused_in_words():
    for value in (3, None, {"a": Z}, object()):
        with pytest.raises(TypeError, match=r"z1 must be a tensor, an array, .* got"):
            read(value, "z1")


# -- one file for everything -------------------------------------------------------------------------------------------------


def test_a_file_that_stands_alone_says_what_is_for_what(tmp_path):
    np.savez(tmp_path / "a.npz", embeddings=Z, view2=-Z, y=np.arange(40) % 3, loss=np.zeros(7))
    found = read_bundle(tmp_path / "a.npz")
    assert set(found) == {"z1", "z2", "labels"}
    assert torch.equal(read(found["z2"], "z2").take(torch.arange(40)), -Z64)
    assert read_classes(found["labels"], "labels", 40).names == ("0", "1", "2")
    assert "loss (7,), not used" in read(found["z1"], "z1").notes[0]
    FILES["numbered_labels.csv"](tmp_path / "b.csv")
    assert set(read_bundle(tmp_path / "b.csv")) == {"z1", "labels"}
    FILES["t.pt"](tmp_path / "c.pt")
    assert set(read_bundle(tmp_path / "c.pt")) == {"z1"}
    assert set(read_bundle(f"{tmp_path / 'a.npz'}:view2")) == {"z1"}
    assert read_bundle(Z) == {}


def test_a_models_weights_are_not_taken_for_embeddings(tmp_path):
    layers = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 4))
    one = torch.nn.Linear(8, 16).state_dict()
    torch.save(layers.state_dict(), tmp_path / "model.pt")
    moments = {i: {"step": torch.ones(()), "exp_avg": w, "exp_avg_sq": w} for i, w in enumerate(one.values())}
    torch.save({"state_dict": one, "optimizer": {"state": moments}, "epoch": 3}, tmp_path / "epoch.ckpt")
    safetensors(tmp_path / "model.safetensors", **{f"encoder.fc.{k}": v for k, v in one.items()})
    for name, weight in (
        ("model.pt", "0.weight"),
        ("epoch.ckpt", "state_dict.weight"),
        ("model.safetensors", "encoder.fc.weight"),
    ):
        for reading in (read_bundle, lambda path: read(path, "z1")):
            with pytest.raises(ValueError, match=rf"z1: {name} looks like a model's weights.*run the model.*'{name}:{weight}'"):
                reading(tmp_path / name)
        assert read(f"{tmp_path / name}:{weight}", "z1").n in (16, 4)
    torch.save({"z1": Z, "fc.weight": one["weight"], "fc.bias": one["bias"]}, tmp_path / "both.pt")
    assert read(tmp_path / "both.pt", "z1").source == "both.pt:z1" and set(read_bundle(tmp_path / "both.pt")) == {"z1"}
    torch.save({"table.weight": Z}, tmp_path / "table.pt")  # an embedding layer alone is rows
    assert read(tmp_path / "table.pt", "z1").n == 40


# -- labels, groups, pairs ---------------------------------------------------------------------------------------------------


def test_classes_are_numbered_in_the_order_of_their_names(tmp_path):
    np.save(tmp_path / "y.npy", np.array([10, 2, 10, 3]))
    (tmp_path / "y.csv").write_text("10\n2\n10\n3\n")
    (tmp_path / "words.csv").write_text("label\nb\na\nb\nc\n")
    (tmp_path / "series.csv").write_text(",0\n0,10\n1,2\n2,10\n3,3\n")  # as pandas writes a Series
    for value in (
        tmp_path / "series.csv",
        [10, 2, 10, 3],
        torch.tensor([10.0, 2, 10, 3]),
        tmp_path / "y.npy",
        tmp_path / "y.csv",
        [[10], [2], [10], [3]],
    ):
        found = read_classes(value, "labels", 4)
        assert found.values.tolist() == [2, 0, 2, 1] and found.names == ("2", "3", "10")
        assert found.sha256 == read_classes([10, 2, 10, 3], "groups", 4).sha256
    assert read_classes(tmp_path / "words.csv", "labels", 4).names == ("a", "b", "c")
    assert read_classes(np.array(["b", "a", "b", "c"], object), "labels", 4).values.tolist() == [1, 0, 1, 2]
    assert read_classes([True, False, True, True], "labels", 4).names == ("False", "True")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (WORDS[:5], "one for each of 40 rows of z1, got \\(5,\\)"),
        (np.eye(40), "argmax\\(1\\)"),
        (np.arange(40) + 0.5, "whole numbers or words, got 0.5 at row 0"),
        ([None, *["a"] * 39], "1 missing values, the first at row 0"),
        ([*["a"] * 39, float("nan")], "1 missing values, the first at row 39"),
        (np.full(40, np.nan), "40 missing values"),
        ([1, "a"] * 20, "got int, str"),
        (np.zeros(40, complex), "got complex"),
    ],
)
def test_what_is_no_class_is_refused_in_words(value, says):
    with pytest.raises(ValueError, match=f"labels .*{says}"):
        read_classes(value, "labels", 40)


def test_pairs_are_two_row_numbers_or_a_partner_for_each():
    assert read_pairs([3, 2, 1, 0], 4, 4).tolist() == [[0, 3], [1, 2], [2, 1], [3, 0]]
    assert read_pairs(np.array([[0.0, 9.0]] * 4), 1, 10).tolist() == [[0, 9]] * 4
    for value, says in (
        ([[0, 20]] * 5, "0 .. 19, got 20 .. 20"),
        (np.arange(20) - 1, "the first row is 0"),
        ([[1, 2, 3]] * 5, "got \\(5, 3\\)"),
        (np.arange(5), "each of 20 rows of z1, got 5"),
        (np.arange(20) + 0.5, "whole row numbers, got 0.5"),
        ([[0, 1]], "at least 4 pairs"),
        (["a"] * 20, "whole numbers"),
    ):
        with pytest.raises(ValueError, match=f"pairs.*{says}"):
            read_pairs(value, 20, 20)


# -- the scan ----------------------------------------------------------------------------------------------------------------


def test_a_scan_says_what_a_loop_over_all_rows_says():
    z = some(50).double()
    z[7] = z[3]
    z[9] = z[3]
    z[11] = 0
    z[13, 2] = torch.nan
    found = scan(read(z, "z1"))
    good = torch.tensor([i for i in range(50) if i != 13])
    assert found.bad_rows.tolist() == [13] and found.zero_rows.tolist() == [11] and found.bad_count == 1
    assert found.duplicates.tolist() == [7, 9] and found.largest_group == (3, 3)
    torch.testing.assert_close(found.mean, z[good].mean(0))
    torch.testing.assert_close(found.variance, z[good].var(0))
    assert torch.equal(found.low, z[good].amin(0)) and torch.equal(found.high, z[good].amax(0))
    torch.testing.assert_close(found.norms[good], z[good].norm(dim=1))
    assert found.norms[13].isnan()
    assert found.good.tolist() == [i for i in range(50) if i not in (11, 13)]


def test_finite_rows_whose_squares_float64_cannot_hold_are_told_apart(monkeypatch):
    z = some(60, 4).double()
    z[3], z[5], z[7] = z[3] * 1e300, z[5] * 1e160, torch.inf
    z[41], z[43], z[45] = z[41] * 1e-200, 5e-324, 0
    for piece in (2**20, 4 * 4 * 7):  # in one piece, and in several
        monkeypatch.setattr(scanning, "PIECE", piece)
        found = scan(read(z, "z1"))
        assert found.bad_rows.tolist() == [3, 5, 7] and found.huge_rows.tolist() == [3, 5]
        assert found.zero_rows.tolist() == [41, 43, 45] and found.tiny_rows.tolist() == [41, 43]
        assert found.variance.isfinite().all() and len(found.good) == 54
    given = Given(read(z, "z1"), scans={"z1": found})
    says = [f.says for f in faults.find(given, draw(given, 4096)) if f.code in ("bad-rows", "zero-rows")]
    assert len(says) == 4 and says[0].startswith("2 rows of 60 with finite numbers so large (longer than 1e+150) that")
    assert says[1].startswith("2 rows of 60 with finite numbers so small (shorter than 1e-150) that")
    assert "with NaN or infinity: row 7." in says[2]
    assert "nothing but zeros: row 45" in says[3]


def test_a_scan_over_many_pieces_is_one_scan(monkeypatch):
    z = some(200, 8) + torch.arange(200)[:, None]  # drifts, so that pieces have other means than the whole
    z[150] = z[3]
    once = scan(read(z, "z1"))
    monkeypatch.setattr(scanning, "PIECE", 4 * 8 * 3)
    monkeypatch.setattr(table_module, "BLOCK", 8 * 8 * 7)
    many = scan(read(z, "z1"))
    assert many.sha256 == once.sha256 and many.duplicates.tolist() == once.duplicates.tolist() == [150]
    torch.testing.assert_close(many.variance, z.double().var(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(many.mean, once.mean, rtol=1e-13, atol=0)


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16, torch.int8])
def test_equal_rows_are_those_that_a_dictionary_finds(kind):
    generator = torch.Generator().manual_seed(1)
    z = torch.randint(-1, 2, (300, 4), generator=generator).to(kind)
    if kind.is_floating_point:
        z[::2] *= -0.0 + torch.ones(4, dtype=kind)
        z[z == 0] = -0.0
        z[:100][z[:100] == 0] = 0.0  # -0.0 equals 0.0
    later, groups = [], {}
    for i, row in enumerate(z.tolist()):
        if any(row):
            groups.setdefault(tuple(x + 0 for x in row), []).append(i)
            later += [i] if len(groups[tuple(x + 0 for x in row)]) > 1 else []
    largest = max(groups.values(), key=len)
    found = scan(read(z, "z1"))
    assert found.duplicates.tolist() == later and found.largest_group == (len(largest), largest[0])


def test_signs_that_cancel_make_no_equal_rows():
    signs = torch.tensor([[1.0 - 2 * (i >> j & 1) for j in range(8)] for i in range(256)])
    assert not len(scan(read(signs, "z1")).duplicates) and scan(read(signs, "z1")).largest_group == (0, -1)


def test_the_scan_knows_which_half_precision_would_do():
    assert scan(read(Z, "z1")).halves == ()
    spread = Z * 10.0 ** torch.arange(-30, 30, 10)
    assert scan(read(spread.bfloat16().float(), "z1")).halves == ("bfloat16",)
    assert scan(read(Z.half().double(), "z1")).halves == ("float16",)
    assert scan(read(Z.sign(), "z1")).halves == ("bfloat16", "float16")
    assert scan(read(Z * 0 + 70000.5, "z1")).halves == ()  # inf is no number that float16 holds


def test_the_hash_is_of_type_shape_and_numbers():
    hashes = [scan(read(z, "z1")).sha256 for z in (Z, Z.double(), Z.reshape(30, 8), Z.flip(0), -Z)]
    assert len(set(hashes)) == 5


# -- the draw ----------------------------------------------------------------------------------------------------------------


def test_drawn_rows_belong_together():
    given = Given(
        read(Z, "z1"),
        labels=read_classes(WORDS, "labels", 40),
        groups=read_classes(np.arange(40) // 2 * 5, "groups", 40),
        pairs=read_pairs(np.arange(40)[::-1], 40, 40),
        untrained=read(Z * 2, "untrained"),
    )
    sample = draw(given, 10)
    assert len(sample) == 10 and sample.total == 40 and not sample.modal and sample.class_names == ("cat", "dog")
    assert sample.rows.tolist() == sorted(set(sample.rows.tolist()))
    assert torch.equal(sample.z1, Z64[sample.rows]) and torch.equal(sample.z2, Z64.flip(0)[sample.rows])
    assert torch.equal(sample.untrained, 2 * sample.z1)
    assert torch.equal(sample.labels, sample.rows % 2)
    groups = (sample.rows // 2).tolist()
    assert sample.groups.tolist() == [sorted(set(groups)).index(g) for g in groups]
    assert torch.equal(draw(given, 10).z1, sample.z1) and draw(given, 4096).rows.tolist() == list(range(40))


def test_only_rows_that_can_be_measured_in_both_views_are_drawn():
    z1, z2, before = Z.clone(), Z.clone(), Z.clone()
    z1[3, 0], z2[5], before[7, 1] = torch.inf, 0, torch.nan
    given = Given(read(z1, "z1"), z2=read(z2, "z2"), untrained=read(before, "untrained"))
    scanned = Given(given.z1, z2=given.z2, untrained=given.untrained, scans={"z1": scan(given.z1), "z2": scan(given.z2)})
    for each in (given, scanned):
        sample = draw(each, 4096)
        assert sample.rows.tolist() == [i for i in range(40) if i not in (3, 5, 7)] and sample.total == 37 and sample.modal
    pairs = read_pairs([[3, 0], [0, 3], [1, 5], [1, 6]], 40, 40)
    assert [rows.tolist() for rows in usable(Given(given.z1, z2=given.z2, pairs=pairs))] == [[0, 1], [3, 6]]
    nothing = draw(Given(read(Z * torch.nan, "z1")), 10)
    assert len(nothing) == 0 and nothing.total == 0 and nothing.z1.shape == (0, 6)


def test_views_of_different_lengths_need_pairs():
    z1, z2 = read(Z, "z1"), read(some(30, 9), "z2")
    with pytest.raises(ValueError, match=r"z1 has 40 rows and z2 30: .* pass pairs"):
        draw(Given(z1, z2=z2), 10)
    sample = draw(Given(z1, z2=z2, pairs=read_pairs([[i, i] for i in range(30)], 40, 30)), 10)
    assert sample.z1.shape == (10, 6) and sample.z2.shape == (10, 9)
    with pytest.raises(ValueError, match="labels must be one for each of 40 rows of z1, got 30"):
        draw(Given(z1, labels=read_classes([1] * 30, "labels", 30)), 10)


def test_pairs_that_share_a_row_show_it_once():
    """Five captions of each picture: as it lies in the sample, no row of z1 is its own neighbour."""
    z1, z2 = read(Z, "z1"), read(some(200, 6, seed=1), "z2")
    pairs = read_pairs([[i % 40, i] for i in range(200)], 40, 200)
    sample = draw(Given(z1, z2=z2, pairs=pairs), 4096)
    assert sorted(sample.rows.tolist()) == list(range(40)) and sample.total == 40
    which = [(row == z2.take(torch.arange(200))).all(1).nonzero().item() for row in sample.z2]
    assert which == sorted(which) and [k % 40 for k in which] == sample.rows.tolist(), "each with a partner of its own"
    assert len({k // 40 for k in which}) == 5, "and not always with the first"
    other = draw(Given(z1, z2=z2, pairs=pairs, seed=1), 4096)
    assert sorted(other.rows.tolist()) == list(range(40)) and not torch.equal(other.z2, sample.z2)
    groups = read_classes(np.arange(40), "groups", 40)
    assert len(draw(Given(z1, z2=z2, pairs=pairs, groups=groups), 4096)) == 200
    told = shared(Given(z1, z2=z2, pairs=pairs))
    assert told == "200 pairs name 40 rows of z1: one pair of each row is seen, drawn at random"
    assert shared(Given(z1, z2=z2, pairs=pairs, groups=groups)) is shared(Given(z1, z2=z2, pairs=pairs[:40])) is None
    found = report(Z, z2.take(torch.arange(200)), pairs=pairs, progress=False)
    assert [f.says for f in found.notices if f.of == "pairs"] == [f"{told}."] and found["z1.duplicate_rows"].value == 0
    assert found["z1.uniformity"].value == pytest.approx(report(Z, progress=False)["uniformity"].value, abs=1e-12)


def test_a_draw_reads_the_drawn_rows_only(tmp_path):
    np.save(tmp_path / "z.npy", Z.numpy())
    rows = read(tmp_path / "z.npy", "z1")
    found, asked = scan(rows), []

    class Watched:
        shape, dtype = rows.store.shape, rows.store.dtype

        def pick(self, index):
            asked.extend(index.tolist())
            return rows.store.pick(index)

    sample = draw(Given(Rows("z1", "z.npy", Watched()), scans={"z1": found}), 5)
    assert asked == sample.rows.tolist() and len(asked) == 5


# -- scale -------------------------------------------------------------------------------------------------------------------

MILLION = """
import resource, sys
from labkit.report.pieces import Given
from labkit.report.rows import draw, read, scan
rows = read(sys.argv[1], "z1")
found = scan(rows)
sample = draw(Given(rows, scans={"z1": found}), 4096)
print(len(found.zero_rows), tuple(sample.z1.shape), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_million_rows_are_scanned_in_little_memory(tmp_path, order):
    """4 GiB of float32, most of it a hole in the file (rows of zeros, or of one column), within 1 GiB with all libraries."""
    path = tmp_path / "z.npy"
    z = np.lib.format.open_memmap(path, "w+", np.float32, (1_000_000, 1024), fortran_order=order == "F")
    z[::100, :8] = np.random.default_rng(0).standard_normal((10_000, 8))
    del z
    words = subprocess.run(
        [sys.executable, "-c", MILLION, path], capture_output=True, text=True, check=True, timeout=900
    ).stdout
    zero, shape, peak = words.split(maxsplit=1)[0], "(4096, 1024)", int(words.split()[-1])
    assert int(zero) == 990_000 and shape in words
    assert peak * (1 if sys.platform == "darwin" else 1024) < 2**30, f"{peak:,}"


def test_a_scan_holds_a_block_and_not_the_file(tmp_path, monkeypatch):
    np.save(tmp_path / "z.npy", np.ones((40_000, 64), np.float32))  # 10 MiB
    monkeypatch.setattr(table_module, "BLOCK", 2**20)
    tracemalloc.start()
    assert scan(read(tmp_path / "z.npy", "z1")).largest_group == (40_000, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * 2**20, f"{peak:,}"


def test_a_line_of_empty_cells_is_a_row_that_misses_everything(tmp_path):
    lines = [f"{k},{k * k},{-k}.5" for k in range(1, 9)]
    (tmp_path / "z.csv").write_text("\n".join([*lines[:4], ",,", "", *lines[4:]]) + "\n")
    found = scan(read(tmp_path / "z.csv", "z1"))
    assert found.n == 9 and found.bad_rows.tolist() == [4]
