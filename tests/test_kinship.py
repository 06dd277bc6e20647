"""One objective is another at some setting, or never lies above it."""

import math
from itertools import pairwise
from math import exp, log

import pytest
import torch
from forms import DOUBLE, close, gradients, randn
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import losses
from labkit.contrast import two_views
from labkit.losses.negatives import without_expected
from labkit.registry import ENTRIES


def test_debiased_without_positives_among_the_negatives_is_nt_xent():
    z1, z2 = randn(6, 3), randn(6, 3)
    close(losses.debiased(z1, z2, tau_plus=0.0), losses.nt_xent(z1, z2))
    assert losses.debiased(z1, z2, tau_plus=1e-9).item() == pytest.approx(losses.nt_xent(z1, z2).item(), abs=1e-7)
    for a, b in zip(
        gradients(lambda *z: losses.debiased(*z, tau_plus=1e-12), z1, z2), gradients(losses.nt_xent, z1, z2), strict=True
    ):
        close(a, b, 1e-9)


def test_hard_negative_without_hardness_is_debiased_and_nt_xent():
    z1, z2 = randn(6, 3), randn(6, 3)
    close(losses.hard_negative(z1, z2, beta=0), losses.nt_xent(z1, z2))
    close(losses.hard_negative(z1, z2, beta=0, tau_plus=0.2), losses.debiased(z1, z2, tau_plus=0.2))


def test_very_hard_negatives_are_all_like_the_hardest():
    z1, z2 = randn(4, 3), randn(4, 3)
    pairs = two_views(z1, z2)
    hardest = pairs.similarity.masked_fill(~pairs.others, -math.inf).amax(-1)
    expected = torch.log1p(6 * torch.exp((hardest - pairs.positive.squeeze(-1)) / 0.5))
    close(losses.hard_negative(z1, z2, beta=1e4, reduction="none"), expected, 1e-9)


def test_where_more_positives_are_expected_than_there_are_negatives_the_limit_holds():
    """The official lower limit n * exp(-1 / temperature); the negatives are then constants, and nothing is NaN."""
    z1 = torch.eye(4, dtype=DOUBLE)
    value = losses.debiased(z1, z1, temperature=0.2, tau_plus=0.5, reduction="none")
    close(value, torch.full((8,), math.log1p(6 * exp(-10)), dtype=DOUBLE))
    for slope in gradients(lambda a: losses.debiased(a, z1, temperature=0.2, tau_plus=0.5), z1 + 0.01 * randn(4, 4)):
        assert torch.isfinite(slope).all()


def test_taking_off_expected_positives_in_logs_is_the_linear_formula():
    """On both sides of zero, between zero and the lower limit, and exactly at zero, where a logarithm would be of 0."""
    negatives = torch.linspace(0.05, 12, 400, dtype=DOUBLE).log()[:, None]
    negatives = torch.cat([negatives, torch.tensor([[log(0.3 * 6)]], dtype=DOUBLE)]).requires_grad_()
    positive = torch.zeros_like(negatives)
    left = (negatives.detach().exp() - 0.3 * 6) / 0.7
    limit = 6 * exp(-1 / 0.5)
    assert (left < 0).any()
    assert ((left > 0) & (left < limit)).any()
    found = without_expected(negatives, positive, 6, 0.5, 0.3)
    close(found.detach(), left.clamp(min=limit).log())
    (slope,) = torch.autograd.grad(found.sum(), negatives)
    close(slope, torch.where(left > limit, negatives.detach().exp() / (0.7 * left), 0.0))


def test_clip_loss_is_info_nce_in_both_directions():
    a, b = randn(5, 3), randn(5, 3)
    both = torch.cat([losses.info_nce(a, b, reduction="none"), losses.info_nce(b, a, reduction="none")])
    close(losses.clip_loss(a, b, temperature=0.1, reduction="none"), both)


def test_info_nce_with_the_others_as_its_own_negatives_is_in_batch():
    a, p = randn(4, 3), randn(4, 3)
    others = torch.stack([p[torch.arange(4) != i] for i in range(4)])
    close(losses.info_nce(a, p, others, reduction="none"), losses.info_nce(a, p, reduction="none"))
    shared = randn(7, 3)
    close(losses.info_nce(a, p, shared), losses.info_nce(a, p, shared.expand(4, 7, 3)))
    close(losses.info_nce(a[:1], p[:1], shared, reduction="none"), losses.info_nce(a, p, shared, reduction="none")[:1])


