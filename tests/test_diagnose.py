"""The doctor's verdicts: on runs built to displace and built not to, and on logs as trainers write them."""

import dataclasses
import json
import math
import random

import pytest
import torch

import labkit
from labkit.diagnose import Diagnosis, diagnose
from labkit.diagnose.evidence import Movement, Opening, mean_of
from labkit.diagnose.receivers import opening
from labkit.diagnose.verdicts import judge
from labkit.diagnose.words import kind, matching
from labkit.recipes.likelihood_displacement import exact, preferring
from labkit.training import Config, Run, call, fit

# ---------------------------------------------------------------- runs of labkit (L3)

# what trains, the geometry, the verdict
EXACT = [
    ("features", "aligned", "fell and the opposite gained"),
    ("head", "aligned", "no displacement"),
    ("both", "aligned", "no displacement"),
    ("features", "perpendicular", "no displacement"),
]


@pytest.mark.parametrize(("train", "geometry", "verdict"), EXACT)
def test_three_answers(train, geometry, verdict):
    told = diagnose(fit(exact(train, geometry=geometry).replace(account=True), progress=False))
    assert (told.level, told.verdict, told.n) == ("L3", verdict, 1)
    hardest = 0.685 if geometry == "aligned" else 0.69  # Never starts ahead of No by 0.16 nats, or by nothing
    assert f"needs a DPO loss below {hardest:.2g}" in str(told)
    assert told.fell == verdict.startswith("fell") == (told.chosen.value < 0)
    assert (told.ratio > 1) == (told.account["own"] + told.account["entangled"] < 0) == told.fell
    assert told.account["total"] == pytest.approx(told.account["true"], abs=0.05)
    thirds = zip(*(told.curves[f"p_{part}"] for part in ("chosen", "rejected", "rest")), strict=True)
    assert all(sum(parts) == pytest.approx(1, abs=1e-5) for parts in thirds)
    if told.fell:
        assert [r.word for r in told.receivers] == ["Yes"] and told.receivers[0].kind == "opposite"
        assert told.gains["opposite"].value == told.curves["gained_opposite"][-1] > 0.7
        assert told.curves["gained_opposite"] == sorted(told.curves["gained_opposite"])


def verdicts_of(seed):
    return {
        (optimizer, suffix): diagnose(fit(preferring(seed, suffix, optimizer), progress=False))
        for optimizer, suffix in (
            ("Adam", "same suffix"),
            ("Adam", "other suffix"),
            ("SGD", "same suffix"),
            ("SGD", "other suffix"),
        )
    }


@pytest.mark.parametrize("seed", [1, pytest.param(0, marks=pytest.mark.thorough), pytest.param(2, marks=pytest.mark.thorough)])
def test_the_small_language(seed):
    told = verdicts_of(seed)
    for (optimizer, suffix), diagnosis in told.items():
        displaced = (optimizer, suffix) == ("Adam", "same suffix")
        assert diagnosis.fell == displaced, (optimizer, suffix)
        assert diagnosis.opening + diagnosis.ending == pytest.approx(diagnosis.chosen.value, abs=1e-5)
        assert diagnosis.account is None and any("Config(account=True)" in s for s in diagnosis.evidence)
    fell = told["Adam", "same suffix"]
    assert fell.verdict in ("fell and the opposite gained", "fell and near-paraphrases gained")
    assert fell.verdict.endswith("opposite gained") == (fell.opening < fell.ending)
    assert fell.ratio < 1 and "a poor guide" in str(fell)  # plain gradient descent would not have displaced
    assert "all pairs of the run" in str(fell)
    assert len(fell.curves["top_k_mass"]) == len(fell.curves["step"]) and fell.curves["top_k_entropy"][0] > 0
    assert "ten likeliest openings" in str(fell)


def test_what_a_run_must_be():
    with pytest.raises(ValueError, match="has no pairs"):
        diagnose(fit(Config(data=call("grammar", part="corpus", n=8), model=call("tiny_lm", d=4), loss=call("sft"), steps=1)))
    with pytest.raises(ValueError, match="has no pairs"):
        diagnose(fit(Config(model=call("linear", out=2), steps=1, batch=4)))


def test_the_users_word_counts():
    run = fit(exact("features"), progress=False)
    assert diagnose(run, paraphrases=["Yes"]).verdict == "fell and near-paraphrases gained"
    assert diagnose(run, opposites=["Yes"]).verdict == "fell and the opposite gained"
    with pytest.raises(ValueError, match="no single token stands for 'Maybe'"):
        diagnose(run, opposites=["Maybe"])
    assert diagnose(run, gradients=False).ratio is None


# ---------------------------------------------------------------- trainers' logs (L0)

