"""check_objective: planted bugs are found and named, good losses pass, and what a loss merely is comes out as a fact."""

import functools
import math
import re

import cases
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labkit import preferences
from labkit.battery import check_objective
from labkit.registry import ENTRIES, catalog


def card_of(fn, kind="two_views", **options):
    return check_objective(fn, kind, quiet=True, **options)


def cosines(z1, z2, temperature):
    z = F.normalize(torch.cat([z1, z2]), dim=-1)
    return z @ z.T / temperature


def partners(n):
    return torch.arange(2 * n).roll(n)


def nt_xent(z1, z2, temperature=0.5):
    s = cosines(z1, z2, temperature).fill_diagonal_(-math.inf)
    return F.cross_entropy(s, partners(len(z1)))


# ---------------------------------------------------------------- planted bugs


def exp_first(z1, z2, temperature=0.5):
    s = cosines(z1, z2, temperature)
    e = s.exp() * (1 - torch.eye(len(s)))
    return -(s.gather(1, partners(len(z1))[:, None]).exp().squeeze() / e.sum(1)).log().mean()


def epsilon_in_the_log(z1, z2, temperature=0.5):
    p = cosines(z1, z2, temperature).fill_diagonal_(-math.inf).softmax(-1)
    return -(p.gather(1, partners(len(z1))[:, None]) + 1e-8).log().mean()


def detached_positive(z1, z2, temperature=0.5):
    s = cosines(z1, z2, temperature).fill_diagonal_(-math.inf)
    return (torch.logsumexp(s, -1) - s.gather(1, partners(len(z1))[:, None]).squeeze().detach()).mean()


def diagonal_kept(z1, z2, temperature=0.5):
    return F.cross_entropy(cosines(z1, z2, temperature), partners(len(z1)))


def diagonal_times_zero(z1, z2, temperature=0.5):
    s = cosines(z1, z2, temperature)
    return F.cross_entropy(s * (1 - torch.eye(len(s))), partners(len(z1)))


def wrong_dimension(z1, z2, temperature=0.5):
    s = F.normalize(z1, dim=0) @ F.normalize(z2, dim=0).T / temperature
    return F.cross_entropy(s, torch.arange(len(s)))


def in_place(z1, z2, temperature=0.5):
    z1 /= z1.norm(dim=-1, keepdim=True)
    z2 /= z2.norm(dim=-1, keepdim=True)
    return nt_xent(z1, z2, temperature)


def dropout(z1, z2, temperature=0.5):
    return nt_xent(F.dropout(z1, 0.1), z2, temperature)


def reseeds(z1, z2):
    torch.manual_seed(0)
    return nt_xent(z1, z2) + 0 * torch.rand(())


def half_sums(z1, z2, temperature=0.5):
    s = cosines(z1.half(), z2.half(), temperature).float().fill_diagonal_(-math.inf)
    return F.cross_entropy(s, partners(len(z1)))


def item(z1, z2, temperature=0.5):
    s = cosines(z1, z2, temperature).fill_diagonal_(-math.inf)
    return torch.tensor(F.cross_entropy(s, partners(len(z1))).item())


def item_in_the_middle(z1, z2, temperature=0.5):
    return nt_xent(z1, z2, temperature * (1 + F.cosine_similarity(z1, z2).mean().item() / 2))


def one_for_each_row(z1, z2, temperature=0.5):
    return F.cross_entropy(cosines(z1, z2, temperature).fill_diagonal_(-math.inf), partners(len(z1)), reduction="none")


def in_numpy(z1, z2):
    return float(np.mean((z1.detach().numpy() - z2.detach().numpy()) ** 2))


def targets_by_luck(z1, z2, temperature=0.5):
    """Row i's partner is row i + n, not row i: every anchor is told to find the i-th embedding of the first view."""
    s = cosines(z1, z2, temperature).fill_diagonal_(-1e4)
    return F.cross_entropy(s, torch.arange(2 * len(z1)).clamp(max=len(z1) - 1))


def root_of_distance(z1, z2):
    return (z1 - z2).pow(2).sum(-1).sqrt().mean()


