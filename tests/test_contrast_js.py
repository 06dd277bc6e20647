"""The browser's port of the primitives against Python: values and gradients, on random and on awkward inputs."""

import math

import pytest
import torch
from javascript import run

from labkit.contrast import contrast, log_partition, off_diagonal, share, two_views
from labkit.directions import unit
from labkit.energy import log_mean_potential
from labkit.metrics import alignment

RELATIVE = 1e-9


def points(n, d=3, seed=0, duplicate=False):
    z = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    if duplicate:
        z[1] = z[0]
    return z


CASES = [(n, d, t, duplicate) for n, d in ((2, 2), (5, 3), (12, 2)) for t in (0.002, 0.1, 2.0) for duplicate in (False, True)]
awkward = pytest.mark.parametrize(("n", "d", "temperature", "duplicate"), CASES)


def javascript(code, **given):
    """What the body `code` returns, given these names."""
    plain = {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in given.items()}
    return run(f"const {{{', '.join(given)}}} = given[0];\n{code}", plain)


def same(found, expected):
    """Equal to 1e-9 of the largest entry, and infinite together."""
    found, expected = torch.tensor(found, dtype=torch.float64), expected.detach().double()
    assert found.shape == expected.shape
    finite = expected.isfinite()
    assert torch.equal(found[~finite], expected[~finite])
    scale = expected[finite].abs().max() if finite.any() else 1.0
    assert (found[finite] - expected[finite]).abs().le(RELATIVE * scale).all()


def slope(value, of):
    return torch.autograd.grad(value, of)[0]


def denominator(n, kind, seed=0):
    """Who an anchor is compared with: nobody for the first anchor, or log-weights with holes."""
    draw = torch.Generator().manual_seed(seed)
    if kind == "mask":
        mask = torch.rand(n, n, generator=draw) < 0.6
        mask[0], mask[1:, 0] = False, True
        return mask
    weights = torch.randn(n, n, dtype=torch.float64, generator=draw) * 3
    weights[torch.rand(n, n, generator=draw) < 0.3] = -math.inf
    weights[:, 0] = 0.5
    return weights


def logits_of(z, temperature):
    return unit(z) @ unit(z).T / temperature


@awkward
def test_rows_of_length_one_and_back(n, d, temperature, duplicate):
    z = points(n, d, duplicate=duplicate).mul(10 / temperature).requires_grad_()
    towards = points(n, d, seed=1)
    found, back = javascript("return [unitRows(z), unitRowsBack(z, towards)]", z=z.detach(), towards=towards)
    same(found, unit(z))
    same(back, slope((unit(z) * towards).sum(), z))


@awkward
def test_pairs_among_two_views(n, d, temperature, duplicate):
    z1, z2 = points(n, d, duplicate=duplicate), points(n, d, seed=1)
    found = javascript("return twoViews(z1, z2)", z1=z1, z2=z2)
    pairs = two_views(z1, z2)
    same(found["similarity"], pairs.similarity)
    same(found["partner"], pairs.partner)
    same(found["others"], pairs.others)


@awkward
@pytest.mark.parametrize("kind", ["mask", "log-weights"])
def test_what_an_anchor_is_compared_with(n, d, temperature, duplicate, kind):
    logits = logits_of(points(n, d, duplicate=duplicate), temperature).requires_grad_()
    weights = denominator(n, kind)
    found = javascript(
        "return [logPartition(logits, weights), shares(logits, weights)]", logits=logits.detach(), weights=weights
    )
    value = log_partition(logits, weights)
    same(found[0], value.squeeze(-1))
    same(found[1], slope(value.sum(), logits))


