"""Preference objectives against official numbers, slow loops and identities that hold exactly."""

import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch
from torch.autograd import gradcheck

from labkit import link, preferences
from labkit.link import slope
from labkit.preferences import sequence_logps

HERE = Path(__file__).parent / "oracles"
ORACLE = json.loads((HERE / "preference.json").read_text(encoding="utf-8"))
SPEC = importlib.util.spec_from_file_location("preference_loops", HERE / "preference_loops.py")
loops = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(loops)

FOUR = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")
PAIRED = ["dpo", "ipo", "hinge", "robust_dpo", "exo", "discopop", "dpop", "rpo", "nca", "sppo", "bco", "apo_zero", "apo_down"]
EXTREMES = [-2000.0, -100.0, 100.0, 2000.0]


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def four(n=6):
    """Log-probabilities of a policy and its reference, distinct and away from every kink."""
    return [-torch.rand(n, dtype=torch.float64) * 5 - 0.1 for _ in range(4)]


# ---------------------------------------------------------------- official numbers


@pytest.mark.parametrize("row", ORACLE["values"], ids=lambda row: f"{row['entry']}: {row['source']}")
def test_values_are_those_of_the_official_code(row):
    tensors = [double(ORACLE["inputs"][name]) for name in row["tensors"]]
    got = getattr(preferences, row["entry"])(*tensors, **row["options"], reduction="none")
    want = double(row["value"])
    torch.testing.assert_close(got if want.ndim else got.mean(), want, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dpop", {}),
        ("dpop", {"lambda_": 5.0}),
        ("rpo", {"eta": 0.3}),
        ("kto", {"kl": 0.2, "desirable_weight": 1.5}),
        ("bco", {"shift": 0.3}),
        ("discopop", {}),
        ("aot", {}),
        ("cpo", {}),
        ("slic", {"sft": 0.2}),
        ("sft", {}),
        ("bradley_terry", {}),
    ],
)
def test_values_are_those_of_a_slow_loop(name, options):
    fn = getattr(preferences, name)
    count = {"sft": 1, "cpo": 2, "slic": 2, "bradley_terry": 2}.get(name, 4)
    tensors = four()[:count]
    want = double(getattr(loops, name)(*(t.tolist() for t in tensors), **options))
    torch.testing.assert_close(fn(*tensors, **options, reduction="none"), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["simpo", "orpo", "rpo", "sft"])
def test_lengths_of_either_kind_divide_the_log_probabilities(name):
    tensors = four()
    whole = [torch.tensor([1, 2, 3, 4, 5, 6]), torch.tensor([6, 1, 2, 2, 9, 3])]
    given = {"simpo": [*tensors[:2], *whole], "orpo": [*tensors[:2], *whole], "rpo": [*tensors, whole[0]]}
    arguments = given.get(name, [tensors[0], whole[0]])
    fn = getattr(preferences, name)
    want = double(getattr(loops, name)(*(t.tolist() for t in arguments)))
    torch.testing.assert_close(fn(*arguments, reduction="none"), want, rtol=0, atol=1e-12)
    floats = [t.double() for t in arguments]
    torch.testing.assert_close(fn(*floats, reduction="none"), want, rtol=0, atol=1e-12)


def test_lists_are_those_of_a_slow_loop():
    scores = torch.randn(5, 4, dtype=torch.float64)
    labels = torch.tensor([[0, 1, 2, 3], [3, 3, 0, 1], [1, 1, 1, 1], [2, 0, 2, 0], [0, 0, 0, 1]])
    ranking = torch.stack([torch.randperm(4) for _ in range(5)])
    got = preferences.lipo(scores, labels, reduction="none")
    torch.testing.assert_close(got, double(loops.lipo(scores.tolist(), labels.tolist())), rtol=0, atol=1e-12)
    assert got[2] == 0  # nothing is preferred to anything
    got = preferences.plackett_luce(scores, ranking, reduction="none")
    torch.testing.assert_close(got, double(loops.plackett_luce(scores.tolist(), ranking.tolist())), rtol=0, atol=1e-12)


# ---------------------------------------------------------------- identities