def sum_that_is_a_mean(z1, z2, temperature=0.5, reduction="mean"):
    loss = F.cross_entropy(cosines(z1, z2, temperature).fill_diagonal_(-math.inf), partners(len(z1)), reduction="none")
    return loss if reduction == "none" else loss.mean()


def nobody_knows_whom(z1, z2):
    return (torch.cdist(F.normalize(z1, dim=-1), F.normalize(z2, dim=-1)) ** 2).mean()


def wrong_sign(z1, z2, temperature=0.5):
    return -nt_xent(z1, z2, temperature)


def raises(z1, z2):
    return z1 @ z2


def logits_of(z1, z2, temperature):
    return F.normalize(z1, dim=-1) @ F.normalize(z2, dim=-1).T / temperature


def temperature_times(z1, z2, temperature=0.2):
    return F.cross_entropy(logits_of(z1, z2, 1 / temperature), torch.arange(len(z1)))


def log_forgotten(z1, z2, temperature=0.2):
    return F.nll_loss(logits_of(z1, z2, temperature).softmax(1), torch.arange(len(z1)))


def log_forgotten_without_an_option(z1, z2):
    return log_forgotten(z1, z2)


def softmax_twice(z1, z2, temperature=0.2):
    return F.cross_entropy(logits_of(z1, z2, temperature).softmax(1), torch.arange(len(z1)))


def softmax_twice_without_an_option(z1, z2):
    return softmax_twice(z1, z2)


def softmax_twice_in_both_views(z1, z2, temperature=0.2):
    p = cosines(z1, z2, temperature).fill_diagonal_(-math.inf).softmax(-1)
    return F.cross_entropy(p, partners(len(z1)))


def sigmoids_as_logits(z1, z2, temperature=0.2):
    return F.cross_entropy(logits_of(z1, z2, temperature).sigmoid(), torch.arange(len(z1)))


def the_middle_row_meets_itself(z1, z2):
    return F.triplet_margin_loss(F.normalize(z1, dim=-1), F.normalize(z2, dim=-1), F.normalize(z2.flip(0), dim=-1))


def nothing_pulls(z1, z2, temperature=0.2):
    s = logits_of(z1, z2, temperature)
    return s.masked_fill(torch.eye(len(s), dtype=torch.bool), -math.inf).logsumexp(1).mean()


def clamped_logits(z1, z2, temperature=0.2):
    return F.cross_entropy(logits_of(z1, z2, temperature).clamp(max=2), torch.arange(len(z1)))


def divided_twice(z1, z2, temperature=0.2):
    return F.cross_entropy(logits_of(z1, z2, temperature), torch.arange(len(z1))) / len(z1)


def summed(z1, z2, temperature=0.2):
    return F.cross_entropy(logits_of(z1, z2, temperature), torch.arange(len(z1)), reduction="sum")


def summed_preferences(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=0.1):
    return len(chosen_logps) * preferences.dpo(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=beta)


def first_view_twice(z1, z2, temperature=0.2):
    return F.cross_entropy(logits_of(z1, z1, temperature), torch.arange(len(z1)))


def temperature_times_with_classes(z, labels, temperature=0.2):
    return ENTRIES["sup_con"].fn(z, labels, temperature=1 / temperature)


def without_positives(z, labels, temperature=0.5):
    s = F.normalize(z, dim=-1) @ F.normalize(z, dim=-1).T / temperature
    same = (labels[:, None] == labels) & ~torch.eye(len(z), dtype=torch.bool)
    logp = s - torch.logsumexp(s.masked_fill(torch.eye(len(z), dtype=torch.bool), -math.inf), -1, keepdim=True)
    return -((logp * same).sum(-1) / same.sum(-1)).mean()


def log_of_sigmoid(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=0.1):
    margin = chosen_logps - rejected_logps - ref_chosen_logps + ref_rejected_logps
    return -torch.log(torch.sigmoid(beta * margin)).mean()


def log_of_sigmoid_and_epsilon(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=0.1):
    margin = chosen_logps - rejected_logps - ref_chosen_logps + ref_rejected_logps
    return -torch.log(torch.sigmoid(beta * margin) + 1e-6).mean()


