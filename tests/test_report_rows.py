"""Whatever a user has becomes the same rows: read lazily, scanned once, drawn by number; the rest is refused in words."""

import numpy as np
import pytest
import torch

from labkit.report.pieces import Given
from labkit.report.rows import draw, read, read_classes, read_pairs, scan


def some(n=40, d=6, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_a_scan_says_what_a_loop_over_all_rows_says():
    z = some(50).double()
    z[7] = z[3]
    z[9] = z[3]
    z[11] = 0
    z[13, 2] = torch.nan
    found = scan(read(z, "z1"))
    good = torch.tensor([i for i in range(50) if i != 13])
    assert found.bad_rows.tolist() == [13] and found.zero_rows.tolist() == [11]
    assert found.duplicates.tolist() == [7, 9] and found.largest_group == (3, 3)
    torch.testing.assert_close(found.mean, z[good].mean(0))
    torch.testing.assert_close(found.variance, z[good].var(0))
    assert torch.equal(found.low, z[good].amin(0)) and torch.equal(found.high, z[good].amax(0))
    torch.testing.assert_close(found.norms[good], z[good].norm(dim=1))
    assert found.norms[13].isnan()


def test_a_tensor_and_its_file_are_the_same_rows(tmp_path):
    z = some()
    np.save(tmp_path / "z1.npy", z.numpy())
    held, filed = read(z, "z1"), read(tmp_path / "z1.npy", "z1")
    assert scan(held).sha256 == scan(filed).sha256
    assert filed.source == "z1.npy" and held.source == "torch tensor"
    index = torch.tensor([3, 3, 0, 39])
    assert torch.equal(held.take(index), filed.take(index))


def test_drawn_rows_belong_together():
    z = some()
    given = Given(
        read(z, "z1"),
        labels=read_classes(["a", "b"] * 20, "labels", 40),
        pairs=read_pairs(np.arange(40)[::-1], 40, 40),
    )
    sample = draw(given, 10)
    assert len(sample) == 10 and sample.total == 40
    assert torch.equal(sample.z1, z[sample.rows].double()) and torch.equal(sample.z2, z.flip(0)[sample.rows].double())
    assert torch.equal(sample.labels, sample.rows % 2)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (torch.ones(9), "must be \\(n, d\\)"),
        (torch.ones(9, 3, 4), "mean\\(1\\)"),
        (torch.ones(3, 4), "at least 4 rows"),
        (torch.ones(9, 1), "at least 2 dimensions"),
        (torch.ones(9, 3, dtype=torch.bool), "real numbers, got bool"),
        (torch.ones(9, 3, dtype=torch.complex64), "real numbers, got complex64"),
        (np.array([[None, 1]] * 5), "real numbers, got object"),
    ],
)
def test_what_is_no_rows_is_refused_in_words(value, says):
    with pytest.raises(ValueError, match=f"z1.*{says}"):
        read(value, "z1")
