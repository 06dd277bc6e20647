"""Two models on the same rows: the numbers are the meters', the intervals those of the difference, the words are true."""

import csv
import json
import math

import cases
import numpy as np
import pytest
import torch
from torch import nn

from labkit import metrics
from labkit.directions import unit
from labkit.report import report
from labkit.report.comparing import Comparison, compare, film, keeping
from labkit.report.comparing.likeness import likeness
from labkit.report.comparing.profile import Marks, Seen, alone, paired
from labkit.report.comparing.weights import fitted, step_of
from labkit.report.drawing import halves

loops = cases.loops("metric_loops")


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def blobs(n=240, d=16, k=4, noise=1.0, seed=0):
    labels = torch.arange(n) % k
    return 2 * normal(k, d, seed=9)[labels] + noise * normal(n, d, seed=seed), labels


def codes(found):
    return [f.code for f in found.alarms]


# ---------------------------------------------------------------- the meters


def test_likeness_against_slow_loops():
    a, b = normal(12, 5), normal(12, 3, seed=1) + normal(12, 5)[:, :3]
    assert float(metrics.linear_cka(a, b)) == pytest.approx(loops.linear_cka(a.tolist(), b.tolist()), abs=1e-12)
    wide = normal(8, 30, seed=2)  # through products of rows
    assert float(metrics.linear_cka(wide, a[:8])) == pytest.approx(loops.linear_cka(wide.tolist(), a[:8].tolist()), abs=1e-12)
    for k in (1, 4):
        want = loops.neighbour_overlap(a.tolist(), b.tolist(), k=k)
        assert float(metrics.neighbour_overlap(a, b, k=k)) == pytest.approx(want, abs=1e-12)


def test_likeness_of_the_same_the_turned_and_the_unrelated():
    a = normal(300, 40)
    turn = torch.linalg.qr(normal(40, 40, seed=3)).Q
    assert float(metrics.linear_cka(a, 5 * a @ turn + 7)) == pytest.approx(1)
    assert float(metrics.neighbour_overlap(a, a @ turn)) == 1
    other = normal(300, 200, seed=4)
    assert abs(float(metrics.linear_cka(a, other))) < 0.03, "the biased estimate would say 0.2"
    assert float(metrics.neighbour_overlap(a, other)) == pytest.approx(10 / 299, abs=0.01)
    with pytest.raises(ValueError, match="b has rows that are all alike"):
        metrics.linear_cka(a, a[:1].repeat(300, 1))
    with pytest.raises(ValueError, match="k must be at most 11"):
        metrics.neighbour_overlap(a[:12], a[:12], k=12)


