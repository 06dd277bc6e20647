"""Downloads against a server on loopback that can cut, refuse, lie and forget; archives in their true formats."""

import functools
import gzip
import hashlib
import http.server
import io
import multiprocessing
import pickle
import struct
import tarfile
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from labkit import data
from labkit.data import fetch, images
from labkit.data.archives import read_idx, read_members, unpickle
from labkit.data.weights import KNOWN

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes


class Mirror(http.server.ThreadingHTTPServer):
    """Serves `contents` by path; `cut` bytes per answer at most, `ranges` or not; remembers what it was asked for."""

    def __init__(self, contents: dict[str, bytes], *, cut: int | None = None, ranges: bool = True):
        self.contents, self.cut, self.ranges, self.asked = contents, cut, ranges, []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        content = self.server.contents.get(self.path.lstrip("/"))
        if content is None:
            self.send_error(404)
            return
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if self.headers.get("Range") else 0
        start = start if self.server.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def serve() -> Iterator:
    servers = []

    def start(contents=None, **options) -> Mirror:
        server = Mirror({"a.bin": CONTENT} if contents is None else contents, **options)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def source(*mirrors: str, content: bytes = CONTENT, name: str = "a.bin", **more) -> fetch.Source:
    file = fetch.File(name, len(content), hashlib.sha256(content).hexdigest(), more.pop("content_sha256", ""))
    return fetch.Source("toy", (file,), mirrors, "MIT", "nobody", homepage="http://home", **more)


def test_a_file_arrives_whole_and_is_not_fetched_twice(serve, tmp_path):
    server = serve()
    path = fetch.locate(source(server.url), "a.bin", root=tmp_path)
    assert path == tmp_path / "toy" / "a.bin" and path.read_bytes() == CONTENT
    fetch.locate(source(server.url), "a.bin", root=tmp_path)
    assert len(server.asked) == 1
    assert not list(path.parent.glob("*.part"))


def test_a_cut_download_goes_on_where_it_was_cut(serve, tmp_path):
    server = serve(cut=200_000)  # three answers are needed, and three tries are made
    assert fetch.locate(source(server.url), "a.bin", root=tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=200000-", "bytes=400000-"]


def test_what_has_arrived_outlives_the_process_and_serves_the_next_mirror(serve, tmp_path):
    slow, whole = serve(cut=50_000), serve()
    with pytest.raises(FileNotFoundError, match="cut off after 150,000 of 512,000 bytes"):
        fetch.locate(source(slow.url), "a.bin", root=tmp_path)
    assert not (tmp_path / "toy" / "a.bin").exists()
    assert fetch.locate(source(whole.url), "a.bin", root=tmp_path).read_bytes() == CONTENT
    assert whole.asked == [("/a.bin", "bytes=150000-")]


def test_a_server_that_cannot_resume_starts_anew(serve, tmp_path):
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "a.bin.part").write_bytes(CONTENT[:1000])
    server = serve(ranges=False)
    assert fetch.locate(source(server.url), "a.bin", root=tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/a.bin", "bytes=1000-")]


@pytest.mark.parametrize("rubbish", [CONTENT[:1000][::-1], CONTENT + b"more", CONTENT[::-1]], ids=["start", "longer", "whole"])
def test_a_part_that_proves_wrong_is_thrown_away(serve, tmp_path, rubbish):
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "a.bin.part").write_bytes(rubbish)
    assert fetch.locate(source(serve().url), "a.bin", root=tmp_path).read_bytes() == CONTENT


def test_a_liar_is_not_believed_and_the_next_mirror_is_asked(serve, tmp_path):
    liar, short, honest = serve({"a.bin": CONTENT[::-1]}), serve({"a.bin": b"<html>log in</html>"}), serve()
    path = fetch.locate(source(liar.url, short.url, honest.url), "a.bin", root=tmp_path)
    assert path.read_bytes() == CONTENT
    assert (len(liar.asked), len(short.asked), len(honest.asked)) == (1, 1, 1)
    with pytest.raises(FileNotFoundError, match="sha256 differs") as error:
        fetch.locate(source(liar.url, short.url), "a.bin", root=tmp_path / "other")
    assert "19 bytes, the published one has 512,000" in str(error.value)
    assert [p.name for p in (tmp_path / "other" / "toy").iterdir() if p.suffix != ".lock"] == []


