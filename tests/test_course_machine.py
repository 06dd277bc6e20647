"""The course machine on a small assignment: what is released, regraded, kept, penalised, stopped, said to students."""

import json
import stat

import course_cases as cases
import pytest
from course_cases import NAME, RIGHT, as_bytes, at

pytest.importorskip("nbgrader", reason="the course needs pip install 'labkit[course]'")

from labkit.cli import main
from labkit.course import execute, files, leaks, machine, nb, office, records, release, settings, submission
from labkit.course.box.sandbox import Limits

DUE = "2026-10-12 12:00:00 UTC"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Released, with the numbers of two students, and three submissions graded: right, wrong and late, blank."""
    cases.register()
    course = settings.opened(tmp_path_factory.mktemp("machine") / "course", create=True)
    files.write(course.source / NAME / f"{NAME}.ipynb", nb.text(cases.source()))
    (made,) = release.release(course, ["tiny"], variant="2026", students=["ada", "bob"], due=DUE)
    assert (made.assignment, made.points, made.students, made.kept) == (NAME, 7, 2, True)
    hand_in(course, "ada", RIGHT)
    hand_in(course, "bob", {"scaled_mean": cases.SUM, "essay": "So."}, when="2026-10-13 13:00:00 UTC")
    hand_in(course, "cy", {})
    batch = machine.run(course, NAME)
    assert batch.failed == {}
    return course


def hand_in(course, student, answers, when="2026-10-12 09:00:00 UTC"):
    place = course.submitted / student / NAME
    notebook = cases.answered(release.handout(course, NAME, student), **answers)
    files.write(place / f"{NAME}.ipynb", as_bytes(notebook))
    files.write(place / "timestamp.txt", when)


def loaded(course, student):
    return records.load(records.path(course.root, NAME, student))


def grades(course):
    return {row["student_id"]: row for row in office.grades(course)}


# ------------------------------------------------------------------ release


def test_a_release_holds_no_solution(course):
    released = nb.load(course.release / NAME / f"{NAME}.ipynb")
    text = "\n".join(cell.source for cell in released.cells)
    for secret in ("average_of_all", "difference_of_rows", cases.ESSAY, "SOLUTION", *cases.HINTS):
        assert secret not in text
    assert "raise NotImplementedError()" in at(released, "gaps").source
    assert 'VARIANT = "2026"' in at(released, "given").source
    assert not (course.release / NAME / "secret.txt").exists()


def test_each_student_gets_numbers_of_their_own_and_nbgrader_knows_the_cells(course):
    from nbgrader.utils import compute_checksum

    everybody = nb.load(course.release / NAME / f"{NAME}.ipynb")
    own = nb.load(course.root / "release_by_student" / "ada" / NAME / f"{NAME}.ipynb")
    assert 'VARIANT = "2026-ada"' in at(own, "given").source
    for cell, theirs in zip(everybody.cells, own.cells, strict=True):
        assert (cell.source == theirs.source) == (cell.metadata.get("nbgrader", {}).get("grade_id") != "given")
        if "nbgrader" in theirs.metadata:
            assert compute_checksum(theirs) == theirs.metadata.nbgrader.checksum  # what Validate looks at


def test_students_are_graded_with_their_own_numbers(course):
    assert [loaded(course, student).variant for student in ("ada", "bob", "cy")] == ["2026-ada", "2026-bob", "2026"]
    graded = nb.load(course.root / "autograded" / "ada" / NAME / f"{NAME}.ipynb")
    assert 'VARIANT = "2026-ada"' in at(graded, "given").source
    assert not loaded(course, "ada").flags


def test_the_secret_is_the_owners(course):
    path = course.root / "secret.txt"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and len(course.secret) == 64
    assert course.seed("a1.nt_xent") != course.seed("a1.loop") and course.secret not in course.seed("a1.loop")
    kept = [p for p in course.root.rglob("*") if p.is_file() and p != path and course.secret in p.read_text("utf-8", "replace")]
    assert kept == []


def test_a_secret_is_made_once_however_many_ask(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    for k in range(20):
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _, where=tmp_path / str(k): settings.Course(where).secret, range(8)))
        assert len(set(found)) == 1 and len(list((tmp_path / str(k)).iterdir())) == 1


LEAKS = {
    "a line of a solution": ("gaps", "    return difference_of_rows.abs().sum(1)", "a line of a solution is left"),
    "a sentence of an essay": ("title", cases.ESSAY.replace(" ", "\n", 3), "a sentence of a sample answer is left"),
    "a hint": ("title", cases.HINTS[2], "a hint is told in advance"),
    "a mark": ("gaps", "### BEGIN SOLUTION", "a mark of a solution is left"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_found(course, name):
    where, text, says = LEAKS[name]
    released = nb.load(course.release / NAME / f"{NAME}.ipynb")
    cell = next(c for c in released.cells if c.id == where or c.metadata.get("nbgrader", {}).get("grade_id") == where)
    assert leaks.faults(cases.source(), released) == []
    cell.source += "\n" + text
    (fault,) = leaks.faults(cases.source(), released)
    assert says in fault


def test_other_faults_of_a_release_are_found(course):
    released = nb.load(course.release / NAME / f"{NAME}.ipynb")
    at(released, "check_tiny_gaps").metadata.nbgrader.points = 5
    at(released, "gaps").metadata.nbgrader.grade_id = "scaled mean"
    released.cells[3].execution_count = 1
    found = "\n".join(leaks.faults(cases.source(), released))
    assert "check_tiny_gaps has 5 points, the parts of tiny.gaps 2" in found
    assert "a grade id is 'scaled mean'" in found and "a cell has outputs: import torch" in found


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A course that only hands out."""
    cases.register()
    return settings.opened(tmp_path_factory.mktemp("shelf") / "course", create=True)


