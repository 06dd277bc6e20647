"""Explorers on somebody's own tensors: arrays of any kind, with and without classes, and runs as films of checkpoints."""

import dataclasses

import javascript
import numpy as np
import pytest
import torch
from explored import check_sentences
from test_explorer_temperature import differences

from labkit.explorers import maps, temperature, time_machine
from labkit.explorers.temperature import GATHERED, MOST, SPREAD, UNTOLD_LOSSES, span
from labkit.recipes import pushes
from labkit.recipes.temperature_grid import TEMPERATURES
from labkit.recipes.time_machine import developed

Z = torch.randn(2, 50, 12, generator=torch.Generator().manual_seed(0))
Z1, Z2 = 3 * Z[0], 0.2 * (3 * Z[0] + Z[1])
LABELS = torch.arange(50) % 4


@pytest.fixture(scope="module")
def untold():
    return temperature(Z1, Z2, temperature=0.1)


def test_arrays_half_precision_and_words_are_the_same_embeddings():
    first = temperature(Z1, Z2, LABELS)
    for z1, z2, labels in (
        (Z1.numpy(), Z2.numpy(), LABELS.numpy()),
        (Z1.double(), Z2.requires_grad_(), LABELS.tolist()),
        (7 * Z1, Z2, ["abcd"[k] for k in LABELS]),
        (Z1.double() * 1e60, Z2, LABELS),
    ):
        found = temperature(z1, z2, labels).seen()
        assert found["value"] == pytest.approx(first.seen()["value"], rel=1e-5)
        assert found["push_same"] == pytest.approx(first.seen()["push_same"], rel=1e-4)
    half = temperature(Z1.half(), Z2.detach().bfloat16(), LABELS)
    assert half.seen()["value"] == pytest.approx(first.seen()["value"], rel=0.02)
    assert temperature(Z1.numpy(), Z2.detach().numpy(), LABELS.numpy()).code() == first.code(), "the same data, the same codes"


def test_it_says_on_the_figure_that_nothing_is_re_trained(untold):
    for one in (untold, temperature(Z1, Z2, LABELS)):
        titles = " ".join(panel.title for panel in one.scene.panels)
        assert "not re-trained" in titles and "not re-trained" in one.alt and "re-weighed" in one.title
        assert "not re-trained" in one.explain(one.start, one.start)
        assert "not which temperature learns best" in one.explain(one.start, one.start)


def test_without_labels_nothing_is_said_of_classes(untold):
    assert [c.options for c in untold.controls if c.name == "loss"] == [tuple(UNTOLD_LOSSES)]
    shown = " ".join([untold.alt, *(panel.title for panel in untold.scene.panels), *(s.text for s in untold.sentences[:-1])])
    assert "class" not in shown
    before = untold.start
    for change in ({"temperature": 0.5}, {"temperature": 0.02}, {"loss": "dhel"}, {"anchor": 7}):
        line = untold.explain(before, untold.moved(before, **change))
        assert line and "own class" not in line and "{" not in line and "nan" not in line
    untold.figure().canvas.draw()  # warnings are errors
    with pytest.raises(ValueError, match="loss='sup_con' needs labels"):
        temperature(Z1, Z2, loss="sup_con")


def test_the_browser_shows_the_same_without_labels(untold):
    at = [
        dataclasses.replace(untold.start, loss=loss, temperature=t, anchor=9)
        for loss in UNTOLD_LOSSES
        for t in (0.02, 0.1, 2.0)
    ]
    worst = differences(untold, at)
    assert max(worst.values()) < 1e-4 and javascript, worst


def test_the_span_is_where_the_push_leaves_the_nearest(untold):
    shown = untold.seen()
    low, high = shown["span_low"], shown["span_high"]
    assert 0.02 <= low < high <= 2
    z1, z2 = (torch.nn.functional.normalize(z.detach().double(), dim=1) for z in (Z1, Z2))
    ends = pushes.weighed("nt_xent", z1, z2, torch.zeros(50, dtype=torch.long), [low, high])["push_near"]
    assert ends == pytest.approx([GATHERED, SPREAD], abs=0.02)
    np.testing.assert_allclose(shown["near_all"][list(TEMPERATURES).index(0.1)], shown["push_near"])
    assert f"20% at {high:.2g}" in shown["span_told"]


