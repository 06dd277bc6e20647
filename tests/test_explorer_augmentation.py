"""The augmentation explorer: the pair on screen, the pairs it is compared with, and what training asked for."""

import numpy as np
import pytest
import torch
from explored import check_sentences, check_size

from labkit import results
from labkit.explorers.augmentation import TRAINED, augmentation
from labkit.recipes import augmentation as recipe


@pytest.fixture(scope="module")
def explorer():
    return augmentation()


class Flat(torch.nn.Module):
    """An encoder that changes nothing."""

    def forward(self, x):
        return x.flatten(1)


# ---------------------------------------------------------------- the recipe


def test_a_stronger_view_is_the_same_view_further():
    x = recipe.images()[0][:50]
    plain = recipe.views(x, 0, 0.0, 0.0)
    torch.testing.assert_close(plain[0], x.float() / 255, atol=1e-5, rtol=0)
    gaps = [float((recipe.views(x, 0, 0.0, s) - plain).square().mean().sqrt()) for s in (0.1, 0.2, 0.4)]
    assert gaps == pytest.approx([gaps[0], 2 * gaps[0], 4 * gaps[0]], rel=1e-4)
    turned = [(recipe.views(x, t, 0.0, 0.0) - plain).square().mean() for t in (15, 30, 60)]
    assert turned[0] < turned[1] < turned[2]
    torch.testing.assert_close(recipe.views(x, 30, 0.1, 0.2), recipe.views(x, 30, 0.1, 0.2))


def test_what_is_compared_with_what():
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    found = recipe.compared(Flat(), torch.stack([z, z]), torch.tensor([0, 0, 1]))
    assert found["own"].tolist() == pytest.approx([1, 1, 1])
    assert found["above"].tolist() == [1, 1, 1]  # all six other pairs are less alike
    assert found["others"].sum(1).tolist() == pytest.approx([4 / 6, 2 / 6])
    crossed = recipe.compared(Flat(), torch.stack([z, z.flip(0)]), torch.tensor([0, 0, 1]))
    assert crossed["own"].tolist() == pytest.approx([0.8, 1, 0.8])
    pairs = [z[i] @ z.flip(0)[j] for i in range(3) for j in range(3) if i != j]
    assert crossed["above"][0] == pytest.approx(np.mean([float(p) < 0.8 - 1e-9 for p in pairs]))


def test_the_stored_table_is_what_its_recipe_makes():
    """Two of the six encoders again, at a few strengths; other processors round otherwise."""
    kept = results.load("augmentation")
    made = results.compute(
        "augmentation", encoders=["untrained", "turned views"], turns=[0, 60], shifts=[0.0], noises=[0.0, 0.4]
    )
    rows = [list(kept["encoders"]).index(name) for name in ("untrained", "turned views")]
    where = np.ix_(rows, [0, 3], [0], [0, 3])
    assert np.abs(made["mean_above"] - kept["mean_above"][where]).max() < 0.03
    assert np.abs(made["own"] - kept["own"][where]).max() < 0.1
    assert np.abs(made["others"] - kept["others"][where]).max() < 0.03
    assert np.abs(made["pixels"].astype(int) - kept["pixels"][np.ix_([0, 3], [0], [0, 3])]).max() <= 1


def test_each_encoder_overlooks_what_it_was_trained_on_and_nothing_else():
    kept = results.load("augmentation")
    share = dict(zip(kept["encoders"], kept["mean_above"], strict=True))
    strong = {"turned views": (3, 0, 0), "moved views": (0, 2, 0), "noisy views": (0, 0, 3)}
    for trained in strong:
        for asked, cell in strong.items():
            gain = share[trained][cell] - share["untrained"][cell]
            assert gain > 0.25 if trained == asked else gain < 0.05, (trained, asked, gain)


# ---------------------------------------------------------------- the explorer


def test_every_state_shows_the_same_names_in_a_small_page(explorer):
    assert len({tuple(explorer.seen(state)) for state in explorer.states()}) == 1
    check_size(explorer)


def test_something_is_said_of_every_change(explorer):
    said = check_sentences(explorer)
    assert any("turns of up to 60 degrees" in words for words in said["trained"])
    assert all("beat" in words for name in ("turn", "shift", "noise") for words in said[name])


def test_the_pair_on_screen_is_the_pair_that_is_measured(explorer):
    state = explorer.moved(explorer.start, digit=6, turn=30, shift=0.1, noise=0.2, trained="moved views")
    shown = explorer.seen(state)
    x, labels, chosen = recipe.images()
    six = chosen[recipe.DIGITS.index(6)]
    assert labels[six] == 6
    pair = recipe.views(x, 30, 0.1, 0.2)
    drawn = (pair[:, six, 0].clamp(0, 1) * 255).round()
    np.testing.assert_allclose(np.stack([shown["first"], shown["second"]]), drawn, atol=1)
    untrained = recipe.fit(recipe.ENCODERS["untrained"], progress=False).model()
    found = recipe.compared(untrained, pair, labels)
    assert shown["before_cosine"] == pytest.approx(found["own"][six], abs=0.01)
    assert float(shown["before_above"][:-1]) / 100 == pytest.approx(found["above"][six], abs=0.03)
    assert shown["before_mean"] == pytest.approx(found["above"].mean(), abs=0.02)


def test_curves_pass_through_where_we_are(explorer):
    for state in list(explorer.states())[:: len(TRAINED) * 7]:
        shown = explorer.seen(state)
        for name, options in (("turn", recipe.TURNS), ("shift", recipe.SHIFTS), ("noise", recipe.NOISES)):
            assert shown[f"after_{name}"][options.index(getattr(state, name))] == pytest.approx(shown["after_mean"])


def test_others_are_stacked_and_fill_their_panel(explorer):
    shown = explorer.seen()
    for side in ("before", "after"):
        assert (shown[f"{side}_same"] + shown[f"{side}_another"]).max() == pytest.approx(1)


def test_what_the_alternative_text_says_holds_in_every_state(explorer):
    others = results.load("augmentation")["others"][0].sum(-2)
    assert others[..., recipe.EDGES[:-1] >= 0.9].sum(-1).min() >= 0.85 and "at least 85 %" in explorer.alt
    assert others[..., recipe.EDGES[:-1] >= 0.9].sum(-1).min() < 0.9, "else it could say more"
    assert len(recipe.ENCODERS) == 6


def test_a_share_is_whole_only_where_nothing_is_left(explorer):
    kept = results.load("augmentation")["above"]
    assert ((kept > 0.9995) & (kept < 1)).any() and (kept == 1).any()
    words = {explorer.seen(s)[f"{side}_above"] for s in explorer.states() for side in ("before", "after")}
    assert {"> 99.9%", "100%"} <= words and not {"100.0%", "0.0%"} & words


def test_it_opens_where_it_is_told():
    opened = augmentation(digit=9, turn=20, noise=0.25, trained="noisy views", hide=("digit",))
    assert (opened.start.turn, opened.start.noise, opened.start.digit) == (15, 0.2, 9)
    with pytest.raises(ValueError, match="digit must be one of 1, 3, 4, 6, 8, 9; got 2"):
        augmentation(digit=2)
    with pytest.raises(ValueError, match="turn must be a number from 0 to 90"):
        augmentation(turn=180)
