"""Where official code and paper differ, and whom we follow; and what SwAV's codes are."""

import pytest
import torch
import torch.nn.functional as F
from forms import DOUBLE, close, gradients, randn

from labkit import losses
from labkit.directions import unit
from labkit.losses.clusters import codes


def test_multi_view_follows_the_code_and_not_its_readme():
    z = unit(randn(4, 3, 5))
    e = torch.einsum("ild,jmd->iljm", z, z).exp()  # temperature 1
    same_instance, same_view = torch.eye(4, dtype=torch.bool)[:, None, :, None], torch.eye(3, dtype=torch.bool)[None, :, None]
    mine = (e * (same_instance & ~same_view)).sum((1, 2, 3))

    code = -(mine / (e * ~(same_instance & same_view)).sum((1, 2, 3))).log()
    readme = -(mine / (e * ~same_view).sum((1, 2, 3))).log()
    close(losses.mv_info_nce(z, temperature=1.0, reduction="none"), code)
    assert (code - readme).abs().min() > 0.1

    within = (e * (same_view & ~same_instance)).sum((2, 3))
    code = -(mine / 2 / within.prod(1)).log()
    readme = -(mine / (e * same_view).sum((2, 3)).prod(1)).log()
    close(losses.mv_dhel(z, temperature=1.0, reduction="none"), code)
    assert (code - readme).abs().min() > 0.1


def test_vicreg_weighs_as_the_code_and_not_as_the_paper():
    """Eq. 5 does not divide the first term by d, and eq. 6 does not halve the second."""
    z1, z2 = randn(6, 4), randn(6, 4)
    invariance = (z1 - z2).square().sum(-1).mean()
    variance = sum((1 - (z.var(0) + 1e-4).sqrt()).relu().mean() for z in (z1, z2))
    covariance = sum((z.T.cov().square().sum() - z.T.cov().diagonal().square().sum()) / 4 for z in (z1, z2))
    paper = 25 * invariance + 25 * variance + covariance
    close(losses.vicreg(z1, z2, similarity=4 * 25, variance=2 * 25), paper)
    assert abs(losses.vicreg(z1, z2) - paper) > 1


def test_barlow_twins_standardises_by_a_batch_norm():
    z1, z2 = randn(6, 4), randn(6, 4)
    normed = [F.batch_norm(z, None, None, training=True) for z in (z1, z2)]
    c = normed[0].T @ normed[1] / 6
    expected = (c.diagonal() - 1).square().sum() + 0.005 * (c.square().sum() - c.diagonal().square().sum())
    close(losses.barlow_twins(z1, z2), expected)
    assert losses.barlow_twins(z1, 7 * z2 + 3).item() == pytest.approx(losses.barlow_twins(z1, z2).item(), abs=1e-4)


def test_spectral_cuts_long_rows_and_divides_by_mu():
    z1, z2 = randn(5, 3), randn(5, 3)
    long1, long2 = 9 * unit(z1), 9 * unit(z2)
    for mu in (1.0, 4.0):
        cut = losses.spectral(long1, long2, mu=mu)
        close(cut, losses.spectral(mu**0.5 * unit(z1), mu**0.5 * unit(z2), mu=mu))
    products = z1 @ z2.T
    population = -2 * products.diagonal().mean() + products.square().fill_diagonal_(0).sum() / 20
    close(losses.spectral(z1, z2, mu=100.0) * 100, population)
    assert torch.isfinite(gradients(lambda z: losses.spectral(z, z2), torch.zeros(5, 3, dtype=DOUBLE))[0]).all()


def test_siglip_is_a_sum_over_pairs_for_each_instance():
    """big_vision's and open_clip's value: not the mean over the n^2 pairs."""
    a, b = randn(5, 3), randn(5, 3)
    logits = unit(a) @ unit(b).T / 0.1 - 10
    pairs = F.softplus(torch.where(torch.eye(5, dtype=torch.bool), -logits, logits))
    close(losses.siglip(a, b), pairs.sum() / 5, 1e-8)
    close(losses.siglip(a, b, reduction="sum"), 2 * pairs.sum(), 1e-8)
    close(losses.siglip(a, b, reduction="none"), torch.cat([pairs.sum(1), pairs.sum(0)]), 1e-8)


# ---------------------------------------------------------------- swav's codes


def test_codes_are_shares_that_use_every_prototype_alike():
    scores = randn(12, 3)
    q = codes(scores, 0.5, 200)
    close(q.sum(1), torch.ones(12, dtype=DOUBLE))
    close(q.sum(0), torch.full((3,), 4.0, dtype=DOUBLE), 1e-9)
    assert not codes(scores.requires_grad_(), 0.5, 3).requires_grad


def test_codes_of_large_scores_do_not_overflow():
    """exp(100 / 0.05) is beyond float64, let alone float32."""
    scores = torch.tensor([[100.0, 0.0], [0.0, 100.0]])
    close(codes(scores, 0.05, 3), [[1.0, 0.0], [0.0, 1.0]])
    assert losses.swav(scores, scores) == 0


def test_swav_differentiates_the_prediction_and_not_the_code():
    s1, s2 = randn(5, 3), randn(5, 3)
    q1, q2 = codes(s1, 0.05, 3), codes(s2, 0.05, 3)

    def predicted(a, b):
        return -((q2 * (a / 0.1).log_softmax(-1)).sum(-1) + (q1 * (b / 0.1).log_softmax(-1)).sum(-1)).mean() / 2

    for got, expected in zip(gradients(losses.swav, s1, s2), gradients(predicted, s1, s2), strict=True):
        close(got, expected)
