"""Remedies on one mixed set of pairs: which pairs a filter drops, what equal margin means, and lesson 04's stored seeds."""

import numpy as np
import pytest
import torch

from labkit import results
from labkit.data.preferences import load
from labkit.figures import preference
from labkit.recipes import remedies

NEAR, FAR = slice(0, 8), slice(8, 16)


def course(chosen, rejected):
    return remedies.Course(torch.tensor(chosen), torch.tensor(rejected))


def test_the_first_half_of_the_pairs_are_near_duplicates():
    data = remedies.mixed(3)
    differ = (data.chosen != data.rejected).sum(1)
    assert (differ[NEAR] == 1).all() and (differ[FAR] > 1).all() and len(data) == 16
    assert torch.equal(data.chosen[NEAR], load("grammar", part="same suffix", seed=3).chosen)


def test_filters_drop_what_they_say():
    scores = {"ln-CHES": torch.arange(16.0), "entanglement": torch.arange(16.0).flip(0)}
    assert remedies.kept("nothing", scores, 8, seed=0).tolist() == list(range(16))
    assert remedies.kept("ln-CHES", scores, 4, seed=0).tolist() == list(range(12)), "the highest scores go"
    assert remedies.kept("entanglement", scores, 4, seed=0).tolist() == list(range(4, 16))
    assert remedies.kept("near-duplicates", scores, 8, seed=0).tolist() == list(range(8, 16))
    by_lot = [remedies.kept("by lot", scores, 8, seed=s).tolist() for s in (0, 0, 1)]
    assert by_lot[0] == by_lot[1] != by_lot[2] and len(by_lot[0]) == 8 == len(set(by_lot[0]))


def test_equal_margin_lies_between_two_steps():
    run = course([[0.0, 0.0], [1.0, -1.0], [2.0, 0.0]], [[0.0, 0.0], [-1.0, -3.0], [-4.0, -8.0]])
    assert run.margin().tolist() == [0.0, 2.0, 7.0]
    assert np.allclose(run.at(margin=4.5), [1.5, -0.5])
    assert run.margin(torch.tensor([1])).tolist() == [0.0, 2.0, 8.0]
    with pytest.raises(ValueError, match=r"margin 9 was not won: the run ends at 7\.00"):
        run.at(margin=9.0)


def test_entanglement_names_the_near_duplicates():
    policy, data = remedies.learned(0, 60), remedies.mixed(0)
    scores = remedies.alike(policy, data)
    assert scores["entanglement"][NEAR].min() > scores["entanglement"][FAR].max()


def test_what_is_dropped_is_not_trained_on_but_is_watched():
    policy, data = remedies.learned(0, 60), remedies.mixed(0)
    run = remedies.train(policy, data, torch.arange(8, 16), steps=15)
    assert run.chosen.shape == run.rejected.shape == (15, 16) and (run.chosen[0] == 0).all()
    assert (run.margin(torch.arange(8, 16)).diff() > 0).all() and run.chosen[-1, NEAR].abs().min() > 0


def test_an_interval_covers_its_mean():
    mean, half = remedies.over_seeds(np.array([1.0, 2.0, 3.0]))
    assert mean == 2 and half == pytest.approx(4.302653 / 3**0.5, rel=1e-5)


def test_a_slice_of_the_stored_seeds_comes_out_again():
    stored = results.load("displacement_remedies")
    made = results.compute("displacement_remedies", seeds=[0], losses=["DPO"], filters=["entanglement"], drops=[8])
    which = list(stored["filters"]).index("entanglement")
    assert np.allclose(made["by_loss"][0, 0], stored["by_loss"][0, 0], atol=0.05)  # another machine rounds otherwise
    assert np.allclose(made["by_filter"][0, 0, 0], stored["by_filter"][which, 1, 0], atol=0.05)
    assert np.allclose(made["entanglement"][0], stored["entanglement"][0], atol=0.01)
    assert np.allclose(stored["by_filter"][0, 0, :, 0], stored["by_loss"][0]), "no filter is DPO on all pairs"


def test_the_figure_has_a_row_for_each_remedy():
    figure = preference.intervals({"DPO": {"all": (0.0, 1.0)}, "RPO": {"all": (1.0, 0.5)}}, rules=[1])
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["DPO", "RPO"]
