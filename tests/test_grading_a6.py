"""a6: right answers keep their points, wrong ones lose theirs and are known by name; the toy shows what the text says."""

import numpy as np
import pytest
import torch
from grading_cases import everything
from right.a6 import RIGHT

from labkit import losses, results
from labkit.grading import given, reference
from labkit.grading.a6 import choice, choosing
from labkit.recipes import course_supervised

globals().update(everything("a6", RIGHT))
VARIANTS = [str(year) for year in range(2026, 2036)]


@pytest.mark.parametrize("form", ["out", "in"])
def test_where_nobody_is_alone_the_reference_is_the_librarys(form):
    z = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 2])
    mine = reference(f"a6.sup_con_{form}")(z, labels, 0.2)
    torch.testing.assert_close(mine, losses.sup_con(z, labels, temperature=0.2, form=form))


def test_the_joint_reference_is_the_librarys():
    views = torch.randn(6, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    mine = reference("a6.joint_loss")(views, labels, 0.3, 0.4)
    torch.testing.assert_close(mine, losses.joint(views, labels, share=0.4, temperature=0.3))


@pytest.mark.parametrize(("classes", "size"), [(3, 4), (5, 3)])
def test_no_arrangement_costs_less_than_the_collapsed_one(classes, size):
    labels = torch.arange(classes).repeat_interleave(size)
    floor = reference("a6.collapsed_loss")(classes, size, 0.5)
    z = torch.randn(len(labels), 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        loss = losses.sup_con(z, labels, temperature=0.5)
        assert loss.item() > floor - 1e-12
        loss.backward()
        optimizer.step()
    assert loss.item() - floor < 1e-3
    within = [torch.nn.functional.normalize(z.detach()[labels == k], dim=1).var(0).sum() for k in range(classes)]
    assert max(within) < 1e-3


def test_stored_results_are_what_the_recipe_makes():
    again, stored = results.compute("course_supervised", shares=[0.0], seeds=[10]), results.load("course_supervised")
    np.testing.assert_allclose(again["test"][0, 0], stored["test"][0, 0], atol=0.1)
    np.testing.assert_allclose(again["loss"][0, 0], stored["loss"][0, 0], rtol=0.02)


def test_labels_lose_the_colour_and_no_labels_the_class():
    for which in range(3):
        runs = [course_supervised.run(which, place) for place in range(len(course_supervised.SHARES))]
        read = {run["share"]: [choosing.reads(run, factor) for factor in choosing.FACTORS] for run in runs}
        assert read[0.0][0] > 0.97 and read[0.0][1] < 0.4  # class collapse: guessing is right in 0.25
        assert read[1.0][0] < 0.45 and read[1.0][1] > 0.65  # feature suppression
        assert max(map(min, read.values())) > 0.6  # together
        assert runs[-1]["loss"] == min(run["loss"] for run in runs)
        for factor in choosing.FACTORS:  # both are in the inputs
            inputs = {split: {"z": runs[0][split]["x"], factor: runs[0][split][factor]} for split in ("train", "test")}
            assert choosing.reads(inputs, factor) > 0.9


def test_the_choice_has_no_near_second_and_depends_on_the_variant():
    answers = {}
    for variant in VARIANTS:
        runs = given("a6", variant).runs
        order = sorted(map(choosing.worst, runs))
        assert order[-1] - order[-2] > choice.GAP and len(runs) >= 3
        answers[variant] = tuple(choice.evidence(variant).values())
    assert len(set(answers.values())) >= 8


def test_losses_at_other_shares_are_not_compared():
    """Every class accuracy of 1 is an answer of one who looks at the class, so the mistake cannot be right by luck."""
    for variant in VARIANTS:
        runs = given("a6", variant).runs
        assert choosing.by("class")(runs) < 0.5 <= choice.choose_share(runs) < choosing.by("loss")(runs)
