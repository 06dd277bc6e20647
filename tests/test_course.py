"""The course machine from hand-out to grades: a class of thirty in one batch, every grade to the point."""

import csv
import hashlib
import io
import time

import pytest
from course_class import CLASS, NAME, notebook

pytest.importorskip("nbgrader", reason="the course needs pip install 'labkit[course]'")

from labkit.course import files, machine, nb, office, records, release, settings

SMALL = [name for name, student in CLASS.items() if student.quick]


def made_course(folder):
    return settings.opened(folder / "course", create=True)


def hand_in(course, assignment, student, data, file=None, when="2026-10-12 09:00:00 UTC"):
    place = course.submitted / student / assignment
    files.write(place / (file or f"{assignment}.ipynb"), data)
    files.write(place / "timestamp.txt", when)


def tree(folder):
    """Every file below, by its content."""
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def graded_class(folder, students):
    """The course after one batch, and the batch."""
    course = made_course(folder)
    release.release(course, ["a1"], variant="2026", students=students, due="2026-10-12 12:00:00 UTC")
    for student in students:
        data = notebook(release.handout(course, NAME, student), student, course.root)
        hand_in(course, NAME, student, data, CLASS[student].file)
    handed_in, secret = tree(course.submitted), course.secret
    batch = machine.run(course, NAME)
    assert tree(course.submitted) == handed_in, "what was handed in has changed"
    assert course.secret == secret
    assert not list(course.root.parent.rglob("EVE_WAS_HERE"))
    return course, batch


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return graded_class(tmp_path_factory.mktemp("small"), SMALL)


def right_grades(course, batch, students):
    assert batch.failed == {}
    assert sorted(each.student for each in batch.graded) == sorted(students)
    with nb.gradebook(course) as book:
        scores = {each.student.id: each.score for each in book.assignment_submissions(NAME)}
    for found in batch.graded:
        student = CLASS[found.student]
        earned = {answer.exercise.partition(".")[2]: answer.earned for answer in found.answers}
        assert earned == student.expected(), found
        assert scores[found.student] == found.earned == sum(student.expected().values())
        named = {answer.exercise.partition(".")[2]: answer.mistakes for answer in found.answers}
        for exercise, mistake in student.mistakes.items():
            assert named[exercise][:1] == (mistake,), found
        assert student.flags in "\n".join(found.flags), found.flags
        assert student.repairs in "\n".join(found.repairs), found.repairs
        assert records.load(records.path(course.root, NAME, found.student)) == found


def test_a_small_class(small):
    course, batch = small
    right_grades(course, batch, SMALL)


@pytest.mark.thorough
def test_a_class_of_thirty(tmp_path, capsys):
    began = time.monotonic()
    course, batch = graded_class(tmp_path, list(CLASS))
    right_grades(course, batch, list(CLASS))
    assert batch.isolation != "not isolated"
    office.feedback(course, NAME)
    written = office.export(course, tmp_path / "grades.csv")
    assert written.grades == 30 == len(list(csv.DictReader(io.StringIO((tmp_path / "grades.csv").read_text()))))
    with capsys.disabled():
        print(f"\na class of 30: graded in {batch.seconds:.0f} s, with hand-out and feedback {time.monotonic() - began:.0f} s")
