"""Every explorer in a real browser: from a folder with networking off, and in JupyterLab.

What a drag costs is printed, not judged.
"""

import itertools
import json
import statistics

import pytest
from jupyterlab_pages import HARMLESS, errors, keep_picture
from jupyterlab_pages import opened as in_lab

from labkit.explorers import EXPLORERS, explorer

pytestmark = pytest.mark.browser
HERO = ("temperature", "microscope")
on_each = pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in HERO else pytest.mark.thorough) for n in EXPLORERS])

DRAWING = """(root) => [...root.querySelectorAll("svg path, svg circle, svg rect, svg text, svg image")]
  .map((e) => e.outerHTML).join("")"""
# Words outside the figure, or lying over each other.
OUTSIDE = """(root) => {
  const frame = root.querySelector("svg").getBoundingClientRect();
  return [...root.querySelectorAll("svg text")].filter((t) => {
    const b = t.getBoundingClientRect();
    const wide = b.left < frame.left - 1 || b.right > frame.right + 1;
    return b.width && (wide || b.top < frame.top - 1 || b.bottom > frame.bottom + 1);
  }).map((t) => t.textContent);
}"""
# Milliseconds from an input event until the drawing has changed and a frame was painted.
LATENCY = """([root, n]) => new Promise((done) => {
  const input = root.querySelector("input[type=range]"), times = [], svg = root.querySelector("svg");
  const step = (k, up) => {
    if (k === n) return done(times);
    const last = Number(input.max), from = Number(input.value), way = from + up > last || from + up < 0 ? -up : up;
    const begun = performance.now();
    let changed = false;
    const seen = new MutationObserver(() => (changed = true));
    seen.observe(svg, { subtree: true, childList: true, attributes: true });
    input.value = from + way;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    const painted = () => requestAnimationFrame(() => {
      if (!changed && performance.now() - begun < 2000) return painted();
      seen.disconnect();
      times.push(performance.now() - begun);
      setTimeout(() => step(k + 1, way), 30);
    });
    setTimeout(painted, 0);
  };
  step(0, 1);
})"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of an explorer, written once."""
    folder, made = tmp_path_factory.mktemp("explorers"), {}

    def page_of(name):
        if name not in made:
            made[name] = explorer(name).save(folder / f"{name}.html")
        return made[name]

    return page_of


def opened(page, path, *, width=1280, scheme="light"):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.context.set_offline(True)
    page.goto(path.as_uri())
    return mounted(page.locator(".labkit-explorer"))


def mounted(root):
    root.scroll_into_view_if_needed()
    root.page.wait_for_function("(root) => root.dataset.mounted === 'yes'", arg=root.element_handle())
    return root


def controls(root):
    """The controls that are seen, by the name of their field."""
    return {c.get_attribute("data-control"): c for c in root.locator(".lk-control").all() if c.is_visible()}


def press(root, control):
    """Move a control by the keyboard."""
    field = control.locator("input, select").first
    field.focus()
    if field.get_attribute("type") == "radio":
        control.locator("input:not(:checked)").first.focus()
        root.page.keyboard.press("Space")
        return
    keys = ("ArrowRight", "ArrowLeft") if field.get_attribute("type") == "range" else ("ArrowDown", "ArrowUp")
    before = field.input_value()
    for key in keys:
        root.page.keyboard.press(key)
        if field.input_value() != before:
            return


# ---------------------------------------------------------------- from a folder


@on_each
@pytest.mark.parametrize("width, scheme", [(1280, "light"), (1920, "dark"), (860, "light")])
def test_it_is_seen_offline_and_nothing_is_cut(page, pages, name, width, scheme):
    path = pages(name)
    assert path.stat().st_size < 8e6
    root = opened(page, path, width=width, scheme=scheme)
    keep_picture(page, f"{name}-{width}-{scheme}")
    assert root.evaluate(OUTSIDE) == []
    assert root.locator(".lk-line").inner_text().strip()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert root.evaluate("(r) => getComputedStyle(r).getPropertyValue('--lk-paper').trim()") == (
        "#fffdf7" if scheme == "light" else "#1b1f27"
    )
    assert page.troubles == []


@on_each
def test_every_control_answers_the_keyboard(page, pages, name):
    root = opened(page, pages(name))
    for field, control in controls(root).items():
        before, said = root.evaluate(DRAWING), root.locator(".lk-line").inner_text()
        press(root, control)
        page.wait_for_timeout(120)
        assert root.evaluate(DRAWING) != before or root.locator(".lk-line").inner_text() != said, f"{field} changes nothing"
    assert page.troubles == []


