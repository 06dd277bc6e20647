"""Grades out: in each LMS's columns, into its own list and back, and no name becomes a formula."""

import csv
import io

import pytest

from labkit.course.desk import lms
from labkit.course.desk.rosters import defused

A = "a1_infonce"


def grade(student, score, assignment=A, most=16, **who):
    return {"student_id": student, "assignment": assignment, "score": score, "max_score": most, **who}


def lines(path, encoding="utf-8", delimiter=","):
    return list(csv.reader(io.StringIO(path.read_bytes().decode(encoding), newline=""), delimiter=delimiter))


CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,a0 (1),a1_infonce (77),Current Score\r\n"
    "    Points Possible,,,,,5.00,16.00,(read only)\r\n"
    '"Doe, Jane",12345,S1,jdoe,01,4,,80\r\n'
    '"Ó Néill, Seán",777,S2,soneill,01,,3,\r\n'
    '"Test, Student",9,,test,01,,,\r\n'
)
MOODLE = (
    "\ufeffIdentifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,Last modified (submission),"
    "Last modified (grade),Feedback comments\n"
    'Participant 12345,Jane Doe,jane@x.edu,Submitted,,16.00,Yes,"Thursday, 1 October 2026, 9:30 AM",-,\n'
    "Participant 99,Zoé Ó,zoe@x.edu,No submission,-,16.00,Yes,-,-,\n"
)
BLACKBOARD = '"Last Name"\t"First Name"\t"Username"\t"Student ID"\t"a1_infonce [Total Pts: 16 Score] |660463"\n'
BLACKBOARD += '"Doe"\t"Jane"\t"jdoe"\t"1"\t""\n'


def test_canvas_there_and_back(tmp_path):
    roster = tmp_path / "grades.csv"
    roster.write_bytes(CANVAS.encode())
    rows = [grade("doejane_12345", 12.5), grade("soneill", 16), grade("ghost", 3)]
    done = lms.write(rows, tmp_path / "out.csv", "canvas", roster)
    table, before = lines(tmp_path / "out.csv"), lines(roster)
    assert table[0] == before[0] and [row[:6] + row[7:] for row in table] == [row[:6] + row[7:] for row in before]
    assert [row[6] for row in table] == ["a1_infonce (77)", "16.00", "12.5", "16", ""]
    assert (done.grades, done.homeless, done.ungraded) == (2, ("ghost",), ("test",))
    assert b"\r\n" in (tmp_path / "out.csv").read_bytes()
    again = lms.write(rows, tmp_path / "again.csv", "canvas", tmp_path / "out.csv")
    assert again.grades == 2 and (tmp_path / "again.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()


def test_moodle_there_and_back(tmp_path):
    sheet = tmp_path / "worksheet.csv"
    sheet.write_text(MOODLE, encoding="utf-8")
    lms.write([grade("Jane_Doe_12345", 7)], tmp_path / "out.csv", "moodle", sheet)
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == MOODLE.replace("Submitted,,16.00", "Submitted,7,16.00")
    roster = lms.read(sheet)
    assert roster.known["12345"] == roster.known["Participant 12345"] == "jane@x.edu"
    assert roster.times["jane@x.edu"].isoformat() == "2026-10-01T09:30:00" and "zoe@x.edu" not in roster.times
    with pytest.raises(ValueError, match="one assignment"):
        lms.write([grade("x", 1), grade("x", 1, "a2_temperature")], tmp_path / "no.csv", "moodle", sheet)


def test_blackboard_keeps_its_encoding(tmp_path):
    roster = tmp_path / "gc.xls"
    roster.write_text(BLACKBOARD, encoding="utf-16")
    lms.write([grade("jdoe", 2 / 3)], tmp_path / "out.xls", "blackboard", roster)
    assert lines(tmp_path / "out.xls", "utf-16", "\t")[1] == ["Doe", "Jane", "jdoe", "1", "0.67"]


@pytest.mark.parametrize(
    ("system", "head"),
    {
        "canvas": ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", A, "a2"],
        "moodle": ["ID number", "First name", "Last name", "Email address", A, "a2"],
        "blackboard": ["Last Name", "First Name", "Username", A, "a2"],
        "gradescope": ["First Name", "Last Name", "SID", "Email", A, "a2", f"{A} - Max Points", "a2 - Max Points"],
        "plain": ["student_id", "last_name", "first_name", "email", A, "a2", "total", "maximum"],
    }.items(),
)
def test_columns_without_a_list(tmp_path, system, head):
    who = {"last_name": "Doe", "first_name": "Jane", "email": "jane@x.edu"}
    rows = [grade("jdoe", 12, **who), grade("jdoe", 3, "a2", 10, **who), grade("bob", None), grade("bob", 10, "a2", 10)]
    done = lms.write(rows, tmp_path / "out.csv", system)
    table = lines(tmp_path / "out.csv")
    assert table[0] == head and done.grades == 3
    jane = dict(zip(head, next(row for row in table if "jdoe" in row), strict=True))
    bob = dict(zip(head, next(row for row in table if "bob" in row), strict=True))
    assert (jane[A], jane["a2"], bob[A], bob["a2"]) == ("12", "3", "", "10")
    if system == "canvas":
        assert table[1] == ["    Points Possible", "", "", "", "", "16", "10"] and jane["Student"] == "Doe, Jane"
    if system == "plain":
        assert (jane["total"], jane["maximum"], bob["total"]) == ("15", "26", "10")
    sheet = lms.read(tmp_path / "out.csv", system)  # and what we wrote can be read
    assert len(sheet.students) == 2 and sheet.row_of("jdoe") is not None


def test_another_maximum_is_not_passed_over(tmp_path):
    roster = tmp_path / "grades.csv"
    roster.write_text(CANVAS.replace("5.00,16.00", "5.00,100.00"), encoding="utf-8")
    with pytest.raises(ValueError, match="16 points here and 100 in the LMS"):
        lms.write([grade("jdoe", 4)], tmp_path / "out.csv", "canvas", roster)
    lms.write([grade("jdoe", 4)], tmp_path / "out.csv", "canvas", roster, scale=True)
    assert lines(tmp_path / "out.csv")[2][6] == "25"


def test_a_missing_column_is_named(tmp_path):
    roster = tmp_path / "grades.csv"
    roster.write_text(CANVAS, encoding="utf-8")
    with pytest.raises(ValueError, match="no column for 'a9'"):
        lms.write([grade("jdoe", 4, "a9")], tmp_path / "out.csv", "canvas", roster)
    assert not (tmp_path / "out.csv").exists()


EVIL = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", " =1+1", "＝1+1", '=HYPERLINK("http://x","y")', "\n=1"]


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("system", ["canvas", "moodle", "blackboard", "gradescope", "plain"])
def test_no_name_becomes_a_formula(tmp_path, system, name):
    row = grade("jdoe", 12, last_name=name, first_name=name, email=name)
    lms.write([row], tmp_path / "out.csv", system)
    cells = [cell for line in lines(tmp_path / "out.csv") for cell in line]
    assert not [c for c in cells if c.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))]
    assert any(name in cell for cell in cells)


