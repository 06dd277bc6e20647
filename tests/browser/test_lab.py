"""A lesson in real JupyterLab: every cell runs, the slider is moved, and the figure is drawn anew."""

import os
from pathlib import Path

import pytest

from labkit.tour import lessons

pytestmark = pytest.mark.browser

# A known race of anywidget on slow machines: it says so, and everything is drawn all the same.
HARMLESS = ("[anywidget] Failed to initialize model", "Failed to load resource", "WebGL", "AbortError")
FINGERPRINT = """() => [...document.querySelectorAll(".jp-OutputArea .js-plotly-plot .main-svg")].map(
  (e) => [...e.querySelectorAll("path, text")].map((p) => (p.getAttribute("d") || "") + p.textContent).join("|")).join("#")"""


DONE = """() => {
  const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputArea-prompt")].map((p) => p.textContent.trim());
  return prompts.length > 0 && prompts.every((p) => /^\\[\\d+\\]:$/.test(p));
}"""


def opened(page, lab, name):
    """The notebook in JupyterLab, all cells run."""
    page.goto(f"{lab}/lab/workspaces/{name}/tree/{name}.ipynb")  # a place of its own: no tab of another lesson comes back
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
    wait_for_kernel(page, lab, name)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    try:
        page.wait_for_function(DONE, timeout=180_000)
    finally:
        keep_picture(page, f"{name}-run")


def wait_for_kernel(page, lab, name, seconds=120):
    """Until the server says that a kernel is idle and the page is connected to it: an earlier request would be forgotten."""
    for _ in range(seconds):
        sessions = page.request.get(f"{lab}/api/sessions").json()
        kernels = [s["kernel"] for s in sessions if s["path"] == f"{name}.ipynb"]
        if any(k["execution_state"] == "idle" and k["connections"] > 0 for k in kernels):
            page.wait_for_timeout(2000)
            return
        page.wait_for_timeout(1000)
    raise AssertionError(f"no kernel came up: {kernels}")


def errors(page):
    """Tracebacks on the page."""
    return page.locator(
        '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"], .jp-RenderedText[data-mime-type*="stderr"]'
    ).all_inner_texts()


def figure(page):
    """The figure as the reader sees it."""
    return page.locator(".jp-OutputArea .js-plotly-plot").first.screenshot()


def keep_picture(page, name):
    """A full screenshot where LABKIT_SCREENSHOTS says."""
    if folder := os.environ.get("LABKIT_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def marked(script):
    return pytest.param(script.stem, marks=[] if script.stem.startswith("02") else pytest.mark.thorough)


@pytest.mark.parametrize("name", [marked(s) for s in lessons()])
def test_the_lesson_runs_and_its_slider_moves_the_figure(page, lab, name):
    opened(page, lab, name)
    assert errors(page) == []
    sliders = page.locator(".jp-OutputArea .widget-slider")
    if not sliders.count():
        pytest.skip(f"{name} has no slider")
    sliders.first.scroll_into_view_if_needed()
    page.wait_for_selector(".jp-OutputArea .js-plotly-plot .main-svg")
    page.wait_for_timeout(1000)
    before, seen = page.evaluate(FINGERPRINT), figure(page)
    keep_picture(page, f"{name}-before")
    handle = sliders.first.locator(".noUi-handle")
    handle.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(f"(before) => ({FINGERPRINT})() !== before", arg=before, timeout=20_000)
    assert figure(page) != seen
    box = handle.bounding_box()
    between = page.evaluate(FINGERPRINT)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 60, box["y"] + box["height"] / 2, steps=10)
    page.mouse.up()
    page.wait_for_function(f"(before) => ({FINGERPRINT})() !== before", arg=between, timeout=20_000)
    keep_picture(page, f"{name}-after")
    assert [t for t in page.troubles if not any(h in t for h in HARMLESS)] == []