def test_what_leaks_is_not_released(shelf):
    notebook = cases.source()
    notebook.cells[0].source += "\n" + "    return difference_of_rows.abs().sum(1)"
    files.write(shelf.source / NAME / f"{NAME}.ipynb", nb.text(notebook))
    with pytest.raises(ValueError, match=r"not handed out:\n +a line of a solution is left: return difference_of_rows"):
        release.release(shelf, ["tiny"])
    assert not (shelf.release / NAME).exists()


def test_every_assignment_is_released_without_its_solutions(shelf):
    """By another way than the release itself takes: whatever stands between the marks, line by line."""
    made = release.release(shelf, sorted(release.shipped()))
    for each in made:
        inside, hidden = False, set()
        for cell in nb.load(shelf.source / each.assignment / f"{each.assignment}.ipynb").cells:
            for line in cell.source.splitlines():
                inside = (inside or "BEGIN SOLUTION" in line) and "END SOLUTION" not in line
                if inside and len(line.strip()) > 24 and not line.strip().startswith(("import ", "from ", "for ")):
                    hidden.add(line.strip())
        text = each.file.read_text(encoding="utf-8")
        assert hidden and not [line for line in hidden if json.dumps(line)[1:-1] in text], each.assignment
        assert "SOLUTION" not in text
    assert release.chosen(shelf, None) == sorted(name for name in release.shipped() if name.startswith("a"))


def test_an_edited_source_is_kept_unless_forced(shelf):
    assert not release.release(shelf, ["a1"], variant="2025")[0].kept
    path = shelf.source / "a1_infonce" / "a1_infonce.ipynb"
    notebook = nb.load(path)
    notebook.cells[0].source = "# Ours"
    files.write(path, nb.text(notebook))
    (again,) = release.release(shelf, ["a1"], variant="2026")
    assert again.kept and nb.load(again.file).cells[0].source == "# Ours"
    assert 'VARIANT = "2026"' in at(nb.load(again.file), "given").source
    at(notebook, "check_a1_chance").metadata.nbgrader.points = 4  # an instructor's own weights hold as well
    files.write(path, nb.text(notebook))
    assert release.release(shelf, ["a1"])[0].points == 23
    files.write(shelf.submitted / "own" / "a1_infonce" / "a1_infonce.ipynb", nb.text(notebook))
    (found,) = machine.run(shelf, "a1_infonce").graded
    assert {answer.cell: answer.earned for answer in found.answers}["check_a1_chance"] == 4
    (row,) = (row for row in office.grades(shelf) if row["assignment"] == "a1_infonce")
    assert row["raw_score"] == found.earned == 23 and row["max_score"] == 23
    (forced,) = release.release(shelf, ["a1_infonce"], force=True)
    assert not forced.kept and forced.variant == "2026" and nb.load(path).cells[0].source != "# Ours"
    with pytest.raises(ValueError, match="there is no assignment 'a99'"):
        release.release(shelf, ["a99"])
    with pytest.raises(ValueError, match="an id of a student"):
        release.release(shelf, ["a1"], students=["../ada"])