def test_evil_names_in_the_list_itself(tmp_path):
    roster = tmp_path / "grades.csv"
    roster.write_text(CANVAS.replace('"Doe, Jane"', '"=""=cmd|calc"""'), encoding="utf-8")
    lms.write([grade("jdoe", 4)], tmp_path / "out.csv", "canvas", roster)
    assert lines(tmp_path / "out.csv")[2][0] == "'=cmd|calc" and lines(tmp_path / "out.csv")[2][6] == "4"


def test_what_is_harmless_stays():
    for cell in ("-3.5", "+7", "-", "12,5", "50%", "Doe, Jane", "", "jane-doe", 4.5):
        assert defused(cell) == cell


def test_people_of_the_same_name_are_told_apart(tmp_path):
    roster = tmp_path / "grades.csv"
    roster.write_text(CANVAS + '"Doe, Jane",55,S5,jdoe2,01,,,\n', encoding="utf-8")
    known = lms.read(roster).known
    assert "Jane Doe" not in known and known["12345"] == "jdoe" and known["55"] == "jdoe2"


def test_strange_files(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "other.csv").write_text("colour,shape\nred,round\n")
    (tmp_path / "old.csv").write_bytes("student_id;name\nzoé;Zoé\n".encode("cp1252"))
    with pytest.raises(ValueError, match="empty"):
        lms.read(tmp_path / "empty.csv")
    with pytest.raises(ValueError, match="names no students"):
        lms.read(tmp_path / "other.csv")
    with pytest.raises(ValueError, match="system must be"):
        lms.write([], tmp_path / "x.csv", "ilias")
    assert lms.read(tmp_path / "old.csv").known["Zoé"] == "zoé"
    twice = tmp_path / "twice.csv"
    twice.write_text("student_id,note,note,a1_infonce\njane,one,two,\n", encoding="utf-8")
    lms.write([grade("jane", 1)], tmp_path / "out.csv", "plain", twice)
    assert (tmp_path / "out.csv").read_text() == "student_id,note,note,a1_infonce\njane,one,two,1\n"
