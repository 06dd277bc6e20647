"""A notebook that runs with nobody before it (nbclient, papermill, a grader) and a plain script: never blank, never waiting."""

import base64
import json
import os
import re
import subprocess
import sys

import pytest

from labkit import explorers, results

CELLS = (
    "from labkit import explorers, predict\n\nexplorers.bridge()",
    'predict("who-pushes", ["the near ones", "the far ones"])',
    f"explorers.recompute({results.names()[0]!r})",
    "from labkit import lessons\n\nlessons.guesses()",
)
WIDGET = "application/vnd.jupyter.widget-view+json"


def run(folder, **environment):
    """The cells in a kernel, asked by nbclient as it asks."""
    from nbclient import NotebookClient
    from nbformat import v4

    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in CELLS])
    told = {name: value for name, value in os.environ.items() if name != "LABKIT_STATIC"} | {"LABKIT_HOME": str(folder)}
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", extra_arguments=["--log-level=40"])
    client.execute(env=told | environment)
    return notebook


@pytest.mark.kernel
@pytest.mark.parametrize("environment", [{}, {"LABKIT_STATIC": "1"}], ids=["nbclient", "LABKIT_STATIC"])
def test_every_cell_shows_something_that_needs_no_kernel(tmp_path, environment):
    notebook = run(tmp_path, **environment)
    assert "widgets" not in notebook.metadata
    shown = [[o.data for o in cell.outputs if "data" in o] for cell in notebook.cells]
    assert [len(outputs) for outputs in shown] == [1, 1, 1, 1]
    assert not any(WIDGET in outputs[0] for outputs in shown)
    explorer, question, button, counts = (outputs[0] for outputs in shown)
    assert explorer["text/plain"] == explorers.bridge().alt
    assert base64.b64decode(re.search(r"data:image/png;base64,([^\"]+)", explorer["text/html"])[1]).startswith(b"\x89PNG")
    assert question["text/html"].count('<input type="radio"') == 2
    assert "python -m labkit results" in button["text/html"]
    assert "No guesses yet" in counts["text/html"]
    assert len(json.dumps(notebook)) < 8e6


@pytest.mark.kernel
def test_where_a_person_is_served_widgets_are_shown(tmp_path):
    """Voila runs cells as nbclient does, and shows widgets."""
    shown = run(tmp_path, SERVER_SOFTWARE="voila/0.5").cells[1].outputs[0].data
    assert WIDGET in shown


def test_a_plain_script_runs_to_its_end(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("\n".join(CELLS))
    told = {name: value for name, value in os.environ.items() if name != "LABKIT_STATIC"} | {"LABKIT_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, str(script)], env=told, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"python -m labkit results {results.names()[0]}", "No guesses yet."]
