"""Policy gradients, GRPO and its kin, distillation: official numbers, slow loops, and tables that can be enumerated."""

import json
import math

import pytest
import torch
from cases import ORACLES, loops

from labkit import preferences
from labkit.preferences.divergences import SLOPES
from labkit.preferences.groups import k3

STORED = json.loads((ORACLES / "policy.json").read_text(encoding="utf-8"))
OFFICIAL = [row for row in STORED["values"] if hasattr(preferences, row["entry"])]
LOOPS = loops("policy_loops")


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def stored(name):
    return torch.tensor(STORED["inputs"][name], dtype=torch.bool if "mask" in name or name == "correct" else torch.float64)


def close(got, want, tolerance=1e-12):
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


def table(seed=0, k=5):
    """Logits of a policy, log-probabilities of a reference, and rewards of k answers."""
    draw = torch.Generator().manual_seed(seed)
    logits, ref, rewards = torch.randn(3, k, generator=draw, dtype=torch.float64)
    return logits.requires_grad_(), ref.log_softmax(-1), rewards


def gradient(value, logits):
    return torch.autograd.grad(value, logits, retain_graph=True)[0]


def pairs(x):
    """All ordered pairs of a table's entries, as two flat tensors."""
    return x[:, None].expand(len(x), len(x)).flatten(), x[None, :].expand(len(x), len(x)).flatten()


def answers(n=4, t=5, seed=0):
    """Two policies' token log-probabilities, advantages, and a mask with rows of different lengths."""
    draw = torch.Generator().manual_seed(seed)
    logps, old = (-0.1 - 2 * torch.rand(2, n, t, generator=draw, dtype=torch.float64)).unbind()
    mask = torch.arange(t) < torch.tensor([5, 1, 3, 2][:n])[:, None]
    return logps, old, torch.randn(n, generator=draw, dtype=torch.float64), mask


# ---------------------------------------------------------------- official numbers


@pytest.mark.parametrize("row", OFFICIAL, ids=lambda row: f"{row['entry']}: {row['source']} {row['options']}")
def test_values_and_gradients_are_those_of_the_official_code(row):
    given = {name: stored(source) for name, source in row["arguments"].items()}
    trained = {name: given[name].requires_grad_() for name in row["gradient"]}
    value = getattr(preferences, row["entry"])(**given, **row["options"])
    tolerance = 1e-8 if row["entry"].startswith("carft") else 1e-11  # CARFT adds 1e-8 to the number of right answers
    if "only_gradient" not in row:
        close(value, double(row["value"]), tolerance)
    for name, slope in zip(trained, torch.autograd.grad(value, list(trained.values())), strict=True):
        close(slope, double(row["gradient"][name]), tolerance)


def test_every_kind_of_grpo_is_checked_against_trl_and_liger():
    for name in ("grpo", "dr_grpo", "dapo", "gspo", "luspo", "sapo", "cispo", "vespo"):
        assert {row["source"].split()[0] for row in OFFICIAL if row["entry"] == name} == {"trl", "liger-kernel"}


# ---------------------------------------------------------------- slow loops


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("dno", "logps logps logps logps rates rates", {}),
        ("dno", "logps logps logps logps rates rates", {"eta": 2.0}),
        ("inpo", "logps logps logps logps logps logps", {}),
        ("inpo", "logps logps logps logps logps logps", {"eta": 0.5, "tau": 0.1}),
        ("gpo", "logps logps numbers", {}),
        ("gpo", "logps logps numbers numbers", {"beta": 0.3}),
        ("reinforce", "logps numbers", {}),
        ("rwr", "rows row_numbers", {}),
        ("rwr", "rows row_numbers", {"beta": 0.2}),
        ("copg", "logps logps logps logps numbers numbers", {"beta": 0.3}),
        ("p3o", "logps logps logps logps numbers numbers", {}),
        ("p3o", "logps logps logps logps numbers numbers", {"clip": "joint", "epsilon": 0.5}),
        ("sharpening", "rows rows", {}),
        ("regret_loss", "games games", {}),
        ("regret_loss", "games games", {"smoothing": 0.4}),
        ("rltf_sd", "rows row_numbers row_numbers", {}),
        ("rltf_fm", "logps numbers logps", {"weight": 0.3}),
        ("pi_distill", "logps logps numbers", {}),
        ("pi_distill", "logps logps numbers", {"alpha": 0.2, "beta": 0.7}),
        ("opsd", "logps logps numbers", {"beta": 0.7}),
    ],
    ids=str,
)
def test_values_are_those_of_a_slow_loop(name, arguments, options):
    draw = torch.Generator().manual_seed(0)
    make = {
        "logps": lambda: -0.1 - 3 * torch.rand(6, generator=draw, dtype=torch.float64),
        "rows": lambda: -0.1 - 3 * torch.rand(6, 4, generator=draw, dtype=torch.float64),
        "rates": lambda: torch.rand(6, generator=draw, dtype=torch.float64),
        "numbers": lambda: torch.randn(6, generator=draw, dtype=torch.float64),
        "row_numbers": lambda: torch.randn(6, 4, generator=draw, dtype=torch.float64),
        "games": lambda: torch.randn(6, 3, 4, generator=draw, dtype=torch.float64),
    }
    tensors = [make[kind]() for kind in arguments.split()]
    want = double(getattr(LOOPS, name)(*(x.tolist() for x in tensors), **options))
    close(getattr(preferences, name)(*tensors, **options, reduction="none"), want)


