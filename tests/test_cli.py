"""The command line: quick help, clear messages, honest exit codes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labkit import cli, pairs, paths
from labkit.cli import commands, servers


def labkit(*words, **options):
    return subprocess.run([sys.executable, "-m", "labkit", *words], capture_output=True, text=True, timeout=120, **options)


def test_help_comes_within_a_second_and_names_every_command():
    def timed():
        start = time.perf_counter()
        done = labkit("--help")
        return time.perf_counter() - start, done

    seconds, done = min((timed() for _ in range(3)), key=lambda t: t[0])
    assert done.returncode == 0 and seconds < 1
    for command in ("tour", "lab", "apps", "doctor", "catalog", "data", "results", "notebooks", "train"):
        assert f"\n    {command}" in done.stdout


def test_help_needs_no_torch():
    code = (
        "import sys\nfrom labkit import cli\ntry: cli.main(['train', '--help'])\nexcept SystemExit: pass\n"
        "print({'torch', 'numpy', 'plotly', 'nbclient'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.rstrip().endswith("set()")


NONSENSE = [
    (["tour", "--only", "99"], "no lesson begins with '99'; there are 00_start_here"),
    (["data", "fetch"], "say which"),
    (["data", "where", "mnist"], "there is nothing called 'mnist'; there are digits"),
    (["results", "nothing"], "there is no result called 'nothing'"),
    (["notebooks", "--keep", "99"], "no notebook begins with '99'"),
    (["train", "--loss", "nt_xent", "temperature"], "after nt_xent there must be key=value, got 'temperature'"),
    (["train", "--loss", "nt_xentt"], "unknown loss 'nt_xentt'; there are"),
    (["train", "--loss", "nt_xent", "temperature=0", "--steps", "1"], "temperature must be > 0"),
    (["train", "--steps", "-1"], "steps must be >= 0"),
    (["lab", "--app", "tmeperature"], "there is no explorer 'tmeperature'; there are temperature, microscope"),
    (["lab", "--code", "precision"], "code must look like"),
    (["lab", "--app", "bridge", "--code", "precision1-17-8jca"], "belongs to the explorer 'precision', not to 'bridge'"),
]


@pytest.mark.parametrize("words, said", NONSENSE, ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_nonsense_gives_2_and_says_what_there_is(words, said, capsys):
    assert cli.main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["fly"], ["train", "--steps", "many"]])
def test_words_that_are_no_command_give_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2


def test_catalog_as_json_and_as_a_table(capsys):
    assert cli.main(["catalog", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["nt_xent"]["kind"] == "loss" and rows["nt_xent"]["arxiv"] == "2002.05709" and rows["nt_xent"]["equation"]
    assert cli.main(["catalog"]) == 0
    assert f"\n{len(rows)} entries" in capsys.readouterr().out


def test_data_says_what_is_here(capsys):
    assert cli.main(["data"]) == 0
    said = capsys.readouterr().out
    assert "digits          always here" in said and "cifar10         " in said


def test_data_that_cannot_be_fetched_gives_1(monkeypatch, capsys):
    from labkit.data import fetch

    def nowhere(source, name, **_):
        raise FileNotFoundError(f"{name} could not be downloaded")

    monkeypatch.setattr(fetch, "locate", nowhere)
    assert cli.main(["data", "fetch", "cifar10"]) == 1
    assert "cifar-10-python.tar.gz could not be downloaded" in capsys.readouterr().err
    assert cli.main(["data", "list", "cifar10"]) == 0
    assert "labkit data fetch cifar10" in capsys.readouterr().out


def test_train_from_words(capsys):
    words = ["train", "--loss", "nt_xent", "temperature=0.2", "--model", "mlp", "width=16", "--steps", "2", "--batch", "16"]
    assert cli.main(words) == 0
    config, loss, folder = capsys.readouterr().out.splitlines()
    assert "loss=nt_xent(temperature=0.2)" in config and "model=mlp(width=16)" in config and "steps=2" in config
    assert "(chance 3.434)" in loss and Path(folder, "history.json").exists()


@pytest.mark.parametrize(
    "words, text",
    [
        (["sup_con", "form=in"], "sup_con(form='in')"),
        (["crop", "scale=(0.2, 1.0)", "flip=True"], "crop(flip=True, scale=(0.2, 1.0))"),
        (["fashion-mnist"], "fashion-mnist()"),
    ],
)
def test_words_become_calls(words, text):
    assert repr(commands.spoken(words)) == text


def test_notebooks_checks_writes_and_stops(monkeypatch, tmp_path, capsys):
    script = tmp_path / "05_try.py"
    script.write_text(f"{pairs.HEADER}# %% [markdown]\n# # Try\n\n# %%\n{pairs.FIRST_CELL}\n")
    monkeypatch.setattr(pairs, "notebooks", lambda: tmp_path)
    assert cli.main(["notebooks", "--check"]) == 1
    assert "05_try.ipynb is missing" in capsys.readouterr().out
    assert cli.main(["notebooks"]) == 0
    assert cli.main(["notebooks", "--check"]) == 0
    notebook = tmp_path / "05_try.ipynb"
    notebook.write_text(notebook.read_text().replace("# Try", "# Tried"))
    capsys.readouterr()
    assert cli.main(["notebooks"]) == 1
    assert "+# Tried" in capsys.readouterr().err
    assert cli.main(["notebooks", "--keep", "05"]) == 0
    assert "# # Tried" in script.read_text()
    notebook.write_text(notebook.read_text().replace("# Tried", "# Nonsense"))
    assert cli.main(["notebooks", "--overwrite", "05"]) == 0
    assert "Nonsense" not in notebook.read_text()


def test_lab_of_an_installed_labkit_copies_the_lessons_and_overwrites_nothing(monkeypatch, tmp_path):
    lessons, mine = tmp_path / "site" / "_notebooks", tmp_path / "mine"
    assert servers.workplace(lessons, mine) == lessons  # a checkout: no copy
    monkeypatch.setattr(servers, "PACKAGE", tmp_path / "site")
    (lessons / "assignments").mkdir(parents=True)
    (lessons / "00_start_here.ipynb").write_text("new")
    (lessons / "assignments" / "a1.ipynb").write_text("new")
    mine.mkdir()
    (mine / "00_start_here.ipynb").write_text("my work")
    assert servers.workplace(lessons, mine) == mine.resolve()
    assert (mine / "00_start_here.ipynb").read_text() == "my work"
    assert (mine / "assignments" / "a1.ipynb").read_text() == "new"


def test_lab_starts_this_pythons_jupyterlab_and_hands_words_on(monkeypatch):
    called = []
    monkeypatch.setattr(servers.subprocess, "call", lambda command, env: called.append((command, env)) or 0)
    assert cli.main(["lab", "--no-browser", "--port=8890"]) == 0
    command, env = called[0]
    assert command[:3] == [sys.executable, "-m", "jupyterlab"] and command[-2:] == ["--no-browser", "--port=8890"]
    assert str(paths.PACKAGE.parent) in env["PYTHONPATH"].split(":")


@pytest.mark.parametrize("words, name", [(["--app", "bridge"], "bridge"), (["--code", "CODE"], "CODE")])
def test_lab_opens_one_explorer(monkeypatch, tmp_path, words, name):
    from labkit import explorers

    for variable in ("LABKIT_HOME", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    made = explorers.bridge()
    code = made.code(made.moved(made.start, **{made.controls[0].name: made.controls[0].options[0]}))
    called = []
    monkeypatch.setattr(servers.subprocess, "call", lambda command, env: called.append(command) or 0)
    assert cli.main(["lab", *(w.replace("CODE", code) for w in words), "--no-browser"]) == 0
    path = tmp_path / "LABKIT_HOME" / "explorers" / f"{name.replace('CODE', code)}.ipynb"
    assert called[0][-2:] == [str(path), "--no-browser"] and path.exists()


def test_apps_without_voila_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(servers.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["apps"]) == 1
    assert "python -m pip install voila" in capsys.readouterr().err


def test_the_language_model_is_listed_and_found_where_it_lies(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    assert cli.main(["data", "list", "smollm2-135m"]) == 0
    assert "not here, 98 MB: labkit data fetch smollm2-135m" in capsys.readouterr().out
    folder = tmp_path / "models" / "smollm2-135m"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    assert cli.main(["data", "fetch", "smollm2-135m"]) == 0 and cli.main(["data", "where", "smollm2-135m"]) == 0
    assert str(folder / "model.safetensors") in capsys.readouterr().out
