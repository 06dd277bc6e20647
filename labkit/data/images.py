"""Images, kept as one uint8 tensor: augmented in batches on the device, turned into numbers of [0, 1] there."""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from labkit.data import Dataset, Split
from labkit.data.archives import read_idx, read_members, unpickle
from labkit.data.fetch import Source, locate, sources

DIGITS_TEST = 360
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def digits(split: Split, *, root: Path | None = None, download: bool = True) -> Dataset:
    """1,797 handwritten digits of 8 x 8 pixels, inside scikit-learn: 1,437 to train and 360 to test, always the same ones.

    Their 17 grey levels are spread over 0..255, so that a pixel means the same here as in every other image set.
    """
    rows = scanned()
    order = np.random.RandomState(0).permutation(len(rows))  # a stream that numpy promises never to change
    mine = order[:-DIGITS_TEST] if split == "train" else order[-DIGITS_TEST:]
    levels = np.rint(rows[mine, :-1].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    return Dataset(
        x=torch.from_numpy(levels)[:, None],
        y=torch.from_numpy(rows[mine, -1].astype(np.int64)),
        names=tuple("0123456789"),
        license="CC BY 4.0",
        citation="Alpaydin & Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository",
    )


def scanned() -> np.ndarray:
    """The digits' grey levels, and as a last column what they are, from scikit-learn's file: to import it takes a second."""
    package = importlib.util.find_spec("sklearn")
    path = Path(str(package and package.origin)).parent / "datasets" / "data" / "digits.csv.gz"
    if path.exists():
        return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits  # a scikit-learn that keeps it elsewhere

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target])


def fashion_mnist(split: Split, *, root: Path | None = None, download: bool = True) -> Dataset:
    """Clothes of ten kinds in grey, 28 x 28 pixels: 60,000 to train and 10,000 to test."""
    source = sources()["fashion-mnist"]
    part = "train" if split == "train" else "t10k"
    images, labels = (
        read_idx(locate(source, f"{part}-{name}-ubyte.gz", root=root, download=download))
        for name in ("images-idx3", "labels-idx1")
    )
    return dataset(source, images[:, None], labels, CLOTHES)


def cifar10(split: Split, *, root: Path | None = None, download: bool = True) -> Dataset:
    """Small colour photographs of ten kinds of things, 32 x 32 pixels: 50,000 to train and 10,000 to test."""
    source = sources()["cifar10"]
    folder = "cifar-10-batches-py"
    batches = [f"{folder}/data_batch_{k}" for k in range(1, 6)] if split == "train" else [f"{folder}/test_batch"]
    members = read_members(
        locate(source, "cifar-10-python.tar.gz", root=root, download=download), {*batches, f"{folder}/batches.meta"}
    )
    parts = [unpickle(members[name]) for name in batches]
    pixels = np.concatenate([part["data"] for part in parts])
    labels = np.concatenate([part["labels"] for part in parts])
    return dataset(source, pixels.reshape(-1, 3, 32, 32), labels, unpickle(members[f"{folder}/batches.meta"])["label_names"])


def cifar100(split: Split, *, root: Path | None = None, download: bool = True) -> Dataset:
    """CIFAR-10's sizes with 100 kinds in 20 groups; the group is the factor "coarse"."""
    source = sources()["cifar100"]
    wanted = [f"cifar-100-python/{name}" for name in (split, "meta")]
    members = read_members(locate(source, "cifar-100-python.tar.gz", root=root, download=download), wanted)
    part, meta = (unpickle(members[name]) for name in wanted)
    pixels = part["data"].reshape(-1, 3, 32, 32)
    return dataset(source, pixels, part["fine_labels"], meta["fine_label_names"], coarse=part["coarse_labels"])


def stl10(split: Split, *, root: Path | None = None, download: bool = True, unlabeled: bool = False) -> Dataset:
    """Photographs of ten kinds of things, 96 x 96 pixels: 5,000 to train, 8,000 to test, and 100,000 without labels.

    `unlabeled=True` gives those instead, with -1 for y; they fill 2.8 GB of memory.
    """
    source = sources()["stl10"]
    part = "unlabeled" if unlabeled else split
    wanted = ["class_names.txt", f"{part}_X.bin"] + ([] if unlabeled else [f"{part}_y.bin"])
    path = locate(source, "stl10_binary.tar.gz", root=root, download=download)
    members = read_members(path, [f"stl10_binary/{name}" for name in wanted])
    names, content, *rest = (members[f"stl10_binary/{name}"] for name in wanted)
    pixels = np.frombuffer(content, np.uint8).reshape(-1, 3, 96, 96).swapaxes(2, 3)  # stored column by column
    labels = np.frombuffer(rest[0], np.uint8).astype(np.int64) - 1 if rest else np.full(len(pixels), -1)
    return dataset(source, pixels, labels, names.decode().split())


def dataset(source: Source, pixels: np.ndarray, labels: object, names: object, **factors: object) -> Dataset:
    """One tensor of its own (archives give read-only views), int64 labels, and what the source says of itself."""
    x = torch.from_numpy(np.array(pixels, dtype=np.uint8, order="C"))
    y, *more = (torch.from_numpy(np.asarray(values).astype(np.int64)) for values in (labels, *factors.values()))
    if len(x) != len(y):
        raise ValueError(f"{source.name} has {len(x)} images but {len(y)} labels: its files do not belong together")
    return Dataset(x, y, tuple(names), source.license, source.citation, dict(zip(factors, more, strict=True)))  # type: ignore[arg-type]