def test_all_mirrors_down_says_where_to_put_the_file(serve, tmp_path):
    missing, gone = serve({}), serve()
    gone.shutdown()
    gone.server_close()
    with pytest.raises(FileNotFoundError) as error:
        fetch.locate(source(missing.url, gone.url, hint="apt install toy"), "a.bin", root=tmp_path)
    text = str(error.value)
    assert "404" in text and "refused" in text
    assert f"put it, as it is, into {tmp_path / 'toy'}" in text and "apt install toy" in text and "http://home" in text


@pytest.mark.parametrize("said", ["download=False", "LABKIT_OFFLINE=1", "LABKIT_SMOKE=1"])
def test_nothing_is_fetched_unasked(serve, tmp_path, monkeypatch, said):
    server = serve()
    if said.startswith("LABKIT"):
        monkeypatch.setenv(*said.split("="))
    with pytest.raises(FileNotFoundError, match=said):
        fetch.locate(source(server.url), "a.bin", root=tmp_path, download=said != "download=False")
    assert server.asked == []


def test_a_file_put_there_by_hand_is_checked(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "a.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match=r"not the published a.bin.*511,999 bytes, expected 512,000"):
        fetch.locate(source(), "a.bin", root=tmp_path)


def test_a_system_folder_is_found_even_when_repacked(tmp_path):
    system = tmp_path / "system"
    system.mkdir()
    published, repacked = gzip.compress(CONTENT, mtime=1), gzip.compress(CONTENT, mtime=2)
    (system / "a.gz").write_bytes(repacked)
    known = {"content_sha256": hashlib.sha256(CONTENT).hexdigest(), "folders": (str(system),)}
    there = functools.partial(source, content=published, name="a.gz", **known)
    assert fetch.locate(there(), "a.gz", root=tmp_path, download=False) == system / "a.gz"
    (system / "a.gz").write_bytes(repacked[:-9])
    with pytest.raises(ValueError, match="not the published"):
        fetch.locate(there(), "a.gz", root=tmp_path, download=False)


def fetch_in_process(url: str, root, answers) -> None:
    answers.put(hashlib.sha256(fetch.locate(source(url), "a.bin", root=root).read_bytes()).hexdigest())


def test_two_processes_at_once_fetch_it_once(serve, tmp_path):
    server, context = serve(), multiprocessing.get_context("spawn")
    answers = context.Queue()
    both = [context.Process(target=fetch_in_process, args=(server.url, tmp_path, answers)) for _ in range(2)]
    for process in both:
        process.start()
    assert {answers.get(timeout=120) for _ in both} == {hashlib.sha256(CONTENT).hexdigest()}
    for process in both:
        process.join()
    assert len(server.asked) == 1


# ---------------------------------------------------------------- archives in their true formats


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(f">BBBB{array.ndim}i", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def python2_pickle(value) -> bytes:
    """Protocol 2 as Python 2 wrote it, opcode by opcode: texts are byte strings, arrays come from numpy.core."""

    def write(v) -> bytes:
        if isinstance(v, str):
            return b"T" + struct.pack("<i", len(v)) + v.encode("latin1")
        if isinstance(v, int):
            return b"J" + struct.pack("<i", v)
        if isinstance(v, list):
            return b"](" + b"".join(map(write, v)) + b"e"
        if isinstance(v, dict):
            return b"}(" + b"".join(write(k) + write(x) for k, x in v.items()) + b"u"
        dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        state = (
            b"(K\x01"
            + b"("
            + b"".join(map(write, v.shape))
            + b"t"
            + dtype
            + b"\x89"
            + write(v.tobytes().decode("latin1"))
            + b"t"
        )
        return b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR" + state + b"b"

    return b"\x80\x02" + write(value) + b"."


@pytest.fixture
def archive(serve, tmp_path, monkeypatch):
    """`archive(name, files)`: the data set `name` now comes from these files, on a server of ours."""

    def install(name: str, files: dict[str, bytes]):
        known = tuple(fetch.File(f, len(c), hashlib.sha256(c).hexdigest()) for f, c in files.items())
        ours = fetch.Source(name, known, (serve(files).url,), "MIT", "nobody")
        monkeypatch.setattr(images, "sources", lambda: {name: ours})
        return functools.partial(data.load, name, root=tmp_path)

    return install


def pixels(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def test_fashion_mnist_in_idx(archive):
    x, y = pixels(7, 28, 28), np.arange(7, dtype=np.uint8)
    files = {
        f"{part}-{name}-ubyte.gz": idx(a) for part in ("train", "t10k") for name, a in (("images-idx3", x), ("labels-idx1", y))
    }
    load = archive("fashion-mnist", files)
    got = load("test")
    assert got.x.dtype == torch.uint8 and torch.equal(got.x[:, 0], torch.from_numpy(x)) and got.y.tolist() == list(range(7))
    assert len(load("all")) == 14 and got.names[9] == "ankle boot" and got.license == "MIT"


def test_an_idx_file_of_the_wrong_length_is_refused(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(gzip.decompress(idx(pixels(2, 3))) + b"!"))
    with pytest.raises(ValueError, match="not an IDX file"):
        read_idx(path)


def test_cifar10_in_python2_pickles(archive):
    x, folder = pixels(12, 3, 32, 32), "cifar-10-batches-py"
    batches = {
        f"{folder}/{name}": python2_pickle(
            {"data": x[2 * k : 2 * k + 2].reshape(2, -1), "labels": [k, 9 - k], "batch_label": "b"}
        )
        for k, name in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"])
    }
    meta = {f"{folder}/batches.meta": python2_pickle({"label_names": list("abcdefghij")})}
    load = archive("cifar10", {"cifar-10-python.tar.gz": tar({**meta, **dict(reversed(batches.items()))})})
    train, test = load("train"), load("test")
    assert torch.equal(train.x, torch.from_numpy(x[:10])) and torch.equal(test.x, torch.from_numpy(x[10:]))
    assert train.y.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5] and test.y.tolist() == [5, 4] and train.names[0] == "a"


def test_cifar100_knows_its_groups(archive):
    x = pixels(3, 3, 32, 32)
    part = {"data": x.reshape(3, -1), "fine_labels": [5, 99, 0], "coarse_labels": [1, 19, 0], "filenames": ["a", "b", "c"]}
    members = {name: python2_pickle(part) for name in ("cifar-100-python/train", "cifar-100-python/test")}
    members["cifar-100-python/meta"] = python2_pickle({"fine_label_names": ["x"] * 100, "coarse_label_names": ["y"] * 20})
    got = archive("cifar100", {"cifar-100-python.tar.gz": tar(members)})("test")
    assert torch.equal(got.x, torch.from_numpy(x)) and got.y.tolist() == [5, 99, 0]
    assert got.factors["coarse"].tolist() == [1, 19, 0]


def test_stl10_is_stored_column_by_column(archive):
    x, y = pixels(2, 3, 96, 96), np.array([1, 10], dtype=np.uint8)
    members = {"class_names.txt": b"airplane\nbird\n", "unlabeled_X.bin": x.swapaxes(2, 3).tobytes()}
    for split in ("train", "test"):
        members |= {f"{split}_X.bin": x.swapaxes(2, 3).tobytes(), f"{split}_y.bin": y.tobytes()}
    load = archive("stl10", {"stl10_binary.tar.gz": tar({f"stl10_binary/{k}": v for k, v in members.items()})})
    assert torch.equal(load("train").x, torch.from_numpy(x)) and load("test").y.tolist() == [0, 9]
    assert load("train", unlabeled=True).y.tolist() == [-1, -1] and load("train").names == ("airplane", "bird")


@pytest.mark.parametrize("attack", [b"cos\nsystem\n(S'true'\ntR.", b"cbuiltins\neval\n(S'1'\ntR.", pickle.dumps(np.save)])
def test_a_pickle_that_wants_to_call_something_is_not_read(attack):
    with pytest.raises(pickle.UnpicklingError, match="wants to call"):
        unpickle(attack)


def test_a_member_that_is_not_there_is_named(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(tar({"one": b"1"}))
    with pytest.raises(ValueError, match="lacks two"):
        read_members(tmp_path / "a.tar.gz", ["one", "two"])


def test_the_true_sources_are_complete():
    for name, known in fetch.sources().items():
        assert known.license and known.citation and known.homepage
        assert name in KNOWN or (name in data.CATALOG and len(known.mirrors) >= 2)  # a model comes in a package
        assert all(len(file.sha256) == 64 and file.size > 0 for file in known.files)
        assert all(mirror.endswith("/") for mirror in known.mirrors)


def test_fashion_mnist_of_the_system():
    try:
        test = data.load("fashion-mnist", "test", download=False)
    except FileNotFoundError:
        pytest.skip("Fashion-MNIST is not on this machine; on Debian: apt install dataset-fashion-mnist")
    assert test.x.shape == (10_000, 1, 28, 28) and test.y.bincount().tolist() == [1000] * 10
    assert test.x.float().mean().item() == pytest.approx(73.1466, abs=1e-3)
