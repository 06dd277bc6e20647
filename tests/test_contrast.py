"""The primitives alone: log-partitions, contrast, blocks of rows, potentials, and the masks they are given."""

import math

import pytest
import torch

from labkit.contrast import contrast, log_partition, off_diagonal, reduce, share, two_views
from labkit.directions import unit
from labkit.energy import log_mean_potential, squared_distances

DOUBLE = torch.float64


def randn(*shape):
    return torch.randn(*shape, dtype=DOUBLE)


def close(got, expected, tolerance=1e-12):
    torch.testing.assert_close(got, torch.as_tensor(expected, dtype=DOUBLE), rtol=tolerance, atol=tolerance)


def test_a_partition_over_a_mask_is_that_of_the_chosen_columns():
    logits, mask = randn(4, 6), torch.rand(4, 6) < 0.5
    mask[:, 0] = True
    rows = [torch.logsumexp(row[chosen], 0) for row, chosen in zip(logits, mask, strict=True)]
    close(log_partition(logits, mask).squeeze(-1), torch.stack(rows))


def test_a_log_weight_counts_a_column_that_often():
    logits = randn(3, 4)
    twice = log_partition(logits, torch.tensor([0.0, math.log(2.0), -math.inf, 0.0], dtype=DOUBLE))
    close(twice, torch.logsumexp(logits[:, [0, 1, 1, 3]], -1, keepdim=True))


@pytest.mark.parametrize("size", [1e3, 1e30, 1e300])
def test_a_partition_neither_overflows_nor_underflows(size):
    logits = torch.tensor([[size, size, -size], [-size, -size, -size]], dtype=DOUBLE)
    close(log_partition(logits, torch.ones(2, 3, dtype=torch.bool)).squeeze(-1), [size + math.log(2), -size + math.log(3)])


def test_contrast_outside_is_cross_entropy_with_soft_targets():
    logits, targets = randn(5, 5), torch.rand(5, 5, dtype=DOUBLE).softmax(-1)
    expected = torch.nn.functional.cross_entropy(logits, targets)
    close(contrast(logits, targets, logits.logsumexp(-1, keepdim=True)), expected)


def test_contrast_inside_is_the_log_of_the_positives_share():
    logits, positives = randn(5, 6), torch.rand(5, 6) < 0.5
    positives[:, 2] = True
    expected = -(logits.softmax(-1) * positives).sum(-1).log()
    close(contrast(logits, positives, logits.logsumexp(-1, keepdim=True), inside=True, reduction="none"), expected)
    weights = positives.to(DOUBLE)
    close(contrast(logits, weights, logits.logsumexp(-1, keepdim=True), inside=True, reduction="none"), expected)


def test_a_partition_may_be_given_for_every_pair():
    """'Own positive plus negatives': several positives, each with a denominator of its own."""
    logits, positives = randn(4, 6), torch.tensor([True, True, False, False, False, False]).expand(4, 6)
    own = torch.logaddexp(logits, log_partition(logits, ~positives))
    each = [-(logits[i, p] - torch.logsumexp(logits[i, [p, 2, 3, 4, 5]], 0)) for i in range(4) for p in (0, 1)]
    close(contrast(logits, share(positives, logits), own), torch.stack(each).mean())


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_anchor_without_positives_gives_zero_and_no_nan_in_the_gradient(inside, weighted):
    logits = randn(3, 4).requires_grad_()
    positives = torch.tensor([[True, False, True, False], [False] * 4, [False, True, False, False]])
    P = share(positives, logits) if weighted else positives
    loss = contrast(logits, P, logits.logsumexp(-1, keepdim=True), inside=inside, reduction="none")
    assert loss[1] == 0
    assert loss[0] != 0
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    assert torch.isfinite(slope).all()
    assert (slope[1] == 0).all()
    assert (slope[0] != 0).all()


def test_shares_of_a_row_add_up_to_one_or_to_nothing():
    shares = share(torch.tensor([[True, True, False], [False, False, False]]), randn(1))
    close(shares, [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])


def test_reduce():
    loss = torch.tensor([1.0, 2.0, 6.0])
    assert (reduce(loss, "mean"), reduce(loss, "sum")) == (3, 9)
    assert reduce(loss, "none") is loss


def test_two_views_know_partners_and_others():
    z1, z2 = randn(3, 4), randn(3, 4)
    pairs = two_views(z1, z2)
    assert (pairs.partner.int() + pairs.others.int() + torch.eye(6, dtype=torch.int) == 1).all()
    assert pairs.partner.nonzero()[:, 1].tolist() == [3, 4, 5, 0, 1, 2]
    close(pairs.positive.squeeze(-1), torch.nn.functional.cosine_similarity(z1, z2).repeat(2))
    some = two_views(z1, z2, slice(2, 5))
    for name in ("similarity", "partner", "others", "positive"):
        close(getattr(some, name).double(), getattr(pairs, name)[2:5].double())


def test_off_diagonal():
    assert off_diagonal(3, torch.ones(1)).tolist() == [[False, True, True], [True, False, True], [True, True, False]]


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e-20, 1.0, 1e20, 1e38])
def test_a_unit_row_has_length_one_at_any_scale(dtype, scale):
    z = torch.tensor([[1.0, -2.0, 2.0], [0.1, 0.2, 0.2]], dtype=dtype)
    expected = torch.tensor([[1 / 3, -2 / 3, 2 / 3], [1 / 3, 2 / 3, 2 / 3]], dtype=dtype)
    torch.testing.assert_close(unit(z * scale), expected)


def test_a_unit_row_has_the_gradient_of_z_over_its_length():
    z = randn(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(unit, (z,))
    assert torch.autograd.gradgradcheck(unit, (z,))


def test_potentials():
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]], dtype=DOUBLE)
    close(squared_distances(z), [25.0, 1.0, 18.0])
    close(log_mean_potential(z, 0.5), math.log((math.exp(-12.5) + math.exp(-0.5) + math.exp(-9)) / 3))
    assert log_mean_potential(1e3 * z, 100.0) == pytest.approx(-1e8 - math.log(3))  # far below what exp can hold


def test_points_that_coincide_do_not_push_each_other():
    z = torch.ones(3, 2, dtype=DOUBLE, requires_grad=True)
    (slope,) = torch.autograd.grad(log_mean_potential(z, 2.0), z)
    assert (slope == 0).all()
