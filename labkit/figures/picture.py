"""A scene drawn by matplotlib: one state that stands still, for slides, for paper, and for where no script runs.

The numbers of the layout are those of the browser's `scene.js`, in pixels.
"""

import functools
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.figures import theme
from labkit.figures.scene import Axis, Color, Mark, Panel, Scene
from labkit.figures.words import fill, said

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Shown = Mapping[str, Any]
WIDTH, DPI = 900, 100
POINT = 72 / DPI  # a pixel in the points that matplotlib counts in
HEX = {**theme.NAMES, "muted": theme.MUTED, "grid": theme.GRID, "paper": theme.PAPER, "dark": theme.INK}
MAPS = {"viridis": theme.SEQUENTIAL, "gray": "gray", "diverging": theme.DIVERGING}
SYMBOLS = {"circle": "o", "star": "*", "square": "s", "diamond": "D", "cross": "x"}
DASHES: dict[str, Any] = {"solid": "-", "dash": (0, (4, 3)), "dot": (0, (1, 2))}


@functools.cache
def stops() -> dict[str, list[list[int]]]:
    """Each colour map as eleven colours, for the browser."""
    import matplotlib

    places = np.linspace(0, 1, 11)
    return {name: np.rint(255 * matplotlib.colormaps[map](places)[:, :3]).astype(int).tolist() for name, map in MAPS.items()}


def slot(value: Any, shown: Shown) -> Any:
    """A slot's numbers: what is shown under "$name", or the value itself."""
    return shown[value[1:]] if isinstance(value, str) and value.startswith("$") else value


def array(value: Any, shown: Shown) -> np.ndarray:
    return np.atleast_1d(np.asarray(slot(value, shown), dtype=float))


def several(shown: Shown, *slots: Any) -> list[np.ndarray]:
    """Slots side by side, each as long as the longest."""
    return list(np.broadcast_arrays(*(array(value, shown) for value in slots)))


def colors(color: Color, shown: Shown, n: int) -> list[Any]:
    """The colour of each of n elements."""
    import matplotlib

    if isinstance(color, dict):
        values = np.broadcast_to(array(color["by"], shown), n)
        if "palette" in color:
            return [HEX.get(name, name) for name in (color["palette"][int(v) % len(color["palette"])] for v in values)]
        shares = np.clip(np.nan_to_num((values - color["low"]) / (color["high"] - color["low"])), 0, 1)
        return list(matplotlib.colormaps[MAPS[color["map"]]](shares))
    found = slot(color, shown)
    names = [found] * n if isinstance(found, str) else list(found)
    return [HEX.get(name, name) for name in names]


# ---------------------------------------------------------------- the figure