def sides_swapped(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=0.1):
    return preferences.dpo(rejected_logps, chosen_logps, ref_rejected_logps, ref_chosen_logps, beta=beta)


BUGS = [
    (exp_first, "two_views", "low temperature", "failed", "logsumexp"),
    (epsilon_in_the_log, "two_views", "low temperature", "failed", r"-log\(1e-08\)"),
    (detached_positive, "two_views", "gradient", "failed", "detached"),
    (diagonal_kept, "two_views", "chance", "look", "diagonal"),
    (diagonal_kept, "two_views", "alignment", "failed", "diagonal"),
    (diagonal_times_zero, "two_views", "chance", "failed", r"e\^0"),
    (wrong_dimension, "two_views", "columns", "look", "dim=0"),
    (in_place, "two_views", "inputs", "failed", "z1, z2"),
    (dropout, "two_views", "deterministic", "failed", "dropout"),
    (reseeds, "two_views", "random state", "failed", "seeds"),
    (half_sums, "two_views", "precision", "failed", "half precision"),
    (item, "two_views", "reaches", "failed", "item"),
    (item_in_the_middle, "two_views", "gradient", "failed", "item"),
    (one_for_each_row, "two_views", "result", "failed", r"shape \(12,\)"),
    (in_numpy, "two_views", "result", "failed", "float"),
    (targets_by_luck, "two_views", "permutation", "failed", "order"),
    (root_of_distance, "two_views", "special places", "failed", "square root"),
    (sum_that_is_a_mean, "two_views", "reduction", "failed", "sum"),
    (nobody_knows_whom, "two_views", "pairing", "look", "who belongs to whom"),
    (wrong_sign, "two_views", "pairing", "failed", "sign"),
    (raises, "two_views", "result", "failed", "RuntimeError"),
    (wrong_sign, "two_views", "pull", "failed", "apart"),
    (nobody_knows_whom, "two_views", "pull", "look", "as strongly as partners"),
    (temperature_times, "two_views", "temperature", "failed", "multiplied"),
    (temperature_times, "modalities", "temperature", "failed", "multiplied"),
    (temperature_times_with_classes, "labels", "temperature", "failed", "multiplied"),
    (log_forgotten, "two_views", "logits", "failed", "log_softmax"),
    (log_forgotten_without_an_option, "two_views", "logits", "failed", "log_softmax"),
    (softmax_twice, "two_views", "logits", "failed", "taken as logits"),
    (softmax_twice_in_both_views, "two_views", "logits", "failed", "taken as logits"),
    (softmax_twice_without_an_option, "two_views", "logits", "look", "softmax twice"),
    (sigmoids_as_logits, "two_views", "logits", "failed", "taken as logits"),
    (the_middle_row_meets_itself, "two_views", "permutation", "look", "flip"),
    (nothing_pulls, "two_views", "pull", "failed", "masked out"),
    (clamped_logits, "two_views", "pull", "look", "0.5 or 0.9 are not pulled.*clamp"),
    (divided_twice, "two_views", "batch size", "look", "n twice"),
    (summed, "two_views", "batch size", "look", "a sum over rows"),
    (summed_preferences, "preference", "batch size", "look", "a sum over rows"),
    (first_view_twice, "two_views", "reaches", "failed", "not depend on z2"),
    (without_positives, "labels", "special places", "failed", "class of one"),
    (log_of_sigmoid, "preference", "large logits", "failed", "logsigmoid"),
    (log_of_sigmoid_and_epsilon, "preference", "large logits", "failed", r"-log\(1e-06\)"),
    (sides_swapped, "preference", "pairing", "failed", "swapped"),
]


@pytest.mark.parametrize(("fn", "kind", "key", "verdict", "says"), BUGS, ids=[f"{b[0].__name__}-{b[2]}" for b in BUGS])
def test_a_planted_bug_is_found_and_named(fn, kind, key, verdict, says):
    card = card_of(fn, kind)
    assert card[key].verdict == verdict, card
    assert re.search(says, card[key].says), card[key].says
    assert not card.passed or card.looks
    assert card[key].says in " ".join(str(card).split()) or len(card[key].says) > 60