@pytest.mark.thorough
@pytest.mark.parametrize("name", sorted(name for name in release.shipped() if name.startswith("a")))
def test_the_answers_of_every_assignment_earn_everything(shelf, name):
    """The sources' own solutions, handed in as a student would, run where labkit's losses are closed."""
    release.release(shelf, [name], variant="2026", students=["ada"])
    notebook = nb.load(shelf.source / name / f"{name}.ipynb")
    release.with_variant(notebook, "2026-ada")
    files.write(shelf.submitted / "ada" / name / f"{name}.ipynb", nb.text(notebook))
    (found,) = machine.run(shelf, name, ["ada"]).graded
    assert found.earned == found.points > 0 and not found.flags + found.errors + found.repairs


# ------------------------------------------------------------------ grades


def test_grades_and_mistakes(course):
    rows = grades(course)
    assert {name: rows[name]["raw_score"] for name in rows} == {"ada": 5, "bob": 0, "cy": 0}
    assert rows["ada"]["max_score"] == 7 and rows["ada"]["needs_manual_grade"] and not rows["cy"]["needs_manual_grade"]
    ada, bob, cy = (loaded(course, name) for name in ("ada", "bob", "cy"))
    assert [answer.earned for answer in ada.answers] == [3, 2, None] and ada.points == bob.points == 5
    assert bob.answers[0].mistakes == ("sum-for-mean",) and bob.answers[0].says == ("your value grows with the number of rows",)
    assert [answer.changed for answer in cy.answers] == [False] * 3 and not cy.flags + cy.errors + cy.repairs
    assert all(each.isolation in ("bubblewrap", "landlock", "not isolated") for each in (ada, bob, cy))


def test_a_second_run_grades_what_changed(course):
    before = {p: p.stat().st_mtime_ns for p in (course.root / "graded").rglob("*.json")}
    batch = machine.run(course, NAME)
    assert (len(batch.graded), len(batch.kept)) == (0, 3)
    assert {p: p.stat().st_mtime_ns for p in (course.root / "graded").rglob("*.json")} == before
    hand_in(course, "cy", {"scaled_mean": cases.NO_SCALE})
    batch = machine.run(course, NAME)
    assert [each.student for each in batch.graded] == ["cy"] and batch.graded[0].earned == 2
    assert batch.graded[0].answers[0].mistakes == ("no-scale",)
    batch = machine.run(course, NAME, ["cy"], force=True)
    assert [each.student for each in batch.graded] == ["cy"]


def test_what_people_graded_survives_a_regrade(course):
    with nb.gradebook(course) as book:
        book.find_grade("essay", NAME, NAME, "ada").manual_score = 1.5
        book.find_comment("essay", NAME, NAME, "ada").manual_comment = "Well put."
        book.db.commit()
    machine.run(course, NAME, ["ada"], force=True)
    assert grades(course)["ada"]["raw_score"] == 6.5
    (page,) = office.feedback(course, NAME, ["ada"])
    assert "Well put." in page.read_text(encoding="utf-8")


def test_late_work_loses_what_the_rule_says(course):
    hand_in(course, "dan", RIGHT, when="2026-10-13 13:00:00 UTC")  # 25 hours late
    machine.run(course, NAME, late="10%/day")
    assert grades(course)["dan"]["score"] == pytest.approx(5 - 2 * 0.5)
    assert grades(course)["ada"]["late_submission_penalty"] == 0
    machine.run(course, NAME, extensions={"dan": 1})  # remembered, and nothing is run again
    assert grades(course)["dan"]["score"] == pytest.approx(4.5)
    machine.run(course, NAME, late="3 points/day")
    assert grades(course)["dan"]["score"] == pytest.approx(2)
    assert machine.run(course, NAME, late="none").graded == []
    assert grades(course)["dan"]["score"] == 5
    with pytest.raises(ValueError, match="'10%/day'"):
        machine.run(course, NAME, late="a lot")
    with pytest.raises(ValueError, match="no extension for 'nobody'"):
        machine.run(course, NAME, extensions={"nobody": 1})


