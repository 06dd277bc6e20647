"""The exported pages in a real browser, from a folder, with networking off: figures are seen, and the slider moves them."""

import subprocess
import sys

import pytest

from labkit.tour import lessons

pytestmark = pytest.mark.browser
SLIDING = "00"  # the front door has a slider

VISIBLE = """() => [...document.querySelectorAll("main img")].map((i) => {
  i.loading = "eager";
  return i.decode().then(() => i.naturalWidth, () => 0);
}).reduce(async (all, one) => [...await all, await one], Promise.resolve([]))"""
PLOTS = """() => [...document.querySelectorAll(".plot")].map((p) => {
  const box = p.querySelector(".main-svg")?.getBoundingClientRect();
  return p.dataset.drawn === "yes" && box ? box.width * box.height : 0;
})"""
EXPLORERS = """() => [...document.querySelectorAll(".labkit-explorer")].map(
  (e) => (e.dataset.mounted === "yes" ? e.querySelectorAll("svg path, svg circle").length + 50 : 0))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    output = tmp_path_factory.mktemp("tour")
    command = [sys.executable, "-m", "labkit", "tour", "--smoke", "--only", SLIDING, "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def opened(page, path):
    page.context.set_offline(True)
    page.goto(path.as_uri())
    page.wait_for_function("[...document.querySelectorAll('.plot')].every((p) => p.dataset.drawn === 'yes')")
    return page


def every_figure_is_seen(page):
    widths, areas, drawn = page.evaluate(VISIBLE), page.evaluate(PLOTS), page.evaluate(EXPLORERS)
    assert widths or areas or drawn
    assert min([*widths, *areas, *drawn]) > 50, (widths, areas, drawn)
    assert page.troubles == []


def drawing(page):
    """What the first explorer shows."""
    return page.locator(".labkit-explorer svg").first.evaluate("(s) => s.innerHTML")


@pytest.mark.parametrize("name", ["index", "lesson"])
@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 390)])
def test_every_figure_is_seen_offline(page, pages, name, scheme, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    path = pages / "index.html" if name == "index" else next(pages.glob(f"{SLIDING}_*.html"))
    every_figure_is_seen(opened(page, path))
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, "the page is wider than the screen"


def test_the_arrow_keys_move_the_figure(page, pages):
    opened(page, pages / "index.html")
    before, picture = drawing(page), page.locator(".lk-figure").first.screenshot()
    page.locator(".labkit-explorer input[type=range]").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(300)
    assert drawing(page) != before and page.locator(".lk-figure").first.screenshot() != picture
    assert page.troubles == []


def test_dragging_the_slider_moves_the_figure(page, pages):
    opened(page, pages / "index.html")
    slider, before = page.locator(".labkit-explorer input[type=range]").first, drawing(page)
    slider.scroll_into_view_if_needed()
    rail = slider.bounding_box()
    middle = rail["y"] + rail["height"] / 2
    page.mouse.move(rail["x"] + 0.9 * rail["width"], middle)
    page.mouse.down()
    page.mouse.move(rail["x"] + 4, middle, steps=12)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert drawing(page) != before
    assert page.troubles == []


@pytest.mark.thorough
def test_every_figure_of_every_lesson_is_seen_offline(page, tmp_path):
    command = [sys.executable, "-m", "labkit", "tour", "--smoke", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=590)
    assert done.returncode == 0, done.stdout + done.stderr
    for script in lessons():
        every_figure_is_seen(opened(page, tmp_path / f"{script.stem}.html"))