def test_at_the_reference_each_loss_has_its_closed_form():
    a, b = four()[:2]
    at = {name: getattr(preferences, name)(a, b, a, b).item() for name in [*PAIRED, "aot"] if name != "rpo"}
    log2 = math.log(2)
    same = {"dpo": log2, "robust_dpo": log2, "dpop": log2, "aot": log2, "hinge": 1.0, "ipo": 25.0, "sppo": 50.0}
    same |= {"bco": 2 * log2, "nca": 2 * log2, "apo_zero": 1.0, "apo_down": 1.0}
    same |= {"discopop": (log2 + 1) / 2, "exo": 0.5 * math.log(0.5 / 0.999) + 0.5 * math.log(0.5 / 0.001)}
    assert at == pytest.approx(same, abs=1e-12)


def test_families_meet_where_they_should():
    q = four()
    r = link.ratios(*q)
    dpo = preferences.dpo(*q, reduction="none")
    scores = torch.stack([0.1 * r.chosen, 0.1 * r.rejected], dim=1)
    first = torch.tensor([[0, 1]]).expand(6, 2)
    weight = 1 / math.log(2) - 1 / math.log(3)
    same = {
        "robust at 0": preferences.robust_dpo(*q, label_smoothing=0.0, reduction="none"),
        "dpop at 0": preferences.dpop(*q, lambda_=0.0, reduction="none"),
        "rpo at 0": preferences.rpo(*q, eta=0.0, reduction="none"),
        "lists of two": preferences.plackett_luce(scores, first, reduction="none"),
        "graded lists of two": preferences.lipo(scores, first.flip(1), reduction="none") / weight,
        "rewards": preferences.bradley_terry(0.1 * r.chosen, 0.1 * r.rejected, reduction="none"),
        "cpo with the reference taken off": preferences.cpo(r.chosen - 9, r.rejected - 9, sft=0.0, reduction="none"),
        "aot pair by pair": torch.cat([preferences.aot(*(t[i : i + 1] for t in q), reduction="none") for i in range(6)]),
    }
    for name, got in same.items():
        torch.testing.assert_close(got, dpo, rtol=0, atol=1e-12, msg=name)


def test_bco_is_an_upper_bound_of_dpo():
    q = [-torch.randn(10_000, dtype=torch.float64).abs() * 20 for _ in range(4)]
    assert (preferences.bco(*q, reduction="none") >= preferences.dpo(*q, reduction="none")).all()


def test_orpo_compares_right_and_wrong_against_wrong_and_right():
    a, b = four()[:2]
    one = torch.ones(6, dtype=torch.float64)
    p, q = a.exp(), b.exp()
    odds = torch.log(p * (1 - q)) - torch.log(q * (1 - p))
    got = preferences.orpo(a, b, one, one, beta=1.0, sft=0.0, reduction="none")
    torch.testing.assert_close(got, link.logistic(odds), rtol=0, atol=1e-12)


def test_dpop_charges_only_for_a_fall():
    rw, rl = double([-2.0, -2.0]), double([-2.0, -2.0])
    cw, cl = double([-1.0, -3.0]), double([-4.0, -6.0])  # the same margin; the first chosen answer rose, the second fell
    charged, free = (f(cw, cl, rw, rl, reduction="none") for f in (preferences.dpop, preferences.dpo))
    assert charged[0] == free[0] and charged[1] > free[1] + 1


def test_only_the_margin_enters_the_losses_of_the_margin_family():
    cw, cl, rw, rl = four()
    for name in ("dpo", "ipo", "hinge", "robust_dpo", "exo", "discopop", "aot"):
        fn = getattr(preferences, name)
        torch.testing.assert_close(fn(cw - 7, cl - 7, rw, rl), fn(cw, cl, rw, rl), rtol=0, atol=1e-12, msg=name)


def test_slopes_are_the_derivatives_on_paper():
    z = torch.linspace(-4, 4, 9, dtype=torch.float64)
    torch.testing.assert_close(slope(link.logistic, z), -torch.sigmoid(-z), rtol=0, atol=1e-12)
    torch.testing.assert_close(slope(link.logistic, z, smoothing=0.1), 0.1 - torch.sigmoid(-z), rtol=0, atol=1e-12)
    torch.testing.assert_close(slope(link.squared, z, target=5.0), 2 * (z - 5), rtol=0, atol=1e-12)
    torch.testing.assert_close(slope(link.robust, z, smoothing=0.1), -0.125 - torch.sigmoid(-z), rtol=0, atol=1e-12)
    torch.testing.assert_close(slope(link.hinge, z), -(z < 1).double(), rtol=0, atol=0)
    assert (slope(link.exo, z).abs() < slope(link.exo, torch.zeros(1, dtype=torch.float64)).abs()).sum() == 8


# ---------------------------------------------------------------- gradients and extremes


