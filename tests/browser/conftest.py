"""A real headless Chromium, and a JupyterLab on a copy of the lessons. Skipped, with the reason, where there is no browser."""

import json
import os
import shutil

import pytest
from serving import jupyterlab

from labkit.explorers import EXPLORERS
from labkit.paths import notebooks

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


def chromium_path():
    return os.environ.get("LABKIT_CHROMIUM") or next((p for p in map(shutil.which, NAMES) if p), None)


@pytest.fixture(scope="session")
def chromium():
    """The browser, shared by the tests of a session."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    path = chromium_path()
    if not path:
        pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium (or name one in LABKIT_CHROMIUM)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A fresh page at a fixed size that remembers what went wrong on it."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(f"error: {error}"))
    page.on("requestfailed", lambda request: page.troubles.append(f"failed: {request.url}"))
    page.on("console", lambda m: page.troubles.append(f"console: {m.text}") if m.type == "error" else None)
    yield page
    context.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """The address of a JupyterLab on a copy of the lessons, without anyone's settings."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(notebooks(), home / "notebooks", ignore=shutil.ignore_patterns("*.py", ".ipynb_checkpoints"))
    for name in ("explorers", "explorers_dark"):
        (home / "notebooks" / f"{name}.ipynb").write_text(json.dumps(notebook(f"explorers.explorer({n!r})" for n in EXPLORERS)))
    (home / "notebooks" / "widget.ipynb").write_text(json.dumps(notebook(WIDGET)))
    with jupyterlab(home, home / "notebooks") as address:
        yield address


# A view that the kernel follows, and a code that the kernel writes where a button is pressed.
WIDGET = (
    "import ipywidgets\nview = explorers.precision().widget()\nview",
    "said = ipywidgets.HTML(description='kernel:')\n"
    "view.observe(lambda change: setattr(said, 'value', view.code), 'code')\nsaid",
    "back = ipywidgets.Button(description='to the start')\n"
    "back.on_click(lambda _: setattr(view, 'state', explorers.precision().start))\nback",
)


def notebook(sources):
    """A notebook with these cells."""
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [{**cell, "id": f"cell-{k}", "source": f"from labkit import explorers\n{s}"} for k, s in enumerate(sources)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
