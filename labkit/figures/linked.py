"""The temperature explorer, drawn: panels that move together, as a plotly figure in plain values."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from labkit.figures import theme

SAME, OTHER = theme.VERMILION, theme.BLUE
# Classes other than the anchor's; the anchor's own is SAME.
REST = (theme.BLUE, theme.GREEN, theme.PURPLE, theme.SKY, "#6A7B8C", theme.INK, "#8C6D31", "#9EBCDA", theme.ORANGE)
WIDTH, HEIGHT = 1000, 540
# x and y of each panel, in shares of what lies between the margins
PANELS = {
    "": ((0.0, 0.40), (0.0, 1.0)),
    "2": ((0.50, 0.72), (0.60, 1.0)),
    "3": ((0.50, 0.72), (0.0, 0.40)),
    "4": ((0.81, 1.0), (0.70, 1.0)),
    "5": ((0.81, 1.0), (0.35, 0.57)),
    "6": ((0.81, 1.0), (0.0, 0.22)),
}
METERS = (  # name, what it is called at the end of its line, colour, panel, dash
    ("push_same", "push on same class", SAME, "4", "solid"),
    ("same_class", "same-class cosine", theme.PURPLE, "4", "solid"),
    ("mean_norm", "length of mean", theme.INK, "4", "solid"),
    ("uniformity", "uniformity", theme.BLUE, "5", "solid"),
    ("alignment", "alignment", theme.GREEN, "5", "solid"),
    ("loss", "loss", theme.INK, "6", "solid"),
    ("chance", "chance", theme.MUTED, "6", "dash"),
    ("floor", "floor", theme.MUTED, "6", "dot"),
)


def linked(shown: Mapping[str, Any]) -> dict[str, Any]:
    """The panels that move together (embeddings, pairs and push by angle, meters, loss), as a plain plotly figure."""
    shown = {name: value.astype(np.float32) if is_fine(value) else value for name, value in shown.items()}
    return {"data": [*embedding(shown), *similarities(shown), *meters(shown)], "layout": layout(shown)}


def is_fine(value: Any) -> bool:
    """Numbers finer than a screen: half of them is enough."""
    return isinstance(value, np.ndarray) and value.dtype == np.float64


def on(panel: str) -> dict[str, Any]:
    return {"type": "scatter", "xaxis": f"x{panel}", "yaxis": f"y{panel}"}


def embedding(shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every instance, as large as its share of the push on the anchor; the anchor's class stands out."""
    plane, labels, push, anchor = shown["plane"], shown["labels"], shown["push"], shown["anchor"]
    others = [c for c in np.unique(labels) if c != labels[anchor]]
    palette = {c: REST[i % len(REST)] for i, c in enumerate(others)} | {labels[anchor]: SAME}
    turn, same = np.linspace(0, 2 * np.pi, 121), labels == labels[anchor]
    points = {
        "size": 6 + 36 * np.sqrt(push),
        "color": [palette[c] for c in labels],
        "opacity": np.where(same, 0.8, 0.45),
        "line": {"width": 0},
    }
    told = {"text": labels, "customdata": push, "hovertemplate": "class %{text}: %{customdata:.1%} of the push<extra></extra>"}
    star = {"symbol": "star", "size": 17, "color": theme.YELLOW, "line": {"color": theme.INK, "width": 1.5}}
    rim = {"color": theme.MUTED, "width": 1}
    return [
        {**on(""), "x": np.cos(turn), "y": np.sin(turn), "mode": "lines", "line": rim, "hoverinfo": "skip"},
        {**on(""), "x": plane[:, 0], "y": plane[:, 1], "mode": "markers", "marker": points, **told},
        {**on(""), "x": plane[[anchor], 0], "y": plane[[anchor], 1], "mode": "markers", "marker": star, "hoverinfo": "skip"},
    ]


