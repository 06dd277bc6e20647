"""`load`: what every data set promises, and the digits."""

import pytest
import torch

from labkit import data


def test_digits_are_split_once_and_for_all():
    train, test, everything = (data.load("digits", split) for split in ("train", "test", "all"))
    assert (len(train), len(test), len(everything)) == (1437, 360, 1797)
    assert train.x.dtype == torch.uint8 and train.x.shape[1:] == (1, 8, 8) and train.y.dtype == torch.int64
    assert everything.x.unique().tolist() == [round(level * 255 / 16) for level in range(17)]
    assert train.sha256 == data.load("digits").sha256 != test.sha256
    assert torch.equal(everything.y.bincount(), torch.tensor([178, 182, 177, 183, 181, 182, 181, 179, 174, 180]))


def test_a_subset_keeps_rows_together():
    full = data.load("circle", n=50)
    part = full.subset(torch.tensor([3, 1]))
    assert torch.equal(part.x, full.x[[3, 1]]) and torch.equal(part.factors["angle"], full.factors["angle"][[3, 1]])
    assert part.sha256 != full.sha256


def test_the_fingerprint_sees_every_number():
    full = data.load("circle", n=50)
    moved = data.Dataset(full.x, full.y, factors={**full.factors, "angle": full.factors["angle"] + 1e-3})
    assert moved.sha256 != full.sha256


@pytest.mark.parametrize("name, split, says", [("digitz", "train", "no data set called 'digitz'"), ("digits", "val", "split")])
def test_unknown_names_are_named(name, split, says):
    with pytest.raises(ValueError, match=says):
        data.load(name, split)
