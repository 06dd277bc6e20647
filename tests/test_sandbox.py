"""A student's notebook runs shut away: whatever it does, the grader goes on, nothing outside changes, the next is unharmed."""

import os
import re
import threading
import time
from pathlib import Path

import pytest
import torch
from hostile import HOSTILE, SECRET

import labkit
from labkit.course.box import isolation, landlock, launch, seccomp
from labkit.course.box.sandbox import Limits, Sandbox
from labkit.grading.asking import answer
from labkit.grading.exercise import Case

linux = pytest.mark.skipif(not launch.FORKS, reason="walls, limits and forking are Linux's; elsewhere nothing is promised")
WALLS = ("bubblewrap", "landlock", "none")
BEST = isolation.available()[0]
LIMITS = Limits(cell_seconds=60, call_seconds=60, memory_mb=1200, file_mb=32, output_kb=16)
HASTY = Limits(cell_seconds=1.5, call_seconds=1, memory_mb=1200, file_mb=32)
VECTOR = Case("value", {"x": torch.arange(3.0)})


def box(name=None, limits=LIMITS, **more):
    """A box, or no test where the system has no such isolation."""
    if name and isolation.NAMES[name] not in isolation.available():
        pytest.skip(f"this system has no working {name}")
    return Sandbox(limits, isolation=name, **more)


