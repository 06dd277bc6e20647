"""Pairwise preference objectives: slow loops, what each becomes at some setting, and what its gradient is not."""

import json
import math

import cases
import pytest
import torch
from torch.nn.functional import logsigmoid

from labkit import link, preferences
from labkit.link import slope
from labkit.preferences import contexts
from labkit.registry import ENTRIES

LOOPS = cases.loops("pairwise_loops")
STORED = json.loads((cases.ORACLES / "pairwise.json").read_text(encoding="utf-8"))
# What a loop is tried with beside its defaults.
OPTIONS = {
    "ipo_norm": [{"beta": 0.5}],
    "dpo_norm": [{"beta": 2.0}],
    "r_dpo": [{"alpha": 0.0}, {"alpha": 0.01, "beta": 0.5}],
    "flex_dpo": [{"beta_w": 0.3, "beta_l": 0.0}],
    "alpha_scaled_dpo": [{"alpha": 0.0}, {"alpha": 1.7, "beta": 1.0}],
    "mm_dpo": [{"weight": 2.0, "k": 1.5}, {"weight": 0.0}],
    "f_dpo": [{"divergence": d} for d in ("forward_kl", "js", "alpha")]
    + [{"divergence": "alpha", "alpha": a} for a in (1.0, 2.0)],
    "wpo": [{"most": None}, {"most": 0.5, "label_smoothing": 0.2}],
    "ld_dpo": [{"alpha": 0.0}, {"alpha": 1.0, "beta": 1.0}],
    "selm": [{"alpha": 0.5}],
    "xpo": [{"alpha": 0.5}],
    "hypo": [{"lambda_": 0.5}],
    "harmonic_rpo": [{"sft": 0.2}],
    "spo": [{"gamma": 2.0}],
    "mapl": [{"gamma": 0.3}],
    "coipo": [{"form": "paper"}],
    "rrhf": [{"sft": 0.0}],
    "alpha_po": [{"alpha": -0.5, "gamma": 0.0}, {"alpha": 0.0}],
    "cpl": [{"lambda_": 0.0}, {"lambda_": 1.0}],
    "aot_unpaired": [{"label_smoothing": 0.2}],
}
NAMES = [n for n in vars(LOOPS) if n in ENTRIES]
REFERENCED = [
    n
    for n in NAMES
    if ENTRIES[n].tensors[:4] == ENTRIES["dpo"].tensors and len(cases.letters(ENTRIES[n], "rejected_logps")) == 1
]
DOUBLE = torch.float64


def close(got, expected, tolerance=1e-12):
    torch.testing.assert_close(got, torch.as_tensor(expected, dtype=DOUBLE), rtol=tolerance, atol=tolerance)


def four(n=6, *shape):
    return [-torch.rand(n, *shape, dtype=DOUBLE) * 5 - 0.1 for _ in range(4)]


def each(name, *tensors, **options):
    return getattr(preferences, name)(*tensors, **options, reduction="none")


# ---------------------------------------------------------------- official numbers


def tensor(name):
    values = STORED["inputs"][name]
    whole = torch.tensor(values)
    return torch.tensor(values, dtype=DOUBLE) if whole.is_floating_point() else whole


def arguments(row, given):
    """What the entry is called with, from what the official function is called with."""
    kl, whole = preferences.answer_kl, {n: x for n, x in given.items() if n.startswith("ref_")}
    if row["entry"] == "coipo":
        clean, other_clean, noisy, other_noisy = given.values()
        matched = kl(clean, noisy) + kl(other_clean, other_noisy)
        return {"matched": matched, "mismatched": kl(other_clean, noisy) + kl(clean, other_noisy)}
    if "both_logits" in given:
        logits, labels = given["both_logits"], given["both_labels"]
        logps = preferences.token_logps(logits, labels, labels != -100).chunk(2)
        squares, masks = preferences.collision_logps(logits).chunk(2), (labels != -100).chunk(2)
        return {**whole, **weighed(logps, squares, masks)}
    if row["entry"] == "wpo":
        logps, squares, masks = (list(given.values())[i : i + 2] for i in (0, 2, 4))
        return {**whole, **weighed(logps, squares, masks), "most": None}
    if row["entry"] == "sparse_po":
        return {n.replace("mask", "weights"): x.double() for n, x in given.items()}
    return given


