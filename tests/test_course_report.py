"""The instructor's page: everything that must be seen is on it, and nothing that a student wrote is more than text."""

import base64
import hashlib
import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from graded_class import NAMES, graded_class

from labkit.course import records as stored
from labkit.course.records import Record
from labkit.course.report.page import page, write
from labkit.course.report.similarity import of_records
from labkit.course.report.view import Grade, View, text

EVIL = '"><script>alert(1)</script><img src=x onerror="alert(2)">'


@pytest.fixture(scope="module")
def graded():
    return graded_class()


def shown(records, **more):
    pairs = tuple(of_records(records))
    return page([View(0, "a1_infonce", tuple(records), pairs=pairs, **more)], "contrast101")


class Tags(HTMLParser):
    """Counts tags, and attributes that would run something."""

    def __init__(self, source):
        super().__init__()
        self.scripts, self.handlers, self.open, self.crossed = 0, [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.handlers += [(tag, name) for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")]
        if tag not in ("meta", "link", "br", "input", "img", "line", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handlers += [(tag, name) for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.crossed.append(tag)


def test_what_must_be_seen_is_there(graded):
    seen = html.unescape(shown(graded))
    for words in (
        "30 submissions",  # tiles put the number and the noun into two elements
        "tried to open a file outside its folder", "it replaced labkit.grading.check", "2 time outs", "stopped 1 time",
        "2 grade cells were gone and came back from the release", "Windows line endings were changed", "Waits for you",
        "A reason to look, never a verdict", "Where to look", "blank", "Histogram of points: 30 submissions",
    ):  # fmt: skip
        plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", seen))
        assert words in plain or words in seen, words
    assert all(f">{name}<" in seen for name in NAMES)
    assert "Not isolated" not in seen


def test_numbers_are_those_of_the_records(graded):
    seen = shown(graded)
    found = re.findall(r'<div class="count">(\d+)<small>', seen)
    counted = {}
    for record in graded:
        for answer in record.answers:
            for name in answer.mistakes:
                counted[answer.exercise, name] = counted.get((answer.exercise, name), 0) + 1
    assert sorted(map(int, found), reverse=True) == sorted(counted.values(), reverse=True) == list(map(int, found))
    exercise, part = graded[0].answers[0].exercise, graded[0].answers[0].parts[0].name
    mine = [p for r in graded for a in r.answers for p in a.parts if (a.exercise, p.name) == (exercise, part)]
    row = re.search(rf"<code>{re.escape(exercise)}</code></th><td>{re.escape(text(part))}</td>.*?</tr>", seen)[0]
    assert f">{sum(p.earned >= p.points for p in mine)} of 30<" in row
    bars = [int(n) for n in re.findall(r"<title>(\d+) submissions? with", seen)]
    assert sum(bars) == 30


def test_not_isolated_is_in_plain_sight(graded):
    bare = [replace(r, isolation="not isolated") if k < 3 else r for k, r in enumerate(graded)]
    assert 'role="alert"><b>Not isolated:</b> the code of 3 students' in shown(bare)


@pytest.mark.parametrize("where", ["student", "source", "flag", "why", "file", "says", "cell"])
def test_what_students_wrote_is_text(graded, where):
    one = graded[0]
    answer = one.answers[0]
    part = replace(answer.parts[0], earned=0.0, why=(EVIL,))
    evil = {
        "student": replace(one, student=EVIL),
        "source": replace(one, answers=(replace(answer, source=EVIL), *one.answers[1:])),
        "flag": replace(one, flags=(EVIL,), repairs=(EVIL,), errors=(EVIL,)),
        "why": replace(one, answers=(replace(answer, parts=(part,)), *one.answers[1:])),
        "file": replace(one, file=EVIL, variant=EVIL, isolation=EVIL, submitted=EVIL),
        "says": replace(one, answers=(replace(answer, mistakes=(EVIL,), says=(EVIL,)), *one.answers[1:])),
        "cell": replace(one, answers=(replace(answer, cell=EVIL, exercise=""), replace(one.answers[-1], cell=EVIL))),
    }[where]
    found = Tags(shown([evil, *graded[1:]]))
    assert found.scripts == 1 and found.handlers == [] and found.crossed == []
    assert "alert(1)" in shown([evil, *graded[1:]])


def test_the_policy_allows_our_script_only(graded):
    seen = shown(graded)
    script = re.search(r"<script>(.*?)</script>", seen, re.DOTALL)[1]
    sha = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{sha}'" in seen and "default-src 'none'" in seen
    assert not re.search(r'(src|href)="(?!#|[\w./%-]*feedback/)', seen)  # nothing is fetched


def test_tables_are_accessible(graded):
    seen = shown(graded)
    assert seen.count("<thead>") == seen.count("<table")
    assert not re.search(r"<th(?![^>]*scope=)[ >]", seen)
    assert seen.count('role="img"') == seen.count("aria-label=") - seen.count('role="region"') - seen.count("<nav")
    assert Tags(seen).open == []


def test_marks_that_turn_writing_around_are_seen():
    assert text("a\u202eb<") == "a�b&lt;"


def test_an_empty_class_and_one_with_nothing_to_read():
    assert "Nothing was graded yet" in page([View(0, "a1_infonce", ())], "c")
    lost = Record("ann", "a1_infonce", "2026", flags=("there is no notebook",))
    assert "there is no notebook" in shown([lost])


def test_grades_of_people_and_lateness(graded):
    grades = {r.student: Grade(r.earned + 2, r.points + 3, 1.5, r.student == "ada", 30.0) for r in graded[:2]}
    seen = shown(graded, grades=grades)
    assert "late 30 h, −1.5" in seen and "waits for you" in seen


def test_it_is_written_from_what_the_course_holds(tmp_path, graded):
    for record in graded[:4]:
        stored.save(tmp_path, record)
    found = write(tmp_path, ["a1_infonce"])
    assert found == tmp_path / "report.html" and found.stat().st_mode & 0o077 == 0
    assert graded[0].student in found.read_text(encoding="utf-8")
    other = write(tmp_path, "a1_infonce", tmp_path / "x" / "y.html", records=graded[4:6])
    assert graded[4].student in other.read_text(encoding="utf-8")
