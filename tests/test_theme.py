"""Figures that can be read: in the dark, on a slide, with any colour vision."""

import plotly.graph_objects as go
import pytest
from matplotlib.colors import to_rgb

from labkit.figures import theme


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("color", [theme.INK, theme.MUTED])
def test_text_stands_out_from_paper_as_accessibility_asks(color):
    assert contrast(color, theme.PAPER) > 4.5


def test_canvas_is_an_opaque_card_with_readable_type():
    figure, axes = theme.canvas(2, 1)
    assert figure.get_facecolor() == axes[0].get_facecolor() and figure.get_facecolor()[3] == 1
    assert axes[0].xaxis.label.get_fontsize() >= 12 and axes[0].get_xticklabels()[0].get_fontsize() >= 12
    (line,) = axes[0].plot([0, 1])
    assert line.get_color() == theme.BLUE


def test_what_is_made_late_has_the_look_inside_styled():
    @theme.styled
    def draw():
        _figure, axes = theme.canvas()
        axes.plot([0, 1], label="a")
        return axes.legend(), axes.text(0, 0, "here")

    legend, text = draw()
    assert not legend.get_frame_on() and text.get_fontsize() == 12.5


def test_plotly_look_is_set_and_what_the_figure_says_stays():
    figure = theme.plotly(go.Figure(go.Scatter(y=[1, 2]), layout={"title": {"text": "Mine"}}))
    assert figure.layout.title.text == "Mine" and figure.layout.template.layout.paper_bgcolor == theme.PAPER
    made = go.Figure(layout=theme.layout(title="Push", height=300))
    assert made.layout.title.text == "Push" and made.layout.height == 300


def test_figures_can_be_kept_for_slides(tmp_path):
    figure, axes = theme.canvas()
    axes.plot([0, 1])
    for name in ("slides/a.pdf", "a.svg", "a.png"):
        assert theme.save(figure, tmp_path / name).stat().st_size > 1000
    moving = go.Figure(go.Scatter(y=[1, 2]))
    page = theme.save(moving, tmp_path / "b.html").read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page and 'src="http' not in page
    with pytest.raises(ValueError, match=r"must end in \.html"):
        theme.save(moving, tmp_path / "b.png")


def test_what_a_notebook_adds_later_has_the_look_too():
    _, ax = theme.canvas()
    ax.plot([0, 1], label="line")
    ax.set(title="A title")
    assert ax.get_title(loc="left") == "A title" and ax.get_title(loc="center") == ""
    assert not ax.legend().get_frame_on()
    ax.set_title("in the middle", loc="center")
    assert ax.get_title(loc="center") == "in the middle"
