"""From an LMS's download to its grades and the instructor's page, with nothing between but the commands' own functions."""

import csv
import re
import zipfile

import pytest
from course_class import CLASS, NAME, notebook

pytest.importorskip("nbgrader", reason="the course needs pip install 'labkit[course]'")

from labkit.course import machine, office, records, release, settings
from labkit.course.report import page as report_page

WHO = {"ada": 20, "dora": 12, "pat": 0}  # right, one mistake, blank


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    root = tmp_path_factory.mktemp("front")
    course = settings.opened(root / "course", create=True)
    release.release(course, ["a1"], variant="2026", due="2026-10-12 12:00:00 UTC")
    lines = ["Student,ID,SIS Login ID,Section,a1_infonce (77)", "    Points Possible,,,,20"]
    with zipfile.ZipFile(root / "submissions.zip", "w") as archive:
        for k, student in enumerate(WHO):
            archive.writestr(
                f"{student}_{100 + k}_{500 + k}_{NAME}-1.ipynb", notebook(release.handout(course, NAME, student), student, root)
            )
            lines.append(f'"=cmd|{student}, X",{100 + k},{student},01,')
    (root / "canvas.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return course


def test_from_download_to_grades(course):
    root = course.root.parent
    received = office.collect(course, NAME, root / "submissions.zip", root / "canvas.csv")
    assert {r.student for r in received if r.status == "taken"} == set(WHO) == set(course.students(NAME))
    batch = machine.run(course, NAME)
    assert batch.failed == {} and {r.student: r.earned for r in batch.graded} == WHO
    done = office.export(course, root / "out.csv", "canvas", root / "canvas.csv")
    table = list(csv.reader((root / "out.csv").read_text(encoding="utf-8").splitlines()))
    assert {row[2]: float(row[4]) for row in table[2:]} == WHO and done.grades == 3
    assert all(row[0].startswith("'=cmd|") for row in table[2:])
    (written,) = office.feedback(course, NAME, ["dora"])
    page = report_page.write(course, [NAME]).read_text(encoding="utf-8")
    (link,) = re.findall(r'href="(feedback/[^"]+)"', page)
    assert (course.root / link).resolve() == written.resolve()
    assert "Your denominator includes the anchor itself" in page and CLASS["dora"] is not None
    assert sum(1 for _ in records.records(course.root, NAME)) == 3
