"""Dimensional collapse is named: a line as a fault, few directions as a fact, and round clouds not at all."""

import pytest
import torch

import labkit


def codes(z, **more):
    return {finding.code: finding.alarm for finding in labkit.report(z, progress=False, **more).findings}


def low(rank, width, noise, n=400, seed=0):
    """Rows of this rank, and a little noise in all directions."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, rank, generator=draw) @ torch.randn(rank, width, generator=draw)
    return rows + noise * torch.randn(n, width, generator=draw)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("width", "noise"), [(16, 1e-4), (128, 1e-3), (128, 1e-6)])
def test_a_line_is_a_fault(width, noise, seed):
    assert codes(low(1, width, noise, seed=seed))["dimensional-collapse"]


@pytest.mark.parametrize(
    ("rank", "width", "noise"), [(2, 128, 0.001), (2, 128, 0.01), (8, 128, 0.01), (8, 128, 0.1), (2, 16, 0.05)]
)
def test_few_directions_are_a_fact(rank, width, noise):
    found = codes(low(rank, width, noise))
    assert found["few-directions"] is False and "dimensional-collapse" not in found


@pytest.mark.parametrize("width", [2, 4, 16, 64, 256])
def test_round_clouds_are_neither(width):
    draw = torch.Generator().manual_seed(width)
    for rows in (torch.randn(400, width, generator=draw), torch.randn(100, width, generator=draw).sign() + 0.1):
        assert not {"few-directions", "dimensional-collapse"} & set(codes(rows + 0.3 * torch.randn(rows.shape, generator=draw)))


def test_what_one_odd_row_stretches_is_no_collapse_of_the_others():
    draw = torch.Generator().manual_seed(0)
    rows = torch.eye(1, 32) + 0.02 * torch.randn(300, 32, generator=draw)
    rows[7] = -torch.eye(1, 32)
    assert "dimensional-collapse" not in codes(rows)
