"""Figures reach the reader with words; a question never waits; notebook, export and script differ as they must."""

import base64
import json

import plotly.graph_objects as go
import pytest

from labkit import reader
from labkit.figures import theme
from labkit.reader import commit, guesses, live_question, plotly_bundle, png_bundle, predict, show, static_question


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
    assert said.value == "Choose one first." and guesses() == {}
    radio.value = "far"
    button.click()
    assert guesses() == {"who": "far"} and radio.disabled and button.disabled
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


def test_a_broken_file_of_guesses_is_not_the_end(shown, tmp_path):
    (tmp_path / "guesses.json").write_text("{")
    assert guesses() == {}
    commit("who", "near")
    assert guesses() == {"who": "near"}
    assert [p.name for p in tmp_path.iterdir()] == ["guesses.json"]