def test_a_span_that_is_not_reached_ends_with_the_slider():
    many = len(TEMPERATURES)
    assert span([0.5] * many) == ((0.02, 2.0), "50% at 0.02, 50% at 2")
    assert span([0.1] * many)[0] == (0.02, 2.0)
    ends, _ = span([1.0] * 5 + [0.6] * (many - 5))
    assert TEMPERATURES[4] <= ends[0] <= TEMPERATURES[5] and ends[1] == 2.0


def test_one_class_and_many_rows():
    one = temperature(Z1, Z2, torch.zeros(50, dtype=torch.long))
    assert np.ptp(one.seen()["x"]) > 0.1, "a single class is looked at where its points vary"
    z = torch.randn(700, 6, generator=torch.Generator().manual_seed(1))
    assert f"{MOST} of 700 rows" in (many := temperature(z, z + 0.1)).explain(many.start, many.start)


def test_wrong_tensors_are_named():
    for given, words in (
        (("z1.npy", Z2), "z1 must be a tensor or an array, got a path"),
        ((Z1, Z2[:, :3]), "z2 has d = 3, but z1 has d = 12"),
        ((Z1, Z2[:9]), "z2 has n = 9"),
        ((Z1, None, LABELS), "z1, z2 and labels belong together"),
        ((Z1.long(), Z2), "z1 must hold floating-point numbers"),
        ((Z1, [["a"]]), "z2 must be a tensor or an array of numbers"),
        ((Z1, Z2, LABELS[:4]), "labels has n = 4"),
        ((Z1, Z2, LABELS * 0.5), "labels must hold integers"),
        ((Z1 * 0, Z2), "z1 has a row of zeros"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            temperature(*given)


def test_maps_take_arrays_and_name_what_they_cannot_take():
    for given, words in (
        ((Z1[:9],), "n >= 60"),
        ((Z1.numpy()[:, :1],), "d >= 2"),
        ((np.full((80, 4), np.nan),), "NaN"),
        ((np.ones((80, 4)), LABELS), "labels must be one for each of the 80 rows"),
        ((None, LABELS), "labels are those of z"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            maps(*given)


# ---------------------------------------------------------------- films


def shots(steps, d=6, views=True):
    made = {}
    for step in steps:
        z = torch.randn(40, d, generator=torch.Generator().manual_seed(step)).numpy()
        made[step] = {"z": z, "views": np.stack([z, z + 0.1])} if views else {"z": z}
    return made


def test_a_film_is_shown_and_says_what_it_does_not_know():
    film = developed(shots((0, 5, 20), views=False), np.arange(40) % 3)
    own = time_machine(film)
    assert own.seen()["a_no_loss"] == "no loss was given with these checkpoints" and own.seen()["alignment_said"] == "not kept"
    assert [c.name for c in own.controls if not c.hidden] == ["frame"] and own.controls[2].words == ("0", "5", "20")
    check_sentences(own)
    own.figure().canvas.draw()


def test_a_film_beside_a_run_that_ships():
    loss = np.stack([np.arange(20), np.linspace(5, 3, 20)], 1)
    film = developed(shots((0, 5, 20)), np.zeros(40), loss)
    both = time_machine(film, "alignment only", step=5, names=("mine", "theirs"))
    shown = both.seen()
    assert shown["a_no_loss"] == "" and shown["a_low"] < 3 < 5 < shown["a_high"] and shown["step"] == 5
    assert (both.start.run, both.start.other) == ("mine", "alignment only")
    both.figure().canvas.draw()
    with pytest.raises(TypeError, match=r"run must be a labkit Run.*or a film"):
        time_machine({0: Z1})