def weighed(logps, squares, masks):
    made = {}
    for side, x, square, mask in zip(("chosen", "rejected"), logps, squares, masks, strict=True):
        made[f"{side}_logps"] = (x * mask).sum(-1)
        made[f"{side}_weights"] = preferences.likelihood_weights(x, square, mask)
    return made


@pytest.mark.parametrize("row", STORED["values"], ids=lambda r: f"{r['entry']}-{r['function']}-{r['options']}")
def test_values_and_gradients_are_those_of_the_official_code(row):
    given = {name: tensor(name) for name in row["arguments"]}
    leaves = {name: x.requires_grad_() for name, x in given.items() if x.is_floating_point()}
    values = ENTRIES[row["entry"]].fn(**arguments(row, given), **row["options"], reduction="none")
    alone = isinstance(row["value"], float)  # the mean of a batch whose values depend on each other
    values = values.mean() if alone else values
    close(values.detach(), row["value"], 1e-10)
    values.sum().backward()
    for name, expected in row["gradient"].items():
        found = leaves[name].grad
        close(torch.zeros_like(leaves[name]) if found is None else found, expected, 1e-10)


def test_the_stored_rows_cite_a_version_or_a_commit():
    assert all(row["source"].split()[-1].strip(".0123456789abcdef") == "" and row["function"] for row in STORED["values"])


# ---------------------------------------------------------------- slow loops


@pytest.mark.parametrize(
    ("name", "options"),
    [(n, o) for n in NAMES for o in [{}, *OPTIONS.get(n, [])]],
    ids=lambda x: x if isinstance(x, str) else "",
)
@pytest.mark.parametrize("optional", [False, True])
def test_values_are_those_of_a_slow_loop(name, options, optional):
    given = cases.inputs(ENTRIES[name], seed=3, optional=optional)
    slow = getattr(LOOPS, name)(*(x.tolist() for x in given.values()), **options)
    close(each(name, *given.values(), **options), slow)


def test_every_entry_of_these_files_has_a_loop():
    families = {ENTRIES[n].family for n in NAMES} - {"reference_free"}
    assert {n for n, e in ENTRIES.items() if e.family in families} - {"aot"} <= set(NAMES) <= set(preferences.__all__)


# ---------------------------------------------------------------- what each becomes at some setting


def test_families_meet_in_dpo():
    q = four()
    cw, cl, rw, rl = q
    r, ones, five = link.ratios(*q), torch.ones(6, dtype=DOUBLE), torch.full((6,), 5)
    other, ref_other = four()[:2]
    degrees = torch.randn(6, 3, dtype=DOUBLE), torch.arange(6) % 3
    prompts = [other, other, ref_other, ref_other]
    same = {
        "equal lengths": each("r_dpo", *q, five, five, alpha=3.0),
        "no price of a token": each("r_dpo", *q, five, 2 * five, alpha=0.0),
        "per token, length 1": each("dpo_norm", *q, ones, ones),
        "equal betas": each("flex_dpo", *q, beta_w=0.1, beta_l=0.1),
        "all of the reference": each("alpha_scaled_dpo", *q, alpha=1.0),
        "no reward margin": each("mm_dpo", *q, 0 * ones),
        "no weight of the reward margin": each("mm_dpo", *q, 50 * ones, weight=0.0),
        "the reverse KL": each("f_dpo", *q),
        "alpha 1": each("f_dpo", *q, divergence="alpha", alpha=1.0),
        "weights 1": each("wpo", *q, ones, ones),
        "weights above what is allowed": each("wpo", *q, 3 * ones, ones),
        "sure of every label": each("cream", *q, ones),
        "sure that every label is wrong": each("cream", cl, cw, rl, rw, 0 * ones),
        "no optimism": each("selm", *q, other, ref_other, alpha=0.0),
        "no optimism either": each("xpo", *q, other, alpha=0.0),
        "no KL": each("hypo", *q, other[:, None], ref_other[:, None], lambda_=0.0),
        "one negative": each("self_contrast", cw, cl[:, None], rw, rl[:, None]),
        "the same negative thrice": each("self_contrast", cw, cl[:, None].expand(6, 3), rw, rl[:, None].expand(6, 3)),
        "one instruction": each("dove", *q, *prompts),
        "no other prompt": each("mapl", *q, other, ref_other, gamma=0.0),
        "the other prompt is the other answer": each("mapl", *q, cl, rl, gamma=1.0) / 2,
        "two goals, turned round": each("reward_augmented_dpo", *q, cl, cw, rl, rw),
        "no degrees": each("spo", *q, *degrees, gamma=0.0),
        "all of the other segment": each("cpl", 0.1 * r.chosen, 0.1 * r.rejected, lambda_=1.0),
        "two candidates": each(
            "pu_distillation", torch.stack([cl, cw], 1), torch.stack([rl, rw], 1), torch.tensor([[1.0, 2.0]] * 6, dtype=DOUBLE)
        ),
        "errors for log-probabilities": each("harmonic_rpo", *(-0.1 * x for x in q), ones, sft=0.0),
        "sorted one by one": torch.cat([each("aot_unpaired", *(x[i : i + 1] for x in q)) for i in range(6)]),
    }
    for name, got in same.items():
        torch.testing.assert_close(got, each("dpo", *q), rtol=0, atol=1e-12, msg=name)