# ---------------------------------------------------------------- good losses


def plain_vicreg(x, y):
    def covariance(z):
        c = torch.cov(z.T)
        return (c - c.diagonal().diag()).square().sum() / z.shape[1]

    def variance(z):
        return F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean()

    return 25 * F.mse_loss(x, y) + 25 * (variance(x) + variance(y)) + covariance(x) + covariance(y)


def byol(online, target):
    return 2 - 2 * F.cosine_similarity(online, target.detach()).mean()


class Learned(nn.Module):
    """A loss with a temperature of its own."""

    def __init__(self):
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.2)))

    def forward(self, image, text):
        s = F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T / self.log_temperature.exp().to(image.dtype)
        target = torch.arange(len(s))
        return (F.cross_entropy(s, target) + F.cross_entropy(s.T, target)) / 2


def rolled_triplet(z1, z2):
    z1, z2 = F.normalize(z1, dim=-1), F.normalize(z2, dim=-1)
    return F.triplet_margin_loss(z1, z2, z2.roll(1, 0), margin=0.2)


def smoothed(z1, z2, temperature=0.2):
    return F.cross_entropy(logits_of(z1, z2, temperature).float(), torch.arange(len(z1)), label_smoothing=0.1)


def maximal_coding(z1, z2):
    return -torch.linalg.matrix_norm(F.normalize(z1, dim=-1) + F.normalize(z2, dim=-1), "nuc") / len(z1)


def only_decoupled(z1, z2, temperature=0.2):
    s = logits_of(z1, z2, temperature)
    return nothing_pulls(z1, z2, temperature) - s.diagonal().mean()


def trl_like(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta):
    return preferences.dpo(
        policy_chosen_logps, policy_rejected_logps, reference_chosen_logps, reference_rejected_logps, beta=beta
    )


def by_length(logps_w, logps_l, len_w, len_l, beta=2.0, gamma=1.0):
    return preferences.simpo(logps_w, logps_l, len_w, len_l, beta=beta, gamma=gamma)


GOOD = [
    (nt_xent, "two_views", {}, "this is nt_xent(temperature=0.5)"),
    (nt_xent, "two_views", {"temperature": 0.2}, "this is nt_xent(temperature=0.2)"),
    (functools.partial(nt_xent, temperature=0.07), "two_views", {}, "this is nt_xent(temperature=0.07)"),
    (lambda a, b: 3 * nt_xent(a, b, 0.1), "two_views", {}, "this is 3 x nt_xent(temperature=0.1), to rounding"),
    (plain_vicreg, "two_views", {}, "none of the"),
    (byol, "two_views", {}, "none of the"),
    (rolled_triplet, "two_views", {}, "none of the"),
    (smoothed, "two_views", {}, "none of the"),
    (maximal_coding, "two_views", {}, "none of the"),
    (only_decoupled, "two_views", {}, "none of the"),
    (Learned(), "modalities", {}, "this is clip_loss(temperature=0.2)"),
    (trl_like, "preference", {}, "this is dpo(beta=0.1"),
    (by_length, "preference", {}, "this is simpo("),
    (lambda z, labels: ENTRIES["sup_con"].fn(z, labels), "labels", {}, "this is sup_con(temperature=0.1)"),
    (lambda v: ENTRIES["mv_info_nce"].fn(v), "views", {}, "this is mv_info_nce("),
    (lambda z: torch.pdist(F.normalize(z, dim=1)).square().mul(-2).exp().mean().log(), "meter", {}, "this is uniformity("),
]


@pytest.mark.parametrize(("fn", "kind", "options", "like"), GOOD)
def test_a_good_loss_passes_and_is_known(fn, kind, options, like):
    card = card_of(fn, kind, **options)
    assert card.passed and card, card
    assert not card.looks, card
    assert card["catalog"].says.startswith(like), card["catalog"]