@pytest.mark.parametrize("tau", [None, 0.5, 10.0])
@pytest.mark.parametrize(("score", "kl"), [("logp", "k1"), ("ratio", "k3")])
def test_disco_has_the_papers_value(tau, score, kl):
    given = [stored(name) for name in ("group_logps", "group_old_logps", "correct_mask", "group_mask")]
    want = LOOPS.disco(*(x.tolist() for x in given), score=score, tau=tau, kl=kl, delta=1e-4)
    close(preferences.disco(*given, score=score, tau=tau, kl=kl), double(want))


# ---------------------------------------------------------------- tables: gradients on average, and where they vanish


def test_reinforce_climbs_the_expected_reward():
    logits, _, rewards = table()
    logps = logits.log_softmax(-1)
    loss = (logps.exp().detach() * preferences.reinforce(logps, rewards, reduction="none")).sum()
    close(gradient(loss, logits), -gradient((logits.softmax(-1) * rewards).sum(), logits))


def test_reinforce_on_the_references_answers_is_not_the_policy_gradient():
    logits, ref, rewards = table()
    off_policy = (ref.exp() * preferences.reinforce(logits.log_softmax(-1), rewards, reduction="none")).sum()
    gap = gradient(off_policy, logits) + gradient((logits.softmax(-1) * rewards).sum(), logits)
    assert gap.abs().max() > 0.05


def test_copg_is_a_policy_gradient_and_ends_at_the_tilted_reference():
    """Twice the policy gradient on average, times beta (property 1); zero for any pair at ref exp(R / beta) (theorem 1)."""
    logits, ref, rewards = table()
    logps, beta = logits.log_softmax(-1), 0.3
    given = [*pairs(logps), *pairs(ref), *pairs(rewards)]
    drawn = torch.outer(logps.exp(), logps.exp()).detach().flatten()
    loss = (drawn * preferences.copg(*given, beta=beta, reduction="none")).sum()
    objective = (logps.exp() * (rewards - beta * (logps - ref))).sum()
    close(gradient(loss, logits), -2 * beta * gradient(objective, logits))
    best = (ref + rewards / beta).log_softmax(-1)
    close(preferences.copg(*pairs(best), *given[2:], beta=beta, reduction="none"), torch.zeros(25, dtype=torch.float64))


def test_copg_at_rewards_of_a_quarter_is_ipo():
    four = [-3 * torch.rand(6, dtype=torch.float64) for _ in range(4)]
    quarter = torch.full((6,), 0.25, dtype=torch.float64)
    got = preferences.copg(*four, quarter, -quarter, beta=0.3, reduction="none")
    close(got, 0.3**2 / 2 * preferences.ipo(*four, beta=0.3, reduction="none"))


@pytest.mark.parametrize("clip", ["separate", "joint"])
def test_p3o_does_not_see_what_is_added_to_a_prompts_rewards(clip):
    four, rewards = [-3 * torch.rand(6, dtype=torch.float64) for _ in range(4)], torch.randn(2, 6, dtype=torch.float64)
    added = 100 * torch.randn(6, dtype=torch.float64)
    got = preferences.p3o(*four, *(rewards + added), clip=clip, reduction="none")
    close(got, preferences.p3o(*four, *rewards, clip=clip, reduction="none"), 1e-10)
    assert (preferences.reinforce(four[0], rewards[0] + added) - preferences.reinforce(four[0], rewards[0])).abs() > 1