@pytest.mark.parametrize("place", [0, 3])
def test_a_profile_is_what_the_meters_say_of_the_sample_and_of_each_half(place):
    z, labels = blobs()
    z2 = z + 0.5 * normal(*z.shape, seed=1)
    drawn = halves(len(z), draws=4)
    marks = Marks.of(len(z), drawn)
    rows = torch.arange(len(z)) if place == 0 else drawn[place - 1]
    seen, other = Seen.of(z), Seen.of(z2)
    found = {k: v[place] for k, v in (alone(seen, marks, labels) | paired(seen.u, other.u, marks)).items()}
    points, u2 = unit(z[rows]), unit(z2[rows])
    assert found["uniformity"] == pytest.approx(float(metrics.uniformity(points)), abs=1e-10)
    assert found["mean_norm"] == pytest.approx(float(metrics.mean_norm(points)), abs=1e-10)
    assert found["variance"] == pytest.approx(float(points.var(0, correction=0).sum()), abs=1e-10)
    assert found["effective_rank"] == pytest.approx(float(metrics.effective_rank(points, center=True)), abs=1e-8)
    sigma = metrics.singular_spectrum(points).square()
    assert found["top_share"] == pytest.approx(float(sigma[0] / sigma.sum()), abs=1e-10)
    assert found["tolerance"] == pytest.approx(float(metrics.tolerance(points, labels[rows])), abs=1e-10)
    assert found["alignment"] == pytest.approx(float(metrics.alignment(points, u2)), abs=1e-10)
    assert found["modality_gap"] == pytest.approx(float(metrics.modality_gap(points, u2)), abs=1e-10)
    near = (points @ u2.T).argmax(1), (u2 @ points.T).argmax(1)
    right = [float((each == torch.arange(len(rows))).double().mean()) for each in near]
    assert [found["z1 among z2.retrieval"], found["z2 among z1.retrieval"]] == pytest.approx(right)
    right = [
        float(
            metrics.knn_accuracy(
                *(x[torch.arange(len(rows)) != i] for x in (points, labels[rows])), points[i : i + 1], labels[rows][i : i + 1]
            )
        )
        for i in range(0, len(rows), 8)
    ]
    assert found["knn_accuracy"] == pytest.approx(np.mean(right), abs=0.06) and found["hubness"] > 0
    both = likeness(seen, other, marks, seed=0)
    assert both.found["linear_cka"][place] == pytest.approx(float(metrics.linear_cka(points, u2)), abs=1e-10)
    assert both.found["neighbour_overlap"][place] == pytest.approx(float(metrics.neighbour_overlap(points, u2)), abs=1e-10)
    assert both.shuffled["neighbour_overlap"][place] == pytest.approx(10 / (len(rows) - 1), abs=0.03)


def test_hubness_is_the_skewness_of_who_is_near():
    from scipy.stats import skew

    z, _ = blobs()
    u = unit(z)
    near = (u @ u.T).fill_diagonal_(-2).topk(10).indices
    counts = torch.bincount(near.flatten(), minlength=len(z)).numpy()
    found = alone(Seen.of(z), Marks.of(len(z), halves(len(z), draws=2)))
    assert found["hubness"][0] == pytest.approx(float(skew(counts)), abs=1e-10)


# ---------------------------------------------------------------- differences


@pytest.fixture(scope="module")
def two():
    z, labels = blobs()
    b = torch.cat([z + 0.4 * normal(*z.shape, seed=2), normal(len(z), 8, seed=3)], 1)
    return z, b, labels, compare(z, b, labels=labels)


def test_every_meter_of_both_and_its_difference(two):
    a, b, labels, found = two
    assert isinstance(found, Comparison) and found.names == ("a", "b") and not found.alarms
    each = found["uniformity"]
    assert each.a.value == pytest.approx(float(metrics.uniformity(a)))
    assert each.change.value == pytest.approx(float(metrics.uniformity(b) - metrics.uniformity(a)))
    assert each.change.low < each.change.value < each.change.high
    meters = {d.meter for d in found.differences}
    assert {"variance", "effective_rank", "uniformity", "hubness", "tolerance", "knn_accuracy"} <= meters
    assert all(d.a.nulls and d.b.nulls and d.a.n == len(labels) for d in found.differences)
    assert {n.meter for n in found.likeness} == {"linear_cka", "neighbour_overlap"} and found["linear_cka"].nulls
    with pytest.raises(KeyError, match="of each model a pair"):
        found["alignment"]
    assert found.numbers["b"]["z1.uniformity"] is each.b


def test_the_interval_is_that_of_the_difference_on_the_same_rows(two):
    """Half by half it is much narrower than two models on rows of their own would give."""
    each = two[3]["uniformity"]
    own = [(n.estimate.high - n.estimate.low) / 2 for n in (each.a, each.b)]
    reach = (each.change.high - each.change.low) / 2
    assert reach < 0.75 * math.hypot(*own)