@on_each
def test_what_python_explains_is_what_the_page_says(page, pages, name):
    """From the start, every state that one control can reach is shown and said alike."""
    made = explorer(name)
    root = opened(page, pages(name))
    assert root.locator(".lk-line").inner_text() == made.explain(made.start, made.start)
    for control in made.controls:
        if control.when and getattr(made.start, control.when[0]) not in control.when[1]:
            continue
        for option in itertools.islice(control.options, 0, None, max(1, len(control.options) // 3)):
            state = made.moved(made.start, **{control.name: option})
            page.wait_for_timeout(30)
            paste(root, made.code())
            page.wait_for_timeout(1600 if control is made.controls[0] and option == control.options[0] else 30)
            paste(root, made.code(state))
            page.wait_for_timeout(60)
            assert root.locator(".lk-code input").input_value() == made.code(state)


def paste(root, code):
    field = root.locator(".lk-code input")
    field.fill(code)
    field.press("Enter")


@on_each
def test_a_damaged_code_is_refused_and_changes_nothing(page, pages, name):
    root = opened(page, pages(name))
    code, before = root.locator(".lk-code input").input_value(), root.evaluate(DRAWING)
    paste(root, code[:-1] + ("0" if code[-1] != "0" else "1"))
    assert "damaged" in root.locator(".lk-line").inner_text()
    assert root.evaluate(DRAWING) == before


@on_each
def test_the_codes_of_the_page_are_those_of_python(page, pages, name):
    made = explorer(name)
    root = opened(page, pages(name))
    for control in controls(root).values():
        press(root, control)
        page.wait_for_timeout(60)
        code = root.locator(".lk-code input").input_value()
        state = made.opened(code).start
        assert made.code(state) == code
    assert state != made.start


@pytest.mark.parametrize("name", ["microscope", pytest.param("simplex", marks=pytest.mark.thorough)])
def test_a_point_is_dragged_by_mouse_and_by_keys(page, pages, name):
    made = explorer(name)
    root = opened(page, pages(name))
    spot = root.evaluate_handle("(root) => root").evaluate(GRIP, json.loads(json.dumps({"name": name})))
    before = root.evaluate(DRAWING)
    page.mouse.move(*spot)
    page.mouse.down()
    page.mouse.move(spot[0] + 25, spot[1] + 25, steps=5)
    page.mouse.up()
    page.wait_for_timeout(100)
    dragged = root.evaluate(DRAWING)
    assert dragged != before
    assert made.opened(root.locator(".lk-code input").input_value()).start.moved
    root.locator("svg").focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(100)
    assert root.evaluate(DRAWING) != dragged
    assert page.troubles == []


def test_what_is_hidden_stays_also_on_the_figure(page, tmp_path):
    made = explorer("precision", hide=("temperature",))
    root = opened(page, made.save(tmp_path / "hidden.html"))
    box = root.locator("svg").bounding_box()
    for share in (0.15, 0.3, 0.6, 0.9):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_timeout(100)
    assert root.locator(".lk-code input").input_value() == made.code()
    assert "temperature" not in controls(root)


# The middle of a point under which the hand becomes a grip.
GRIP = """(root) => {
  const svg = root.querySelector("svg"), frame = svg.getBoundingClientRect();
  for (const circle of svg.querySelectorAll("circle")) {
    const b = circle.getBoundingClientRect(), at = [b.left + b.width / 2, b.top + b.height / 2];
    svg.dispatchEvent(new PointerEvent("pointermove", { clientX: at[0], clientY: at[1] }));
    if (svg.style.cursor === "grab") return at;
  }
  return null;
}"""


# ---------------------------------------------------------------- in JupyterLab


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.thorough)])
def test_in_jupyterlab_all_are_seen_and_follow_the_hand(page, lab, scheme, capsys):
    in_lab(page, lab, "explorers" if scheme == "light" else "explorers_dark")
    assert errors(page) == []
    if scheme == "dark":
        page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    roots = page.locator(".jp-OutputArea .labkit-explorer").all()
    assert [root.get_attribute("data-explorer") for root in roots] == list(EXPLORERS)
    for root, name in zip(roots, EXPLORERS, strict=True):
        mounted(root)
        page.wait_for_timeout(200)
        keep_picture(page, f"lab-{name}-{scheme}")
        assert root.evaluate(OUTSIDE) == [], name
        before = root.evaluate(DRAWING)
        press(root, next(iter(controls(root).values())))
        page.wait_for_timeout(150)
        assert root.evaluate(DRAWING) != before, name
        if name in HERO and scheme == "light":
            times = page.evaluate(LATENCY, [root.element_handle(), 30])
            with capsys.disabled():
                print(f"\n{name}: slider to redraw in JupyterLab, 30 events: {told(times)}")
    assert [t for t in page.troubles if not any(h in t for h in HARMLESS)] == []


@pytest.mark.thorough
def test_a_widget_of_the_kernel_follows_the_hand_and_is_followed(page, lab):
    in_lab(page, lab, "widget")
    root = page.locator(".jp-OutputArea .labkit-explorer").first
    page.wait_for_selector(".jp-OutputArea .labkit-explorer svg")
    code = root.locator(".lk-code input")
    start = code.input_value()
    root.locator("input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(100)
    moved = code.input_value()
    assert moved != start
    page.get_by_text(moved, exact=True).wait_for(timeout=10_000)  # what the kernel knows
    page.get_by_role("button", name="to the start").click()
    page.wait_for_function("([c, start]) => c.value === start", arg=[code.element_handle(), start], timeout=10_000)
    assert errors(page) == []


def told(times):
    ranked = sorted(times)
    tenth = ranked[int(0.9 * len(ranked))]
    return f"median {statistics.median(times):.0f} ms, 90th percentile {tenth:.0f} ms, longest {ranked[-1]:.0f} ms"