KEYS = {  # side -> what each version calls it; evaluation rows have a prefix, and other columns lie between
    "trl 0.7": ("rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected", "eval_rewards/chosen"),
    "trl 1.16": ("rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected", "eval_rewards/chosen"),
    "wandb": (
        "train/rewards/chosen",
        "train/rewards/rejected",
        "train/logps/chosen",
        "train/logps/rejected",
        "eval/rewards/chosen",
    ),
    "mitchell": (
        "rewards_train/chosen",
        "rewards_train/rejected",
        "logps_train/chosen",
        "logps_train/rejected",
        "rewards_eval/chosen",
    ),
    "other": ("chosen_reward", "reject_reward", "chosen_logps", "rejected_logps", "eval_chosen_reward"),
}
OTHERS = {
    "trl 0.7": {"epoch": 0.1, "learning_rate": 1e-6, "logits/chosen": -2.5, "rewards/accuracies": 0.9, "rewards/margins": 0.5},
    "trl 1.16": {"entropy": 1.2, "grad_norm": 3.0, "num_tokens": 5e4, "mean_token_accuracy": 0.7, "rewards/margins": 0.5},
    "wandb": {"_step": 3, "train/rewards/margins": 0.5, "train/rewards/accuracies": 0.9},
    "mitchell": {"rewards_train/margins": 0.5, "rewards_train/accuracies": 1.0},
    "other": {"acc": 0.9, "loss": 0.4},
}


def log(version="trl 1.16", chosen=-2.0, rejected=-5.0, noise=0.2, rows=40, beta=0.1, seed=0, drop=(), base=-250.0):
    """A trainer's log whose rewards go from 0 to these numbers of nats, times beta."""
    draw = random.Random(seed)
    names = KEYS[version]
    made = []
    for i in range(rows):
        gain = [x * (i + 1) / rows + draw.gauss(0, noise) for x in (chosen, rejected)]
        values = [beta * gain[0], beta * gain[1], *(base + draw.gauss(0, 30) + g for g in gain)]
        row = {"step": 10 * (i + 1), "loss": 0.6, **OTHERS[version], **dict(zip(names[:4], values, strict=True))}
        made.append({k: v for k, v in row.items() if not any(d in k for d in drop)})
    made.append({"step": 10 * rows, "eval_loss": 0.5, **({} if "reward" in drop else {names[4]: beta * chosen * 0.8})})
    return {"log_history": [*made, {"train_runtime": 8.0, "step": 10 * rows}], "global_step": 10 * rows}


@pytest.mark.parametrize("version", KEYS)
@pytest.mark.parametrize("seed", range(3))
def test_logs_of_every_version(version, seed, tmp_path):
    for chosen, rejected, verdict in ((-2, -5, "fell"), (1.5, -4, "no displacement"), (2, 1, "rejected rises")):
        records = log(version, chosen, rejected, seed=seed)
        told = diagnose(records, beta=0.1)
        assert (told.level, told.verdict) == ("L0", verdict)
        assert told.chosen.value == pytest.approx(chosen, rel=0.25) and told.rejected.value == pytest.approx(rejected, rel=0.25)
        file = tmp_path / "trainer_state.json"
        file.write_text(json.dumps(records))
        for same in (records["log_history"], file, str(file), Run.from_logs(records)):
            assert diagnose(same, beta=0.1).chosen == told.chosen
        in_rewards = diagnose(records)
        assert in_rewards.verdict == verdict and in_rewards.chosen.value == pytest.approx(0.1 * told.chosen.value)


def test_what_the_means_say_is_told_in_words():
    said = str(diagnose(log(), loss_type="sigmoid"))
    assert said.startswith("Evidence level:\n  L0: means from trainer logs.")
    for words in ("It cannot tell which pairs fell", "below 0 is displacement against the reference", "alone proves nothing"):
        assert words in said
    assert "sums over an answer's tokens" in said and "beta times nats" in said
    assert "DisplacementCallback(probe_pairs, every=50)" in said and "trainer.add_callback(" in said
    assert "sums over an answer" in str(diagnose(log(), loss_type="ipo"))  # this version counts tokens
    assert "means over an answer's tokens before TRL 0.29" in str(diagnose(log("trl 0.7"), loss_type="ipo"))
    assert "diagnose(..., loss_type=...)" in str(diagnose(log()))


def test_within_the_noise_nothing_is_told():
    told = [diagnose(log(chosen=0.0, noise=1.0, seed=seed), beta=0.1) for seed in range(20)]
    unsure = [t for t in told if t.verdict == "cannot tell"]
    assert len(unsure) >= 15 and all("within the noise" in str(t) for t in unsure)
    assert diagnose(log(rows=1), beta=0.1).verdict == "cannot tell"


