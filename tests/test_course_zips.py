"""Zips in: every LMS's names, attempts, strange and hostile archives; what comes out is what nbgrader reads."""

import io
import json
import stat
import struct
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from labkit.course.desk.archives import Limits
from labkit.course.desk.zips import unpack

A = "a1_infonce"
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def book(mark=""):
    return json.dumps({**NOTEBOOK, "metadata": {"mark": mark}})


def packed(path, files, when=(2026, 10, 1, 12, 0, 0), flags=None):
    """A zip of name -> text or bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, when)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (flags or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return path


def zipped(files, **options):
    buffer = io.BytesIO()
    packed(buffer, files, **options)
    return buffer.getvalue()


def laid(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def tree(folder):
    return {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}


def mark(path):
    return json.loads(path.read_text())["metadata"]["mark"]


def taken(report):
    return {r.student for r in report if r.status == "taken"}


@pytest.fixture
def room(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def test_canvas(room):
    files = {
        f"doejane_12345_67890_{A}.ipynb": book("first"),
        f"doejane_12345_67990_{A}-1.ipynb": book("second"),
        "doejane_12345_67891_figure.png": b"png",
        f"oneillsean_LATE_777_70000_{A}-2.ipynb": book("late"),
        f"anon_x7Yz2_80000_{A}.ipynb": book("anonymous"),
        "li_55_text.html": "<p>see attachment</p>",
        "zipper_9_71000_work.zip": zipped({f"work/{A}.ipynb": book("zipped"), "work/data.csv": "1"}),
    }
    packed(room / "in" / "submissions.zip", files)
    report = unpack(room / "in", room / "submitted", A)
    found = tree(room / "submitted")
    assert taken(report) == {"doejane_12345", "oneillsean_777", "anon_x7Yz2", "zipper_9"}
    assert mark(found[f"doejane_12345/{A}/{A}.ipynb"]) == "second"
    assert f"doejane_12345/{A}/figure.png" in found and f"zipper_9/{A}/data.csv" in found
    assert [mark(p) for p in tree(room / "attempts").values()] == ["first"]
    late = next(r for r in report if r.student == "oneillsean_777")
    assert late.late and "late" in late.note and f"_{A}-2.ipynb is now {A}.ipynb" in late.note
    assert not [name for name in found if name.endswith("timestamp.txt")]  # Canvas gives the time of the download, no other
    assert [r.source for r in report if r.status == "ignored"] == ["li_55_text.html"]


@pytest.mark.parametrize("folders", [True, False])
def test_moodle(room, folders):
    sign = "/" if folders else ""
    files = {
        f"Jane Doe_12345_assignsubmission_file_{sign}{A}.ipynb": book("jane"),
        f"Zoé van Ó_99_assignsubmission_file_{sign}{A}.ipynb": book("zoe"),
        "Zoé van Ó_99_assignsubmission_onlinetext_/onlinetext.html": "hello",
    }
    packed(room / "course-a1.zip", files)
    when = {"jdoe": datetime(2026, 10, 1, 9, tzinfo=UTC)}
    report = unpack(room / "course-a1.zip", room / "submitted", A, {"Participant 12345": "jdoe"}, times=when)
    assert taken(report) == {"jdoe", "Zoé_van_Ó_99"}
    assert (room / "submitted/jdoe" / A / "timestamp.txt").read_text() == "2026-10-01 09:00:00 UTC\n"
    assert "not on the roster" in next(r.note for r in report if r.student == "Zoé_van_Ó_99")
    assert "no time" in next(r.note for r in report if r.student == "Zoé_van_Ó_99")


def test_blackboard(room):
    stamp = "Assignment 1_{}_attempt_2026-10-{}-12-30-45_{}"
    files = {
        stamp.format("jdoe", "01", f"{A}.ipynb"): book("first"),
        stamp.format("jdoe", "03", f"{A}.ipynb"): book("third"),
        stamp.format("jdoe", "02", f"{A}.ipynb"): book("second"),
        "Assignment 1_jdoe_attempt_2026-10-01-12-30-45.txt": "Name: Jane Doe",
        stamp.format("van_der_berg", "01", "work.zip"): zipped({f"{A}.ipynb": book("berg")}),
    }
    laid(room / "in", files)
    report = unpack(room / "in", room / "submitted", A, ["jdoe", "van_der_berg"])
    assert taken(report) == {"jdoe", "van_der_berg"}
    assert mark(room / "submitted/jdoe" / A / f"{A}.ipynb") == "third"
    assert [mark(room / "attempts/jdoe" / A / n / f"{A}.ipynb") for n in ("01", "02")] == ["first", "second"]
    local = datetime(2026, 10, 3, 12, 30, 45).astimezone()
    assert next(r.when for r in report if r.status == "taken" and r.student == "jdoe") == local


def test_gradescope_and_its_groups(room):
    people = "  - :name: {0}\n    :sid: '{1}'\n    :email: {0}@x.edu\n"
    metadata = "---\nsubmission_11:\n  :submitters:\n" + people.format("ann", 1) + people.format("bob", 2)
    metadata += "  :created_at: 2026-10-01 08:00:00.000000000 Z\n  :score: 1.0\n"
    files = {
        "assignment_5_export/submission_metadata.yml": metadata,
        f"assignment_5_export/submission_11/{A}.ipynb": book("group"),
        # a student's own file of that name makes nobody else hand in
        "assignment_5_export/submission_11/submission_metadata.yml": "x:\n  :submitters:\n" + people.format("eve", 3),
        f"assignment_5_export/submission_11/x/{A}.ipynb": book("forged"),
    }
    packed(room / "in" / "export.zip", files)
    report = unpack(room / "in", room / "submitted", A, {"ann@x.edu": "ann", "2": "bob"})
    assert taken(report) == {"ann", "bob"}
    for student in ("ann", "bob"):
        assert mark(room / "submitted" / student / A / f"{A}.ipynb") == "group"
        assert (room / "submitted" / student / A / "timestamp.txt").read_text() == "2026-10-01 08:00:00 UTC\n"


def test_by_hand(room):
    files = {
        "ann.zip": zipped({f"{A}.ipynb": book("ann")}),
        f"bob/{A}.ipynb": book("bob"),
        f"cyd/{A}/{A}.ipynb": book("cyd"),
        "dan.ipynb": book("dan"),
        f"{A}_eve.ipynb": book("eve"),
        "fay@uni.edu.zip": zipped({f"home/fay/{A} (1).ipynb": book("fay"), "home/fay/img/x.png": "x"}),
        "gus/deep/down/notes.ipynb": book("gus"),
        "hal.ipynb.txt": book("hal"),
        f"{A}.ipynb": book("whose?"),
        "README.txt": "hello",
    }
    report = unpack(laid(room / "in", files), room / "submitted", A)
    found = tree(room / "submitted")
    assert taken(report) == {"ann", "bob", "cyd", "dan", "eve", "fay@uni.edu", "gus", "hal"}
    for student in taken(report) - {"gus"}:
        assert mark(found[f"{student}/{A}/{A}.ipynb"]) == student.split("@")[0]
    assert mark(found[f"gus/{A}/notes.ipynb"]) == "gus"  # the machine knows better what it may be
    assert f"fay@uni.edu/{A}/img/x.png" in found
    assert {r.source for r in report if r.status == "ignored"} == {f"{A}.ipynb", "README.txt"}
    stamp = (room / "submitted/ann" / A / "timestamp.txt").read_text().strip()
    assert stamp == datetime(2026, 10, 1, 12).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    assert unpack(room / "in", room / "other", A, file_times=False)[0].when is None


def test_again_by_hand(room):
    files = {f"{n}.zip": zipped({f"{A}.ipynb": book(n)}) for n in ("ann", "ann (1)", "ann-2", "bob-1")}
    report = unpack(laid(room / "in", files), room / "submitted", A)
    assert taken(report) == {"ann", "bob-1"}  # nobody is called bob, so bob-1 is a student
    assert mark(room / "submitted/ann" / A / f"{A}.ipynb") == "ann-2"
    assert sorted(mark(p) for n, p in tree(room / "attempts/ann").items() if n.endswith("ipynb")) == ["ann", "ann (1)"]
    known = unpack(room / "in", room / "other", A, ["ann", "ann-2", "bob-1"])
    assert taken(known) == {"ann", "ann-2", "bob-1"}


@pytest.mark.parametrize("wrap", ["", "class/", "class.zip", "term/section 1/"])
def test_whatever_it_is_wrapped_in(room, wrap):
    files = {f"{n}/{A}.ipynb": book(n) for n in ("ann", "bob")}
    if wrap.endswith(".zip"):
        (room / "in" / wrap).write_bytes(zipped(files))
    else:
        laid(room / "in", {wrap + name: content for name, content in files.items()})
    assert taken(unpack(room / "in", room / "submitted", A)) == {"ann", "bob"}


def test_one_students_own_zip(room):
    packed(room / "ann.zip", {f"{A}.ipynb": book("ann")})
    assert taken(unpack(room / "ann.zip", room / "submitted", A)) == {"ann"}


def test_nothing_is_overwritten_silently(room):
    laid(room / "in", {f"ann/{A}.ipynb": book("one")})
    unpack(room / "in", room / "submitted", A, file_times=False)
    before = tree(room / "in")[f"ann/{A}.ipynb"].read_bytes()
    assert [r.status for r in unpack(room / "in", room / "submitted", A, file_times=False)] == ["same"]
    laid(room / "in", {f"ann/{A}.ipynb": book("two")})
    (again,) = unpack(room / "in", room / "submitted", A, file_times=False)
    assert again.status == "taken" and f"attempts/ann/{A}/01" in again.note
    assert mark(room / "submitted/ann" / A / f"{A}.ipynb") == "two"
    assert (room / "attempts/ann" / A / "01" / f"{A}.ipynb").read_bytes() == before
    late, soon = datetime(2026, 10, 3, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
    unpack(laid(room / "b", {f"ann/{A}.ipynb": book("late")}), room / "submitted", A, times={"ann": late})
    (older,) = unpack(laid(room / "c", {f"ann/{A}.ipynb": book("soon")}), room / "submitted", A, times={"ann": soon})
    assert older.status == "aside" and mark(room / "submitted/ann" / A / f"{A}.ipynb") == "late"


def test_collecting_again_adds_nothing_but_the_time(room):
    """A worksheet with times may come later; attempts that are kept already are not kept twice."""
    files = {f"doe_1_{k}_{A}{again}.ipynb": book(again) for k, again in ((10, ""), (20, "-1"), (30, "-2"))}
    laid(room / "in", files)
    unpack(room / "in", room / "submitted", A)
    before = tree(room)
    report = unpack(room / "in", room / "submitted", A, times={"doe_1": datetime(2026, 10, 1, 9, tzinfo=UTC)})
    assert [r.status for r in report] == ["same", "aside", "aside"]
    assert set(tree(room)) - set(before) == {f"submitted/doe_1/{A}/timestamp.txt"}
    assert sorted(mark(p) for n, p in tree(room / "attempts").items()) == ["", "-1"]


def test_the_input_stays(room):
    files = {"ann.zip": zipped({f"{A}.ipynb": book()}), "broken.zip": b"PK\x03\x04nonsense", f"bob/{A}.ipynb": book()}
    laid(room / "in", files)
    before = {name: (p.read_bytes(), p.stat().st_mtime_ns) for name, p in tree(room / "in").items()}
    unpack(room / "in", room / "submitted", A)
    assert {name: (p.read_bytes(), p.stat().st_mtime_ns) for name, p in tree(room / "in").items()} == before


HOSTILE = {
    "climbing": ("../../../escaped.ipynb", "points out"),
    "absolute": ("/tmp/escaped.ipynb", "points out"),
    "windows": ("..\\..\\escaped.ipynb", "points out"),
    "drive": ("C:\\escaped.ipynb", "points out"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_names_that_point_elsewhere(room, kind):
    name, why = HOSTILE[kind]
    packed(room / "in" / "eve.zip", {name: book("escaped"), f"{A}.ipynb": book("eve")})
    report = unpack(room / "in", room / "submitted", A)
    assert [why in r.note for r in report if r.status == "refused"] == [True]
    assert set(tree(room)) == {"in/eve.zip", f"submitted/eve/{A}/{A}.ipynb", f"submitted/eve/{A}/timestamp.txt"}
    assert not Path("/tmp/escaped.ipynb").exists()


def test_links_are_not_followed(room):
    secret = room / "gradebook.db"
    secret.write_text("grades")
    link = {f"{A}.ipynb": stat.S_IFLNK | 0o777}
    packed(room / "in" / "eve.zip", {f"{A}.ipynb": str(secret)}, flags=link)
    (room / "in" / "mal").mkdir()
    (room / "in" / "mal" / f"{A}.ipynb").symlink_to(secret)
    (room / "in" / "dir").symlink_to(room)
    report = unpack(room / "in", room / "submitted", A)
    assert [r.status for r in report] == ["refused"] * 3 and all("link" in r.note for r in report)
    assert not (room / "submitted").exists()


def test_bombs_are_bounded(room):
    zeros = b"\0" * (40 << 20)
    packed(room / "in" / "one.zip", {f"{A}.ipynb": zeros})
    packed(room / "in" / "many.zip", {f"{k}.ipynb": zeros[: 3 << 20] for k in range(20)})  # each below the bound for one file
    packed(room / "in" / "deep.zip", {"a.zip": zipped({"b.zip": zipped({"c.zip": zipped({f"{A}.ipynb": book()})})})})
    packed(room / "in" / "crowd.zip", {f"{k}.txt": "" for k in range(300)})
    packed(room / "in" / "ann.zip", {f"{A}.ipynb": book("ann")})
    report = unpack(room / "in", room / "submitted", A, limits=Limits(files=200))
    notes = " ".join(r.note for r in report if r.status == "refused")
    assert all(word in notes for word in ("bomb", "deeper than 3", "more than 200 files"))
    assert "ann" in taken(report)
    size = sum(p.stat().st_size for p in (room / "submitted").rglob("*") if p.is_file())
    assert size < 40 << 20


def test_a_lie_about_its_size_does_not_help(room):
    """The header says ten bytes; the bytes are counted as they come."""
    data = bytearray(zipped({f"{A}.ipynb": b"\0" * (30 << 20)}))
    end = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, end + 24, 10)
    struct.pack_into("<I", data, end + 20, len(data))
    (room / "in" / "eve.zip").write_bytes(data)
    report = unpack(room / "in", room / "submitted", A)
    assert {r.status for r in report} == {"refused"}


def test_broken_encrypted_and_foreign_archives(room):
    sound = bytearray(zipped({f"{A}.ipynb": book("x" * 500)}))
    locked = bytearray(sound)
    for at, offset in ((locked.index(b"PK\x03\x04"), 6), (locked.index(b"PK\x01\x02"), 8)):
        locked[at + offset] |= 1
    damaged = bytearray(sound)
    damaged[60] ^= 0xFF
    laid(room / "in", {"cut.zip": bytes(sound[:-30]), "locked.zip": bytes(locked), "damaged.zip": bytes(damaged)})
    laid(room / "in", {"empty.zip": zipped({}), "ann.rar": b"Rar!", "zero.zip": b"", "ann.zip": bytes(sound)})
    report = unpack(room / "in", room / "submitted", A)
    refused = {r.source.split("/")[0]: r.note for r in report if r.status == "refused"}
    assert taken(report) == {"ann"}
    assert set(refused) == {"cut.zip", "locked.zip", "damaged.zip", "zero.zip", "ann.rar"}
    assert "encrypted" in refused["locked.zip"] and "not a zip" in refused["ann.rar"]


def test_strange_names(room):
    raw = zipped({"xx.ipynb": book("umlaut")}).replace(b"xx.ipynb", "ü.ipynb".encode())  # UTF-8, and it does not say so
    mac = {"__MACOSX/._x.ipynb": "junk", f".ipynb_checkpoints/{A}-checkpoint.ipynb": book("old"), ".DS_Store": "x"}
    laid(room / "in", {"anna.zip": zipped({**mac, f"{A}.ipynb": book("anna")}), "u.zip": raw})
    windows = {f"folder\\{A}.ipynb": book("windows"), "folder\\nul": "x"}
    laid(room / "in", {"win.zip": zipped(windows), "张伟.zip": zipped({f"{A}.ipynb": book("zhang")})})
    report = unpack(room / "in", room / "submitted", A)
    found = tree(room / "submitted")
    assert taken(report) == {"anna", "u", "win", "张伟"}
    assert {n for n in found if n.startswith("anna")} == {f"anna/{A}/{A}.ipynb", f"anna/{A}/timestamp.txt"}
    assert f"u/{A}/ü.ipynb" in found and f"win/{A}/{A}.ipynb" in found and f"win/{A}/_nul" in found


def test_nobody_hands_in_for_another(room):
    """Names inside a student's own zip are not the LMS's."""
    mine = {f"doejane_12345_67890_{A}.ipynb": book("forged"), f"Jane Doe_1_assignsubmission_file_/{A}.ipynb": book("forged")}
    laid(room / "in", {"eve.zip": zipped(mine), f"bob/{A}.ipynb": book("bob"), f"eve2/../{A}.ipynb": book("x")})
    assert taken(unpack(room / "in", room / "submitted", A)) <= {"eve", "bob"}


def test_a_student_cannot_say_when(room):
    laid(room / "in", {f"eve/{A}.ipynb": book(), "eve/timestamp.txt": "1999-01-01 00:00:00 UTC", f"bob/{A}.ipynb": book()})
    unpack(room / "in", room / "submitted", A, times={"eve": datetime(2026, 10, 1, tzinfo=UTC)})
    assert (room / "submitted/eve" / A / "timestamp.txt").read_text() == "2026-10-01 00:00:00 UTC\n"
    unpack(room / "in", room / "other", A, file_times=False)
    assert not (room / "other/eve" / A / "timestamp.txt").exists()


def test_what_has_no_notebook_is_told_of(room):
    laid(room / "in", {"ann/essay.docx": b"x", f"bob/{A}.ipynb": book(), "bob/torch.py": "import os"})
    report = {r.student: r for r in unpack(room / "in", room / "submitted", A)}
    assert report["ann"].status == "refused" and "essay.docx" in report["ann"].note
    assert "torch.py" in report["bob"].note


def test_two_names_one_student(room):
    laid(room / "in", {f"jane doe/{A}.ipynb": book("1"), f"jane_doe/{A}.ipynb": book("2")})
    report = unpack(room / "in", room / "submitted", A)
    assert taken(report) == {"jane_doe"} and any("would both be" in r.note for r in report)


def test_a_file_called_like_a_folder(room):
    packed(room / "in" / "eve.zip", {f"{A}.ipynb": book(), "x": "file", "x/y": "in a folder"})
    laid(room / "in", {f"bob/{A}.ipynb": book()})
    report = {r.student: r.status for r in unpack(room / "in", room / "submitted", A)}
    assert report == {"eve": "refused", "bob": "taken"}


def test_nbgrader_reads_the_time(room):
    utils = pytest.importorskip("nbgrader.utils")
    late = datetime(2026, 10, 1, 14, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    unpack(laid(room / "in", {f"ann/{A}.ipynb": book()}), room / "submitted", A, times={"ann": late})
    text = (room / "submitted/ann" / A / "timestamp.txt").read_text().strip()
    assert utils.parse_utc(text) == datetime(2026, 10, 1, 12, 0, 5)


def test_words_for_the_caller(room):
    with pytest.raises(FileNotFoundError, match="there is no"):
        unpack(room / "nowhere", room / "submitted", A)
    with pytest.raises(ValueError, match="assignment must be a name"):
        unpack(room / "in", room / "submitted", "../x")
    with pytest.raises(ValueError, match="lies inside"):
        unpack(room, room / "course" / "submitted", A)
    assert unpack(room / "in", room / "submitted", A) == []