def test_plain_nbgrader_grades_alike(course):
    """With the course's `nbgrader_config.py`, nbgrader's own autograde does what `labkit grade run` does."""
    hand_in(course, "eve", {"scaled_mean": cases.NO_SCALE, "gaps": RIGHT["gaps"]})
    notebook = json.loads((course.submitted / "eve" / NAME / f"{NAME}.ipynb").read_text())
    files.write(course.submitted / "eve" / NAME / f"{NAME}.ipynb", as_bytes(cases.without(notebook, "check_tiny_gaps")))
    nb.start(course, "Autograde", assignment_id=NAME, student_id="eve")
    plain = loaded(course, "eve")
    assert grades(course)["eve"]["raw_score"] == plain.earned == 4
    (ours,) = machine.run(course, NAME, ["eve"], force=True).graded
    assert [(a.cell, a.earned, a.mistakes) for a in plain.answers] == [(a.cell, a.earned, a.mistakes) for a in ours.answers]
    assert plain.repairs == ours.repairs == ("cell check_tiny_gaps was deleted; it is back",)


def test_the_notebook_is_found_among_what_was_handed_in(course, tmp_path):
    """The one with most answers, whatever it is called; links and leftovers are not looked at."""
    full, begun = (as_bytes(cases.answered(release.handout(course, NAME, "kai"), **a)) for a in (RIGHT, {"gaps": "x = 1"}))
    (tmp_path / "elsewhere.ipynb").write_bytes(full)
    place = course.submitted / "kai" / NAME
    files.write(place / ".ipynb_checkpoints" / f"{NAME}.ipynb", full)
    files.write(place / "__MACOSX" / f"._{NAME}.ipynb", b"\0\5\x16\7")
    place.joinpath("link.ipynb").symlink_to(tmp_path / "elsewhere.ipynb")
    assert submission.taken(course, NAME, "kai").flags == ["no notebook was handed in"]
    files.write(place / f"{NAME}.ipynb", b"not a notebook")
    files.write(place / "timestamp.txt", "yesterday, I think")
    found = submission.taken(course, NAME, "kai")
    assert (
        found.file == f"{NAME}.ipynb" and "not a notebook" in found.flags[0] and "cannot be read: 'yesterday" in found.flags[1]
    )
    files.write(place / "notes.txt", b"some words")
    files.write(place / "try.ipynb", begun)
    assert submission.taken(course, NAME, "kai").file == "try.ipynb"
    files.write(place / "my work" / "Final (3).ipynb.txt", full)
    found = submission.taken(course, NAME, "kai")
    assert found.file == "my work/Final (3).ipynb.txt" and at(found.notebook, "gaps").source == RIGHT["gaps"]
    assert found.repairs[0] == "the notebook was called my work/Final (3).ipynb.txt" and "of 3 notebooks" in found.repairs[1]


def test_an_answer_defined_below_its_check_is_found(course):
    notebook = cases.answered(release.handout(course, NAME, "fay"), scaled_mean=RIGHT["scaled_mean"], gaps="# see below")
    notebook["cells"].append(cases.cell("code", RIGHT["gaps"]))
    files.write(course.submitted / "fay" / NAME / f"{NAME}.ipynb", as_bytes(notebook))
    (found,) = machine.run(course, NAME, ["fay"]).graded
    assert found.earned == 5 and found.repairs == ("gaps is defined only below its check; it was asked at the end",)


def test_ipythons_own_lines_do_not_cost_a_cell(course):
    magic = "%matplotlib inline\n!pip install nothing\n?print\nprint?\n" + RIGHT["gaps"]
    hand_in(course, "gus", {"scaled_mean": "%%time\n" + RIGHT["scaled_mean"], "gaps": magic})
    (found,) = machine.run(course, NAME, ["gus"]).graded
    assert found.earned == 5 and not found.errors
    kept = "x = (7\n     % 4)"
    assert execute.without_magics(kept) == kept and execute.without_magics("%%bash\nrm -rf /") == ""
    assert execute.without_magics("if True:\n    %time\n    a = 1") == "if True:\n    pass  # %time\n    a = 1"