def test_log_probabilities_alone_prove_nothing():
    told = diagnose(log(chosen=-8, drop=("reward",)))
    assert (told.verdict, told.chosen) == ("cannot tell", None)
    said = str(told)
    assert "alone proves nothing" in said and "`rewards/chosen`" in said and "logging_steps=10" in said
    assert said.count("\n  from labkit import") == 1 or "from labkit import DisplacementCallback" in said


def test_only_margins_cannot_tell():
    records = [{"step": i, "rewards/margins": 0.1 * i, "rewards/accuracies": 0.9} for i in range(9)]
    told = diagnose(records)
    assert told.verdict == "cannot tell" and "No column tells about chosen answers" in str(told)


def test_held_out_pairs_are_always_the_same():
    records = [{"step": i, "logps/chosen": -200.0 - 30 * (i % 2), "eval_logps/chosen": -100.0 - i} for i in range(9)]
    told = diagnose(records)
    assert told.verdict == "fell" and told.chosen.value == -8 and "what came before the first" in str(told)
    rewards = [{"step": i, "eval_rewards/chosen": 0.05 * i} for i in range(9)]
    assert diagnose(rewards).verdict == "no displacement"


@pytest.mark.parametrize("loss_type", [None, "simpo", "orpo", "cpo"])
def test_rewards_without_a_reference_are_no_displacement(loss_type):
    draw = random.Random(0)
    logps = [-1.5 + 0.1 * draw.random() for _ in range(30)]
    records = [
        {"step": i, "rewards/chosen": 2 * x, "rewards/rejected": 2 * x - 1, "logps/chosen": x} for i, x in enumerate(logps)
    ]
    told = diagnose(records, loss_type=loss_type)
    assert told.verdict == "cannot tell" and "no displacement" in str(told)


def test_reference_log_probabilities_make_a_gain():
    records = [{"step": i, "chosen_logps": -100.0 - i, "ref_chosen_logps": -100.0 + (i % 3) / 100} for i in range(50)]
    told = diagnose(records)
    assert told.verdict == "fell" and told.chosen.value == pytest.approx(-44.5, abs=0.2)


def test_a_runs_own_history_is_a_log():
    history = fit(exact("features"), progress=False).history
    told = diagnose(history)
    assert (told.level, told.verdict) == ("L0", "fell") and -2.23 < told.chosen.value < -1.5  # the mean of its last fifth


# ---------------------------------------------------------------- tables of pairs (L1)


def table(n=40, chosen=-1.0, rejected=-3.0, spread=0.5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    before = -50 - 10 * torch.rand(2, n, generator=draw)
    after = before + torch.tensor([[chosen], [rejected]]) + spread * torch.randn(2, n, generator=draw)
    names = ("ref_chosen_logps", "ref_rejected_logps", "chosen_logps", "rejected_logps")
    return {"id": [f"p{i}" for i in range(n)], **dict(zip(names, torch.cat([before, after]).tolist(), strict=True))}


def test_tables_of_pairs():
    told = diagnose(table())
    assert (told.level, told.verdict, told.n) == ("L1", "fell", 40)
    assert told.margin.value == pytest.approx(told.chosen.value - told.rejected.value)
    assert "Fell most: p" in str(told) and "dpo-doctor" in str(told)
    assert diagnose(table(chosen=1.0)).verdict == "no displacement"
    assert "The mean hides those that fell" in str(diagnose(table(chosen=0.6, spread=1.0)))
    assert diagnose(table(chosen=1.0, rejected=0.5)).verdict == "rejected rises"
    unsure = diagnose(table(chosen=0.02, spread=2.0))
    assert unsure.verdict == "cannot tell" and "within the noise" in str(unsure)
    assert diagnose(table(chosen=0.02, spread=2.0), population=40).verdict != "cannot tell"  # these are all pairs there are
    renamed = {n.replace("ref_", "before_").replace("logps", "logp"): c for n, c in table().items()}
    assert diagnose(renamed).chosen == told.chosen


@pytest.mark.parametrize(
    ("bad", "message"), [(None, "no number in row 1"), (3.0, "at most 0"), (-math.inf, "infinite"), ("x", "'x'")]
)
def test_tables_that_cannot_be(bad, message):
    columns = table(n=3)
    columns["chosen_logps"][1] = bad
    with pytest.raises(ValueError, match=message):
        diagnose(columns)


# ---------------------------------------------------------------- parts


def test_the_verdict_follows_the_mass():
    falling = {"chosen": -torch.ones(5), "rejected": -2 * torch.ones(5)}

    def told(opened, ended, **gained):
        kinds = {k: torch.full((5,), gained.get(k, 0.0)) for k in ("opposite", "similar", "other", "rejected")}
        found = {"opening": torch.full((5,), opened), "ending": torch.full((5,), ended), "received": Opening(kinds)}
        return judge(Movement("L3", **falling, **found)).verdict

    assert told(-0.9, -0.1, opposite=0.3, similar=0.1) == "fell and the opposite gained"
    assert told(-0.9, -0.1, opposite=0.1, similar=0.3) == "fell and near-paraphrases gained"
    assert told(-0.9, -0.1, opposite=0.1, other=0.3) == "fell"
    assert told(-0.9, -0.1, opposite=5e-4) == "fell"
    assert told(-0.1, -0.9, opposite=0.3) == "fell and near-paraphrases gained"


def test_openings_are_sorted():
    words = ("Yes", " no", "No", "Never", "tree", "bush")
    before = torch.full((2, 6), 1 / 6).log()
    after = torch.tensor([[0.3, 0.2, 0.1, 0.1, 0.2, 0.1]] * 2).log()
    chosen, rejected = torch.tensor([2, 2]), torch.tensor([3, 3])
    found = opening(before, after, chosen, rejected, words)
    gained = {name: x[0].item() for name, x in found.kinds.items()}
    assert gained == pytest.approx(
        {"opposite": 0.3 - 1 / 6, "similar": 0.2 - 1 / 6, "other": 0.3 - 2 / 6, "rejected": 0.1 - 1 / 6}, abs=1e-6
    )
    assert [(r.word, r.kind) for r in found.top] == [("Yes", "opposite"), (" no", "similar"), ("tree", "other")]
    vectors = torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 1], [1, 0.9], [-1, -1]])
    by_vector = opening(before, after, chosen, rejected, words, vectors=vectors)
    assert by_vector.kinds["similar"][0].item() == pytest.approx(0.4 - 2 / 6, abs=1e-6)  # no and tree
    assert [r.kind for r in by_vector.top] == ["opposite", "similar", "similar"]


