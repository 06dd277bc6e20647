"""A lesson in real JupyterLab: every cell runs, the slider is moved, and the figure is drawn anew."""

import pytest
from jupyterlab_pages import HARMLESS, errors, keep_picture, opened

from labkit.tour import lessons

pytestmark = pytest.mark.browser

FINGERPRINT = """() => [...document.querySelectorAll(".jp-OutputArea .js-plotly-plot .main-svg")].map(
  (e) => [...e.querySelectorAll("path, text")].map((p) => (p.getAttribute("d") || "") + p.textContent).join("|")).join("#")"""


def figure(page):
    """The figure as the reader sees it."""
    return page.locator(".jp-OutputArea .js-plotly-plot").first.screenshot()


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