def test_one_who_cannot_be_graded_does_not_stop_the_rest(course, monkeypatch):
    real = submission.repair

    def stumbling(data, notebook):
        if "2026-bob" in at(notebook, "given").source:
            raise RuntimeError("a bug of ours")
        return real(data, notebook)

    monkeypatch.setattr(submission, "repair", stumbling)
    batch = machine.run(course, NAME, ["ada", "bob"], force=True)
    assert batch.failed == {"bob": "RuntimeError: a bug of ours"} and [each.student for each in batch.graded] == ["ada"]


def test_an_answer_that_the_judge_stumbles_over_earns_nothing(course, monkeypatch):
    def stumbles(*_, **__):
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(execute, "judge", stumbles)
    (found,) = machine.run(course, NAME, ["ada"], force=True).graded
    assert found.earned == 0 and "could not be judged: ZeroDivisionError" in found.flags[0]
    monkeypatch.undo()
    machine.run(course, NAME, ["ada"], force=True)


def test_stopped_in_the_middle_and_begun_again(course, monkeypatch):
    """What was graded before Ctrl-C is kept; sandboxes end at once; the next run does the rest."""
    students = ["gil", "hana", "ian"]
    for student in students:
        hand_in(course, student, {"scaled_mean": "import time\ntime.sleep(0.1)\n" + RIGHT["scaled_mean"]})
    real, done = machine.into_gradebook, []

    def interrupted(*what):
        if done:
            raise KeyboardInterrupt
        real(*what)
        done.append(what[0].student)

    monkeypatch.setattr(machine, "into_gradebook", interrupted)
    with pytest.raises(KeyboardInterrupt):
        machine.run(course, NAME, students, jobs=1)
    assert not execute.AT_WORK
    monkeypatch.undo()
    batch = machine.run(course, NAME, students)
    assert [each.student for each in batch.kept] == done and len(batch.graded) == 2
    assert all(each.earned == 3 for each in batch.records)


def test_a_date_and_a_number_of_jobs_have_to_make_sense(course):
    with pytest.raises(ValueError, match="due must be a date such as '2026-10-12 23:59 UTC', got 'tomorrow'"):
        release.release(course, [NAME], due="tomorrow")
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        machine.run(course, NAME, jobs=0)


def test_only_one_run_at_a_time(course):
    with machine.alone(course), pytest.raises(ValueError, match="another run is grading"):
        machine.run(course, NAME)


# ------------------------------------------------------------------ feedback, exports, the command line


def test_feedback_names_the_misconception_and_runs_no_script(course):
    attack = "<script>alert(1)</script><img src='https://example.org/seen'> $x_i^2$"
    hand_in(course, "bob", {"scaled_mean": cases.SUM, "essay": attack})
    machine.run(course, NAME)
    (path,) = office.feedback(course, NAME, ["bob"])
    page = path.read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page and "<script" not in page and "cdnjs" not in page
    glance, rest = page.index("At a glance"), page.index("# Means" if "# Means" in page else "Means")
    assert page.count("our value grows with the number of rows") == 2, "at the top and where it belongs"
    assert glance < page.index("your value grows") < page.index("Your value grows") and rest
    assert page.index('name="check_tiny_scaled_mean"') < page.index("Your value grows") < page.index("How far apart")
    assert all(hint in page for hint in cases.HINTS) and "<msubsup>" in page


def test_by_nbgraders_exchange(course, tmp_path, monkeypatch):
    """Released, fetched, submitted, collected: by nbgrader's own means, in a folder that all can read."""
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.utils import get_username, temp_attrs
    from traitlets.config import Config

    (tmp_path / "exchange").mkdir(mode=0o777)
    (tmp_path / "exchange").chmod(0o777)
    (tmp_path / "student").mkdir()
    config = course.root / "nbgrader_config.py"
    files.write(config, config.read_text() + f"\nc.Exchange.root = {str(tmp_path / 'exchange')!r}\n")
    office.exchange(course, "release_assignment", NAME)
    monkeypatch.chdir(tmp_path / "student")
    where = {"course_id": course.root.name, "root": str(tmp_path / "student")}
    with nb.quiet():
        api = NbGraderAPI(config=Config(Exchange={"root": str(tmp_path / "exchange")}, CourseDirectory=where))
        with temp_attrs(api.coursedir, assignment_id=NAME):
            for step in (api.exchange.FetchAssignment, api.exchange.Submit):
                step(coursedir=api.coursedir, authenticator=api.authenticator, parent=api).start()
    assert [each.student for each in office.collect(course, NAME)] == [get_username()]
    assert office.collect(course, NAME) == []
    (found,) = machine.run(course, NAME, [get_username()]).graded
    assert found.earned == 0 and found.submitted.endswith("UTC") and not found.flags + found.repairs
    with pytest.raises(nb.Failed, match="exchange did not release feedback"):
        files.write(config, config.read_text() + "\nc.Exchange.root = '/nowhere'\n")
        office.exchange(course, "release_feedback", NAME)
    files.write(config, settings.CONFIG)