@theme.styled
def drawn(scene: Scene, shown: Shown, width: int = WIDTH) -> "Figure":
    """The scene with these numbers."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, scene.height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    for panel in scene.panels:
        draw(figure, panel, shown, width, scene.height)
    return figure


def png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def draw(figure: "Figure", panel: Panel, shown: Shown, width: int, height: int) -> None:
    left, top, right, bottom = np.array(panel.at) * [width, height, width, height]
    title = wrapped(fill(panel.title, shown), right - left - 12) if panel.title else []
    labels = [fill(m.slots["label"], shown) for m in panel.marks if m.kind == "line" and m.slots["label"]]
    words = slot(panel.y.words, shown)  # names of ticks take more room than numbers
    wide = max(36, 7 * max(map(len, map(str, words)))) if words is not None and len(words) else 36
    ticks_up = 6 if panel.y.hidden else 10 + wide + 17 * bool(panel.y.label)
    inner = (
        left + ticks_up,
        top + 11 + 18 * len(title),
        right - 14 - (6 + 6.6 * max(map(len, labels)) if labels else 0),
        bottom - (6 if panel.x.hidden else 22 + 17 * bool(panel.x.label)),
    )
    place = (inner[0] / width, 1 - inner[3] / height, (inner[2] - inner[0]) / width, (inner[3] - inner[1]) / height)
    axes = figure.add_axes(place)
    for row, line in enumerate(title):
        at = ((left + 6) / width, 1 - (top + 16 + 18 * row) / height)
        figure.text(*at, line, fontsize=13.5 * POINT, fontweight="bold", color=theme.INK)
    for letter, axis in (("x", panel.x), ("y", panel.y)):
        bounded(axes, letter, axis, shown)
    for mark in panel.marks:
        MARKS[mark.kind](axes, mark.slots, shown)
    for letter, axis in (("x", panel.x), ("y", panel.y)):
        ruled(axes, letter, axis, shown)
    if panel.x.hidden and panel.y.hidden:
        axes.set_axis_off()
    if panel.equal:
        axes.set_aspect("equal", anchor="C")
    named(axes, panel.marks, shown)


def wrapped(words: str, room: float) -> list[str]:
    import textwrap

    return [piece for line in words.split("\n") for piece in textwrap.wrap(line, max(8, int(room / 7.7))) or [""]]


def bounded(axes: "Axes", letter: str, axis: Axis, shown: Shown) -> None:
    """Scale and bounds of one axis."""
    if axis.log:
        getattr(axes, f"set_{letter}scale")("log")
    low, high = slot(axis.low, shown), slot(axis.high, shown)
    if low is not None or high is not None:
        getattr(axes, f"set_{letter}lim")(low, high, auto=low is None or high is None)


def ruled(axes: "Axes", letter: str, axis: Axis, shown: Shown) -> None:
    """Ticks and label of one axis, and the bounds that the marks left open."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

    bounded(axes, letter, axis, shown)
    own = getattr(axes, f"{letter}axis")
    own.set_minor_locator(NullLocator())
    own.set_minor_formatter(NullFormatter())
    own.set_tick_params(labelsize=12 * POINT, length=0)
    own.grid(letter == "y")
    axes.spines["left"].set_visible(False)
    if axis.hidden:
        own.set_visible(False)
        axes.spines["bottom" if letter == "x" else "left"].set_visible(False)
        return
    ticks, words = slot(axis.ticks, shown), slot(axis.words, shown)
    if ticks is not None:
        own.set_ticks(
            list(ticks), [str(w) for w in words] if words is not None else [said(float(t), axis.format) for t in ticks]
        )
    else:
        if not axis.log:
            own.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], min_n_ticks=2))
        own.set_major_formatter(FuncFormatter(lambda value, _: said(float(f"{value:.10g}"), axis.format)))
    if axis.label:
        own.set_label_text(fill(axis.label, shown), fontsize=12.5 * POINT)


def named(axes: "Axes", marks: tuple[Mark, ...], shown: Shown) -> None:
    """The names of lines at their right ends, moved apart; those of rules beside them. In units that any resolution keeps."""
    ends, tall = [], axes.figure.bbox.height
    for mark in marks:
        words = fill(mark.slots.get("label", ""), shown)
        if not words:
            continue
        color = colors(mark.slots["color"], shown, 1)[0]
        look = {"fontsize": 12 * POINT, "color": color, "annotation_clip": False, "textcoords": "offset points"}
        if mark.kind == "rule":
            upright = slot(mark.slots["y"], shown) is None
            value = array(mark.slots["x" if upright else "y"], shown)[0]
            xy, data = ((value, 1), ("data", "axes fraction")) if upright else ((0, value), ("axes fraction", "data"))
            away = (5 * POINT, -12 * POINT) if upright else (4 * POINT, 5 * POINT)
            axes.annotate(words, xy, xycoords=data, xytext=away, **look)
            continue
        x, y = array(mark.slots["x"], shown), array(mark.slots["y"], shown)
        last = np.flatnonzero(np.isfinite(y))
        if len(last):
            ends.append((axes.transData.transform((x[last[-1]], y[last[-1]]))[1], words, look))
    floor = -np.inf
    for height, words, look in sorted(ends, key=lambda end: end[0]):
        floor = max(floor + 14, min(max(height, axes.bbox.y0), axes.bbox.y1))
        look |= {"xycoords": ("axes fraction", "figure fraction"), "va": "center", "xytext": (6 * POINT, 0)}
        axes.annotate(words, (1, floor / tall), **look)


# ---------------------------------------------------------------- marks


def line(axes: "Axes", m: Shown, shown: Shown) -> None:
    x, y = array(m["x"], shown), np.atleast_2d(array(m["y"], shown))
    many = zip(np.broadcast_to(x, y.shape), y, colors(m["color"], shown, len(y)), strict=True)
    for xs, row, color in many:
        axes.plot(xs, row, color=color, lw=m["width"] * POINT, ls=DASHES[m["dash"]], alpha=m["opacity"])


def area(axes: "Axes", m: Shown, shown: Shown) -> None:
    x, low, high = several(shown, m["x"], m["low"], m["high"])
    axes.fill_between(x, low, high, color=colors(m["color"], shown, 1)[0], alpha=m["opacity"], lw=0)


