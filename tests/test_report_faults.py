"""Planted faults are named, good embeddings raise no alarm, and the counts of the section "sanity" are what they say."""

import dataclasses

import numpy as np
import planted
import pytest
import torch

from labkit.metrics import alignment
from labkit.report import CARDS, SECTIONS, rows
from labkit.report.faults import counts, find
from labkit.report.pieces import Given


def given(z1, z2=None, labels=None, pairs=None, seed=0):
    first = rows.read(z1, "z1")
    second = None if z2 is None else rows.read(z2, "z2")
    classes = None if labels is None else rows.read_classes(labels, "labels", first.n)
    linked = None if pairs is None else rows.read_pairs(pairs, first.n, (second or first).n)
    found = Given(first, second, labels=classes, pairs=linked, seed=seed)
    scans = {each.name: rows.scan(each, progress=False) for each in (first, second) if each is not None}
    return dataclasses.replace(found, scans=scans)


def findings(size=4096, **handed):
    asked = given(**handed)
    return find(asked, rows.draw(asked, size))


def alarms(size=4096, **handed):
    return [f"{f.code}: {f.says}" for f in findings(size, **handed) if f.alarm]


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


HOMES = {
    "clusters": planted.healthy(400, 32),
    "few wide rows": planted.healthy(200, 256, noise=0.2),
    "close views": planted.healthy(400, 16, classes=10, seed=3, noise=0.1),
}
TEN = [(home, code, planted.PLANTED[code]) for home in HOMES for code in planted.TEN]
MORE = [("clusters", code, plant) for code, plant in planted.PLANTED.items() if code not in planted.TEN]
VARIANTS = [("clusters", code, plant) for plant, code in planted.VARIANTS.items()]


@pytest.mark.parametrize(("home", "code", "plant"), [*TEN, *MORE, *VARIANTS])
def test_a_planted_fault_is_named_and_said_with_numbers(home, code, plant):
    kept = HOMES[home]
    found = findings(**plant(kept["z1"], kept["z2"], kept["labels"], generator()))
    named = [f for f in found if f.code == code]
    assert named, [f.code for f in found]
    assert any(f.alarm for f in named) == (code not in planted.FACTS and plant not in planted.NOTICED)
    for finding in found:
        assert finding.says[-1] == finding.try_next[-1] == "." and finding.section in SECTIONS
        assert all(np.isfinite(float(value)) for value in finding.evidence.values())


@pytest.mark.parametrize("home", HOMES)
def test_clusters_with_their_labels_raise_no_alarm(home):
    assert alarms(**HOMES[home]) == []


def test_there_are_ten_faults_that_a_report_promises_to_name():
    assert len(planted.TEN) == 10 and set(planted.FACTS) <= set(planted.PLANTED)