def test_words():
    assert kind("Sure", "Never") == "opposite" and kind("▁nope", "No,") == "similar" and kind("lamp", "No") is None
    assert kind("Lamp", " lamp") == "similar" and kind("", "No") is None
    assert matching(["no", 7], ["No", "ĠNO", "yes"]) == {0, 1, 7}


def test_intervals_cover():
    """Of 400 samples of 10, the interval holds the truth in about 95 %; of 10 from a population of 20 as well."""
    draw = torch.Generator().manual_seed(0)
    held = sum(e.low <= 0 <= e.high for e in (mean_of(torch.randn(10, generator=draw)) for _ in range(400)))
    assert 365 <= held <= 395
    everyone = torch.randn(20, generator=draw)
    samples = (everyone[torch.randperm(20, generator=draw)[:10]] for _ in range(400))
    held = sum(e.low <= everyone.mean() <= e.high for e in (mean_of(x, population=20) for x in samples))
    assert 360 <= held <= 398
    assert mean_of(everyone, population=20).low == mean_of(everyone, population=20).high


def test_a_diagnosis_can_be_read_and_stored():
    told = diagnose(fit(exact("features"), progress=False))
    assert labkit.diagnose is diagnose and labkit.Diagnosis is Diagnosis
    page = told._repr_html_()
    assert "fell and the opposite gained" in page and page.index("L3") < page.index("fell and") and "<script" not in page
    assert json.loads(json.dumps(told.numbers()))["receivers"][0]["word"] == "Yes"
    assert str(told).index("It cannot tell") < str(told).index("Verdict")
    assert dataclasses.replace(told, verdict="cannot tell").fell is None
    assert "&lt;b&gt;" in dataclasses.replace(told, evidence=("<b>",))._repr_html_()


# ---------------------------------------------------------------- and its picture


def test_the_picture_shows_who_gained_and_that_nothing_is_lost():
    from labkit.figures.diagnosis import course

    told = diagnose(fit(exact("features"), progress=False))
    whole, openings = course(told.curves).axes
    lines = {text.get_text(): line.get_ydata() for text, line in zip(openings.texts, openings.lines[1:], strict=True)}
    assert list(lines) == ["chosen", "rejected", "opposite", "similar", "other"]
    assert abs(sum(lines.values())).max() < 1e-6 and lines["opposite"][-1] == pytest.approx(0.765, abs=0.01)
    assert whole.lines[1].get_ydata()[-1] == pytest.approx(told.chosen.value, abs=1e-6)
    with pytest.raises(ValueError, match="curves lacks chosen, rejected, gained_rejected"):
        course({"step": [0, 1]})