def test_words_say_what_the_numbers_are(two):
    found = two[3]
    for each in found.differences:
        assert each.noise == (each.change.low <= 0 <= each.change.high)
        assert each.says.startswith(("difference within noise", "no difference")) == each.noise, each.says
        assert (each.verdict == "within noise") == each.noise and ("too small to matter" in each.says) == each.small
    assert found["uniformity"].change.value < 0 and found["uniformity"].says.startswith("b is more uniform by 0.")
    assert "b uses more directions by" in str(found) and "What differs" in str(found)
    assert max(map(len, str(found).partition("Every number")[0].splitlines())) <= 100


def test_a_comparison_and_a_report_say_the_same_numbers():
    z, labels = blobs(n=200, d=8)
    z2 = z + 0.5 * normal(*z.shape, seed=1)
    found = compare((z, z2), (z2, 2 * z + 1), labels=labels)
    told = report(z, z2, labels=labels, progress=False)
    for each in found.differences:
        if each.name not in ("z2.tolerance", "z2.knn_accuracy"):  # a report asks them of z1 only
            assert each.a.value == pytest.approx(told[each.name].value, abs=1e-9), each.name


def test_noise_is_called_noise():
    """Another draw of the same noise on the same rows: no meter differs but by chance."""
    z, labels = blobs(n=300)
    a, b = (z + 0.3 * normal(*z.shape, seed=s) for s in (5, 6))
    found = compare(a, b, labels=labels)
    assert sum(not d.noise for d in found.differences) <= 1, [d.says for d in found.differences]


def test_a_difference_that_no_choice_of_rows_would_let_one_see_is_too_small_to_matter():
    """Dimensions stretched by up to a thousandth: what the pairing can tell from 0 is still nothing."""
    z, labels = blobs(n=600, d=16, k=5)
    found = compare(z, z * torch.linspace(1, 1.001, 16), labels=labels)
    tiny = [d for d in found.differences if not d.noise]
    assert tiny and all(d.small and d.verdict == "too small to matter" for d in tiny)
    for each in tiny:
        own = min(n.estimate.high - n.estimate.low for n in (each.a, each.b)) / 2
        assert each.reach == own and max(map(abs, each.change)) <= own / 10
        assert each.says.startswith("beyond noise, but too small to matter: b ") and f"(±{own:.2g})" in each.says
    many, noisy = len(found.differences), len(found.differences) - len(tiny)
    head = (
        f"No alarm. No difference that matters: of {many} differences, {noisy} are within noise and {len(tiny)} beyond it, but"
    )
    assert head in " ".join(str(found).split()) and "What differs" not in str(found)
    assert head in found._repr_html_() and "Beyond noise, but too small to matter" in found._repr_html_()
    kept = found.plain()["differences"]
    assert [d["verdict"] for d in kept] == [d.verdict for d in found.differences]
    itself = compare(z, z.clone(), labels=labels)
    assert f"read before the numbers. Within noise: all {many} differences." in str(itself)


def test_the_headline_counts_three_kinds():
    z, _ = blobs(n=300)
    found = compare((z, z + normal(*z.shape, seed=1)), (z * torch.linspace(1, 1.001, 16), z + 2 * normal(*z.shape, seed=1)))
    kinds = [d.verdict for d in found.differences]
    counts = [kinds.count(kind) for kind in ("beyond noise", "too small to matter", "within noise")]
    assert (
        min(counts) > 0
        and any(d.small and d.of == "z1" for d in found.differences)
        and found["z2.uniformity"].verdict == "beyond noise"
    )
    told = "{} beyond noise, {} beyond noise but too small to matter, {} within noise.".format(*counts)
    assert f"No alarm. Of {len(kinds)} differences: {told}" in " ".join(str(found).split())


