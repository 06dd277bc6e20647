"""Every lesson runs to its end in smoke mode: as a plain script always, as a notebook through a kernel twice here, in full in
`make test-all`."""

import json
import os
import subprocess
import sys

import pytest

from labkit import pairs
from labkit.tour import walk

SCRIPTS = walk.lessons()
TWICE = ("00", "02")  # these notebooks go through a kernel in `make test` too
PLOTLY, EXPLORER = "application/vnd.plotly.v1+json", 'class="labkit-explorer"'
names = pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)


def claims_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def as_script(script, folder, **environment):
    """Run the lesson as Python runs any script, somewhere else than in its folder; its claims."""
    found = folder / "claims.jsonl"
    told = {"LABKIT_SMOKE": "1", "MPLBACKEND": "Agg", "LABKIT_CLAIMS": str(found), "LABKIT_LESSON": script.stem}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | told | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=150,  # of a hang: 20 s is the house's limit on an idle machine, and here other tests run beside it
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return claims_of(found)


@names
def test_as_a_script(script, tmp_path):
    claims = as_script(script, tmp_path)
    assert all(c["passed"] for c in claims if c["asserted"])
    assert claims or script.stem.startswith("00"), "a lesson without a claim"
    assert len({c["text"] for c in claims}) == len(claims), "two claims say the same"


@names
@pytest.mark.thorough
@pytest.mark.parametrize("seed", [7, 70, 700])
def test_as_a_script_with_other_seeds(script, seed, tmp_path):
    as_script(script, tmp_path, LABKIT_SEED=str(seed))


def marked(script):
    return pytest.param(script, marks=[pytest.mark.kernel, *([] if script.stem.startswith(TWICE) else [pytest.mark.thorough])])


@pytest.mark.parametrize("script", [marked(s) for s in SCRIPTS], ids=lambda p: p.stem)
def test_as_a_notebook(script, tmp_path, monkeypatch):
    import nbformat

    notebook = nbformat.read(pairs.pair(script), as_version=4)
    found = tmp_path / "claims.jsonl"
    environment = walk.environment(script.stem, found, smoke=True)
    assert walk.execute(notebook, environment, folder=tmp_path, timeout=150, tick=lambda: None) == ""
    assert all(c["passed"] for c in claims_of(found) if c["asserted"])
    shown = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "data" in o]
    figures = [o for o in shown if {"image/png", PLOTLY} & set(o["data"]) or EXPLORER in o["data"].get("text/html", "")]
    assert figures, "a lesson without a figure"
    assert all(o["data"].get("text/plain") for o in figures), "a figure without words"
    assert len(json.dumps(notebook)) < 8e6, "a page that is too heavy to mail"


@names
def test_a_lesson_explains_before_it_computes(script):
    """Its header says what the reader will be able to do, what must come before, how long it takes, and on which data."""
    header = pairs.read(script).cells[0]
    assert header.cell_type == "markdown"
    for part in ("will be able to", "Before", "minutes", "Data"):
        assert part.lower() in header.source.lower(), f"{script.name} does not say: {part}"
