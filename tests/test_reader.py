"""Figures reach the reader with words; a question never waits; notebook, export and script differ as they must."""

import base64
import json
import subprocess
import sys

import plotly.graph_objects as go
import pytest

import labkit
from labkit import reader
from labkit.figures import theme
from labkit.reader import live_question, log, plotly_bundle, png_bundle, predict, show, static_question


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """A notebook that keeps what it is asked to display."""
    import IPython.display

    kept = []
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.delenv("LABKIT_STATIC", raising=False)
    monkeypatch.setattr(reader, "in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", lambda item, **options: kept.append((item, options)))
    return kept


class Explorer:
    alt = "A slider over the temperature."

    def live(self):
        return "the live view"

    def static(self):
        return go.Figure(layout=theme.layout())


def a_figure():
    figure, axes = theme.canvas()
    axes.plot([0, 1], [1, 0])
    return figure


def test_a_script_shows_nothing_but_draws_everything(capsys):
    show(a_figure(), "A line falls.")
    show(Explorer())
    assert capsys.readouterr().out == ""
    broken = a_figure()
    broken.axes[0].set_title("$\\nonsense{$")
    with pytest.raises(ValueError):  # drawn, so that a script finds what a notebook would
        show(broken, "A line falls.")


def test_words_are_required_and_may_come_with_the_figure():
    with pytest.raises(ValueError, match="say in a sentence what the figure shows"):
        show(a_figure())
    figure = a_figure()
    theme.alt(figure, "A line falls.")
    show(figure)
    with pytest.raises(TypeError, match="must be a matplotlib figure, a plotly figure or an explorer, got list"):
        show([1, 2], "Two numbers.")


def test_png_has_twice_the_pixels_and_its_words():
    bundle, metadata = png_bundle(a_figure(), "A line falls.")
    png = base64.b64decode(bundle["image/png"])
    assert int.from_bytes(png[16:20], "big") == 2 * metadata["image/png"]["width"] == 1440
    assert metadata["image/png"]["alt"] == "A line falls." == bundle["text/plain"]


def test_plotly_carries_its_words_and_no_copy_of_the_library():
    bundle, _ = plotly_bundle(go.Figure(go.Scatter(y=[1, 2]), layout=theme.layout(meta={"mine": 1})), "A line rises.")
    figure = bundle["application/vnd.plotly.v1+json"]
    assert figure["layout"]["meta"] == {"mine": 1, "alt": "A line rises."}
    assert len(json.dumps(bundle)) < 20_000


def test_an_explorer_is_live_in_a_notebook_and_static_on_a_page(shown, monkeypatch):
    show(Explorer())
    assert shown[-1][0] == "the live view"
    monkeypatch.setenv("LABKIT_STATIC", "1")
    show(Explorer())
    bundle, options = shown[-1]
    assert bundle["application/vnd.plotly.v1+json"]["layout"]["meta"]["alt"] == Explorer.alt and options["raw"]


def test_a_question_never_waits_and_remembers(shown, monkeypatch):
    assert predict("who", ["near", "far"]) is None
    box = shown[-1][0]
    radio, row = box.children
    button, said = row.children
    button.click()
    assert said.value == "Choose one first." and log.own() == {}
    radio.value = "far"
    button.click()
    assert log.own() == {"who": "far"} and radio.disabled and button.disabled
    assert predict("who", ["near", "far"]) == "far"
    assert predict("who", ["near", "all"]) is None  # the question has changed since
    monkeypatch.setenv("LABKIT_STATIC", "1")
    assert predict("who", ["near", "far"]) is None
    assert '<input type="radio"' in shown[-1][0]


def test_a_script_has_no_guess(capsys):
    assert predict("who", ["near", "far"]) is None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("options", [[], ["only"], ["same", "same"]])
def test_a_question_needs_a_choice(options):
    with pytest.raises(ValueError, match="two or more different answers"):
        predict("who", options)


def test_text_of_a_question_is_escaped():
    assert "a &lt; b" in static_question("k", ["a < b", "c"])
    assert "a &lt; b" in live_question("k", ["a < b", "c"], "a < b").children[1].children[1].value


# ---------------------------------------------------------------- whether somebody is there


class Shell:
    """A kernel's shell that was asked to run a cell by someone who can, or cannot, be asked for input."""

    kernel = object()

    def __init__(self, **content):
        self.content = content

    def get_parent(self):
        return {"content": self.content}


@pytest.fixture
def asked_by(monkeypatch):
    for name in ("LABKIT_STATIC", *reader.SERVED):
        monkeypatch.delenv(name, raising=False)
    return lambda **content: monkeypatch.setattr(reader, "shell", lambda: Shell(**content))


def test_widgets_are_for_those_who_can_be_asked(asked_by, monkeypatch):
    asked_by(allow_stdin=True)  # JupyterLab, VS Code
    assert reader.live()
    asked_by(allow_stdin=False)  # nbclient, nbconvert, papermill, nbgrader
    assert reader.in_notebook() and not reader.live()
    asked_by(data={})  # a widget's message, not a cell: a person pressed a button
    assert reader.live()
    monkeypatch.setenv("LABKIT_STATIC", "1")
    assert not reader.live()


@pytest.mark.parametrize("name, value, there", [
    ("SERVER_SOFTWARE", "voila/0.5.13", True), ("SERVER_SOFTWARE", "nginx", False), ("COLAB_RELEASE_TAG", "release-7", True),
    ("KAGGLE_KERNEL_RUN_TYPE", "Interactive", True), ("KAGGLE_KERNEL_RUN_TYPE", "Batch", False),
])  # fmt: skip
def test_some_serve_widgets_and_ask_nothing(asked_by, monkeypatch, name, value, there):
    asked_by(allow_stdin=False)
    monkeypatch.setenv(name, value)
    assert reader.live() == there
    monkeypatch.setenv("LABKIT_STATIC", "1")
    assert not reader.live()


