"""One look for every figure: the Okabe-Ito colours on a solid paper card, in sizes that can be read on a slide.

The card is opaque, so that a figure stays legible where the page around it is dark.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F = TypeVar("F", bound=Callable)

# Okabe & Ito's colours, told apart by readers of every colour vision; yellow is last, it is faint on paper.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, INK, YELLOW = "#56B4E9", "#CC79A7", "#1F2430", "#F0E442"
CYCLE = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, INK, YELLOW)
NAMES = dict(
    zip(("blue", "orange", "green", "vermilion", "sky", "purple", "ink", "yellow"), CYCLE, strict=True),
)
PAPER, GRID, MUTED = "#FFFDF7", "#E4E0D6", "#5F6470"
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"  # shares and distances; what rises and falls about zero
FONT = "Segoe UI, Helvetica Neue, Noto Sans, Arial, sans-serif"


def rc() -> Any:
    """Matplotlib's settings for this look."""
    from cycler import cycler

    return {
        "figure.facecolor": PAPER,
        "figure.dpi": 100,
        "figure.constrained_layout.w_pad": 0.14,
        "figure.constrained_layout.h_pad": 0.12,
        "axes.facecolor": PAPER,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.titlelocation": "left",
        "axes.titlesize": 14,
        "axes.titleweight": "bold",
        "axes.labelsize": 13,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=CYCLE),
        "grid.color": GRID,
        "image.cmap": SEQUENTIAL,
        "legend.frameon": False,
        "legend.fontsize": 12,
        "lines.linewidth": 2.2,
        "font.size": 12.5,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
    }


def styled(function: F) -> F:
    """Run a figure function in this look, so that its legends and annotations, which are made late, have it too."""

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        import matplotlib

        with matplotlib.rc_context(rc()):
            return function(*args, **kwargs)

    return inside  # type: ignore[return-value]


@functools.cache
def panel() -> Any:
    """Axes that keep the look when a notebook titles them or adds a legend later, outside `styled`."""
    from matplotlib.axes import Axes

    class Panel(Axes):
        def set_title(self, label: str, *args: Any, **more: Any) -> Any:
            return super().set_title(label, *args, **{"loc": "left", "fontweight": "bold", "fontsize": 14, **more})

        def legend(self, *args: Any, **more: Any) -> Any:
            return super().legend(*args, **{"frameon": False, **more})

    return Panel


@styled
def canvas(
    ncols: int = 1, nrows: int = 1, *, width: float | None = None, height: float | None = None, **subplots: Any
) -> tuple["Figure", Any]:
    """A figure on its card and its axes (one, a row, or a grid), without pyplot, so nothing is drawn twice in a notebook.

    Args:
        width, height: of the whole figure in inches; by default each panel is wide enough for a slide.
        subplots: as in `Figure.subplots` (`sharey=True`, `width_ratios=...`).

    >>> figure, axes = canvas(2)
    >>> len(axes), figure.get_facecolor()[3]      # opaque
    (2, 1.0)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (width or min(7.2 if ncols == 1 else 4.6 * ncols, 13.5), height or 4.2 * nrows)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    own = {"axes_class": panel(), **subplots.pop("subplot_kw", {})}
    return figure, figure.subplots(nrows, ncols, subplot_kw=own, **subplots)


def layout(**more: Any) -> dict[str, Any]:
    """A plotly layout in this look, to hand to a constructor: a FigureWidget forgets what it is told later.

    >>> layout(title="Push")["title"]
    {'text': 'Push'}
    """
    axis = {"gridcolor": GRID, "linecolor": MUTED, "zerolinecolor": GRID, "title": {"font": {"size": 16}}, "automargin": True}
    template = {
        "layout": {
            "font": {"family": FONT, "size": 14, "color": INK},
            "title": {"x": 0.02, "xanchor": "left", "font": {"size": 18}},
            "paper_bgcolor": PAPER,
            "plot_bgcolor": PAPER,
            "colorway": list(CYCLE),
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"bgcolor": "rgba(0,0,0,0)"},
            "hoverlabel": {"font": {"family": FONT, "size": 14}},
            "margin": {"l": 70, "r": 30, "t": 60, "b": 60},
        }
    }
    if isinstance(more.get("title"), str):
        more["title"] = {"text": more["title"]}
    return {"template": template, **more}


def plotly(figure: Any) -> Any:
    """The plotly figure itself, in this look; what the figure sets for itself stays."""
    figure.update_layout(layout())
    return figure


def save(figure: Any, path: str | Path) -> Path:
    """Keep a figure for slides: matplotlib as .pdf, .svg or .png (300 dpi), plotly as .html that needs no network.

    Raises:
        ValueError: a plotly figure and a path that does not end in .html (pictures of them need a browser: take a screenshot).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if hasattr(figure, "savefig"):
        figure.savefig(path, dpi=300)
    elif path.suffix == ".html":
        figure.write_html(path, include_plotlyjs=True, config={"displaylogo": False})
    else:
        raise ValueError(f"path must end in .html for a plotly figure, got {path.name}")
    return path


def alt(figure: Any, text: str | None = None) -> str:
    """Say in words what a figure shows, for those who cannot see it; without `text`, what was said of it.

    >>> figure, axes = canvas()
    >>> alt(figure, "The loss falls from 6.2 to 4.3.")
    'The loss falls from 6.2 to 4.3.'
    >>> alt(figure)
    'The loss falls from 6.2 to 4.3.'
    """
    if text is not None:
        figure._labkit_alt = text
    return getattr(figure, "_labkit_alt", "")


def colors(n: int, name: str = SEQUENTIAL) -> list[str]:
    """`n` colours along a map, for things that have an order (temperatures, steps): dark first, never too faint for paper.

    >>> colors(2)
    ['#450457', '#63cb5f']
    """
    import matplotlib

    colormap = matplotlib.colormaps[name]
    return [matplotlib.colors.to_hex(colormap(0.01 + 0.75 * i / max(n - 1, 1))) for i in range(n)]