def test_families_meet_elsewhere():
    q, lengths = four(), (torch.arange(1, 7), torch.arange(6, 0, -1))
    cw, cl, rw, rl = q
    one, zero, ones = torch.ones(6, dtype=torch.long), torch.zeros(6, dtype=DOUBLE), torch.ones(6, dtype=DOUBLE)
    smooth = each("dpo", *q, label_smoothing=0.2)
    same = {
        "cream is cDPO": (each("cream", *q, 0.8 * ones), smooth),
        "wpo is cDPO": (each("wpo", *q, ones, ones, label_smoothing=0.2), smooth),
        "ipo": (each("ipo_norm", *q, one, one), each("ipo", *q)),
        "simpo": (each("dpo_norm", cw, cl, zero, zero, *lengths, beta=2.0), each("simpo", cw, cl, *lengths, gamma=0.0)),
        "simpo again": (
            each("alpha_po", cw, cl, *lengths, alpha=0.0, gamma=0.4),
            each("simpo", cw, cl, *lengths, beta=2.5, gamma=0.4),
        ),
        "cpo": (each("alpha_scaled_dpo", *q, alpha=0.0), each("cpo", cw, cl, sft=0.0)),
        "cpo again": (each("cpl", 0.1 * cw, 0.1 * cl, lambda_=1.0), each("cpo", cw, cl, sft=0.0)),
        "slic": (each("rrhf", cw, cl, one, one, sft=0.3), each("slic", cw, cl, margin=0.0, sft=0.3)),
        "alpha 0 is forward": (each("f_dpo", *q, divergence="alpha", alpha=0.0), each("f_dpo", *q, divergence="forward_kl")),
        "xpo": (each("selm", *q, cw, rw, alpha=0.3), each("xpo", *q, cw, alpha=0.03) - 0.03 * rw),
        "two segments": (each("fdpo", cw, rw, one) + each("fdpo", cl, rl, 0 * one), each("bco", *q)),
    }
    for name, (got, expected) in same.items():
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12, msg=name)


def tokens(n=6):
    """Token log-probabilities, masks of various lengths, and what `sequence_logps` would give."""
    shape = {"chosen": (n, 5), "rejected": (n, 4)}
    logps = [-torch.rand(shape[side], dtype=DOUBLE) - 0.1 for side in (*shape, *shape)]
    masks = [torch.arange(w) < 1 + torch.arange(n)[:, None] % w for _, w in shape.values()]
    return logps, masks, [(x * m).sum(-1) for x, m in zip(logps, masks * 2, strict=True)]


def test_token_sums_are_dpo_when_every_token_counts():
    logps, masks, sums = tokens()
    weights = [m.double() for m in masks]
    close(each("ld_dpo", *logps, *masks, alpha=1.0), each("dpo", *sums))
    close(each("ld_dpo", *logps, *(m.long() for m in masks), alpha=1.0), each("dpo", *sums))
    close(each("sparse_po", *logps, *weights), each("dpo", *sums))
    short = [logps[0][:, :4], logps[1], logps[2][:, :4], logps[3]]
    close(each("ld_dpo", *short, masks[1], masks[1], alpha=0.3), each("ld_dpo", *short, masks[1], masks[1], alpha=1.0))


def test_the_damped_sum_of_log_probabilities_is_what_the_loss_compares():
    logps, masks, _ = tokens()
    shorter = torch.minimum(*(m.sum(-1) for m in masks))
    sums = [preferences.damped_sum(x, m, shorter, alpha=0.3) for x, m in zip(logps, masks * 2, strict=True)]
    close(each("dpo", *sums), each("ld_dpo", *logps, *masks, alpha=0.3))


