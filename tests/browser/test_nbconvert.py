"""What plain `jupyter nbconvert` ran and exported, opened from disk with networking off: the slider moves the figure."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbformat import v4

pytestmark = [pytest.mark.browser, pytest.mark.kernel]
CELLS = (
    "from labkit import explorers, predict\n\nexplorers.bridge()",
    'predict("who-pushes", ["the near ones", "the far ones"])',
)
# nbconvert's page asks a network for MathJax and require.js; what is ours needs neither.
ITS_OWN = ("failed: https://cdnjs.cloudflare.com/ajax/libs", "console: Failed to load resource: net::ERR_INTERNET_DISCONNECTED")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nbconvert")
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(source) for source in CELLS]), folder / "bridge.ipynb")
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", "--execute", str(folder / "bridge.ipynb")]
    told = {name: value for name, value in os.environ.items() if name != "LABKIT_STATIC"}
    done = subprocess.run(command, env=told, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / "bridge.html"


def drawing(root):
    return root.locator("svg").evaluate("(svg) => svg.innerHTML")


def test_the_slider_moves_the_figure(page, exported):
    assert exported.stat().st_size < 8e6
    page.context.set_offline(True)
    page.goto(exported.as_uri())
    root = page.locator(".labkit-explorer")
    page.wait_for_function("(root) => root.dataset.mounted === 'yes'", arg=root.element_handle())
    before, code = drawing(root), root.locator(".lk-code input").input_value()
    slider = root.locator("input[type=range]").first
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert drawing(root) != before and root.locator(".lk-code input").input_value() != code
    between, box = drawing(root), slider.bounding_box()
    page.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + box["height"] / 2)
    page.wait_for_timeout(200)
    assert drawing(root) != between
    assert page.locator(".labkit-predict input[type=radio]").count() == 2, "a question that nobody can answer"
    assert [t for t in page.troubles if not t.startswith(ITS_OWN)] == []
