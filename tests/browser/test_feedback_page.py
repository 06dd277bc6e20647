"""A student's feedback page in Chromium: the misconception stands in its place, hints open, nothing is loaded or run."""

import course_cases as cases
import pytest
from course_cases import NAME, RIGHT

pytest.importorskip("nbgrader", reason="the course needs pip install 'labkit[course]'")

from labkit.course import files, machine, nb, office, release, settings

pytestmark = pytest.mark.browser
ATTACK = (
    "<script>document.title = 'taken'</script><img src='https://example.org/seen.png' onerror='document.title = 1'> $x_i^2$"
)


@pytest.fixture(scope="module")
def feedback(tmp_path_factory):
    cases.register()
    course = settings.opened(tmp_path_factory.mktemp("feedback") / "course", create=True)
    files.write(course.source / NAME / f"{NAME}.ipynb", nb.text(cases.source()))
    release.release(course, ["tiny"])
    notebook = cases.answered(release.handout(course, NAME, "bob"), **RIGHT | {"scaled_mean": cases.SUM, "essay": ATTACK})
    files.write(course.submitted / "bob" / NAME / f"{NAME}.ipynb", cases.as_bytes(notebook))
    assert machine.run(course, NAME).failed == {}
    (path,) = office.feedback(course, NAME)
    return path


def test_a_feedback_page_helps_and_stays_at_home(feedback, page):
    asked, refused = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: refused.append((request.url, request.failure)))
    page.goto(feedback.as_uri())
    assert page.locator(".labkit-summary tbody tr").count() == 3
    assert "your value grows with the number of rows" in page.locator(".labkit-summary tr", has_text="scaled_mean").inner_text()
    report = page.locator(".labkit-check", has_text="tiny.scaled_mean")
    assert report.locator("b", has_text="Your value grows with the number of rows.").is_visible()
    for number, hint in enumerate(cases.HINTS):  # a ladder: each opens the next
        assert not page.get_by_text(hint).is_visible()
        report.locator("summary").nth(number).click()
        assert page.get_by_text(hint).is_visible()
    gaps = page.locator(".labkit-check", has_text="tiny.gaps").bounding_box()
    assert report.bounding_box()["y"] < page.get_by_text("How far apart").bounding_box()["y"] < gaps["y"]
    assert page.locator("msubsup, msup").count() and page.title() != "taken"
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == ["https://example.org/seen.png"]
    assert ("https://example.org/seen.png", "csp") in refused, "by the page's own policy, before anything is sent"