def test_what_stands_in_the_padding_does_not_count():
    logps, masks, _ = tokens()
    for name in ("ld_dpo", "sparse_po"):
        marks = masks if name == "ld_dpo" else [m.double() for m in masks]
        other = [torch.where(m, x, -7.0) for x, m in zip(logps, masks * 2, strict=True)]
        close(each(name, *other, *marks), each(name, *logps, *marks))


def test_sparse_po_with_weights_of_one_is_the_first_form_of_tdpo():
    logps, masks, sums = tokens()
    weights, kls = [m.double() for m in masks], [torch.rand_like(x) for x in logps[:2]]
    moved = [(k * w).sum(-1) for k, w in zip(kls, weights, strict=True)]
    margin = link.ratios(*sums).margin - (moved[1] - moved[0])  # TDPO: the reward margin less the difference of the KLs
    close(each("sparse_po", *logps, *weights, *kls), -logsigmoid(0.1 * margin))
    close(
        each("sparse_po", *logps, *weights, *kls, *(2 * w for w in weights)), -logsigmoid(0.1 * (margin + moved[0] - moved[1]))
    )


def test_length_shifts_what_counts_as_explained():
    a, b = torch.tensor([-2.0]), torch.tensor([10])
    longer, shorter = (each("r_dpo", a, a, a, a, b * x, b * y) for x, y in ((2, 1), (1, 2)))
    assert longer < math.log(2) < shorter


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("z", [-3.0, -0.4, 0.0, 0.02, 0.7, 2.5])
def test_slopes_are_the_derivatives_on_paper(z):
    at = torch.tensor([z], dtype=DOUBLE)
    logp = torch.tensor([-abs(z) - 0.1], dtype=DOUBLE)
    found = {
        "logistic": slope(link.logistic, at, smoothing=0.1),
        "robust": slope(link.robust, at, smoothing=0.1),
        "hinge": slope(link.hinge, at),
        "squared": slope(link.squared, at, target=5.0),
        "exo": slope(link.exo, at, smoothing=0.1),
        "discopop": slope(link.discopop, at, tau=0.05),
        "falling": slope(link.falling, at),
        "forward_kl": slope(lambda h: link.score(h, "forward_kl"), at),
        "js": slope(lambda h: link.score(h, "js"), at),
        "alpha": slope(lambda h: link.score(h, "alpha", 0.5), at),
    }
    expected = LOOPS.slopes(z)
    for name, got in found.items():
        assert got.item() == pytest.approx(expected[name], rel=1e-10, abs=1e-12), name
    assert slope(link.log_odds, logp).item() == pytest.approx(1 / (1 - math.exp(logp.item())), rel=1e-12)


def test_scores_are_the_derivatives_of_their_divergences():
    """`f'` of the f that makes `E_ref f(pi / ref)` the divergence, by autograd."""
    u = torch.linspace(0.2, 4, 9, dtype=DOUBLE)
    divergences = {
        "reverse_kl": lambda u: u * u.log() - u,
        "forward_kl": lambda u: u - u.log(),
        "js": lambda u: u * u.log() - (1 + u) * ((1 + u) / 2).log(),
        "alpha": lambda u: (u**0.5 / 0.5 - u) / (0.5 - 1),
    }
    for name, f in divergences.items():
        close(link.score(u.log(), name), slope(f, u))
        assert link.score(torch.zeros(1), name).abs().item() < 1e-6


def test_scores_do_not_overflow():
    for divergence in ("reverse_kl", "forward_kl", "js", "alpha"):
        for h in (-3000.0, -90.0, 90.0, 3000.0):
            for dtype in (torch.float32, DOUBLE):
                assert link.score(torch.tensor([h], dtype=dtype), divergence).isfinite().all(), (divergence, h)
    q = [torch.tensor([x], requires_grad=True) for x in (-5000.0, -1.0, -1.0, -6000.0)]
    loss = preferences.f_dpo(*q, divergence="forward_kl")
    loss.backward()
    assert loss.isfinite() and all(x.grad.isfinite().all() for x in q)


# ---------------------------------------------------------------- gradients that are not the value's


