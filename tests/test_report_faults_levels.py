"""Numbers of eight bits are told from counts, pixels and classes."""

import pytest
import torch
from sklearn.datasets import load_digits

from labkit.report.faults.levels import eighths


def normal(n=200, d=48):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def quantised(z, scale):
    return (z / scale).round() * scale


def test_values_of_eight_bits_are_counted():
    z = normal()
    kept = z.to(torch.float8_e4m3fn).double()
    found = eighths(kept, "float32")
    assert found is not None and found.kind == "float8_e4m3fn" and found.many == len(set(kept.flatten().tolist()) - {0.0})
    codes = (z / z.abs().max() * 127).round()
    found = eighths(codes, "int8")
    assert found is not None and found.kind == "int8" and found.many == len(set(codes.flatten().tolist()) - {0.0})


@pytest.mark.parametrize(("over", "axis"), [("column", 0), ("row", 1)])
def test_a_scale_of_its_own_for_each_line_hides_nothing(over, axis):
    z = normal()
    found = eighths(quantised(z, z.abs().amax(axis, keepdim=True) / 127).float().double(), "float32")
    assert found is not None and over in found.among


def digits():
    return torch.from_numpy(load_digits().data)


NATURAL = {
    "floats": normal,
    "floats of 32 bits": lambda: normal().float().double(),
    "half precision": lambda: normal().half().double(),
    "rectified": lambda: normal().relu(),
    "one-hot": lambda: torch.eye(50, dtype=torch.float64).repeat(8, 1),
    "bits": lambda: (normal() > 0).double(),
    "signs": lambda: normal().sign(),
    "pixels of 17 levels": digits,
    "their share of the brightest": lambda: digits() / 16,
    "standardised": lambda: (digits() - digits().mean(0)) / digits().std(0).clamp(min=1e-9),
    "bytes": lambda: (normal() * 40 + 128).round().clamp(0, 255),
    "counts": lambda: torch.poisson(normal() * 0 + 30, torch.Generator().manual_seed(0)),
    "three decimals": lambda: (normal() / 8).mul(1000).round() / 1000,
}


@pytest.mark.parametrize("kind", NATURAL)
def test_other_numbers_are_not_called_so(kind):
    assert eighths(NATURAL[kind](), "float32") is None