def bars(axes: "Axes", m: Shown, shown: Shown) -> None:
    x, height, base, opacity = several(shown, m["x"], m["height"], m["base"], m["opacity"])
    made = axes.bar(x, height, m["width"], base, color=colors(m["color"], shown, len(x)))
    for bar, alpha in zip(made, opacity, strict=True):
        bar.set_alpha(alpha)


def rects(axes: "Axes", m: Shown, shown: Shown) -> None:
    x0, x1, y0, y1, opacity = several(shown, m["x0"], m["x1"], m["y0"], m["y1"], m["opacity"])
    made = axes.bar(x0, y1 - y0, x1 - x0, y0, align="edge", color=colors(m["color"], shown, len(x0)))
    for bar, alpha in zip(made, opacity, strict=True):
        bar.set_alpha(alpha)


def points(axes: "Axes", m: Shown, shown: Shown) -> None:
    x, y, size, opacity = several(shown, m["x"], m["y"], m["size"], m["opacity"])
    if not len(x):
        return
    grown = 1.3 if m["symbol"] == "star" else 1.0
    edge: dict[str, Any] = {"linewidths": {"star": 0.9, "cross": 2.0}.get(m["symbol"], 0.0)}
    if m["symbol"] == "star":
        edge["edgecolors"] = theme.INK
    look: dict[str, Any] = {"c": colors(m["color"], shown, len(x)), "marker": SYMBOLS[m["symbol"]], "alpha": opacity, **edge}
    axes.scatter(x, y, s=(size * POINT * grown) ** 2, clip_on=False, zorder=3, **look)


def arrows(axes: "Axes", m: Shown, shown: Shown) -> None:
    x, y, dx, dy, opacity = several(shown, m["x"], m["y"], m["dx"], m["dy"], m["opacity"])
    for i, color in enumerate(colors(m["color"], shown, len(x))):
        ends = np.array([(x[i], y[i]), (x[i] + dx[i], y[i] + dy[i])])
        if not np.isfinite(ends).all() or np.hypot(dx[i], dy[i]) <= 1e-9:
            continue
        long = float(np.hypot(*np.diff(axes.transData.transform(ends), axis=0)[0]))  # a short arrow has a small head
        if long <= 0.5:
            continue
        head = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": min(9, 0.8 * long)}
        look = {"color": color, "lw": m["width"] * POINT, "alpha": opacity[i]}
        axes.annotate("", ends[1], ends[0], arrowprops={**head, **look}, annotation_clip=False)


def text(axes: "Axes", m: Shown, shown: Shown) -> None:
    words = slot(m["words"], shown)
    words = [words] if isinstance(words, str) else list(words)
    x, y = several(shown, m["x"], m["y"])
    n = max(len(x), len(words))
    places = zip(np.broadcast_to(x, n), np.broadcast_to(y, n), words if len(words) == n else words * n, strict=True)
    side = {"start": "left", "middle": "center", "end": "right"}[m["anchor"]]
    look: dict[str, Any] = {
        "fontsize": m["size"] * POINT,
        "fontweight": "bold" if m["bold"] else "normal",
        "ha": side,
        "va": "center",
    }
    if m["halo"]:
        from matplotlib.patheffects import withStroke

        look["path_effects"] = [withStroke(linewidth=3, foreground=theme.PAPER)]
    for (at, up, each), color in zip(places, colors(m["color"], shown, n), strict=True):
        words = fill(str(each), shown).replace("$", r"\$")
        if "\n" not in words:
            axes.text(at, up, words, color=color, **look)
            continue
        up_half = (0, 0.6 * m["size"] * POINT)
        first = {**look, "va": "top", "xytext": up_half, "textcoords": "offset points", "annotation_clip": False}
        axes.annotate(words, (at, up), color=color, linespacing=1.25, **first)  # the first line stands at the place


def image(axes: "Axes", m: Shown, shown: Shown) -> None:
    look = {"cmap": MAPS[m["map"]], "vmin": m["low"], "vmax": m["high"], "alpha": m["opacity"]}
    values = np.asarray(slot(m["values"], shown), dtype=float)
    axes.imshow(values, extent=m["extent"], aspect="auto", interpolation="nearest", **look)


def rule(axes: "Axes", m: Shown, shown: Shown) -> None:
    look = {"color": colors(m["color"], shown, 1)[0], "lw": m["width"] * POINT, "ls": DASHES[m["dash"]]}
    upright = slot(m["x"], shown) is not None
    for value in array(m["x" if upright else "y"], shown):
        (axes.axvline if upright else axes.axhline)(value, **look)


MARKS = {f.__name__: f for f in (line, area, bars, rects, points, arrows, text, image, rule)}
