"""What is not imported is not waited for; what was read is not read again. Modules and calls are counted, never seconds."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from labkit import call, data
from labkit.data import images
from labkit.training import Config, fit, run

HEAVY = {"torch", "numpy", "matplotlib", "scipy", "sklearn", "pandas", "plotly", "transformers", "IPython", "jaxtyping"}


def imported(code: str, *arguments: str) -> set[str]:
    """The modules that a fresh Python has imported after this code, even where that ends the program."""
    told = "\nfinally:\n    import sys\n    print('\\n' + ' '.join(sys.modules))"
    body = "try:\n" + "\n".join(f"    {line}" for line in code.splitlines()) + told
    done = subprocess.run([sys.executable, "-c", body, *arguments], capture_output=True, text=True, check=False)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("words", [["--help"], ["report", "--help"], ["train", "--help"], ["--version"]], ids=" ".join)
def test_help_needs_nothing_heavy(words: list[str]) -> None:
    assert not imported("import sys\nfrom labkit.cli import main\nmain(sys.argv[1:])", *words) & HEAVY


def test_labkit_itself_imports_nothing_heavy_and_training_no_more_than_torch_needs() -> None:
    assert not imported("import labkit") & HEAVY
    beyond = HEAVY - {"torch", "numpy", "jaxtyping"}
    assert not imported("import labkit.training\nimport labkit.losses\nimport labkit\nlabkit.data.load('digits')") & beyond


def test_a_diagnosis_needs_no_table_of_distributions() -> None:
    assert "scipy.stats" not in imported("import labkit.diagnose")


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    there = load_digits()
    rows = images.scanned()
    assert np.array_equal(rows[:, :-1], there.data)
    assert np.array_equal(rows[:, -1], there.target)


def test_digits_come_from_a_scikit_learn_that_keeps_them_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = data.load("digits")
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: None)
    assert data.load("digits").sha256 == usual.sha256


def test_a_run_that_is_there_reads_its_data_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    load = data.load
    monkeypatch.setattr(data, "load", lambda name, **options: read.append(name) or load(name, **options))
    monkeypatch.setattr(run, "KEPT", {})
    config = Config(data=call("circle", n=60), model=call("linear"), augment=call("noise"), steps=2, batch=8)
    first, again = fit(config, progress=False), fit(config, progress=False)
    assert first.history == again.history
    assert len(again.data) == 60
    assert read == ["circle"]


def test_data_that_somebody_wrote_into_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "KEPT", {})
    config = Config(data=call("circle", n=60))
    first = run.load_data(config)
    truth = first.x.clone()
    first.x[3] = 7.0
    second = run.load_data(config)
    second.x.numpy()[5] = 9.0  # torch does not see this one
    assert torch.equal(run.load_data(config).x, truth)


def test_large_data_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "KEPT", {})
    monkeypatch.setattr(run, "LARGEST", 100)
    run.load_data(Config(data=call("circle", n=60)))
    assert not run.KEPT
