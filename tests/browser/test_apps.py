"""`labkit apps` and `labkit lab --app`, started as a reader starts them, in a real browser."""

import importlib.util
import os
import signal
import subprocess
import sys
from urllib.parse import urlparse

import pytest
from jupyterlab_pages import HARMLESS, keep_picture
from serving import free_port, quiet_settings, wait_for

from labkit import explorers
from labkit.explorers import EXPLORERS
from labkit.paths import PACKAGE

pytestmark = [pytest.mark.browser, pytest.mark.kernel]


ANYONE = ["--allow-root", "--ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password="]
ANYONE += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]


@pytest.fixture
def started(tmp_path):
    """Start a command of labkit that serves, without anyone's settings; its address."""
    servers = []

    def start(*words, ready):
        port, log = free_port(), tmp_path / "server.log"
        told = {"HOME": str(tmp_path), "LABKIT_HOME": str(tmp_path / "labkit"), "PYTHONPATH": str(PACKAGE.parent)}
        told |= {"JUPYTERLAB_SETTINGS_DIR": str(quiet_settings(tmp_path))}
        command = [sys.executable, "-m", "labkit", *words, "--no-browser", f"--port={port}"]
        with log.open("w") as out:
            servers.append(subprocess.Popen(command, env=os.environ | told, stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path))
        wait_for(f"http://127.0.0.1:{port}{ready}", servers[0], log)
        return f"http://127.0.0.1:{port}"

    yield start
    for server in servers:
        server.send_signal(signal.SIGINT)  # as Ctrl-C: what it started ends as well
        server.wait(30)


def moves(page):
    """The explorer on the page is seen, and its slider moves the figure."""
    page.wait_for_function("document.querySelector('.labkit-explorer')?.dataset.mounted === 'yes'")
    root = page.locator(".labkit-explorer")
    figure = root.locator(".lk-figure svg")
    assert figure.bounding_box()["height"] > 200
    before = figure.evaluate("(svg) => svg.innerHTML")
    root.locator("input[type=range]").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    return figure.evaluate("(svg) => svg.innerHTML") != before


@pytest.mark.thorough
def test_the_dashboard_lists_all_explorers_and_each_has_a_page(page, started):
    if importlib.util.find_spec("voila") is None:
        pytest.skip("voila is not installed: pip install voila")
    strangers = []
    page.on("request", lambda r: strangers.append(r.url) if urlparse(r.url).hostname not in ("127.0.0.1", None) else None)
    address = started("apps", ready="/")
    page.goto(address)
    links = page.locator("main li a")
    assert links.count() == len(EXPLORERS)
    assert page.locator("main img").evaluate_all("(all) => Promise.all(all.map((i) => i.decode().then(() => i.naturalWidth)))")
    keep_picture(page, "apps")
    titles = links.locator("h2").all_inner_texts()
    for name in ("bridge", "temperature"):
        page.goto(address)
        links.nth(EXPLORERS.index(name)).click()
        assert moves(page)
        keep_picture(page, f"apps-{name}")
        assert page.locator("h1").inner_text() == titles[EXPLORERS.index(name)]
    page.get_by_role("link", name="All explorers").click()
    page.wait_for_selector("main li a")
    assert strangers == [] and page.troubles == []


@pytest.mark.thorough
def test_lab_opens_an_explorer_that_is_seen_without_running_anything(page, started):
    made = explorers.bridge()
    state = made.moved(made.start, **{made.controls[0].name: made.controls[0].options[1]})
    address = started("lab", "--code", made.code(state), *ANYONE, ready="/api/status")
    page.goto(f"{address}/lab/tree/{made.code(state)}.ipynb")
    assert moves(page)
    assert page.locator(".labkit-explorer .lk-code input").input_value() != made.code(state)  # it was moved from there
    assert page.locator(".jp-CodeCell .jp-InputArea-prompt").inner_text() == "[1]:"
    assert [t for t in page.troubles if not any(h in t for h in HARMLESS)] == []