@pytest.mark.parametrize("name", [*PAIRED, "kto", "aot"])
def test_gradients_are_right(name):
    tensors = tuple(t.requires_grad_() for t in four(4))
    assert gradcheck(lambda *q: getattr(preferences, name)(*q, reduction="none"), tensors)


def test_gradients_of_the_others_are_right():
    cw, cl = (t.requires_grad_() for t in four(4)[:2])
    lengths = torch.tensor([3, 1, 2, 5])
    assert gradcheck(lambda *q: preferences.simpo(*q, lengths, lengths.flip(0), reduction="none"), (cw, cl))
    assert gradcheck(lambda *q: preferences.orpo(*q, lengths, lengths.flip(0), reduction="none"), (cw, cl))
    for fn in (preferences.cpo, preferences.slic, preferences.bradley_terry):
        assert gradcheck(lambda *q, fn=fn: fn(*q, reduction="none"), (cw, cl))
    scores = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    grades, ranking = torch.randint(0, 4, (3, 4)), torch.randperm(4).expand(3, 4)
    assert gradcheck(lambda s: preferences.lipo(s, grades, reduction="none"), (scores,))
    assert gradcheck(lambda s: preferences.plackett_luce(s, ranking, reduction="none"), (scores,))


@pytest.mark.parametrize("name", [n for n in [*PAIRED, "kto", "aot"] if n != "dpop"])
@pytest.mark.parametrize("margin", EXTREMES)
def test_hopeless_and_settled_pairs_stay_finite(name, margin):
    chosen = torch.tensor([min(margin, 0.0)], requires_grad=True)
    reference, zero = torch.tensor([min(-margin, 0.0)]), torch.zeros(1)
    loss = getattr(preferences, name)(chosen, zero, reference, zero, beta=1.0)
    loss.backward()
    assert loss.isfinite() and chosen.grad.isfinite().all()


@pytest.mark.parametrize("logp", [-1e-7, -1e-4, -0.5, -20.0, -200.0])
def test_odds_are_finite_near_both_ends(logp):
    a = torch.tensor([logp], requires_grad=True)
    loss = preferences.orpo(a, torch.tensor([-1.0]), torch.tensor([1]), torch.tensor([1]))
    loss.backward()
    assert loss.isfinite() and a.grad.isfinite().all()
    exact = math.log(-1 / math.expm1(logp)) + logp
    assert link.log_odds(a).item() == pytest.approx(exact, rel=1e-6, abs=1e-6)


def test_no_gradient_flows_through_what_the_batch_measures():
    q = four(3)
    for name, option in (("kto", "kl"), ("bco", "shift")):
        measured = double(0.3).requires_grad_()
        chosen = q[0].clone().requires_grad_()
        getattr(preferences, name)(chosen, *q[1:], **{option: measured}).backward()
        assert measured.grad is None and chosen.grad.abs().sum() > 0


def test_kto_takes_sides_of_different_size():
    cw, rw = -torch.rand(3), -torch.rand(3)
    cl, rl = -torch.rand(5), -torch.rand(5)
    values = preferences.kto(cw, cl, rw, rl, reduction="none")
    assert values.shape == (8,)
    torch.testing.assert_close(preferences.kto(cw, cl, rw, rl), values.mean())
    with pytest.raises(ValueError, match=r"ref_chosen_logps has n = 5, but chosen_logps has n = 3"):
        preferences.kto(cw, cl, rl, rw)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda a, n: preferences.exo(a, a, a, a, label_smoothing=0.0), r"label_smoothing must be in \(0, 0\.5\)"),
        (lambda a, n: preferences.robust_dpo(a, a, a, a, label_smoothing=0.5), "swap them instead"),
        (lambda a, n: preferences.dpo(a, a, a, a, beta=0.0), "beta must be > 0"),
        (lambda a, n: preferences.orpo(-a, a, n, n), r"chosen_logps must be in \(-inf, 0\)|chosen_logps must be < 0"),
        (
            lambda a, n: preferences.dpo(a, a, -a, a),
            "ref_chosen_logps must be <= 0, got 1; a log-probability is never positive",
        ),
        (lambda a, n: preferences.cpo(a, a + 1.5), "rejected_logps must be <= 0, got 0.5"),
        (lambda a, n: preferences.simpo(a, a, 0 * n, n), "chosen_lengths must be > 0, got 0; count the response tokens"),
        (lambda a, n: preferences.rpo(a, a, a, a, eta=-1.0), "eta must be >= 0"),
        (lambda a, n: preferences.dpo(a, a[:1], a, a), "rejected_logps has n = 1"),
        (lambda a, n: preferences.plackett_luce(torch.randn(1, 3), torch.tensor([[0, 0, 2]])), "each of the 3 candidates once"),
        (lambda a, n: preferences.lipo(torch.randn(2, 1), torch.randn(2, 1)), "k >= 2"),
    ],
)
def test_bad_input_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act(torch.tensor([-1.0, -2.0]), torch.tensor([3, 4]))


