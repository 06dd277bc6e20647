"""Rows finished one strip at a time, with their gradient: the same as autograd's, however the rows are weighed."""

import pytest
import torch
from torch.testing import assert_close

from labkit.contrast import recognised, recognised_among
from labkit.losses import info_nce


def rows(n, m, d=5, dtype=torch.float64):
    draw = torch.Generator().manual_seed(n + m)
    return [torch.randn(k, d, generator=draw, dtype=dtype).requires_grad_() for k in (n, m)]


@pytest.mark.parametrize("temperature", [1.0, 0.001])  # plain exponentials, and those that need their maximum
@pytest.mark.parametrize(("n", "m", "skip"), [(7, 7, (0,)), (200, 200, (0,)), (150, 90, ()), (3, 400, ())])
@pytest.mark.parametrize("even", [True, False])
def test_it_is_what_autograd_finds(n, m, skip, temperature, even):
    x, y = rows(n, m)
    own = torch.linspace(-2, 2, n, dtype=torch.float64, requires_grad=True)
    weights = torch.ones(n, dtype=torch.float64) if even else torch.linspace(0, 1, n, dtype=torch.float64)
    found = []
    for size in (2, max(n, m)):  # strips of two rows or a few, and all at once
        value = recognised_among(own, x, y, temperature=temperature, skip=skip, block_size=size)
        found.append([value.detach(), *torch.autograd.grad((weights * value).sum(), (x, y, own))])
    for tiled, dense in zip(*found, strict=True):
        assert_close(tiled, dense, rtol=1e-11, atol=1e-11 * dense.abs().max().item())


def test_the_gradient_can_be_asked_for_twice_and_in_part():
    x, y = rows(90, 90)
    loss = info_nce(x, y, block_size=8)
    first = torch.autograd.grad(loss, (x, y), retain_graph=True)
    assert_close(torch.autograd.grad(2 * loss, (x, y)), tuple(2 * g for g in first))
    (alone,) = torch.autograd.grad(info_nce(x, y.detach(), block_size=8), x)
    assert_close(alone, first[0])
    with torch.no_grad():
        assert info_nce(x, y, block_size=8) == loss


def test_there_is_no_second_derivative():
    x, y = rows(6, 6)
    (slope,) = torch.autograd.grad(info_nce(x, y, block_size=2), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative; pass block_size=n"):
        slope.sum().backward()


def test_a_certain_positive_costs_what_is_left_over():
    own = torch.tensor([700.0], dtype=torch.float64)
    assert recognised(own, torch.zeros_like(own)).item() == pytest.approx(0.0, abs=1e-300)