def similarities(shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Above, how far apart pairs are; below, at which of these angles the push is. Same axis, same colours."""
    hover = "%{y:.1%} near %{x:.0f}°<extra></extra>"

    def bars(name: str, color: str, panel: str) -> dict[str, Any]:
        look = {"marker": {"color": color, "line": {"width": 0}}, "hovertemplate": hover}
        return {**on(panel), "type": "bar", "x": shown["angles"], "y": shown[name], **look}

    high = float((shown["negatives_same"] + shown["negatives_other"]).max())
    low, middle, far = shown["positives"]
    span = {
        "x": [low, middle, far],
        "y": [1.06 * high] * 3,
        "mode": "lines+markers",
        "line": {"color": theme.GREEN, "width": 5},
    }
    dot = {"marker": {"color": theme.GREEN, "size": [1, 12, 1]}, "hovertemplate": "positives: %{x:.0f}°<extra></extra>"}
    return [
        bars("negatives_other", OTHER, "2"),
        bars("negatives_same", SAME, "2"),
        {**on("2"), **span, **dot},
        bars("push_by_other", OTHER, "3"),
        bars("push_by_same", SAME, "3"),
    ]


def meters(shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Meters against temperature, with a dot where the slider stands."""
    made: list[dict[str, Any]] = []
    for name, words, color, panel, dash in METERS:
        hover = f"{words} %{{y:.3g}} at %{{x:.2g}}<extra></extra>"
        line = {"color": color, "width": 2, "dash": dash}
        made.append({**on(panel), "x": shown["over"], "y": shown[name], "mode": "lines", "line": line, "hovertemplate": hover})
        if f"{name}_now" in shown:
            here = {
                "x": [shown["temperature"]],
                "y": [shown[f"{name}_now"]],
                "marker": {"color": color, "size": 10},
                "cliponaxis": False,
            }
            made.append({**on(panel), **here, "mode": "markers", "hoverinfo": "skip"})
    return made


def layout(shown: Mapping[str, Any]) -> dict[str, Any]:
    axes: dict[str, Any] = {}
    for panel, (x, y) in PANELS.items():
        axes[f"xaxis{panel}"] = {"domain": x, "anchor": f"y{panel}", "fixedrange": True}
        axes[f"yaxis{panel}"] = {"domain": y, "anchor": f"x{panel}", "fixedrange": True}
    for which in ("xaxis", "yaxis"):
        axes[which] |= {"range": [-1.12, 1.12], "visible": False}
        axes[which] |= {"constrain": "domain"}
    axes["yaxis"] |= {"scaleanchor": "x"}
    for panel, label, kind in (("2", "share of pairs", "negatives"), ("3", "share of push", "push_by")):
        highest = float((shown[f"{kind}_same"] + shown[f"{kind}_other"]).max())
        top = next(
            step for step in (0.1, 0.15, 0.25, 0.5, 1.05) if highest <= 0.96 * step or step > 1
        )  # it rarely jumps under a drag
        axes[f"xaxis{panel}"] |= {
            "range": [-2, 182],
            "dtick": 60,
            "ticksuffix": "°",
            "title": titled("angle between the two", 2),
        }
        axes[f"yaxis{panel}"] |= {"title": titled(label, 4), "tickformat": ".0%", "range": [0, top]}
    for panel in "456":
        ticks = {"tickvals": [0.02, 0.1, 0.5, 2], "range": np.log10([0.016, 2.4]).tolist()}
        axes[f"xaxis{panel}"] |= {"type": "log", **ticks, "title": titled("temperature" * (panel == "6"), 2)}
    axes["yaxis4"] |= {"range": [0, 1.05], "dtick": 0.5}
    axes["yaxis5"] |= {"range": [float(np.floor(2 * shown["uniformity"].min())) / 2 - 0.2, 0.8]}
    axes["yaxis6"] |= {"range": [0, 1.3 * float(shown["chance"].max())]}
    look = {"barmode": "stack", "bargap": 0, "showlegend": False, "annotations": annotations(shown)}
    size = {"width": WIDTH, "height": HEIGHT, "margin": {"l": 10, "r": 125, "t": 60, "b": 50}}
    return theme.layout(**axes, **look, **size, font={"family": theme.FONT, "size": 13, "color": theme.INK})


def titled(text: str, standoff: int) -> dict[str, Any]:
    return {"text": text, "standoff": standoff, "font": {"size": 13}}


def annotations(shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A title over each panel, and the name of each line at one of its ends."""
    model = f"trained at {shown['trained']:g}" if shown["trained"] else "your embeddings"
    where = "circle" if shown["data"] == "circle" else "sphere, seen from where classes lie furthest apart"
    titles = {
        "": f"<b>{model}, weighed at {shown['temperature']:g}</b><br>the {where}",
        "2": f'<b>pairs</b>: <span style="color:{theme.GREEN}">positive</span>, '
        f'<span style="color:{SAME}">same class</span>, <span style="color:{OTHER}">other</span>',
        "3": f'<b>push</b>: <span style="color:{SAME}">{shown["push_same_now"]:.0%} on the same class</span>',
        "4": f"<b>{'one model each' if shown['mode'] == 're-train' else 'this one model'}</b>",
    }
    plain = {"showarrow": False, "align": "left", "xanchor": "left"}
    made: list[dict[str, Any]] = []
    for panel, text in titles.items():
        (left, _), (_, top) = PANELS[panel]
        made.append(
            {**plain, "text": text, "xref": "paper", "yref": "paper", "x": left, "y": top, "yanchor": "bottom", "yshift": 4}
        )
    size = {
        "text": "★ an anchor; the larger a point,<br>the larger its share of the push",
        "y": 0,
        "yanchor": "top",
        "yshift": -8,
    }
    made.append({**plain, **size, "xref": "paper", "yref": "paper", "x": 0, "font": {"color": theme.MUTED, "size": 13}})
    heights = apart({name: float(shown[name][-1]) for name, _, _, panel, _ in METERS if panel == "4"}, 0.14)
    for name, words, color, panel, _ in METERS:
        # chance, loss and floor meet on the right: their names stand over the lines' left ends
        end, place = (0, {"yanchor": "bottom", "yshift": -2}) if panel == "6" else (-1, {"xshift": 8})
        y = heights.get(name, float(shown[name][end]))
        at = {"xref": f"x{panel}", "yref": f"y{panel}", "x": float(np.log10(shown["over"][end])), "y": y}
        made.append({**plain, **at, **place, "text": words, "font": {"color": color, "size": 12}})
    return made


def apart(heights: Mapping[str, float], gap: float) -> dict[str, float]:
    """Labels moved up as little as it takes to have them `gap` apart.

    >>> apart({"a": 0.5, "b": 0.45}, 0.1)
    {'b': 0.45, 'a': 0.55}
    """
    made: dict[str, float] = {}
    for name, y in sorted(heights.items(), key=lambda item: item[1]):
        made[name] = max(y, max(made.values()) + gap) if made else y
    return made