TENSORS = {
    "two_views": ({"z1", "z2"}, {"anchors", "positives"}),
    "modalities": ({"a", "b"},),
    "views": ({"views"},),
    "labels": ({"z", "labels"},),
    "preference": (
        {"chosen_logps", "rejected_logps"},
        {"chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps"},
        {"chosen_logps", "rejected_logps", "chosen_lengths", "rejected_lengths"},
    ),
}
OTHERWISE = {"self_contrast"}  # its rejected answers are many for each prompt


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, e.name, marks=[] if e.name in ("dhel", "siglip", "orpo") else pytest.mark.thorough)
        for kind, sets in TENSORS.items()
        for e in catalog()
        if set(e.tensors) in sets and e.kind in ("loss", "preference") and e.name not in OTHERWISE
    ],
)
def test_nothing_is_wrong_with_what_the_catalog_holds(kind, name):
    """Stopped gradients are expected of those that have them; a `look` at any of them would be a false alarm."""
    card = card_of(ENTRIES[name].fn, kind, expect={"gradient": False} if name in cases.STOPPED else {})
    assert card.passed and not card.looks, card
    assert name in card["catalog"].says


# ---------------------------------------------------------------- facts, options, reading


def test_what_a_loss_need_not_have_is_a_fact_unless_it_was_expected():
    card = card_of(plain_vicreg)
    assert card["rotation"].verdict == card["scale"].verdict == "differs" and card["view swap"].verdict == "passed"
    assert card["rotation"].measured > 1e-3
    strict = card_of(plain_vicreg, expect={"rotation": True, "scale": False})
    assert [c.key for c in strict.failed] == ["rotation"] and "expected to hold" in strict["rotation"].says
    assert [c.key for c in card_of(plain_vicreg, expect={"view swap": False}).failed] == ["view swap"]
    assert card_of(detached_positive, expect={"gradient": False, "pull": False}).passed


def test_rolled_strangers_are_a_fact():
    check = card_of(rolled_triplet)["permutation"]
    assert check.verdict == "differs" and "roll(1, 0)" in check.says and check.measured > 1e-3


def test_a_clamp_is_not_taken_for_a_temperature_that_multiplies():
    assert card_of(clamped_logits)["temperature"].verdict == "passed"


def test_what_is_to_be_looked_at_stands_in_the_headline():
    card = card_of(summed)
    assert card.passed and "passed, but 1 thing to look at (batch size)" in str(card).splitlines()[0]
    assert "but 1 thing to look at" in card._repr_html_()


def test_a_loss_of_one_sigmoid_is_not_taken_for_a_masked_sum():
    def one_sigmoid(z1, z2, temperature=0.2):
        return -F.logsigmoid(F.cosine_similarity(z1, z2) / temperature).mean()

    assert card_of(one_sigmoid)["chance"].verdict == "passed"


def test_a_term_that_only_pushes_may_be_meant():
    assert not card_of(nothing_pulls).passed and card_of(nothing_pulls, expect={"pull": False}).passed


def test_a_stopped_view_is_named():
    card = card_of(byol)
    assert card["reaches"].verdict == "differs" and "target" in card["reaches"].says
    assert card["gradient"].verdict == "passed"


def test_the_chance_line_is_recognised():
    said = {
        "nt_xent": ("two_views", "log(2n - 1)"),
        "dcl": ("two_views", "log(2n - 2)"),
        "clip_loss": ("modalities", "log(n)"),
        "sup_con": ("labels", "log(n - 1)"),
        "dpo": ("preference", "log(2)"),
    }
    for name, (kind, words) in said.items():
        check = card_of(ENTRIES[name].fn, kind)["chance"]
        assert check.says.startswith(words) and check.measured == pytest.approx(ENTRIES[name].chance(6), abs=1e-9)


def test_a_loss_that_is_nearly_known_says_of_what():
    def blunt(z1, z2):
        p = cosines(z1, z2, 0.1).fill_diagonal_(-math.inf).softmax(-1)
        return -(p.gather(1, partners(len(z1))[:, None]) + 1e-8).log().mean()

    assert "the nearest, nt_xent(temperature=0.1), is" in card_of(blunt)["catalog"].says

    def cut(z1, z2):
        return nt_xent(z1, z2, 0.2).clamp(max=9.0)

    assert "for opposite views it is" in card_of(cut)["catalog"].says


