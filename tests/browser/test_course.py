"""What a student sees: the release in JupyterLab with nbgrader's extension, instant help, and the Validate button.

And what the instructor sees: the report page, in which nothing that a student wrote runs.
"""

import json
import re
from dataclasses import replace

import pytest
from graded_class import graded_class
from jupyterlab_pages import keep_picture, wait_for_kernel
from serving import jupyterlab

pytestmark = pytest.mark.browser
NAME = "a1_infonce"
WRONG = """def similarity(z1, z2):
    rows = torch.cat([z1, z2])
    return rows @ rows.T
"""


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    """A release of a1 as the machine makes it, blank; and the same with the right answers written in."""
    pytest.importorskip("nbgrader")
    from labkit.course.release import release
    from labkit.course.settings import opened

    course = opened(tmp_path_factory.mktemp("course"), create=True)
    release(course, ["a1"], variant="2026")
    blank = json.loads((course.release / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    source = json.loads((course.source / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    answers = {c["metadata"]["nbgrader"]["grade_id"]: c["source"] for c in source["cells"] if is_answer(c)}
    folder = tmp_path_factory.mktemp("student")
    (folder / f"{NAME}.ipynb").write_text(json.dumps(blank))
    right = json.loads(json.dumps(blank))
    for cell in right["cells"]:
        if is_answer(cell):
            cell["source"] = answers[cell["metadata"]["nbgrader"]["grade_id"]]
    (folder / "right.ipynb").write_text(json.dumps(right))
    return folder


def is_answer(cell):
    return cell["metadata"].get("nbgrader", {}).get("solution", False)


@pytest.fixture(scope="module")
def hub(handed_out, tmp_path_factory):
    with jupyterlab(tmp_path_factory.mktemp("hub"), handed_out) as address:
        yield address


def opened(page, hub, name):
    page.goto(f"{hub}/lab/workspaces/{name}/tree/{name}.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
    wait_for_kernel(page, hub, name)


def run(page, words):
    """Select the code cell that holds these words, and run it."""
    cell = page.locator(".jp-CodeCell").filter(has_text=words).first
    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    return cell


def validate(page, seconds):
    """Press the button, and read what the dialog says."""
    page.locator(".jp-Toolbar button, .jp-Toolbar jp-button").filter(has_text="Validate").first.click()
    dialog = page.locator(".jp-Dialog")
    dialog.wait_for(timeout=seconds * 1000)
    return dialog


@pytest.mark.thorough
def test_a_release_opens_without_solutions_and_a_wrong_answer_is_told_why(page, hub):
    opened(page, hub, NAME)
    shown = page.locator(".jp-Notebook").inner_text()
    assert "InfoNCE from the inside" in shown and "BEGIN SOLUTION" not in shown and "normalize(torch.cat" not in shown
    keep_picture(page, "course-release")
    run(page, "import labkit")
    run(page, "grading.given")
    page.wait_for_function("() => document.querySelectorAll('.jp-InputArea-prompt')[1] !== null")
    answer = page.locator(".jp-CodeCell").filter(has_text="def similarity(z1, z2)").first
    answer.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(WRONG)
    page.keyboard.press("Shift+Enter")
    check = run(page, 'grading.check("a1.similarity"')
    report = check.locator(".labkit-check")
    report.wait_for(timeout=90_000)
    assert "0 of 3 points" in report.inner_text() and "dot products, not cosines" in report.inner_text()
    hints = report.locator("details")
    assert hints.count() == 3 and not hints.nth(1).is_visible()
    for k in range(3):  # each hint opens the next
        hints.nth(k).locator("> summary").click()
        assert hints.nth(k).locator("> div").is_visible()
    check.scroll_into_view_if_needed()
    keep_picture(page, "course-hints")


@pytest.mark.thorough
def test_validate_fails_a_blank_notebook(page, hub):
    opened(page, hub, NAME)
    dialog = validate(page, 240)
    assert "failed" in dialog.inner_text().lower()
    keep_picture(page, "course-validate-blank")


@pytest.mark.thorough
def test_validate_passes_a_right_notebook(page, hub):
    opened(page, hub, "right")
    dialog = validate(page, 240)
    said = dialog.inner_text()
    keep_picture(page, "course-validate-right")
    assert "success" in said.lower(), said


# ---------------------------------------------------------------- the instructor's page

EVIL = '"><script>document.title="hacked"</script><img src=x onerror="document.title=1"><svg onload="document.title=2">'


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of a class in which somebody is called like a script."""
    from labkit.course.report.page import write

    records = graded_class()
    answer = replace(records[2].answers[0], source=EVIL, says=(EVIL,), mistakes=(EVIL,))
    records[2] = replace(records[2], student=EVIL, flags=(EVIL,), answers=(answer, *records[2].answers[1:]))
    records[4] = replace(records[4], isolation="not isolated")
    return write(tmp_path_factory.mktemp("course"), NAME, records=records)


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 1920])
def test_the_report_page(chromium, report, width, look):
    """Nothing is fetched, nothing of a student's runs, tables can be sorted and searched, and it fits."""
    context = chromium.new_context(viewport={"width": width, "height": 1000}, color_scheme=look)
    page, asked, troubles = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text))
    try:
        page.goto(report.as_uri())
        page.wait_for_timeout(300)
        keep_picture(page, f"course-report-{width}-{look}")
        assert asked == [report.as_uri()] and troubles == []
        assert "hacked" not in page.title() and "how it went" in page.title()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.get_by_role("alert").is_visible()
        table = page.get_by_role("region", name="Points of every student")
        table.get_by_role("button", name="Points").click()
        points = [
            float(v) for v in table.locator("tbody tr td:nth-child(2)").evaluate_all("(all) => all.map((c) => c.dataset.value)")
        ]
        assert points == sorted(points) and len(points) == 30
        table.get_by_role("button", name="Points").click()
        assert table.locator("th[aria-sort=descending]").count() == 1
        page.get_by_label("Find").fill("time out")
        assert table.locator("tbody tr:visible").count() == 1
        page.get_by_label("Find").fill("")
        table.get_by_role("link", name="goran").click()
        page.locator("details.student:target[open]").wait_for()
        assert page.get_by_text("it replaced labkit.grading.check").last.is_visible()
    finally:
        context.close()


def test_the_report_page_can_be_read_without_a_script(chromium, report):
    context = chromium.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(report.as_uri())
        seen = page.locator("body").inner_text()
        assert "What was misunderstood" in seen and re.search(r"Not isolated", seen) and "goran" in seen
    finally:
        context.close()
