"""The judge's own habits: what counts as the same answer, what is said of a wrong one, and what never breaks it."""

import functools
import subprocess
import sys

import numpy as np
import pytest
import torch

from labkit import grading
from labkit.grading import draw
from labkit.grading.a1 import mistakes as a1
from labkit.grading.asking import answer
from labkit.grading.compare import difference
from labkit.grading.exercise import Case
from labkit.grading.judge import judge

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("got", "right"),
    [
        (torch.tensor(2.0), 2.0),
        (np.float32(2), 2),
        (torch.tensor([2.0]), torch.tensor(2.0)),
        ([1, 2.0], torch.tensor([1.0, 2.0])),
        (np.array([[1, 2]]), torch.tensor([[1.0, 2.0]])),
        ((torch.tensor(1.0), 2), [1.0, 2.0]),
        (True, 1),
        (torch.tensor([True, False]), [1, 0]),
        (" Rose ", "rose"),
        ({"a": 1, "more": 2}, {"a": 1.0}),
        (-INF, -INF),
        ([1.0, [2.0, "x"]], [1, [2, "x"]]),
        (1.000001, 1.0),
    ],
)
def test_form_is_free(got, right):
    assert difference(answer(got, Case("p", {})).value, right, 1e-5) == ""


@pytest.mark.parametrize(
    ("got", "right", "said"),
    [
        (2.1, 2.0, "got 2.1, expected 2"),
        (NAN, 2.0, "NaN"),
        (NAN, NAN, "NaN"),
        (INF, 2.0, "infinite"),
        (10**400, 2.0, "infinite"),
        (torch.ones(2, 3), torch.ones(3, 2), "shape is (2, 3), expected (3, 2)"),
        (torch.ones(3), torch.tensor(1.0), "shape is (3,)"),
        ("fell", "rose", "different word"),
        (1, "rose", "different word"),
        ("rose", 1, "expected a number"),
        ({"b": 1}, {"a": 1}, "'a' is missing"),
        ([1, 2], {"a": 1}, "expected a dict"),
        ([1, 2], ["x", 2], "entry 0"),
        (torch.tensor([1.0, 5.0]), torch.tensor([1.0, 2.0]), "at [1] got 5, expected 2"),
        (torch.tensor([1 + 1j]), torch.tensor([1.0]), "expected numbers of shape (1,)"),
    ],
)
def test_a_difference_is_told(got, right, said):
    assert said in difference(got, right, 1e-5)


def cross_entropy(z1, z2, temperature):
    z = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    logits = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(z)).roll(len(z1)))


def test_a_check_counts_points_and_reads_as_their_number():
    report = grading.check("a1.nt_xent", cross_entropy)
    assert report.passed and float(report) == report.earned == report.points == 8 and repr(report) == "8"
    assert grading.REPORTS[-1] is report and "8 of 8" in str(report)
    bundle = report._repr_mimebundle_()
    assert bundle["text/plain"] == "8" and "✓" in bundle["text/html"] and "✗" not in bundle["text/html"]


def test_two_mistakes_at_once_are_both_named():
    report = grading.check("a1.nt_xent", functools.partial(a1.flawed, own="kept", multiplied=True))
    assert {mistake.name for mistake in report.mistakes} == {"anchor-in-denominator", "temperature-multiplies"}
    assert report.note == ""


def test_half_an_explanation_is_told_as_such():
    def both(z1, z2, temperature):  # a mean in place of the sum, which nobody has described; and exponentials first
        z = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
        e = (z @ z.T / temperature).exp() * (1 - torch.eye(len(z)))
        return (e.mean(1) / e.diagonal(len(z1)).repeat(2)).log().mean()

    report = grading.check("a1.nt_xent", both)
    assert [mistake.name for mistake in report.mistakes] == ["exp-first"] and "a part of it" in report.note