@pytest.mark.parametrize("form", ["out", "in"])
def test_sup_con_of_instances_is_nt_xent(form):
    z1, z2 = randn(5, 3), randn(5, 3)
    value = losses.sup_con(torch.stack([z1, z2], 1), torch.arange(5), temperature=0.3, form=form, reduction="none")
    close(value.view(5, 2).T.flatten(), losses.nt_xent(z1, z2, temperature=0.3, reduction="none"))
    close(losses.sup_con(torch.cat([z1, z2]), torch.arange(5).repeat(2), temperature=0.3, form=form), value.mean())


def test_sup_con_inside_divides_by_the_number_of_positives():
    """Without the division, ten embeddings of one class at the same place would give 0 instead of log 9."""
    z, labels = torch.ones(10, 3, dtype=DOUBLE), torch.zeros(10, dtype=torch.long)
    assert losses.sup_con(z, labels, form="in").item() == pytest.approx(log(9))
    assert losses.sup_con(z, labels, form="out").item() == pytest.approx(log(9))


@pytest.mark.parametrize("form", ["out", "in"])
def test_sup_con_leaves_anchors_without_a_positive_alone(form):
    z, labels = randn(5, 3), torch.tensor([0, 0, 1, 2, 2])
    value = losses.sup_con(z, labels, form=form, reduction="none")
    assert value[2] == 0
    assert (value[[0, 1, 3, 4]] > 0).all()
    (slope,) = gradients(lambda z: losses.sup_con(z, labels, form=form), z)
    assert torch.isfinite(slope).all()
    (alone,) = gradients(lambda z: losses.sup_con(z, torch.arange(5), form=form), z)
    assert (alone == 0).all()


def test_mv_dhel_of_two_views_is_dhel():
    z1, z2 = randn(5, 3), randn(5, 3)
    close(losses.mv_dhel(torch.stack([z1, z2], 1), reduction="none"), losses.dhel(z1, z2, reduction="none"))


# ---------------------------------------------------------------- inequalities, over drawn batches

DRAWN = settings(derandomize=True, max_examples=20, deadline=None)
BATCHES = {
    "n": st.integers(2, 8),
    "d": st.integers(1, 6),
    "t": st.floats(0.02, 5),
    "seed": st.integers(0, 2**31),
}


def views(n, d, seed):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, d, generator=draw, dtype=DOUBLE).unbind()


@DRAWN
@given(**BATCHES)
def test_the_sum_inside_is_never_more_than_outside(n, d, t, seed):
    z = torch.cat(views(n, d, seed))
    labels = torch.randint(3, (2 * n,), generator=torch.Generator().manual_seed(seed))
    inside, outside = (losses.sup_con(z, labels, temperature=t, form=f, reduction="none") for f in ("in", "out"))
    assert (inside <= outside + 1e-9).all()


@DRAWN
@given(**BATCHES)
def test_dropping_the_positive_from_the_denominator_lowers_the_loss(n, d, t, seed):
    """NT-Xent is softplus of DCL, so it is more than DCL and more than 0, by at most log 2 where they cross."""
    z1, z2 = views(n, d, seed)
    with_it, without = (f(z1, z2, temperature=t, reduction="none") for f in (losses.nt_xent, losses.dcl))
    close(with_it, torch.logaddexp(without, torch.zeros_like(without)), 1e-9)
    assert (with_it >= without.clamp(min=0)).all()
    assert (with_it <= without.clamp(min=0) + log(2) + 1e-9).all()


@DRAWN
@given(**BATCHES)
def test_hardness_only_raises_the_loss(n, d, t, seed):
    z1, z2 = views(n, d, seed)
    values = [losses.hard_negative(z1, z2, temperature=t, beta=b) for b in (0.0, 0.5, 1.0, 4.0)]
    assert all(a <= b + 1e-9 for a, b in pairwise(values))


@DRAWN
@given(**BATCHES)
def test_no_batch_lies_below_the_floor(n, d, t, seed):
    z1, z2 = views(n, d, seed)
    for name in ("info_nce", "clip_loss", "nt_xent", "dcl", "dhel"):
        entry = ENTRIES[name]
        for second in (z2, z1):
            assert entry.fn(z1, second, temperature=t).item() >= entry.floor(n, t) - 1e-9
    for name in ("mv_info_nce", "mv_dhel"):
        entry = ENTRIES[name]
        assert entry.fn(torch.stack([z1, z2], 1), temperature=t).item() >= entry.floor(n, t) - 1e-9


@DRAWN
@given(**BATCHES)
def test_losses_on_directions_do_not_see_lengths(n, d, t, seed):
    z1, z2 = views(n, d, seed)
    lengths = torch.rand(n, 1, generator=torch.Generator().manual_seed(seed + 1), dtype=DOUBLE).mul(20).sub(10).exp()
    for f in (losses.nt_xent, losses.clip_loss, losses.siglip, losses.hard_negative):
        close(f(lengths * z1, z2, temperature=t), f(z1, z2, temperature=t), 1e-9)