@pytest.mark.parametrize("moved", [0.0, 0.1], ids=["on policy", "off policy"])
@pytest.mark.parametrize("clip", ["separate", "joint"])
def test_p3o_is_the_policy_gradient_inside_the_clip(clip, moved):
    logits, other, rewards = table()
    logps, old = logits.log_softmax(-1), (logits.detach() + moved * other).log_softmax(-1)
    drawn = torch.outer(old.exp(), old.exp()).flatten()
    each = preferences.p3o(*pairs(logps), *pairs(old), *pairs(rewards), clip=clip, epsilon=1.0, reduction="none")
    close(gradient((drawn * each).sum(), logits), -gradient((logits.softmax(-1) * rewards).sum(), logits))


@pytest.mark.parametrize("clip", ["separate", "joint"])
def test_p3o_lets_go_of_a_pair_that_has_moved_far_enough(clip):
    chosen, rejected = double([-1.0]).requires_grad_(), double([-3.0]).requires_grad_()
    old, reward = double([-2.0]), double([1.0])
    loss = preferences.p3o(chosen, rejected, old, old, reward, -reward, clip=clip)
    assert all(g.item() == 0 for g in torch.autograd.grad(loss, (chosen, rejected)))


def divergence(name, p, q):
    """D of the policy q from the target p, each as a textbook writes it."""
    middle = (p + q) / 2
    return {
        "kl": (p * (p / q).log()).sum(),
        "reverse_kl": (q * (q / p).log()).sum(),
        "js": (p * (p / middle).log()).sum() + (q * (q / middle).log()).sum(),
        "tv": (p - q).abs().sum() / 2,
        "chi_squared": ((p - q) ** 2 / q).sum(),
        "reverse_chi_squared": ((p - q) ** 2 / p).sum(),
    }[name]


@pytest.mark.parametrize("on_policy", [True, False])
@pytest.mark.parametrize("name", SLOPES)
def test_f_dpg_climbs_down_its_divergence(name, on_policy):
    """JS of naver/disco is twice the textbook's half-weighted one."""
    logits, ref, rewards = table()
    logps, target = logits.log_softmax(-1), (ref + rewards).log_softmax(-1)
    drawn = logps.detach() if on_policy else ref
    each = preferences.f_dpg(logps, target, None if on_policy else drawn, divergence=name, reduction="none")
    close(gradient((drawn.exp() * each).sum(), logits), gradient(divergence(name, target.exp(), logits.softmax(-1)), logits))


@pytest.mark.parametrize("name", sorted(set(SLOPES) - {"tv"}))
def test_f_dpg_rests_at_the_target(name):
    target = table()[1]
    logits = target.clone().requires_grad_()
    logps = logits.log_softmax(-1)
    loss = (target.exp() * preferences.f_dpg(logps, target, divergence=name, reduction="none")).sum()
    close(gradient(loss, logits), torch.zeros(5, dtype=torch.float64))


def test_rwr_never_pushes_down_and_becomes_best_of_k():
    logps = (-3 * torch.rand(6, 4, dtype=torch.float64)).requires_grad_()
    rewards = torch.randn(6, 4, dtype=torch.float64)
    assert (gradient(preferences.rwr(logps, rewards), logps) < 0).all()
    best = preferences.sft(logps.detach().gather(1, rewards.argmax(1, keepdim=True)).squeeze(1))
    close(preferences.rwr(logps, rewards, beta=1e-3), best, 1e-6)


def test_sharpening_imitates_the_likeliest_and_its_rl_form_ends_at_a_power():
    logits, base, _ = table()
    picked = preferences.sharpening(logits.log_softmax(-1)[None], base[None])
    close(picked, preferences.sft(logits.log_softmax(-1)[base.argmax()][None]))
    end = preferences.sharpened(base[None], beta=0.5).squeeze(0)
    close(end.exp(), base.exp() ** 3 / (base.exp() ** 3).sum())
    left = preferences.copg(*pairs(end), *pairs(base), *pairs(base), beta=0.5, reduction="none")
    close(left, torch.zeros(25, dtype=torch.float64))