# ---------------------------------------------------------------- guesses


@pytest.fixture
def at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.setenv("LABKIT_LESSON", "02_temperature")
    return tmp_path


def test_a_guess_is_one_line_and_the_last_one_counts(at_home):
    for guess in ("near", "far"):
        log.commit("who", guess, ["near", "far", "all"])
    lines = [json.loads(line) for line in (at_home / "guesses.jsonl").read_text().splitlines()]
    assert [line["guess"] for line in lines] == ["near", "far"] and log.own() == {"who": "far"}
    assert lines[0].keys() == {"time", "reader", "lesson", "key", "options", "guess"}
    assert lines[0]["lesson"] == "02_temperature" and lines[0]["options"] == ["near", "far", "all"]
    assert lines[0]["reader"] == lines[1]["reader"] and len(lines[0]["reader"]) == 12
    assert sorted(p.name for p in at_home.iterdir()) == ["guesses.jsonl", "reader.txt"]


@pytest.mark.parametrize("damage", [b"{", b'{"key": 1, "guess": "x"}\n', b"[1]\n", b"\xff\xfe\n", b'{"key": "who", "gue'])
def test_a_damaged_line_is_passed_over(at_home, damage):
    log.commit("where", "here", ["here", "there"])
    with (at_home / "guesses.jsonl").open("ab") as file:
        file.write(damage)
    assert log.own() == {"where": "here"}
    log.commit("who", "near", ["near", "far"])
    assert log.own() == {"where": "here", "who": "near"}


def test_guesses_of_an_earlier_labkit_are_read_and_kept(at_home):
    old = at_home / "guesses.json"
    old.write_text('{"who": "near", "where": "here", "odd": 3}')
    assert log.own() == {"who": "near", "where": "here"}
    log.commit("who", "far", ["near", "far"])
    assert log.own() == {"who": "far", "where": "here"} and old.exists()
    old.write_text('{"who": "all"}')  # it was read once
    assert log.own()["who"] == "far"


def test_a_broken_file_of_guesses_is_not_the_end(at_home):
    (at_home / "guesses.json").write_text("{")
    assert log.own() == {}
    log.commit("who", "near")
    assert log.own() == {"who": "near"}


WRITER = """
import sys
from labkit.reader import log
for k in range(200):
    log.commit(f"{sys.argv[1]}-{k}", "x" * 200, ["x" * 200])
"""


def test_two_kernels_may_write_at_once(at_home):
    both = [subprocess.Popen([sys.executable, "-c", WRITER, name]) for name in ("a", "b")]
    assert [p.wait(60) for p in both] == [0, 0]
    records = [json.loads(line) for line in (at_home / "guesses.jsonl").read_text().splitlines() if line]
    assert len(records) == 400 and len(log.own()) == 400
    assert len({record["reader"] for record in records}) == 1


def handed_in(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def line(reader, guess, time, key="who", options=("near", "far", "all"), lesson="02"):
    record = {"time": time, "lesson": lesson, "key": key, "options": options, "guess": guess}
    return {**record, "reader": reader} if reader else record


def test_a_teacher_counts_the_last_guess_of_every_reader(at_home, tmp_path, capsys):
    ann = [
        line("ann", "near", "2026-01-01"),
        line("ann", "far", "2026-01-02"),
        line("ann", "<b>", "2026-01-02", "odd", ("<b>", "c")),
    ]
    bob = [line("bob", "far", "2026-01-03"), line("bob", "far", "2026-01-04")]
    together = handed_in(tmp_path / "all.jsonl", *bob, *reversed(ann))
    nobody = handed_in(tmp_path / "x.jsonl", line("", "near", "2026-01-01"), line("", "all", "2026-01-02"))
    counts = labkit.lessons.guesses(together, str(nobody), together)
    assert counts == {"who": {"near": 0, "far": 2, "all": 1}, "odd": {"<b>": 1, "c": 0}}
    assert capsys.readouterr().out.splitlines() == [
        "02: odd",
        f"  <b>     1  {'█' * 20}",
        "  c       0  ",
        "02: who",
        "  near     0  ",
        f"  far      2  {'█' * 13}",
        f"  all      1  {'█' * 7}",
    ]
    assert "&lt;b&gt;" in counts.html() and "<b>" not in counts.html() and counts.html().count("<tr>") == 5
    with pytest.raises(FileNotFoundError, match="nowhere"):
        labkit.lessons.guesses("nowhere.jsonl")


def test_counts_are_shown_once_in_a_notebook(shown):
    log.commit("who", "far", ["near", "far"])
    counts = labkit.lessons.guesses()
    assert len(shown) == 1 and "labkit-guesses" in shown[0][0] and counts == {"who": {"near": 0, "far": 1}}
    assert counts._ipython_display_() is None and len(shown) == 1


def test_no_guesses_yet(at_home, capsys):
    assert labkit.lessons.guesses() == {}
    assert capsys.readouterr().out == "No guesses yet.\n"


@pytest.mark.parametrize("name, value, lesson", [
    ("LABKIT_LESSON", "04_x", "04_x"), ("JPY_SESSION_NAME", "/home/me/02_temperature.ipynb", "02_temperature"),
    ("JPY_SESSION_NAME", "/home/me/console-1", ""),
])  # fmt: skip
def test_the_lesson_is_what_the_notebook_is_called(monkeypatch, name, value, lesson):
    for other in ("LABKIT_LESSON", "JPY_SESSION_NAME"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    assert log.lesson() == lesson