# ---------------------------------------------------------------- sequence_logps


def rows(pad):
    """Two prompts and responses of different length, padded on one side or the other, and logits that depend on neither."""
    torch.manual_seed(1)
    one, two = [1, 2, 3, 4, 0], [5, 6, 7]  # prompts (1, 2) and (5,); responses (3, 4, 0) and (6, 7)
    per_token = torch.randn(8, 9, dtype=torch.float64)
    fill = [99, 99]  # an id no policy knows
    labels = [one, fill + two if pad == "left" else two + fill]
    mask = [[0, 0, 1, 1, 1], [0, 0, 0, 1, 1] if pad == "left" else [0, 1, 1, 0, 0]]
    labels = torch.tensor(labels)
    return per_token[labels.clamp(max=7)], labels, torch.tensor(mask).bool()


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("pad", ["left", "right"])
def test_log_probabilities_are_those_of_a_slow_loop(pad, average):
    logits, labels, mask = rows(pad)
    got = sequence_logps(logits, labels, mask, average=average)
    want = loops.sequence_logps(logits.tolist(), labels.tolist(), mask.tolist(), average=average)
    torch.testing.assert_close(got, double(want), rtol=0, atol=1e-12)


def test_either_padding_side_gives_the_same_number():
    torch.testing.assert_close(sequence_logps(*rows("left")), sequence_logps(*rows("right")), rtol=0, atol=1e-12)


def test_prompt_and_padding_never_count():
    logits, labels, mask = rows("right")
    before = sequence_logps(logits, labels, mask)
    scored = torch.zeros_like(mask)
    scored[:, :-1] = mask[:, 1:]  # the positions that predict a response token
    noise = torch.where(scored[..., None], 0.0, torch.randn_like(logits))
    other = torch.where(mask, labels, -100)
    torch.testing.assert_close(sequence_logps(logits + noise, other, mask), before, rtol=0, atol=0)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(sequence_logps(logits, labels, mask).sum(), logits)
    assert (gradient[~scored] == 0).all() and (gradient[scored] != 0).any(-1).all()


def test_the_first_token_is_predicted_by_nothing():
    logits, labels, mask = rows("right")
    marked = mask.clone()
    marked[:, 0] = True
    torch.testing.assert_close(sequence_logps(logits, labels, marked), sequence_logps(logits, labels, mask), rtol=0, atol=0)


@pytest.mark.parametrize("average", [False, True])
def test_gradients_of_the_logits_are_right(average):
    logits, labels, mask = rows("left")
    assert gradcheck(lambda x: sequence_logps(x, labels, mask, average=average), (logits.requires_grad_(),))


def test_masks_of_ones_and_zeros_are_masks():
    logits, labels, mask = rows("left")
    torch.testing.assert_close(sequence_logps(logits, labels, mask.long()), sequence_logps(logits, labels, mask))


def test_half_precision_is_computed_in_single():
    logits, labels, mask = rows("right")
    got = sequence_logps(logits.half(), labels, mask)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, sequence_logps(logits.half().double(), labels, mask).float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y, m: (x, y, m & torch.tensor([[True], [False]])), r"no response token after position 0 in row \[1\]"),
        (lambda x, y, m: (x, y, m & False), r"in rows \[0, 1\]"),
        (lambda x, y, m: (x, y, m | True), r"labels at marked positions must be in \[0, 9\), got 0 to 99"),
        (lambda x, y, m: (x[:, :-1], y, m), r"labels has t = 5, but logits has t = 4"),
        (lambda x, y, m: (x[:, :1], y[:, :1], m[:, :1]), "needs t >= 2"),
        (lambda x, y, m: (x * float("nan"), y, m), "logits holds 90 NaN or infinite values"),
    ],
)
def test_sequences_that_cannot_be_scored_are_refused(spoil, message):
    with pytest.raises(ValueError, match=message):
        sequence_logps(*spoil(*rows("right")))