@pytest.mark.thorough
def test_the_interval_of_a_difference_holds_it():
    """Of 100 samples of 128 rows, how many intervals hold the difference of two models on rows without end."""
    mix = torch.eye(16, dtype=torch.float64) * torch.linspace(2, 0.5, 16, dtype=torch.float64)

    def difference(n, seed):
        rows = normal(n, 16, seed=seed)
        return rows, rows @ mix + 0.3 * normal(n, 16, seed=seed + 10_000)

    a, b = difference(8000, 99)
    truth = float(metrics.uniformity(b) - metrics.uniformity(a))
    held = 0
    for seed in range(100):
        change = compare(*difference(128, seed), seed=seed, progress=False)["uniformity"].change
        held += change.low <= truth <= change.high
    assert held >= 90


def test_what_is_kept_says_what_the_comparison_says(two, tmp_path):
    found = two[3]
    found.save(tmp_path / "one")
    files = [p for p in (tmp_path / "one").rglob("*") if p.is_file()]
    assert {"compare.html", "compare.json", "differences.csv"} <= {p.name for p in files} and len(files) == 7
    kept = json.loads((tmp_path / "one/compare.json").read_text())
    assert kept["schema"].startswith("labkit-comparison/") and len(kept["differences"]) == len(found.differences)
    page = (tmp_path / "one/compare.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "") and "b is more uniform" in page
    with (tmp_path / "one/differences.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows if row["kind"] == "step"] == [d.verdict for d in found.differences]
    assert {row["verdict"] for row in rows if row["kind"] == "in common"} == {""}


def test_two_calls_give_the_same_data(two):
    a, b, labels, found = two
    assert compare(a, b, labels=labels).plain() == found.plain()


@pytest.mark.thorough
def test_two_calls_give_the_same_bytes(two, tmp_path):
    a, b, labels, found = two
    found.save(tmp_path / "one")
    first = {p: p.read_bytes() for p in (tmp_path / "one").rglob("*") if p.is_file()}
    compare(a, b, labels=labels).save(tmp_path / "one")  # over the first
    assert first == {p: p.read_bytes() for p in (tmp_path / "one").rglob("*") if p.is_file()}
    (tmp_path / "other").mkdir()
    (tmp_path / "other/compare.html").write_text("mine")
    with pytest.raises(FileExistsError, match="not written by a comparison"):
        found.save(tmp_path / "other")


# ---------------------------------------------------------------- what is said before the numbers


def test_rows_that_do_not_correspond_are_named():
    z, labels = blobs()
    b = z + 0.3 * normal(*z.shape, seed=2)
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(0))
    found = compare(z, b[order], labels=labels)
    assert codes(found) == ["rows-do-not-correspond", "misaligned-labels"] and "nothing in common" in found.alarms[0].says
    moved = compare(normal(240, 8), (normal(240, 8) + 0.1 * normal(240, 8, seed=1)).roll(1, 0))
    assert codes(moved) == ["rows-do-not-correspond"] and "row i + 1 of b" in moved.alarms[0].says
    same = compare(z, z[order])
    assert codes(same) == ["rows-do-not-correspond"] and "in another order" in same.alarms[0].says


@pytest.mark.parametrize("by", [1, -1])
def test_a_shift_among_classes_in_turn_is_named(by):
    """Classes follow one another, so that shifted rows have a little in common, beyond what shuffled ones have."""
    z, _ = blobs(n=400, d=12, k=8, noise=2.0)
    b = z + 0.2 * normal(*z.shape, seed=2)
    found = compare(z, b.roll(by, 0), progress=False)
    overlap = found["neighbour_overlap"]
    assert overlap.estimate.low > overlap.floor.estimate.high or found["linear_cka"].value > 0.01
    assert codes(found) == ["rows-do-not-correspond"] and f"row i {'+' if by > 0 else '−'} 1" in found.alarms[0].says
    assert not compare(z, b, progress=False).alarms
    assert not compare(z[:, :6], z[:, 6:] + b[:, 6:], progress=False).alarms, "little in common, and not for a shift"


def test_the_same_array_and_one_that_is_only_turned_are_named():
    z, _ = blobs()
    found = compare(z, z.clone())
    assert codes(found) == ["same-array-twice"] and all(d.same for d in found.differences)
    assert found["uniformity"].says.startswith("no difference")
    turned = compare(z, 3 * z @ torch.linalg.qr(normal(16, 16, seed=1)).Q)
    assert not turned.alarms and turned.notices[0].code == "only-turned"
    padded = compare(z, torch.cat([z, torch.zeros(240, 4)], 1))
    assert "only-turned" in [f.code for f in padded.notices]


def test_modalities_that_were_exchanged_are_named():
    z, _ = blobs(noise=2.0)
    images, texts = z + 0.9 * normal(*z.shape, seed=1), z + 0.9 * normal(*z.shape, seed=2)
    a, b = (images, texts), (images + 0.1 * normal(*z.shape, seed=3), texts + 0.1 * normal(*z.shape, seed=4))
    assert not compare(a, b).alarms
    found = compare(a, b[::-1])
    assert codes(found) == ["swapped-modalities"] and "exchanged" in found.alarms[0].says
    assert found["alignment"].of == "z1, z2" and {d.of for d in found.differences} == {
        "z1",
        "z2",
        "z1, z2",
        "z1 among z2",
        "z2 among z1",
    }


def test_other_numbers_of_rows_are_said_and_compared_apart():
    z, labels = blobs()
    found = compare(z, z[:200] + 0.1, labels=labels)
    assert codes(found) == ["different-rows"] and found.sampled.n == 200 and not found.likeness
    assert found["uniformity"].change.low < found["uniformity"].change.high
    assert "Each saw 200 rows of its own" in str(found)


def test_ranks_of_other_widths_are_explained(two):
    notice = next(f for f in two[3].notices if f.code == "different-widths")
    assert "of 16 (" in notice.says and "of 24 (" in notice.says and "random directions" in notice.says


def test_faults_of_one_input_are_alarms_of_the_comparison():
    z, _ = blobs()
    point = z[:1].repeat(240, 1) + 1e-9 * normal(*z.shape, seed=1)
    found = compare(z, point)
    assert "complete-collapse" in codes(found) and any(f.of == "b" for f in found.alarms)
    bad = z.clone()
    bad[3] = math.nan
    assert compare(z, bad).sampled.n == 239


# ---------------------------------------------------------------- layers


def test_layers_beside_the_one_before_and_the_first():
    z, labels = blobs()
    layers = {f"layer{k}": z[:, : 4 + 4 * k] + 0.2 * k * normal(240, 4 + 4 * k, seed=k) for k in range(4)}
    found = compare(layers, labels=labels)
    assert found.names == tuple(layers) and found.layered and found.arrays["cka"].shape == (4, 4)
    step, leap = found["layer3.uniformity"], found["layer0 to layer3.uniformity"]
    assert step.names == ("layer2", "layer3") and leap.names == ("layer0", "layer3")
    through = sum(found[f"layer{k}.uniformity"].change.value for k in (1, 2, 3))
    assert leap.change.value == pytest.approx(through)
    assert found["layer0, layer3.linear_cka"].value == pytest.approx(found.arrays["cka"][0, 3])
    assert "Layer by layer" in str(found) and "its floor" in str(found)
    assert max(map(len, str(found).splitlines())) <= 100
    drawn = keeping.drawn(found)
    assert drawn.data["layer"] == list(layers) and drawn.data["z1.uniformity value"][3] == pytest.approx(step.b.value)
    assert "layer2" in found._repr_html_()
    with pytest.raises(KeyError, match="is of several here"):
        found["uniformity"]


# ---------------------------------------------------------------- what can be given


def test_files_pairs_arrays_half_precision_and_names(tmp_path):
    z, labels = blobs()
    np.save(tmp_path / "before.npy", z.numpy())
    np.save(tmp_path / "after.npy", (2 * z + normal(*z.shape, seed=1)).half().numpy())
    np.save(tmp_path / "y.npy", labels.numpy())
    found = compare(tmp_path / "before.npy", str(tmp_path / "after.npy"), labels=tmp_path / "y.npy", sample=100, seed=3)
    assert found.names == ("before", "after") and found.sampled.n == 100 and found.sampled.total == 240
    assert {d.meter for d in found.differences} >= {"knn_accuracy", "tolerance"} and found.given[1].dtype == "float16"
    named = compare((z, z + 0.1), (z.numpy(), z.numpy() + 0.3), names=["old", "new"])
    assert named.names == ("old", "new") and named["alignment"].change.value > 0
    few = compare(normal(20, 4), normal(20, 4) + 0.1 * normal(20, 4, seed=1))
    assert {"hubness", "neighbour_overlap"} <= {m.meter for m in few.missing}


def test_groups_are_drawn_together_and_are_no_neighbours():
    z = normal(60, 6).repeat_interleave(4, 0) + 1e-3 * normal(240, 6, seed=1)
    groups = torch.arange(60).repeat_interleave(4)
    b = z + 1e-3 * normal(240, 6, seed=2)
    alike, grouped = compare(z, b), compare(z, b, groups=groups)
    width = [c["uniformity"].a.estimate.high - c["uniformity"].a.estimate.low for c in (alike, grouped)]
    assert width[1] > width[0], "four copies of a row are one observation"


def test_wrong_arguments_are_named():
    z = normal(40, 4)
    for given, words in (
        ((z,), "compare needs a and b"),
        (({"one": z},), "at least two"),
        (({"one": z, "two": z[:30]},), "one 40, two 30"),
        ((z, (z, z[:30])), "b has views of"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            compare(*given)
    with pytest.raises(ValueError, match="names must be 2 different words"):
        compare(z, z, names=["a", "a"])
    with pytest.raises(TypeError, match="names must be words"):
        compare(z, z, names="ab")
    with pytest.raises(ValueError, match="leave names out"):
        compare({"one": z, "two": z}, names=["a", "b"])
    with pytest.raises(ValueError, match="labels must be one for each of 40"):
        compare(z, z, labels=torch.zeros(7, dtype=torch.long))
    with pytest.raises(ValueError, match="sample must be 16 or more"):
        compare(z, z, sample=3)
    with pytest.raises(ValueError, match="must share 16 rows"):
        compare(z, z.where(torch.arange(40)[:, None] < 9, math.nan))


# ---------------------------------------------------------------- checkpoints


def encoder(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 5))


@pytest.fixture
def checkpoints(tmp_path):
    from safetensors.torch import save_file

    folder = tmp_path / "run"
    (folder / "checkpoint-40").mkdir(parents=True)
    made = [encoder(k + 1) for k in range(5)]
    torch.save(made[0].state_dict(), folder / "ckpt-0.pt")
    torch.save({"state_dict": {f"module.{k}": v for k, v in made[1].state_dict().items()}, "epoch": 3}, folder / "ckpt-9.pt")
    torch.save({"model": {f"_orig_mod.{k}": v for k, v in made[2].state_dict().items()}}, folder / "ckpt-10.pt")
    save_file(made[3].state_dict(), folder / "ckpt-20.safetensors")
    whole = {f"backbone.{k}": v for k, v in made[4].state_dict().items()} | {"head.weight": torch.ones(2, 5)}
    torch.save(whole, folder / "checkpoint-40/pytorch_model.bin")
    torch.save({"x": 1}, folder / "optimizer.pt")
    return folder, made


def test_a_folder_of_checkpoints_is_a_film(checkpoints):
    folder, made = checkpoints
    mine, x = encoder(), normal(300, 6).float()
    before = {k: v.clone() for k, v in mine.state_dict().items()}
    shown = film(
        folder, mine, x, z2_inputs=x + 0.1, labels=["ab"[i % 2] for i in range(300)], history={"step": [0, 9], "loss": [2, 1]}
    )
    assert shown.steps.tolist() == [0, 9, 10, 20, 40] and shown.loss.tolist() == [[0, 2], [9, 1]]
    assert mine.training and all(torch.equal(v, before[k]) for k, v in mine.state_dict().items())
    rows = torch.randperm(300, generator=torch.Generator().manual_seed(0))[:256].sort().values
    for k, model in enumerate(made):
        z1, z2 = (model.eval()(y[rows]).detach().double() for y in (x, x + 0.1))
        assert shown.meters["uniformity"][k] == pytest.approx(float(metrics.uniformity(z1)), abs=1e-5)
        assert shown.meters["alignment"][k] == pytest.approx(float(metrics.alignment(z1, z2)), abs=1e-5)
    assert np.array_equal(shown.labels, rows.numpy() % 2)


def test_embeddings_by_step_are_a_film():
    z = normal(40, 6)
    shown = film({10: z, 2: (z + 1).numpy()})
    assert shown.steps.tolist() == [2, 10] and len(shown.loss) == 0 and np.isnan(shown.meters["alignment"]).all()
    pairs = film({0: (z, z + 0.1), 1: (z, z)})
    assert pairs.meters["alignment"][1] == 0 < pairs.meters["alignment"][0]
    assert len(film(dict.fromkeys(range(250), z)).steps) == 100


def test_what_does_not_fit_is_named_with_its_keys(checkpoints, tmp_path):
    folder, _ = checkpoints
    x = normal(20, 6).float()
    torch.save({"0.weight": torch.ones(2, 2), "other": torch.ones(1)}, folder / "ckpt-50.pt")
    mine = encoder()
    before = {k: v.clone() for k, v in mine.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"ckpt-50.pt does not fit.*missing 0.bias.*unexpected other.*0.weight \(2, 2\), wants \(12, 6\)"
    ):
        film(folder, mine, x)
    assert all(torch.equal(v, before[k]) for k, v in mine.state_dict().items()) and mine.training
    torch.save(mine, folder / "ckpt-50.pt")  # a whole module: reading it would run code
    with pytest.raises(ValueError, match=r"ckpt-50\.pt cannot be read as weights alone"):
        film([folder / "ckpt-50.pt"], mine, x)
    (folder / "ckpt-50.pt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match="cannot be read as weights alone"):
        film([folder / "ckpt-50.pt"], mine, x)
    with pytest.raises(FileNotFoundError, match="there is no 'nowhere'"):
        film(tmp_path / "nowhere", mine, x)
    with pytest.raises(ValueError, match="none with a step in its name"):
        film([folder / "optimizer.pt"], mine, x)
    with pytest.raises(TypeError, match="encoder must be a torch module"):
        film(folder, None, x)
    with pytest.raises(ValueError, match="encoder cannot take these inputs"):
        film([folder / "ckpt-0.pt"], mine, x[:, :2])
    with pytest.raises(ValueError, match=r"checkpoints\[1\] gives NaN"):
        film({0: x, 1: x * math.nan})
    with pytest.raises(TypeError, match="step -> embeddings"):
        film({"first": x})
    with pytest.raises(ValueError, match='history must have "step" and "loss"'):
        film({0: x}, history={"epoch": [1]})
    with pytest.raises(TypeError, match="encoder must give embeddings"):
        film([folder / "ckpt-0.pt"], Wrong(), x)


class Wrong(nn.Sequential):
    def __init__(self):
        super().__init__(*encoder())

    def forward(self, x):
        return {"z": super().forward(x)}


def test_steps_are_read_from_names():
    assert [step_of(n) for n in ("ckpt-0100", "epoch=3-step=1200-v1", "model_12", "best", "iter_5_of_9")] == [
        100,
        1200,
        12,
        None,
        5,
    ]
    state = encoder().state_dict()
    assert list(fitted({f"_orig_mod.module.{k}": v for k, v in state.items()}, encoder(), "x")) == list(state)