def test_an_unknown_mistake_gets_an_input_to_work_with():
    report = grading.check("a1.nt_xent", lambda z1, z2, temperature: cross_entropy(z1, z2, temperature**2))
    assert not report.mistakes and 'grading.example("a1.nt_xent")' in report.note
    example = grading.example("a1.nt_xent", "cold")
    assert list(example) == ["z1", "z2", "temperature"] and example["temperature"] < 0.02
    with pytest.raises(ValueError, match="part must be one of value, gradient, cold, cold gradient"):
        grading.example("a1.nt_xent", "warm")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda z1, z2, temperature: None, "it returned nothing"),
        (lambda z1, z2, temperature: 1 / 0, "ZeroDivisionError"),
        (lambda z1: 0.0, "takes 1 positional argument"),
        (3.0, "this should be a function, and it is a float"),
        (lambda z1, z2, temperature: (x for x in "ab"), "it returned a generator"),
        (lambda z1, z2, temperature: object(), "it returned an object"),
        (lambda z1, z2, temperature: [[[[[[[[[[1]]]]]]]]]], "nested more than eight deep"),
        (lambda z1, z2, temperature: torch.zeros(2000, 2000), "4,000,000 numbers"),
    ],
)
def test_what_went_wrong_everywhere_is_said_once(wrong, said):
    report = grading.check("a1.nt_xent", wrong)
    assert report.earned == 0 and said in report.note
    assert str(report).count(said) == report.html().count(said) == 1


def test_no_answer_yet_is_no_error():
    def blank(z1, z2, temperature):
        raise NotImplementedError()

    assert grading.check("a1.nt_xent", blank).note == "there is no answer yet"


def test_what_a_student_wrote_is_text_in_the_page():
    def hostile(z1, z2, temperature):
        raise RuntimeError("<script>alert(1)</script>")

    assert "<script" not in grading.check("a1.nt_xent", hostile).html()


def test_an_answer_cannot_change_the_inputs_of_the_next():
    def greedy(z1, z2, temperature):
        value = cross_entropy(z1, z2, temperature)
        with torch.no_grad():
            z1.zero_(), z2.zero_()
        return value

    assert grading.check("a1.loop", greedy).passed
    assert grading.check("a1.loop", cross_entropy).passed


def test_names_of_arguments_are_the_students_own():
    assert grading.check("a1.loop", lambda a, b, tau: cross_entropy(a, b, tau)).passed
    assert grading.check("a1.loop", lambda z1, z2, *, temperature: cross_entropy(z1, z2, temperature)).passed
    assert grading.check("a1.loop", lambda *args: cross_entropy(*args)).passed


def test_after_two_timeouts_nobody_waits_for_the_rest():
    calls = []

    def slow(case):
        calls.append(case)
        return grading.judge.__globals__["Outcome"](error="it took more than 10 seconds", kind="timeout")

    report = judge(grading.find("a1.nt_xent"), slow, seed=0)
    assert len(calls) == 2 and report.earned == 0


def test_values_are_accepted_by_what_the_exercise_accepts_and_a_refusal_never_breaks():
    for assignment in draw.ASSIGNMENTS:
        draw.load(assignment)
    for strange in (None, {}, [], "x", float("nan"), {"temperature": object}, torch.zeros(3)):
        for name in grading.EXERCISES:
            report = judge(grading.find(name), lambda case, strange=strange: answer(strange, case), seed="s")
            assert report.earned < report.points


def test_the_variant_is_the_graders_where_there_is_one(monkeypatch):
    mine = grading.given("a1", "2031")
    assert torch.equal(mine.z1, grading.given("a1", "2031").z1)
    assert not torch.equal(mine.z1[:4, :4], grading.given("a1", "2032").z1[:4, :4])
    monkeypatch.setenv("LABKIT_VARIANT", "2031")
    assert torch.equal(mine.z1, grading.given("a1", "something else").z1)
    assert draw.current["a1"] == "2031"


def test_a_value_is_compared_with_the_variants_own():
    mine = grading.given("a1", "2031")
    value = float(cross_entropy(mine.z1, mine.z2, mine.temperature))
    assert grading.check("a1.my_loss", value).passed
    assert not grading.check("a1.my_loss", value, variant="2032").passed
    assert grading.check("a1.my_loss", lambda: value).note == "this should be a value, and it is a function"


@pytest.mark.parametrize("name", ["a1.nothing", "a9.x", "", "nt_xent", "a1"])
def test_an_exercise_that_is_not_there(name):
    with pytest.raises(ValueError, match="there are"):
        grading.check(name, 0)


@pytest.mark.parametrize("variant", ["", 2026, None])
def test_a_variant_is_a_word(variant):
    with pytest.raises(ValueError, match="variant"):
        grading.given("a1", variant)


def test_help_is_light():
    """A student's notebook waits for torch, not for us."""
    code = "import torch, sys, labkit.grading; from labkit.grading import find; find('a1.nt_xent'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "plotly", "umap", "ipywidgets", "nbgrader", "transformers"} & set(loaded)