@pytest.mark.parametrize("name", ["mm_dpo", "wpo"])
def test_no_gradient_flows_into_what_weighs_a_pair(name):
    q = [x.requires_grad_() for x in four()]
    extra = [torch.rand(6, dtype=DOUBLE).requires_grad_() for _ in range(1 if name == "mm_dpo" else 2)]
    getattr(preferences, name)(*q, *extra).backward()
    assert all(x.grad is None for x in extra)
    constant = torch.autograd.functional.jacobian(lambda *x: getattr(preferences, name)(*x, *extra), tuple(q))
    for x, expected in zip(q, constant, strict=True):
        close(x.grad, expected)
        assert x.grad.abs().min() > 0
    assert torch.autograd.gradcheck(lambda *x: each(name, *x, *extra), q)


def test_the_drawn_answers_pull_as_the_kl_does():
    """Over all answers, each as often as the policy gives it, the surrogate's gradient is that of KL(policy || reference)."""
    logits = torch.randn(5, dtype=DOUBLE, requires_grad=True)
    reference = torch.randn(5, dtype=DOUBLE).log_softmax(-1)
    policy, still = logits.log_softmax(-1), torch.full((5,), -1.0, dtype=DOUBLE)
    values = each("hypo", still, still, still, still, policy[:, None], reference[:, None], lambda_=1.0) - math.log(2)
    kl = (policy.exp() * (policy - reference)).sum()
    close((policy.exp().detach() * values).sum(), kl.detach())
    (found,) = torch.autograd.grad((policy.exp().detach() * values).sum(), logits, retain_graph=True)
    (expected,) = torch.autograd.grad(kl, logits)
    close(found, expected)


def test_the_other_answers_are_a_baseline():
    """With two draws, over all pairs of answers: the same gradient, and none at all where both log-ratios are the same."""
    logits = torch.randn(4, dtype=DOUBLE, requires_grad=True)
    reference = torch.randn(4, dtype=DOUBLE).log_softmax(-1)
    policy, still = logits.log_softmax(-1), torch.full((16,), -1.0, dtype=DOUBLE)
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    values = each("hypo", still, still, still, still, policy[pairs], reference[pairs], lambda_=1.0)
    weight = policy.detach()[pairs].sum(-1).exp()
    (found,) = torch.autograd.grad((weight * values).sum(), logits, retain_graph=True)
    (expected,) = torch.autograd.grad((policy.exp() * (policy - reference)).sum(), logits)
    close(found, expected)
    same = policy.detach()[:, None].expand(4, 3).clone().requires_grad_()
    preferences.hypo(*(still[:4],) * 4, same, same.detach() - 0.7).backward()
    close(same.grad, torch.zeros(4, 3))


def test_coipo_has_no_gradient_where_it_is_needed():
    matched = torch.tensor([0.5, 1.0, 3.0], dtype=DOUBLE, requires_grad=True)  # the last two are worse than a mismatch
    mismatched = torch.tensor([2.0, 0.2, 1.0], dtype=DOUBLE, requires_grad=True)
    values = each("coipo", matched, mismatched)
    close(values.detach(), [math.exp(-1.5), 1.0, 1.0])
    values.sum().backward()
    close(matched.grad, [math.exp(-1.5), 0.0, 0.0])
    close(mismatched.grad, [-math.exp(-1.5), 0.0, 0.0])
    again = torch.tensor([0.5, 1.0, 3.0], dtype=DOUBLE, requires_grad=True)
    preferences.coipo(again, mismatched.detach(), form="paper", reduction="sum").backward()
    close(again.grad, [1.0, 1.0, 1.0])


# ---------------------------------------------------------------- extremes


@pytest.mark.parametrize("name", [n for n in REFERENCED if n not in ("ipo_norm",)])
@pytest.mark.parametrize("margin", [-2000.0, -100.0, 100.0, 2000.0])
def test_hopeless_and_settled_pairs_stay_finite(name, margin):
    given = cases.inputs(ENTRIES[name], dtype=torch.float32)
    given["chosen_logps"] = torch.full_like(given["chosen_logps"], min(margin, 0.0)).requires_grad_()
    given["ref_chosen_logps"] = torch.full_like(given["ref_chosen_logps"], min(-margin, 0.0))
    loss = getattr(preferences, name)(**given)
    loss.backward()
    assert loss.isfinite() and given["chosen_logps"].grad.isfinite().all()