def of(kind, n, d, g):
    """Rows that nothing is wrong with."""
    z = torch.randn(n, d, generator=g)
    tall = torch.arange(1, d + 1, dtype=torch.float32)
    low = torch.randn(n, max(d // 8, 2), generator=g)
    kinds = {
        "gaussian": lambda: z,
        "sphere": lambda: torch.nn.functional.normalize(z, dim=1),
        "heavy tails": lambda: z / (torch.randn(n, 5, generator=g).square().mean(1, keepdim=True)).sqrt(),
        "low rank": lambda: low @ torch.randn(low.shape[1], d, generator=g) + 0.1 * z,
        "power law": lambda: z / tall,
        "rectified": lambda: (low @ torch.randn(low.shape[1], d, generator=g) + 0.3).relu(),
        "cone": lambda: z + 3 * torch.randn(1, d, generator=g),
        "two of a hundred the same": lambda: torch.cat([z[: n - n // 50], z[: n // 50]]),
    }
    return kinds[kind]() if kind else list(kinds)


KINDS = of("", 4, 4, generator())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), [(20, 64), (160, 16)])
def test_good_rows_raise_no_alarm(kind, n, d):
    """Alone with labels drawn at random, as two views, as hardly related ones, and as two that are not related at all."""
    g = generator(n + d)
    z, labels = of(kind, n, d, g), torch.randint(3, (n,), generator=g)
    noise = [z.std() * torch.randn(n, d, generator=g) for _ in range(2)]
    assert alarms(z1=z, labels=labels) == []
    for other in (z + 0.1 * noise[0], z + noise[0], z + 8 * noise[0], of(kind, n, d, g)):
        first, second = (torch.nn.functional.normalize(v, dim=1) for v in (z, other)) if kind == "sphere" else (z, other)
        assert alarms(z1=first, z2=second) == []


@pytest.mark.parametrize(("classes", "apart"), [(2, 3.0), (2, 0.8), (10, 2.0), (100, 2.0)])
@pytest.mark.parametrize("in_order", [False, True])
def test_clusters_with_labels_of_which_a_fifth_is_wrong_raise_no_alarm(classes, apart, in_order):
    g = generator(classes)
    labels = torch.randint(classes, (600,), generator=g)
    labels = labels.sort().values if in_order else labels
    z = apart * torch.randn(classes, 32, generator=g)[labels] + torch.randn(600, 32, generator=g)
    wrong = torch.rand(600, generator=g) < 0.2
    noisy = torch.where(wrong, torch.randint(classes, (600,), generator=g), labels)
    assert alarms(z1=z, labels=labels) == [] and alarms(z1=z, labels=noisy) == []


@pytest.mark.parametrize("size", [0.2, 1.0, 3.0])
def test_a_modality_gap_is_no_fault_but_is_said(size):
    kept = HOMES["clusters"]
    z1, z2 = planted.modalities(kept["z1"], kept["z2"], generator(), size)
    found = findings(z1=z1, z2=z2)
    assert not any(f.alarm for f in found)
    assert ("modality-gap" in [f.code for f in found]) == (size > 0.5)


def test_what_is_found_depends_on_the_seed_alone():
    kept = HOMES["clusters"]
    faulty = planted.misaligned_labels(kept["z1"], kept["z2"], kept["labels"], generator())
    assert findings(size=300, **faulty) == findings(size=300, **faulty)


@pytest.mark.parametrize("by", [1, -4, 60])
def test_the_shift_of_pairs_and_of_labels_is_said(by):
    kept = HOMES["clusters"]
    [pairs] = [f for f in findings(z1=kept["z1"], z2=kept["z2"].roll(by, 0)) if f.alarm]
    assert pairs.code == "shifted-pairs" and pairs.evidence["by"] == by and f"{by:+}" in pairs.says
    [labels] = [f for f in findings(z1=kept["z1"], labels=kept["labels"].roll(by)) if f.alarm]
    assert labels.code == "misaligned-labels" and labels.evidence["by"] == by and f"{by:+}" in labels.says


def test_the_row_from_which_labels_are_off_is_said():
    kept = HOMES["clusters"]
    dropped = torch.cat([kept["labels"][:250], kept["labels"][251:], kept["labels"][:1]])
    [found] = [f for f in findings(z1=kept["z1"], labels=dropped) if f.alarm]
    assert found.evidence["by"] == -1 and abs(found.evidence["from"] - 250) <= 3


def test_exchanged_rows_are_said_by_number():
    kept = HOMES["clusters"]
    found = findings(**planted.block_swapped(kept["z1"], kept["z2"], kept["labels"], generator()))
    [swap] = [f for f in found if f.alarm]
    assert swap.code == "swapped-modalities" and "rows 0 to 132" in swap.says


def test_pairs_of_which_a_sample_saw_few_are_known_to_be_shuffled():
    kept = planted.healthy(3000, 64, noise=0.2)
    assert [
        f.code
        for f in findings(size=600, **planted.shuffled_pairs(kept["z1"], kept["z2"], kept["labels"], generator()))
        if f.alarm
    ] == ["shuffled-pairs"]


def numbers(size=4096, **handed):
    asked = given(**handed)
    measured = counts(asked, rows.draw(asked, size))
    return {number.name: number for number in measured.numbers}, measured


def test_counts_are_over_all_rows_and_have_a_card_an_interval_and_a_null():
    g = generator()
    z1, z2 = torch.randn(500, 16, generator=g), torch.randn(500, 16, generator=g)
    z1[3, 2], z1[7], z1[20:25], z1[:, 5], z1[:, 6] = torch.nan, 0.0, z1[30].clone(), 2.0, 0.0
    z1[7] = 0.0
    found, measured = numbers(100, z1=z1, z2=z2)
    expected = {"bad_rows": 1, "zero_rows": 1, "duplicate_rows": 5, "dead_dimensions": 1}
    assert {key: found[f"z1.{key}"].value for key in expected} == expected
    for number in measured.numbers:
        assert number.meter in CARDS and CARDS[number.meter].section == "sanity" and number.nulls and number.n > 0
        assert number.estimate.low <= number.value <= number.estimate.high
    assert measured.arrays["z1.norms"].sum() == 498 and len(measured.arrays["z1.column_spread"]) == 16


def test_lengths_are_those_of_numpy():
    z = torch.randn(300, 8, generator=generator(), dtype=torch.float64)
    lengths = np.linalg.norm(z.numpy(), axis=1)
    found, _ = numbers(z1=z)
    assert found["z1.norm"].value == pytest.approx(lengths.mean())
    assert found["z1.norm_spread"].value == pytest.approx(lengths.std(ddof=1) / lengths.mean())
    assert found["z1.largest_share"].value == pytest.approx(lengths.max() ** 2 / (lengths**2).sum())
    drawn = torch.randn(200_000, 8, generator=generator(2)).norm(dim=1)
    assert found["z1.norm_spread"].nulls[1].estimate.value == pytest.approx(float(drawn.std() / drawn.mean()), rel=0.01)


def test_the_gap_is_shuffled_minus_paired_alignment():
    kept = planted.healthy(60, 8)
    z1, z2 = kept["z1"].double(), kept["z2"].double()
    found, _ = numbers(z1=z1, z2=z2)
    shuffled = torch.stack([alignment(z1, z2.roll(shift, 0)) for shift in range(1, 60)]).mean()
    gap = found["z1, z2.alignment_gap"]
    assert gap.value == pytest.approx(float(shuffled - alignment(z1, z2)))
    assert gap.floor.estimate.low < 0.05 < gap.estimate.low


def test_what_cannot_be_counted_is_missing():
    _, alone = numbers(z1=torch.randn(30, 6, generator=generator()))
    assert [(m.meter, m.needs) for m in alone.missing] == [("alignment_gap", "z2 or pairs")]
    _, few = numbers(z1=torch.randn(8, 6, generator=generator()), z2=torch.randn(8, 6, generator=generator()))
    assert {m.meter for m in few.missing} == {"near_duplicates", "alignment_gap"}
    _, none = numbers(z1=torch.full((8, 6), torch.nan))
    assert {m.meter for m in none.missing} >= {"constant_dimensions", "dead_dimensions"}


@pytest.mark.parametrize(
    "z", [torch.full((8, 6), torch.nan), torch.zeros(8, 6), torch.ones(40, 6), torch.eye(4), torch.eye(40)]
)
def test_nothing_is_too_broken_to_be_looked_at(z):
    labels = torch.arange(len(z)) % 3
    for handed in ({"z1": z}, {"z1": z, "z2": z, "labels": labels}, {"z1": z, "z2": torch.randn(len(z), 4), "labels": labels}):
        findings(**handed)
        numbers(**handed)


def opposite(z):
    return -z


def turned(z):
    return z @ torch.linalg.qr(torch.randn(z.shape[1], z.shape[1], generator=generator(2)))[0]


def wider(z):
    return z @ torch.randn(z.shape[1], 48, generator=generator(2))


@pytest.mark.parametrize("change", [opposite, turned, wider])
def test_rows_that_match_in_another_space_are_not_called_shuffled(change):
    kept = HOMES["clusters"]
    found = findings(z1=kept["z1"], z2=change(kept["z2"]))
    assert not [f.says for f in found if f.alarm or f.code == "shuffled-pairs"]
    assert ("unaligned-spaces" in [f.code for f in found]) == (change is not wider)


def test_pairs_within_one_array_are_checked_as_well():
    kept = HOMES["clusters"]
    both, pairs = torch.cat([kept["z1"], kept["z2"]]), torch.arange(800).view(2, 400).T.clone()
    assert alarms(z1=both, pairs=pairs) == []
    pairs[:, 1] = pairs[planted.draw(400, generator()), 1]
    assert [f.code for f in findings(z1=both, pairs=pairs) if f.alarm] == ["shuffled-pairs"]


def test_rows_in_the_order_of_time_are_not_shifted():
    walk = torch.randn(600, 16, generator=generator()).cumsum(0)
    other = walk + 0.1 * torch.randn(600, 16, generator=generator(2))
    assert alarms(z1=walk, z2=other) == []
    assert [f.evidence["by"] for f in findings(z1=walk, z2=other.roll(2, 0)) if f.alarm] == [2]


def test_dead_columns_of_a_good_encoder_are_said_without_alarm():
    z = torch.randn(300, 384, generator=generator())
    z[:, [127, 223, 319]] *= 1e-33
    [found] = [f for f in findings(z1=z) if f.code == "dead-dimensions"]
    assert not found.alarm and "columns 127, 223 and 319" in found.says


def test_pairs_that_lost_their_partner_are_said_by_number():
    kept = planted.healthy(200, 16, noise=0.5)
    other = kept["z2"].clone()
    other[120:160] = other[120:160].roll(20, 0)[planted.draw(40, generator())]
    [found] = [f for f in findings(z1=kept["z1"], z2=other) if f.alarm]
    assert found.code == "shuffled-pairs" and 20 <= found.evidence["rows"] <= 42 and "row" in found.says


@pytest.mark.parametrize("seed", [13, 14])  # of 25, those that once looked shifted
def test_classes_in_order_of_which_some_are_alike_raise_no_alarm(seed):
    """What is left of a class beside a stretch of rows does not speak for it."""
    g = np.random.default_rng(seed)
    labels = np.sort(g.integers(0, 6, 900))
    centres = g.standard_normal((6, 48)) * 0.5
    centres[4:] = centres[1:3] + 0.1 * g.standard_normal((2, 48))
    z = (centres[labels] + g.standard_normal((900, 48))).astype("f4")
    assert alarms(z1=z, labels=labels) == []


def test_classes_in_order_that_differ_along_their_rows_raise_no_alarm_and_a_shift_of_them_does():
    g = generator(4)
    labels = torch.randint(6, (500,), generator=g).sort().values
    topics = torch.randn(6, 16, generator=g)[torch.arange(500) // 90] + torch.randn(6, 16, generator=g)[labels]
    z = topics + torch.randn(500, 16, generator=g)
    assert alarms(z1=z, labels=labels) == []
    [found] = [f for f in findings(z1=z, labels=labels.roll(-20)) if f.alarm]
    assert found.code == "misaligned-labels" and found.evidence["by"] == -20
