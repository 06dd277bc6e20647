"""Gradients that are known in closed form, on the similarities and on the embeddings."""

import math

import cases
import pytest
import torch
import torch.nn.functional as F
from forms import DOUBLE, close, gradients, randn

from labkit import losses
from labkit.contrast import two_views
from labkit.registry import ENTRIES


def on_similarities(name, z1, z2, **options):
    """Every anchor's loss, and its gradient with respect to its cosines: what it asks of another row, along itself.

    `dl_i / dz_k` is the slope of `s_ik` times what of `z_i` is orthogonal to `z_k`, for unit rows.
    """
    z = F.normalize(torch.cat([z1, z2]), dim=-1)

    def loss(z):
        return ENTRIES[name].fn(*z.chunk(2), reduction="none", **options)

    slopes = torch.autograd.functional.jacobian(loss, z)
    along = torch.einsum("ikd,id->ik", slopes, z) / (1 - (z @ z.T).square()).fill_diagonal_(math.inf)
    return loss(z), along


@pytest.mark.parametrize("name", ["nt_xent", "dcl", "macl", "debiased"])
def test_negatives_push_as_much_as_the_positive_pulls(name):
    z1, z2 = randn(5, 3), randn(5, 3)
    options = {"tau_plus": 0.0} if name == "debiased" else {}
    _, slope = on_similarities(name, z1, z2, **options)
    pairs = two_views(z1, z2)
    pull, push = (slope * pairs.partner).sum(-1), (slope * pairs.others).sum(-1)
    close(push, -pull)  # an anchor compared with itself would have to lose some of it
    assert (pull < 0).all()


def test_info_nce_has_the_gradient_of_dcl_times_one_minus_p():
    z1, z2 = randn(5, 3), randn(5, 3)
    loss, slope = on_similarities("nt_xent", z1, z2, temperature=0.3)
    _, decoupled = on_similarities("dcl", z1, z2, temperature=0.3)
    close(slope, (1 - torch.exp(-loss))[:, None] * decoupled)


def test_macl_has_the_gradient_of_dcl_at_its_own_temperature():
    z1, z2 = randn(5, 3), randn(5, 3)
    alignment = F.cosine_similarity(z1, z2).mean().item()
    followed = 0.2 * (1 + 0.7 * (alignment - 0.1))
    _, slope = on_similarities("macl", z1, z2, temperature=0.2, alpha=0.7, a0=0.1)
    _, decoupled = on_similarities("dcl", z1, z2, temperature=followed)
    close(slope, decoupled)
    weighted, _ = on_similarities("nt_xent", z1, z2, temperature=followed)
    value, _ = on_similarities("macl", z1, z2, temperature=0.2, alpha=0.7, a0=0.1)
    close(value, weighted / (1 - torch.exp(-weighted)))


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_macl_tends_to_one_where_the_official_code_is_zero_over_zero(dtype):
    z = torch.eye(6, dtype=dtype, requires_grad=True)
    loss = losses.macl(z, z, temperature=1e-3, alpha=0.0)
    loss.backward()
    assert loss == 1
    assert torch.isfinite(z.grad).all()


def test_macl_refuses_a_temperature_that_is_not_positive():
    z = randn(4, 3)
    with pytest.raises(ValueError, match="alpha = 1 and a0 = 1 need views of mean cosine > 0, got -1"):
        losses.macl(z, -z, alpha=1, a0=1)
    assert torch.isfinite(losses.macl(z, -z, alpha=0.9, a0=0))


def test_dclw_holds_its_weights_constant_as_lightly_does():
    """raminnakhli/Decoupled-Contrastive-Learning differentiates them: the same value, another gradient."""
    z1, z2 = randn(5, 3), randn(5, 3)

    def weighted(z1, z2, hold):
        s = F.cosine_similarity(z1, z2)
        weight = 2 - 5 * (s / 0.5).softmax(0)
        weight = weight.detach() if hold else weight
        return losses.dcl(z1, z2) + ((1 - weight) * s / 0.1).mean()

    close(weighted(z1, z2, True), losses.dclw(z1, z2))
    held, free = (gradients(lambda a, b, h=h: weighted(a, b, h), z1, z2)[0] for h in (True, False))
    close(gradients(losses.dclw, z1, z2)[0], held)
    assert (held - free).abs().max() > 1e-2


def test_simsiam_trains_the_predictions_and_not_what_they_predict():
    p1, z2, p2, z1 = (randn(4, 3).requires_grad_() for _ in range(4))
    losses.simsiam(p1, z2, p2, z1).backward()
    assert z1.grad is None
    assert z2.grad is None
    close(p1.grad, gradients(lambda p: -F.cosine_similarity(p, z2.detach()).mean() / 2, p1)[0])
    close(p2.grad, gradients(lambda p: -F.cosine_similarity(p, z1.detach()).mean() / 2, p2)[0])


def test_the_gradient_is_orthogonal_to_the_embedding():
    """What does not depend on the length cannot push along it."""
    z1, z2 = randn(5, 3), randn(5, 3)
    for entry in cases.NORMALISED:
        if {"z1", "z2"} == set(entry.tensors):
            for z, slope in zip((z1, z2), gradients(entry.fn, z1, z2), strict=True):
                close((z * slope).sum(-1), torch.zeros(5, dtype=DOUBLE))