def test_the_same_value_with_another_gradient_is_not_called_the_same():
    def frozen(z1, z2, temperature=0.5):
        return nt_xent(z1, z2, temperature) + (s := F.cosine_similarity(z1, z2).mean()) - s.detach()

    card = card_of(frozen)
    assert card["gradient"].verdict == "failed" and "the gradient is another" in card["catalog"].says


def test_a_card_is_read_the_same_way_twice_and_prints(capsys):
    card = check_objective(careless := exp_first)
    text, timing = capsys.readouterr().out.rstrip().rsplit("\n\n", 1)
    assert text == str(card) == str(card_of(careless)) and card == card_of(careless)
    assert "ms" in timing and timing not in text
    assert "FAILED" in text and text.index("Wrong:") < text.index("Everything else:")
    assert "<table" in card._repr_html_() and "exp_first" in card._repr_html_()
    with pytest.raises(KeyError, match="no check is called 'speed'; there are result"):
        card["speed"]


def test_a_cell_draws_its_card_once(monkeypatch, capsys):
    cell, drawn = [1], []
    monkeypatch.setattr("labkit.battery.card.current_cell", lambda: cell[0])
    monkeypatch.setattr("labkit.battery.card.publish", drawn.append)
    card = check_objective(nt_xent)
    card._ipython_display_()  # the cell ends with it
    assert drawn == [card] and not capsys.readouterr().out
    cell[0] = 2
    card._ipython_display_()
    assert drawn == [card, card]


def test_it_leaves_the_callers_random_stream_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    card_of(dropout)
    assert torch.equal(torch.rand(3), expected)


def test_what_was_understood_is_said():
    assert "policy_chosen_logps as chosen_logps" in str(card_of(trl_like, "preference"))
    assert "beta = 0.1" in str(card_of(trl_like, "preference"))


class Fixed(nn.Module):
    """As many are: targets of one batch size, prototypes of one width."""

    def __init__(self):
        super().__init__()
        self.register_buffer("target", torch.arange(8))
        self.prototypes = nn.Linear(12, 12, bias=False)
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x, y):
        self.calls += 1
        x, y = self.prototypes(x), self.prototypes(y)
        return F.cross_entropy(F.normalize(x, dim=-1) @ F.normalize(y, dim=-1).T / 0.3, self.target)


def test_a_function_for_one_size_alone_is_asked_at_that_size():
    fn = Fixed()
    assert "say rows=..., dim=..." in card_of(fn)["result"].says
    card = card_of(fn, rows=8, dim=12)
    assert fn.calls == 0  # copies of it were asked
    assert card.passed and card["two rows"].verdict == "not applicable"
    for wrong in ({"rows": 1}, {"dim": 2.5}):
        with pytest.raises(ValueError, match="must be a whole number"):
            card_of(fn, **wrong)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: check_objective(3), TypeError, "fn must be a function of tensors, got int"),
        (lambda: check_objective(Learned), TypeError, "the class Learned: make one of it first"),
        (lambda: check_objective(nt_xent, "three_views"), ValueError, "kind must be 'two_views' or"),
        (lambda: check_objective(nt_xent, margin=1), TypeError, "nt_xent takes no margin; it takes z1, z2, temperature"),
        (lambda: check_objective(lambda z: z.sum()), ValueError, "takes 1 argument .z., but kind='two_views' hands it 2"),
        (lambda: check_objective(lambda z1, z2, queue: 0), ValueError, "also needs queue"),
        (lambda: check_objective(nt_xent, expect={"speed": True}), ValueError, "expect names speed; the checks are result"),
        (lambda: check_objective(lambda x, y, u: 0, "preference"), ValueError, "do not say what is what"),
    ],
)
def test_a_call_that_makes_no_sense_says_why(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(("name", "kind"), [("sup_con", "labels"), ("mv_dhel", "views"), ("dpo", "preference")])
def test_odd_batches_are_no_excuse(name, kind):
    assert card_of(ENTRIES[name].fn, kind, rows=7).passed