def test_a_reward_model_that_disagrees_lowers_beta_but_never_below_its_floor():
    q = four(3)
    sure, unsure, against = each("mm_dpo", *(x[:1].expand(3) for x in q), torch.tensor([1.0, 0.0, -9.0], dtype=DOUBLE))
    margin = link.ratios(*q).margin[0]
    close(against, -logsigmoid(1e-3 * margin))
    assert (sure - math.log(2)).abs() > (unsure - math.log(2)).abs() > (against - math.log(2)).abs()
    assert each("mm_dpo", *q, torch.full((3,), -1e6, dtype=DOUBLE), weight=0.0).isfinite().all()


# ---------------------------------------------------------------- helpers


def test_consistency_is_kendalls_tau_of_ordinal_ranks():
    from scipy.stats import kendalltau, rankdata

    mine, theirs = (torch.randint(0, 4, (40, 5)).double() for _ in range(2))  # many ties
    expected = [
        (kendalltau(*(rankdata(x, method="ordinal") for x in pair)).statistic + 1) / 2
        for pair in zip(mine.tolist(), theirs.tolist(), strict=True)
    ]
    close(preferences.rank_consistency(mine, theirs), expected)


def test_likelihood_weights_are_one_when_the_policy_writes_its_average_token():
    logits = torch.randn(3, 6, 5, dtype=DOUBLE)
    labels = torch.randint(0, 5, (3, 6))
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
    token, square = preferences.token_logps(logits, labels, mask), preferences.collision_logps(logits)
    found = preferences.likelihood_weights(token, square, mask)
    for i in range(3):
        places = [t for t in range(6) if mask[i, t]]
        p = [logits[i, t - 1].softmax(-1) for t in places]
        parts = [(q[labels[i, t]] / (q**2).sum()).log() for q, t in zip(p, places, strict=True)]
        close(found[i], math.exp(sum(parts) / len(parts)))
    uniform = torch.zeros(3, 6, 5, dtype=DOUBLE)
    token, square = preferences.token_logps(uniform, labels, mask), preferences.collision_logps(uniform)
    close(preferences.likelihood_weights(token, square, mask), [1.0, 1.0, 1.0])
    assert not preferences.likelihood_weights(token.requires_grad_(), square, mask).requires_grad


def test_token_kl_is_the_reference_against_the_policy():
    policy, reference = torch.randn(2, 4, 5, dtype=DOUBLE), torch.randn(2, 4, 5, dtype=DOUBLE)
    found = preferences.token_kl(policy, reference)
    p, q = reference.softmax(-1), policy.softmax(-1)
    assert (found[:, 0] == 0).all()
    close(found[:, 1:], (p * (p / q).log()).sum(-1)[:, :-1])
    close(preferences.token_kl(policy, policy), torch.zeros(2, 4, dtype=DOUBLE))


def test_answer_kl_is_the_mean_over_tokens():
    one, other = torch.randn(2, 3, 4, dtype=DOUBLE), torch.randn(2, 3, 4, dtype=DOUBLE)
    p, q = (one / 2).softmax(-1), (other / 2).softmax(-1)
    expected = (p * (p / q).log()).sum(-1).mean(-1)
    close(preferences.answer_kl(one, other, temperature=2.0, floor=0.0), expected)
    close(preferences.answer_kl(one, other, temperature=2.0), expected, 1e-7)
    far = torch.tensor([[[0.0, 1000.0]]])
    assert preferences.answer_kl(far, -far).item() == pytest.approx(math.log(1e10), rel=1e-6)


def test_advantages_are_discounted_from_the_first_marked_token():
    logps = -torch.rand(2, 4, dtype=DOUBLE)
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 0, 0]])
    found = preferences.discounted_sum(logps, mask, alpha=0.3, gamma=0.5)
    a, b = logps.tolist()
    close(found, [0.3 * (a[1] + a[2] / 2 + a[3] / 4), 0.3 * (b[0] + b[1] / 2)])


def test_a_harmonic_mean_is_low_where_either_is():
    image, text = torch.tensor([0.9, 0.5], dtype=DOUBLE), torch.tensor([0.1, 0.5], dtype=DOUBLE)
    close(preferences.harmonic_reward(image, text), [1 / (0.3 / (0.9 + 1e-8) + 0.7 / (0.1 + 1e-8)), 0.5 + 1e-8])
    close(preferences.harmonic_reward(image, text, lambda_=1.0, epsilon=1e-14), image)
    assert preferences.harmonic_reward(0 * image, text).max() < 1e-7


