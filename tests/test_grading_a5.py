"""a5: right answers keep their points, wrong ones lose theirs and are known by name, and the boxes do what is said of them."""

import pytest
import torch
from grading_cases import everything
from right.a5 import RIGHT, table

from labkit import losses
from labkit.grading import EXERCISES, given
from labkit.grading.a5 import boxes, probing, yours

globals().update(everything("a5", RIGHT))
TWO = torch.eye(2), torch.eye(2), torch.ones(2, 2, dtype=torch.bool), 1.0, 0.0


def test_each_variant_has_the_three_faults_and_numbers_of_its_own():
    variants = [str(year) for year in range(2026, 2056)]
    arrangements = {str(boxes.faults(variant)) for variant in variants}
    assert all({fault for fault, _ in boxes.faults(v).values()} == {"mask", "softmax", "reduction"} for v in variants)
    assert len(arrangements) > 12
    numbers = [{key: float(value) for key, value in yours.right(variant).items()} for variant in variants]
    assert len({each["push"] for each in numbers}) == len(variants)
    assert all(each["push"] > 2 * each["share"] and each["floored"] > 1 for each in numbers)


def test_a_box_tells_nothing_about_its_fault():
    for box in given("a5", "2031").boxes.values():
        assert not [word for word in ("mask", "zero", "cells", "reduction") if word in repr(box) or word in vars(box)]


def test_with_two_candidates_the_binary_cross_entropy_is_the_loss():
    z = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    keep = torch.ones(2, 2, dtype=torch.bool)
    for k in range(4):
        cells, right = boxes.flawed(z[k], z[k + 1], keep, 0.3, softmax="cells"), boxes.sound(z[k], z[k + 1], keep, 0.3)
        assert torch.allclose(cells, right, rtol=1e-12)
    x = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(1))
    three = torch.ones(3, 3, dtype=torch.bool)
    assert boxes.flawed(x[0], x[1], three, 0.3, softmax="cells") < 0.9 * boxes.sound(x[0], x[1], three, 0.3)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        3,
        "mask",
        TWO[:4],
        ("a", *TWO[1:]),
        (torch.zeros(2, 2), *TWO[1:]),
        (torch.full((2, 2), torch.nan), *TWO[1:]),
        (torch.ones(0, 2), torch.ones(0, 2), torch.ones(0, 0), 1.0, 0.0),
        (torch.eye(3)[:2], *TWO[1:]),
        (torch.eye(2), torch.ones(3, 2), torch.ones(2, 3), 1.0, 0.0),
        (torch.ones(65, 2), torch.ones(65, 2), torch.ones(65, 65), 1.0, 0.0),
        (*TWO[:2], torch.zeros(2, 2), 1.0, 0.0),
        (*TWO[:2], torch.full((2, 2), 0.5), 1.0, 0.0),
        (*TWO[:3], 0.0, 0.0),
        (*TWO[:3], -1.0, 0.0),
        (*TWO[:3], 1.0, float("inf")),
        (*TWO[:3], [1.0, 2.0], 0.0),
        [[[[[1]]]]] * 5,
    ],
)
def test_an_odd_test_is_refused_in_words(odd):
    for case in EXERCISES["a5.probe"].cases(0, "2031"):
        assert isinstance(case.accepts(odd), str)


def test_a_test_that_expects_another_value_is_wrong_about_the_sound_loss():
    for fault in ("mask", "softmax", "reduction"):
        *inputs, expected = probing.right_test(fault)
        verdict = probing.accepts(fault, "2031", ())
        assert verdict((*inputs, expected)) is True
        assert "not that of a sound loss" in verdict((*inputs, expected + 0.1))


def test_the_right_answers_are_the_losses_of_the_library():
    z1, z2 = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    ours = EXERCISES["a5.hard_negative"].right(z1, z2, 0.3, 0.7, True)
    theirs = losses.hard_negative(z1, z2, temperature=0.3, beta=0.7)
    for a, b in zip(torch.autograd.grad(ours, (z1, z2)), torch.autograd.grad(theirs, (z1, z2)), strict=True):
        assert torch.allclose(a, b, rtol=1e-10)
    assert torch.allclose(ours, theirs, rtol=1e-12)
    factor = EXERCISES["a5.log_coupling"].right(z1, z2, 0.3).exp()
    positive = torch.exp(-losses.nt_xent(z1, z2, temperature=0.3, reduction="none"))
    assert torch.allclose(factor, 1 - positive, rtol=1e-10)
    whole = boxes.sound(z1, z2, torch.ones(6, 6, dtype=torch.bool), 0.3)
    assert torch.allclose(whole, losses.clip_loss(z1, z2, temperature=0.3), rtol=1e-12)


def test_a_gather_without_gradient_keeps_the_value_and_loses_length_or_direction():
    a, b = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    b.requires_grad_()
    right, found = EXERCISES["a5.gathered"].right, {}
    for flows, own in ((True, True), (True, False), (False, True), (False, False)):
        value = right(a, b, 4, 0.3, flows, own)
        found[flows, own] = torch.autograd.grad(value, b)[0].flatten()
        assert torch.allclose(value, losses.info_nce(a, b, temperature=0.3), rtol=1e-12)
    assert torch.allclose(found[True, True], found[True, False], rtol=1e-10)
    assert torch.allclose(4 * found[False, False], found[True, True], rtol=1e-10)
    assert torch.cosine_similarity(found[False, True], found[True, True], dim=0) < 0.98


def test_the_cosines_of_the_right_answers_are_those_of_two_views():
    z1, z2 = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(table(z1, z2)[:3, 3:], torch.cosine_similarity(z1[:, None], z2[None], dim=-1), atol=1e-6)
