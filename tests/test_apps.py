"""The notebook of an explorer shows it at once, is trusted, and overwrites nobody's work; the dashboard has them all."""

import json
import re
import subprocess
import sys

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from labkit import apps, explorers
from labkit.apps import dashboard

NAME = "bridge"


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))


def test_a_notebook_holds_its_explorer_and_is_trusted(tmp_path):
    (path,) = apps.write(tmp_path, [NAME])
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    title, code = notebook.cells
    assert (
        title.source == f"# {explorers.bridge().title}" and code.source == "from labkit import explorers\n\nexplorers.bridge()"
    )
    assert code.outputs[0].data["text/html"].startswith('<div class="labkit-explorer"')
    assert code.outputs[0].data["text/plain"] == explorers.bridge().alt
    assert NotebookNotary().check_signature(notebook)
    code.outputs[0].data["text/html"] += "<script></script>"
    assert not NotebookNotary().check_signature(notebook)
    assert path.stat().st_size < 8e6


def test_a_state_code_opens_in_its_state(tmp_path):
    made = explorers.bridge()
    state = made.moved(made.start, **{made.controls[0].name: made.controls[0].options[-1]})
    path = apps.put(tmp_path, NAME, made.code(state))
    cell = nbformat.read(path, as_version=4).cells[1]
    assert cell.source == f'import labkit\n\nlabkit.restore("{made.code(state)}")' and path.stem == made.code(state)
    assert made.opened(made.code(state)).explain(state, state) in cell.outputs[0].data["text/html"].replace("&#x27;", "'")


def test_what_a_reader_did_stays(tmp_path):
    (path,) = apps.write(tmp_path, [NAME])
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = []  # run again, or cleared: nobody's work
    nbformat.write(notebook, path)
    apps.write(tmp_path, [NAME])
    assert nbformat.read(path, as_version=4).cells[1].outputs
    notebook.cells[1].source += "  # mine"
    nbformat.write(notebook, path)
    kept = path.read_text()
    apps.write(tmp_path, [NAME])
    assert path.read_text() == kept
    path.write_text("not a notebook")
    apps.write(tmp_path, [NAME])
    assert path.read_text() == "not a notebook"


def test_an_unknown_name_gives_the_list(tmp_path):
    with pytest.raises(ValueError, match=r"no explorer 'tau'; there are temperature, microscope.*bridge"):
        apps.write(tmp_path, ["tau"])
    assert list(tmp_path.iterdir()) == []


def test_the_dashboard_lists_what_it_serves(tmp_path, monkeypatch):
    ticks = []
    dashboard.build(tmp_path, [NAME], lambda: ticks.append(1))
    assert len(ticks) == 1
    cell = nbformat.read(tmp_path / f"{NAME}.ipynb", as_version=4).cells[1]
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(cell.source.replace("HTML(filename", "shown = HTML(filename"), scope)
    assert scope["shown"].data == explorers.bridge().html()
    templates = tmp_path / "jupyter" / "voila" / "templates" / "labkit"
    page = (templates / "tree.html").read_text()
    assert "{{ base_url }}voila/render/bridge.ipynb" in page and "CARDS" not in page and "FONT" not in page
    assert (tmp_path / re.search(r"voila/files/(\w+\.png)", page)[1]).read_bytes().startswith(b"\x89PNG")
    assert json.loads((templates / "conf.json").read_text()) == {"base_template": "lab"}
    assert "http" not in page + (templates / "index.html.j2").read_text()


def test_the_list_says_of_every_explorer_what_it_is_about():
    assert tuple(dashboard.ABOUT) == explorers.EXPLORERS


def test_a_code_survives_a_new_process():
    made = explorers.bridge()
    code = made.code(made.moved(made.start, **{made.controls[0].name: made.controls[0].options[1]}))
    restored = "import sys, labkit; e = labkit.restore(sys.argv[1]); print(e.code(), e.start)"
    done = subprocess.run([sys.executable, "-c", restored, code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith(f"{code} ") and str(made.opened(code).start) in done.stdout
    damaged = code[:-1] + ("0" if code[-1] != "0" else "1")
    done = subprocess.run([sys.executable, "-c", restored, damaged], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "is damaged" in done.stderr