@pytest.fixture(scope="module", autouse=True)
def nobody_stays():
    """After all is done, no process of ours is left (other tests may have a server or a browser running)."""
    launch.close()
    before = set(family())
    os.environ["SECRET_TOKEN"] = "abc123"
    yield
    del os.environ["SECRET_TOKEN"]
    ours = set(family()) - before
    launch.close()
    until = time.monotonic() + 10
    while ours & set(family()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not ours & set(family())


def family():
    """Processes that stem from this one, each with its parent and its command (Linux)."""
    known = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            known[int(folder.name)] = (int(parent), (folder / "cmdline").read_bytes())
        except OSError:
            continue
    found, new = set(), {os.getpid()}
    while new:
        new = {pid for pid, (parent, _) in known.items() if parent in new} - found
        found |= new
    return {pid: known[pid] for pid in found}


def students():
    """Those that were forked from an overseer (which may itself be clearing up after one), and what they started."""
    ours = family()
    overseers = {pid for pid, (_, command) in ours.items() if b"labkit.course.box.child" in command and b"bwrap" not in command}
    return {pid for pid, (parent, command) in ours.items() if parent in overseers and not command.startswith(b"rm")}


@pytest.fixture
def canary(tmp_path):
    """A file that stands for the gradebook."""
    path = tmp_path / "gradebook.db"
    path.write_text(SECRET)
    yield path
    assert path.read_text() == SECRET
    assert path.stat().st_mode & 0o777 == 0o644 & ~umask()
    assert path.stat().st_mtime > 10**6
    assert [p.name for p in tmp_path.iterdir()] == ["gradebook.db"]


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


# ---------------------------------------------------------------- those who mean harm


def trials():
    for name, each in HOSTILE.items():
        for walls in WALLS:
            if not each.patient or isolation.NAMES[walls] == BEST:
                yield pytest.param(name, walls, id=f"{name}-{walls}")


@linux
@pytest.mark.parametrize("name, walls", list(trials()))
def test_a_hostile_cell_is_contained(name, walls, canary):
    case = HOSTILE[name]
    if case.walled and not seccomp.works():
        pytest.skip("nothing would keep this one from other processes here: the system has no filter of system calls")
    with box(walls, HASTY if case.patient else LIMITS) as shut:
        cell = shut.run(case.cell(canary))
        found = shut.ask("answer", VECTOR)
        assert len(students()) <= 1
    assert not students()
    assert re.search(case.died, cell.died), cell
    assert bool(cell.died) == bool(case.died) or case.died == ".*", cell
    if not cell.died:
        assert re.search(case.error or "^$", cell.error), cell
    assert (found.kind or "value") in case.kind.split(), found
    assert (found.error == "") == (found.kind == "")
    if case.right:
        assert float(found.value) == 3.0
    if walls != "none":
        assert SECRET not in repr(found.value)
        assert SECRET not in cell.output
    assert len(cell.output) < (LIMITS.output_kb << 10) + 200


@pytest.mark.parametrize("walls", WALLS)
def test_the_next_submission_notices_nothing(walls, canary):
    with box(walls) as shut:
        shut.run("import os, torch\ntorch.ones = None\nopen('mine', 'w').write('x')\nos.environ['LEFT'] = 'behind'\nleft = 1")
    with box(walls) as shut:
        said = shut.run("import os, torch\nprint(os.listdir('.'), torch.ones(1), 'LEFT' in os.environ, 'left' in globals())")
        assert said.output == "['home'] tensor([1.]) False False\n"


@pytest.mark.parametrize("walls", WALLS)
def test_two_at_a_time_do_not_meet(walls):
    with box(walls) as one, box(walls) as other:
        one.run("import os\nopen('paper', 'w').write('mine')\nhere = os.getcwd()")
        here = one.ask("here", Case("value", {})).value
        found = other.run(f"print(open('{here}/paper').read())")
        assert walls == "none" or "PermissionError" in found.error
        other.run("import os, signal\nos._exit(1)")
        assert one.ask("here", Case("value", {})).value == here


@linux
@pytest.mark.parametrize("walls", WALLS)
def test_no_process_stays_when_a_box_is_closed(walls):
    with box(walls) as shut:
        shut.run("import os\nprint(1)")
        assert len(students()) == 1
    assert not students()


def test_a_secret_of_the_grader_is_not_in_the_environment():
    with box() as shut:
        said = shut.run("import os\nprint(os.environ)").output
    assert "abc123" not in said
    assert {"HOME", "LABKIT_SMOKE", "LABKIT_STATIC", "LABKIT_VARIANT"} <= set(re.findall(r"'([A-Z_]+)':", said))


# ---------------------------------------------------------------- those who mean well


@pytest.mark.parametrize("walls", WALLS)
def test_cells_run_and_answers_come_back(walls):
    with box(walls, variant="2031") as shut:
        assert shut.isolation == isolation.NAMES[walls]
        first = shut.run(
            "%matplotlib inline\nimport torch\nfrom labkit import grading\ngiven = grading.given('a1', 'practice')\nprint('on')"
        )
        assert (first.error, first.output, first.died) == ("", "on\n", "")
        broken = shut.run("def scaled(x, *, by):\n    return (x * by).sum()\nhalf = 1 / 0")
        assert broken.error == "ZeroDivisionError: division by zero   (at: half = 1 / 0)"
        found = shut.ask("scaled", Case("value", {"x": torch.ones(3, dtype=torch.float64), "by": 2.0}, grads=("x",)))
        assert (found.kind, found.value.item(), found.grads["x"].tolist()) == ("", 6.0, [2.0, 2.0, 2.0])
        assert found.value.dtype == torch.float64
        assert shut.ask("half", Case("value", {})).kind == "missing"
        assert shut.ask("given", Case("value", {})).kind == "unreadable"
        drawn = labkit.grading.given("a1", "2031")
        shut.run("z1 = given.z1")
        assert torch.equal(shut.ask("z1", Case("value", {})).value, drawn.z1)


def test_the_same_asker_as_in_the_notebook():
    """In the kernel and in the box, one function asks: the words of errors agree as well."""
    cell = "def f(x, t):\n    x.mul_(0)\n    raise ValueError(f'no {t}')\n"
    cell += "def g(x):\n    return {'a': x[:2], 'b': (1, None, 'w', True)}"
    space = {}
    exec(cell, space)
    with box() as shut:
        shut.run(cell)
        for name, inputs in (("f", {"x": torch.ones(2), "t": "way"}), ("g", {"x": torch.arange(4)})):
            case = Case("value", inputs)
            there, here = shut.ask(name, case), answer(space[name], case)
            assert (there.kind, there.error.split("   ")[0]) == (here.kind, here.error.split("   ")[0])
            assert repr(there.value) == repr(here.value)


def test_after_a_death_the_cells_that_went_well_are_run_again():
    with box(limits=HASTY) as shut:
        shut.run("count = 1")
        assert shut.run("import os\nos._exit(7)").died == "it ended its own process (status 7)"
        shut.run("count += 1\ndef die(x):\n    import os\n    os._exit(0)\ndef fine(x):\n    return x.sum() + count\n1 / 0")
        assert shut.ask("die", VECTOR).kind == "killed"
        assert shut.ask("fine", VECTOR).value.item() == 5.0
        assert shut.starts == 3


def test_it_is_not_begun_again_without_end():
    with box() as shut:
        shut.run("import os\ndef answer(x):\n    os._exit(0)")
        kinds = [shut.ask("answer", VECTOR).kind for _ in range(16)]
        began = time.monotonic()
        last = shut.ask("answer", VECTOR)
        assert time.monotonic() - began < 0.05
    assert set(kinds) == {"killed"}
    assert last.error == "not tried any more: the notebook ended its process 13 times"


def test_all_of_it_takes_no_longer_than_the_whole_may():
    with box(limits=Limits(cell_seconds=30, call_seconds=30, total_seconds=1.5)) as shut:
        shut.run("x = 1")
        began = time.monotonic()
        assert shut.run("while True: pass").died
        assert shut.ask("x", Case("value", {})).kind == "timeout"
        assert time.monotonic() - began < 3


def test_the_files_beside_the_notebook_come_along(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "data.bin").write_bytes(bytes(range(256)))
    (tmp_path / "a1.ipynb").write_text("{}")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with box(folder=tmp_path) as shut:
        said = shut.run(
            "import os\nfrom parts.helper import twice\nsize = len(open('data.bin', 'rb').read())\n"
            "print(sorted(os.listdir('.')), twice(size))"
        )
        assert said.output == "['data.bin', 'home', 'parts'] 512\n", said
        assert "PermissionError" in shut.run("open('data.bin', 'w')").error
    assert (tmp_path / "data.bin").read_bytes() == bytes(range(256))


@pytest.mark.parametrize(
    "room", ["losses", "preferences", "metrics", "contrast", "link", "energy", "tiled", "forecast", "recipes", "diagnose"]
)
def test_closed_rooms_can_be_entered_and_nothing_called(room):
    with box() as shut:
        shut.run(
            f"import labkit\nfrom labkit import {room}\nfrom labkit.{room} import anything\nimport labkit.{room}.inner as inner"
        )
        said = shut.run(f"labkit.{room}.anything(1)").error
        assert said.startswith(f"PermissionError: labkit.{room}.anything is closed while answers are graded"), said
        assert "closed while answers are graded" in shut.run("anything(1)").error
        assert "closed while answers are graded" in shut.run("inner.more.of_it(1)").error


def test_open_rooms_work():
    with box() as shut:
        said = shut.run(
            "import torch\nfrom labkit import data, figures, lessons, models, reader, training\n"
            "from labkit.training import Config, fit\n"
            "guess = lessons.predict('who', ['near', 'far'])\nlessons.claim('one is less than two', 1.0, '<', 2.0)\n"
            "import labkit\nprint(guess, labkit.__version__)"
        )
        assert said.error == ""
        assert said.output.endswith(f"None {labkit.__version__}\n")
        assert "closed" in shut.run("labkit.diagnose(1)").error
        assert "closed" in shut.run("from labkit import catalog\ncatalog()").error


def test_the_stand_in_for_grading_gives_and_refers_and_keeps_silent():
    with box() as shut:
        shut.run(
            "from labkit import grading\nright = grading.reference('a1.nt_xent')\nsaid = [grading.check('a1.nt_xent', right)]"
        )
        assert shut.ask("said", Case("value", {})).value == [None]
        case = labkit.grading.find("a1.nt_xent").cases(0)[0]
        found, right = shut.ask("right", case), answer(labkit.grading.reference("a1.nt_xent"), case)
        assert torch.allclose(torch.as_tensor(found.value), torch.as_tensor(right.value))
        assert "closed" in shut.run("from labkit.grading.exercise import find\nfind('a1.nt_xent')").error
        assert "closed" in shut.run("grading.judge(1)").error
        assert shut.run("grading.reference('a1.nothing')").error.startswith("ValueError")


def test_widgets_figures_and_questions_are_inert():
    with box() as shut:
        said = shut.run(
            """
            import ipywidgets as W
            import matplotlib.pyplot as plt
            from ipywidgets import interact

            @interact(t=(0.1, 1.0))
            def shown(t):
                plt.plot([t])
                plt.show()

            slider = W.FloatSlider(value=1)
            slider.observe(lambda change: None, "value")
            slider.value = 2
            with W.Output():
                1 + 1
            display(W.VBox([slider]), plt.gcf())
            name = input("your name? ")
            slider
            """.replace("\n            ", "\n").strip()
        )
        assert (said.error, said.output, said.died) == ("", "", "")
        assert shut.ask("name", Case("value", {})).value == ""


def test_magics_around_code_run_the_code_and_others_do_nothing():
    with box() as shut:
        shut.run("%%time\nx = 5")
        shut.run("%%capture out\ny = 6")
        shut.run("%time z = 7")
        shut.run("%%bash\necho no")
        shut.run("%%writefile x.py\nno")
        shut.run("files = !ls")
        said = shut.run("import os\nprint(x, y, z, files, os.path.exists('x.py'))\nx?\n%unknown\n%%time inside")
        assert said.output == "5 6 7 [] False\n", said
        assert "SyntaxError" in shut.run("%%time\ndef (").error
        assert "ZeroDivisionError" in shut.run("%%time\n1 / 0").error


def test_random_numbers_are_the_same_at_each_grading():
    source = "import random, numpy, torch\nprint(random.random(), numpy.random.rand(), torch.rand(1).item())"
    with box() as one, box() as other:
        assert one.run(source).output == other.run(source).output


def test_a_box_can_be_closed_while_it_works():
    """From another thread, when somebody stops the batch."""
    with box() as shut:
        shut.run("x = 1")
        threading.Timer(0.3, shut.close).start()
        began = time.monotonic()
        assert shut.run("while True: pass").died
        assert time.monotonic() - began < 10
        assert shut.ask("x", Case("value", {})).value == 1


def test_half_characters_do_not_come_out():
    """They cannot be written to a file."""
    with box() as shut:
        said = shut.run("print('half \\ud800')\nword = '\\ud800'\nraise ValueError('\\udfff')")
        assert (said.output, said.error.split("   ")[0]) == ("half ?\n", "ValueError: ?")
        assert shut.ask("word", Case("value", {})).kind == "unreadable"


def test_inputs_that_cannot_be_sent_are_nobodys_mistake():
    with box() as shut, pytest.raises(ValueError, match="not plain data"):
        shut.ask("answer", Case("value", {"x": object()}))


# ---------------------------------------------------------------- walls of several kinds


def test_the_isolation_can_be_named_and_is_reported(monkeypatch):
    monkeypatch.setenv("LABKIT_ISOLATION", "none")
    assert isolation.chosen() == "not isolated"
    assert isolation.chosen("none") == "not isolated"
    with pytest.raises(ValueError, match="bubblewrap, landlock and none"):
        isolation.chosen("docker")
    monkeypatch.setattr(isolation, "available", lambda: ("not isolated",))
    with pytest.raises(RuntimeError, match="does not work on this system"):
        isolation.chosen("bubblewrap")
    monkeypatch.delenv("LABKIT_ISOLATION")
    assert isolation.chosen() == "not isolated"


def test_only_what_is_needed_is_inside():
    if "bubblewrap" not in isolation.available():
        pytest.skip("this system has no working bubblewrap")
    command = isolation.bubblewrap()
    bound = {Path(command[k + 1]) for k, word in enumerate(command) if word.startswith(("--ro-bind", "--bind"))}
    checkout = Path(labkit.__file__).parents[1]
    for private in (Path("/"), Path.home(), checkout, checkout / "notebooks", checkout / "tests", Path("/etc"), Path("/tmp")):
        assert not any(
            private == path or private.is_relative_to(path) for path in bound - {Path(private.anchor)} | {private} & bound
        )
    assert not any(word == "--bind" for word in command)


@linux
def test_landlock_without_the_newer_versions(monkeypatch):
    """The numbers handed to the kernel are those that it knows."""
    if not landlock.version():
        pytest.skip("this system has no Landlock")
    assert landlock.ALL_RIGHTS[1] == 0x1FFF
    pid = os.fork()
    if not pid:
        status = 1
        try:
            landlock.version = lambda: 1
            landlock.libc().prctl(38, 1, 0, 0, 0)
            landlock.enter([], Path("/tmp"))
            try:
                list(Path("/usr/..").iterdir())
            except PermissionError:
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_where_nothing_can_be_forked(monkeypatch):
    """As on Windows and macOS: a process of its own for each, which calls the grader."""
    monkeypatch.setattr(launch, "FORKS", False)
    with box("none") as shut:
        assert shut.run("x = 1\nprint('on')").output == "on\n"
        assert shut.ask("x", Case("value", {})).value == 1
        assert isinstance(shut.begun, launch.Alone)


@linux
def test_where_processes_of_one_origin_could_reach_each_other(monkeypatch):
    """Each student's then has an origin of its own."""
    monkeypatch.setattr(isolation, "shared", lambda: False)
    with box() as shut:
        assert shut.run("print('on')").output == "on\n"
        assert isinstance(shut.begun, launch.Owned)
        overseer = shut.begun.overseer
    assert not overseer.alive


@linux
def test_an_overseer_that_is_gone_is_replaced():
    with box() as shut:
        shut.run("x = 1")
        launch.close()
        assert shut.run("print(x)").died
        assert shut.run("print(x)").output == "1\n"


def test_references_are_of_earlier_assignments():
    with Sandbox(variant="2026") as box:
        assert not box.run('from labkit import grading\ngiven = grading.given("a8", "x")').error
        assert not box.run('dpo = grading.reference("a7.dpo")').error
        assert "yours to write" in box.run('grading.reference("a8.ches")').error