@awkward
@pytest.mark.parametrize("inside", [False, True])
def test_contrast_from_the_points_on(n, d, temperature, duplicate, inside):
    """Value and gradient, through the cosines and the normalisation; the first anchor has no positive."""
    z = points(n, d, duplicate=duplicate).mul(3).requires_grad_()
    other = off_diagonal(n, z)
    marked = torch.rand(n, n, generator=torch.Generator().manual_seed(2)) < 0.5
    marked[0], marked[1, 0] = False, True
    positives = share(marked & other, z)
    code = """
        const u = unitRows(z), logits = entrywise(cosines(u), (s) => s / temperature), mask = offDiagonal(z.length);
        const value = contrast(logits, positives, logPartition(logits, mask), inside);
        const slope = contrastSlope(logits, positives, shares(logits, mask), inside);
        return [value, slope, unitRowsBack(z, cosinesBack(u, entrywise(slope, (g) => g / temperature)))];
    """
    value, by_logit, by_point = javascript(code, z=z.detach(), temperature=temperature, positives=positives, inside=inside)
    logits = logits_of(z, temperature)
    logits.retain_grad()
    loss = contrast(logits, positives, log_partition(logits, other), inside=inside, reduction="none")
    loss.sum().backward()
    same(value, loss)
    same(by_logit, logits.grad)
    # Where pulls and pushes of size 1 / temperature cancel, what is left is theirs to 1e-9, not its own.
    found, expected = torch.tensor(by_point, dtype=torch.float64), z.grad
    assert (found - expected).abs().max() <= RELATIVE * max(expected.abs().max().item(), 1e-3 / temperature)


@awkward
def test_weights_that_follow_the_logits(n, d, temperature, duplicate):
    """Log-weights made of the logits themselves, differentiated: how hard negatives are weighed."""
    logits = logits_of(points(n, d, duplicate=duplicate), temperature).requires_grad_()
    other, beta = off_diagonal(n, logits), 0.7
    code = """
        const tilt = entrywise(logits, (x) => beta * x), weights = logShares(tilt, other), share = shares(logits, weights);
        const through = logSharesBack(shares(tilt, other), share);
        return [logPartition(logits, weights), entrywise(share, (r, i, j) => r + beta * through[i][j])];
    """
    found = javascript(code, logits=logits.detach(), other=other, beta=beta)
    value = log_partition(logits, (beta * logits).masked_fill(~other, -math.inf).log_softmax(-1))
    same(found[0], value.squeeze(-1))
    same(found[1], slope(value.sum(), logits))


def test_two_denominators_make_one():
    a, b = torch.tensor([-1000.0, 3.0, -math.inf, 700.0]), torch.tensor([-1001.0, -math.inf, -math.inf, 710.0])
    same(javascript("return logAddExp(a, b)", a=a, b=b), torch.logaddexp(a.double(), b.double()))


def test_marked_entries_share_a_weight():
    marked = torch.tensor([[False, False, False], [True, False, True], [True, True, True]])
    same(javascript("return evenly(marked)", marked=marked), share(marked, points(3)))


@awkward
def test_the_energy_of_points(n, d, temperature, duplicate):
    z, t = points(n, d, duplicate=duplicate and n > 2).requires_grad_(), 0.5 / temperature
    value, by_point = javascript("return [logMeanPotential(z, t), logMeanPotentialSlope(z, t)]", z=z.detach(), t=t)
    expected = log_mean_potential(z, t)
    same(value, expected)
    same(by_point, slope(expected, z))


@pytest.mark.parametrize("alpha", [1, 2, 3])
def test_the_distance_of_partners(alpha):
    z1, z2 = (points(6, seed=s).requires_grad_() for s in (0, 1))
    value, by_point = javascript(
        "return [alignment(z1, z2, alpha), alignmentSlope(z1, z2, alpha)]", z1=z1.detach(), z2=z2.detach(), alpha=alpha
    )
    expected = torch.linalg.vector_norm(z1 - z2, dim=-1).pow(alpha).mean()
    same(value, expected)
    same(by_point, slope(expected, z1))
    same(javascript("return alignment(a, b)", a=unit(z1.detach()), b=unit(z2.detach())), alignment(z1.detach(), z2.detach()))
