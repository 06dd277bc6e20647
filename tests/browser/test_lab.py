"""A lesson in real JupyterLab: every cell runs, the slider is moved, and the figure is drawn anew."""

import pytest
from jupyterlab_pages import HARMLESS, errors, keep_picture, opened

from labkit.tour import lessons

pytestmark = pytest.mark.browser

FINGERPRINT = (
    """() => [...document.querySelectorAll(".jp-OutputArea .labkit-explorer svg")].map((s) => s.innerHTML).join("#")"""
)


def marked(script):
    return pytest.param(script.stem, marks=[] if script.stem.startswith("02") else pytest.mark.thorough)


@pytest.mark.parametrize("name", [marked(s) for s in lessons()])
def test_the_lesson_runs_and_its_slider_moves_the_figure(page, lab, name):
    opened(page, lab, name)
    assert errors(page) == []
    sliders = page.locator(".jp-OutputArea .labkit-explorer input[type=range]")
    if not sliders.count():
        pytest.skip(f"{name} has no slider")
    slider, figure = sliders.first, page.locator(".jp-OutputArea .lk-figure").first
    slider.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    before, seen = page.evaluate(FINGERPRINT), figure.screenshot()
    keep_picture(page, f"{name}-before")
    slider.focus()
    way = "ArrowLeft" if slider.input_value() == slider.get_attribute("max") else "ArrowRight"  # films open at their end
    for _ in range(3):
        page.keyboard.press(way)
    page.wait_for_function(f"(before) => ({FINGERPRINT})() !== before", arg=before, timeout=20_000)
    assert figure.screenshot() != seen
    rail, between = slider.bounding_box(), page.evaluate(FINGERPRINT)
    middle = rail["y"] + rail["height"] / 2
    page.mouse.move(rail["x"] + 0.5 * rail["width"], middle)
    page.mouse.down()
    page.mouse.move(rail["x"] + 4, middle, steps=10)
    page.mouse.up()
    page.wait_for_function(f"(before) => ({FINGERPRINT})() !== before", arg=between, timeout=20_000)
    keep_picture(page, f"{name}-after")
    assert [t for t in page.troubles if not any(h in t for h in HARMLESS)] == []