def test_tables_of_grades(course, tmp_path):
    written = office.export(course, tmp_path / "grades.csv")
    lines = (tmp_path / "grades.csv").read_text().splitlines()
    assert lines[0].startswith("assignment,duedate,timestamp,student_id") and written.grades == len(lines) - 1 == len(
        grades(course)
    )
    office.export(course, tmp_path / "canvas.csv", "canvas")
    assert (tmp_path / "canvas.csv").read_text(encoding="utf-8-sig").splitlines()[0].startswith("Student,ID")


def test_the_command_line_from_end_to_end(course, tmp_path, capsys):
    """Every step but the hand-out, on notebooks in a folder; what is printed can be acted on."""
    incoming = tmp_path / "incoming"
    notebook = cases.answered(release.handout(course, NAME, "zed"), **RIGHT | {"scaled_mean": cases.SUM})
    files.write(incoming / "zed" / f"{NAME}.ipynb", as_bytes(notebook))
    where = ["--course", str(course.root)]
    assert main(["grade", "collect", *where, "tiny", str(incoming)]) == 0
    assert "have handed in tiny_means" in capsys.readouterr().out
    assert main(["grade", "run", *where, "tiny", "--students", "zed"]) == 0
    said = capsys.readouterr()
    assert "zed" in said.out and "2 of 5  sum-for-mean" in said.out and "1 graded" in said.out
    assert "Warning" not in said.err and "Traceback" not in said.err
    assert main(["grade", "feedback", *where, "--students", "zed"]) == 0
    assert main(["grade", "export", *where, str(tmp_path / "out.csv"), "--system", "plain"]) == 0
    assert main(["grade", "report", *where, "--output", str(tmp_path / "report.html")]) == 0
    assert "sum-for-mean" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert main(["grade", "run", *where, "tiny", "--students", "nobody"]) == 2
    assert "nothing was handed in for tiny_means by nobody" in capsys.readouterr().err
    assert main(["grade", "run", "--course", str(tmp_path / "none")]) == 1
    assert "is no course folder" in capsys.readouterr().err


def test_without_nbgrader_it_is_said_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["grade", "release", "--course", str(tmp_path / "course")]) == 1
    assert "pip install 'labkit[course]'" in capsys.readouterr().err
    assert not (tmp_path / "course").exists()


def test_not_isolated_is_said(capsys):
    from labkit.cli.grade import tell

    found = records.Record("ada", NAME, "2026", isolation="not isolated")
    tell(machine.Batch(NAME, graded=[found]))
    said = capsys.readouterr()
    assert "not isolated" in said.out and "NOT ISOLATED" in said.err


@pytest.mark.thorough
def test_everything_hostile_is_contained(course):
    """Each in the place of one answer: that one earns nothing, the others all, and nobody else's grades change."""
    from hostile import HOSTILE

    students = {f"h{number}": name for number, name in enumerate(HOSTILE)}
    for student, name in students.items():
        cell = HOSTILE[name].cell(course.root / "gradebook.db").replace("answer", "gaps")
        hand_in(course, student, RIGHT | {"gaps": cell})
    before = {name: row["raw_score"] for name, row in grades(course).items()}
    others = {p: p.read_bytes() for p in course.root.rglob("*") if p.is_file() and p.name in ("secret.txt", "course.json")}
    batch = machine.run(course, NAME, list(students), limits=Limits(cell_seconds=6, call_seconds=4, memory_mb=2048))
    assert batch.failed == {} and len(batch.graded) == len(students)
    wrong = {students[each.student]: each for each in batch.graded if each.earned != 3}
    assert wrong == {}
    after = {name: row["raw_score"] for name, row in grades(course).items()}
    assert {name: after[name] for name in before} == before
    assert all(path.read_bytes() == data for path, data in others.items())