def test_regret_of_known_strategies():
    costs = double([[[0.5, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]])  # punishes the leader
    past = costs.cumsum(1) - costs
    uniform, leader, hedge = torch.zeros_like(costs), -1e6 * past, -past
    fixed = torch.zeros_like(costs)
    fixed[..., 0] = 1e6
    regret = {name: preferences.regret_loss(z, costs).item() for name, z in locals().items() if name in NAMES}
    assert regret["fixed"] == 0  # the first action is the best one: 2.5 against 3
    assert regret["uniform"] == pytest.approx(0.25)
    assert regret["leader"] == pytest.approx(0.25 + 5 - 2.5)  # undecided at first, then always wrong
    assert regret["hedge"] < 0.4 * regret["leader"]
    clairvoyant = preferences.regret_loss(-1e6 * costs, costs).item()
    assert clairvoyant == pytest.approx(-2.5)  # always right, where no single action is


NAMES = ("uniform", "leader", "hedge", "fixed")


def test_smoothed_regret_is_a_little_larger():
    logits, costs = torch.randn(2, 6, 3, 4, dtype=torch.float64)
    exact = preferences.regret_loss(logits, costs, reduction="none")
    for tau in (0.01, 0.5, 3.0):
        more = preferences.regret_loss(logits, costs, smoothing=tau, reduction="none") - exact
        assert (more >= -1e-12).all()
        assert (more <= tau * math.log(4) + 1e-12).all()


def test_opsd_climbs_the_reward_less_the_distance_to_the_teacher():
    logits, teacher, rewards = table()
    logps, beta = logits.log_softmax(-1), 0.3
    loss = (logps.exp().detach() * preferences.opsd(logps, teacher, rewards, beta=beta, reduction="none")).sum()
    close(gradient(loss, logits), -gradient((logps.exp() * (rewards - beta * (logps - teacher))).sum(), logits))
    top = (teacher + rewards / beta).log_softmax(-1).requires_grad_()
    at_top = top.log_softmax(-1)
    loss = (at_top.exp().detach() * preferences.opsd(at_top, teacher, rewards, beta=beta, reduction="none")).sum()
    close(gradient(loss, top), torch.zeros(5, dtype=torch.float64))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_pi_distill_climbs_both_objectives(alpha):
    logits, hidden, rewards = table()
    hinted, beta = hidden.clone().requires_grad_(), 0.3
    student, teacher = logits.log_softmax(-1), hinted.log_softmax(-1)
    each = preferences.pi_distill(teacher, student, rewards, alpha=alpha, beta=beta, reduction="none")
    got = torch.autograd.grad((teacher.exp().detach() * each).sum(), (logits, hinted), retain_graph=True)
    j_teacher = (teacher.exp() * (rewards - beta * (teacher - student.detach()))).sum()
    j_student = (student.exp() * rewards).sum() - beta * (teacher.detach().exp() * (teacher.detach() - student)).sum()
    want = torch.autograd.grad(-alpha * j_teacher - (1 - alpha) * j_student, (logits, hinted))
    for mine, theirs in zip(got, want, strict=True):
        close(mine, theirs)


def test_rltf_keeps_teaching_when_feedback_always_helps():
    """All second attempts right: with their own mean as the baseline the gradient would vanish."""
    logps = (-3 * torch.rand(2, 4, dtype=torch.float64)).requires_grad_()
    right, first = torch.ones(2, 4, dtype=torch.float64), double([[0, 0, 0, 1], [0, 1, 0, 0]])
    assert (gradient(preferences.rltf_sd(logps, right, first), logps) < 0).all()
    close(gradient(preferences.rltf_sd(logps, right, right), logps), torch.zeros(2, 4, dtype=torch.float64))


def test_rltf_feedback_modelling_is_reinforce_plus_imitation_of_the_critic():
    draws = [-3 * torch.rand(6, dtype=torch.float64) for _ in range(2)]
    advantages, lengths = torch.randn(6, dtype=torch.float64), torch.arange(1, 7)
    got = preferences.rltf_fm(draws[0], advantages, draws[1], lengths, weight=0.2)
    close(got, preferences.reinforce(draws[0], advantages) + 0.2 * preferences.sft(draws[1], lengths))


# ---------------------------------------------------------------- groups


def test_group_advantages_are_standardised_and_silent_where_all_rewards_agree():
    rewards = torch.randn(3, 5, dtype=torch.float64)
    rewards[1] = 2.0
    scaled = preferences.group_advantages(rewards)
    for row, r in zip(scaled.tolist(), rewards.tolist(), strict=True):
        mean = sum(r) / 5
        deviation = math.sqrt(sum((x - mean) ** 2 for x in r) / 4)
        assert row == pytest.approx([(x - mean) / (deviation + 1e-4) for x in r])
    close(scaled[1], torch.zeros(5, dtype=torch.float64))
    close(preferences.group_advantages(rewards, scaled=False), rewards - rewards.mean(-1, keepdim=True))


def test_k3_is_the_kl_on_average_and_never_negative():
    logits, ref, _ = table()
    logps = logits.log_softmax(-1).detach()
    each = k3(logps[:, None], ref[:, None], torch.ones(5, 1, dtype=torch.bool)).squeeze(1)
    assert (each >= 0).all()
    close((logps.exp() * each).sum(), (logps.exp() * (logps - ref)).sum())


KIN = ("grpo", "dr_grpo", "dapo", "gspo", "luspo", "sapo", "cispo", "vespo")


@pytest.mark.parametrize("name", KIN)
def test_what_stands_outside_the_response_does_not_matter(name):
    logps, old, advantages, mask = answers()
    junk = torch.where(mask, logps, -50 * torch.rand(4, 5, dtype=torch.float64))
    close(getattr(preferences, name)(junk, old, advantages, mask), getattr(preferences, name)(logps, old, advantages, mask))
    moved = [x.flip(1) for x in (logps, old)]  # padding on the left instead of the right
    close(
        getattr(preferences, name)(*moved, advantages, mask.flip(1)), getattr(preferences, name)(logps, old, advantages, mask)
    )


@pytest.mark.parametrize("name", [*KIN, "disco"])
def test_an_answer_without_a_token_is_named(name):
    logps, old, advantages, mask = answers()
    mask = mask.clone()
    mask[2] = False
    with pytest.raises(ValueError, match=r"mask marks no response token in row \[(2|\[0, 2\])\]"):
        if name == "disco":
            preferences.disco(logps[None], old[None], torch.ones(1, 4, dtype=torch.bool), mask[None])
        else:
            getattr(preferences, name)(logps, old, advantages, mask)


@pytest.mark.parametrize("name", KIN)
def test_the_price_of_the_kl_is_added_and_nothing_without_a_reference(name):
    """On average over tokens or in sum, as each kind divides its other term."""
    logps, old, advantages, mask = answers()
    ref = (old - 0.5 * torch.rand(4, 5, dtype=torch.float64)).flip(0)
    fn = getattr(preferences, name)
    without = fn(logps, old, advantages, mask, beta=0.0)
    close(fn(logps, old, advantages, mask, beta=0.7), without)
    each = k3(logps, ref, mask).masked_fill(~mask, 0.0)
    if name in ("grpo", "gspo", "sapo"):
        kl = (each.sum(-1) / mask.sum(-1)).mean()
    elif name in ("luspo", "dr_grpo"):
        kl = each.sum(-1).mean() / (5 if name == "dr_grpo" else 1)
    else:
        kl = each.sum() / mask.sum()
    assert kl > 0.01
    close(fn(logps, old, advantages, mask, ref, beta=0.7) - without, 0.7 * kl)


@pytest.mark.parametrize("name", KIN)
def test_on_policy_they_are_all_policy_gradients_with_weights_of_their_own(name):
    """At the old policy a token's gradient is its advantage divided by what the kind divides by."""
    logps, _, advantages, mask = answers()
    old, trained = logps, logps.clone().requires_grad_()
    lengths = mask.sum(-1, keepdim=True)
    divisor = {"grpo": 4 * lengths, "gspo": 4 * lengths, "sapo": 4 * lengths, "luspo": 4, "dr_grpo": 4 * 5}.get(
        name, mask.sum()
    )
    want = -(advantages[:, None] * mask) / divisor
    close(gradient(getattr(preferences, name)(trained, old, advantages, mask), trained), want)


def test_a_batch_in_slices_is_the_batch():
    logps, old, advantages, mask = answers()
    for fn in (preferences.dapo, preferences.cispo, preferences.vespo):
        whole = fn(logps, old, advantages, mask)
        parts = [fn(logps[s], old[s], advantages[s], mask[s], batch_tokens=int(mask.sum())) for s in (slice(1), slice(1, 4))]
        close(sum(parts), whole)


def test_grpo_forgives_a_wrong_answer_that_is_long_and_dr_grpo_does_not():
    logps = torch.full((2, 8), -1.0, dtype=torch.float64, requires_grad=True)
    mask, blame = torch.arange(8) < torch.tensor([[2], [8]]), double([-1.0, -1.0])
    for fn, ratio in ((preferences.grpo, 4.0), (preferences.dr_grpo, 1.0)):
        push = gradient(fn(logps, logps.detach(), blame, mask), logps)
        assert (push[0, 0] / push[1, 0]).item() == pytest.approx(ratio)


def test_clipping_drops_a_token_and_the_gates_do_not():
    far, old = torch.full((1, 1), -0.5, dtype=torch.float64, requires_grad=True), double([[-2.0]])
    given = (far, old, double([1.0]), torch.ones(1, 1, dtype=torch.bool))  # already e^1.5 times likelier than before
    push = {name: gradient(getattr(preferences, name)(*given), far).item() for name in KIN}
    assert all(push[name] == 0 for name in ("grpo", "dr_grpo", "dapo", "gspo", "luspo"))
    assert all(push[name] < 0 for name in ("sapo", "cispo", "vespo"))
    assert push["cispo"] == pytest.approx(-math.exp(1.5))
    assert -push["vespo"] < -push["sapo"] < -push["cispo"]


# ---------------------------------------------------------------- DisCO and CARFT


def test_disco_drops_a_question_without_both_sides_but_counts_it():
    given = [stored(name) for name in ("group_logps", "group_old_logps", "correct_mask", "group_mask")]
    logps = given[0].requires_grad_()
    loss = preferences.disco(logps, *given[1:], delta=10.0)
    push = gradient(loss, logps)
    assert push[2].abs().max() == 0
    assert push[:2].abs().max() > 0
    close(loss, preferences.disco(logps[:2], *(x[:2] for x in given[1:]), delta=10.0) * 2 / 3)


def test_disco_with_a_large_tau_is_disco_b_and_with_a_small_one_sees_the_hardest():
    given = [stored(name) for name in ("group_logps", "group_old_logps", "correct_mask", "group_mask")]
    evenly = preferences.disco(*given, tau=None, delta=10.0)
    close(preferences.disco(*given, tau=1e6, delta=10.0), evenly, 1e-6)
    assert preferences.disco(*given, tau=0.1, delta=10.0) > evenly  # the hardest wrong answers weigh more


def test_carft_counts_right_answers_where_the_published_file_counts_all():
    """There a mask of shape (n, 1) meets losses of shape (n,): each right answer multiplies the sum of all losses."""
    row = next(r for r in STORED["values"] if r["entry"] == "carft_as_published")
    given = {name: stored(source) for name, source in row["arguments"].items()}
    everyone = preferences.carft(**{**given, "correct_mask": torch.ones(5, dtype=torch.bool)})
    assert row["value"] == pytest.approx(5 * everyone.item(), rel=1e-6)
    assert preferences.carft(**given).item() != pytest.approx(everyone.item(), rel=0.1)
    assert preferences.carft(**{**given, "correct_mask": torch.zeros(5, dtype=torch.bool)}) == 0


def test_carft_stops_pulling_on_a_pair_that_is_similar_enough():
    """Past the cap only the denominator is left, and it pushes the pair apart."""
    annotated, near = double([[1.0, 0.0], [0.0, 1.0]]), double([[1.0, 0.2], [0.2, 1.0]]).requires_grad_()
    correct = torch.ones(2, dtype=torch.bool)
    capped = gradient(preferences.carft(annotated, near, correct), near)
    free = gradient(preferences.carft(annotated, near, correct, ceiling=1.0), near)
    assert (capped[0, 1] < 0 < free[0, 1]).item()  # a step down the loss turns the first away from, or towards, its pair


def test_cot_embeddings_weigh_tokens_by_their_values_and_ignore_the_prompt():
    hidden, values = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    mask = torch.tensor([[False, True, True], [False, False, True]])
    got = preferences.cot_embeddings(hidden, values, mask)
    w = math.exp(values[0, 1]) / (math.exp(values[0, 1]) + math.exp(values[0, 2]))
    close(got[0], w * hidden[0, 1] + (1 - w) * hidden[0, 2])
    close(got[1], hidden[1, 2])