def test_goals_double_the_pairs_and_turn_half_of_them_round():
    pairs = [contexts.Pair("p", "good", "bad"), ("q", "worse", "better"), contexts.Pair("r", "even", "even")]
    twice = preferences.with_goals(pairs, [8.0, 2.0, 5.5], [3.0, 7.0, 5.5], goal="{:g}: ")
    assert twice == [("8: p", "good", "bad"), ("5.5: r", "even", "even"), ("3: p", "bad", "good"), ("5.5: r", "even", "even")]
    with pytest.raises(ValueError, match="shorter"):
        preferences.with_goals(pairs, [8.0], [3.0])


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda a, n: preferences.r_dpo(a, a, a, a, n, 0 * n),
            "rejected_lengths must be > 0, got 0; count the response tokens",
        ),
        (lambda a, n: preferences.ipo_norm(a, a, a, a, n, n[:1]), "rejected_lengths has n = 1"),
        (lambda a, n: preferences.flex_dpo(a, a, a, a, beta_w=0.0), "beta_w must be > 0"),
        (lambda a, n: preferences.cream(a, a, a, a, -a), r"consistency must be in \[0, 1\], got 2"),
        (lambda a, n: preferences.wpo(a, a, a, a, a, -a), "chosen_weights must be >= 0, got -2"),
        (lambda a, n: preferences.selm(a, a, a, a, -a, a), "sampled_logps must be <= 0, got 1; a log-probability is never"),
        (lambda a, n: preferences.dove(a, a, a, a, a, a, a, -a), "ref_rejected_prompt_logps must be <= 0"),
        (lambda a, n: preferences.fdpo(a, a, n - 9), "labels must be >= 0"),
        (lambda a, n: preferences.f_dpo(a, a, a, a, divergence="chi2"), "divergence must be 'reverse_kl' or 'forward_kl'"),
        (lambda a, n: preferences.spo(a, a, a, a, torch.zeros(2, 3), n), r"degrees must be in \[0, 3\), got 3 to 4"),
        (lambda a, n: preferences.spo(a, a, a, a, torch.zeros(2, 3), -n), r"degrees must be in \[0, 3\), got -4 to -3"),
        (lambda a, n: preferences.coipo(a, -a), "matched must be >= 0"),
        (lambda a, n: preferences.cpl(a, a, lambda_=1.5), r"lambda_ must be in \[0, 1\]"),
        (lambda a, n: preferences.harmonic_reward(-a, a), "text_similarity must be >= 0"),
    ],
)
def test_bad_input_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act(torch.tensor([-1.0, -2.0]), torch.tensor([3, 4]))


def test_answers_without_a_token_are_refused():
    a, mask = torch.full((2, 3), -1.0), torch.tensor([[True, False, True], [False, False, False]])
    with pytest.raises(ValueError, match=r"rejected_mask marks no token in row \[1\]"):
        preferences.ld_dpo(a, a, a, a, mask | True, mask)
    with pytest.raises(ValueError, match=r"chosen_mask marks no token in rows \[0, 1\]"):
        preferences.ld_dpo(a, a, a, a, mask & False, mask)
    for act in (lambda: preferences.likelihood_weights(a, a, mask), lambda: preferences.discounted_sum(a, mask)):
        with pytest.raises(ValueError, match=r"mask marks no token in row \[1\]"):
            act()


@pytest.mark.parametrize("given", [{"chosen_kl": 1}, {"rejected_kl": 1}, {"chosen_kl_weights": 1}])
def test_a_kl_of_one_answer_alone_is_refused(given):
    a = torch.full((2, 3), -1.0)
    with pytest.raises(ValueError, match="_kl is missing"):
        preferences.sparse_po(a, a, a, a, -a, -a, **dict.fromkeys(given, -a))


@pytest.mark.parametrize("entry", cases.having("reduction"), ids=lambda e: e.name)
def test_no_log_probability_may_be_positive(entry):
    names = [n for n in entry.checker.parameters if n.endswith("logps")]
    for name in names:
        given = cases.inputs(entry, optional=True)
        bound = {**given, name: given[name].index_fill(0, torch.tensor([1]), 0.01)}
        with pytest.raises(ValueError, match=f"^{name} must be <"):
            entry.fn(**bound)
        if entry.checker.parameters[name].interval.text.endswith("]"):
            rounded = {**given, name: given[name].index_fill(0, torch.tensor([1]), 1e-6)}
            assert entry.fn(**rounded).isfinite()
