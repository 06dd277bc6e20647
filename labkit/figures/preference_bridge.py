"""From pairs to lists, drawn: the bridge explorer's panels, and what more rejected answers buy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.figures import theme
from labkit.figures.preference import halo, hue, spaced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 1000, 460
SIDES = {"digits": ("x", "y", "InfoNCE on digits", theme.BLUE), "policy": ("x2", "y2", "DPO on answers", theme.PURPLE)}
ALIKE = {"digits": "same digit", "policy": "near-duplicate"}
LEFT, RIGHT = (0.0, 0.43), (0.56, 0.92)


def linked(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Bars of who pushes, for embeddings above and for a policy below, and both losses against K, as a plain plotly figure."""
    data: list[dict[str, Any]] = []
    for side, (x, y, _, color) in SIDES.items():
        for part, shade in ((f"{side}_other", color), (f"{side}_alike", theme.VERMILION)):
            hover = "nearest but %{x}: %{y:.1%}<extra></extra>".replace("nearest but %{x}", "number %{x}")
            look = {"marker": {"color": shade, "line": {"width": 0}}, "hovertemplate": hover}
            data.append({"type": "bar", "x": shown["rank"], "y": shown[part], "xaxis": x, "yaxis": y, **look})
    for name, color, dash in (("chance", theme.MUTED, "dash"), *((f"{s}_loss", SIDES[s][3], "solid") for s in SIDES)):
        own = {"type": "scatter", "xaxis": "x3", "yaxis": "y3"}
        line = {"color": color, "width": 2.5, "dash": dash}
        hover = f"{name.replace('_', ' ')} %{{y:.2f}} at K = %{{x}}<extra></extra>"
        data.append({**own, "x": shown["over"], "y": shown[name], "mode": "lines", "line": line, "hovertemplate": hover})
        dot = {"color": color, "size": 11}
        now = {"x": [shown["k"]], "y": [shown[f"{name}_now"]], "marker": dot, "cliponaxis": False}
        data.append({**own, **now, "mode": "markers", "hoverinfo": "skip"})
    return {"data": data, "layout": layout(shown)}


def layout(shown: Mapping[str, Any]) -> dict[str, Any]:
    axes: dict[str, Any] = {}
    for n, domain in (("", (0.58, 1.0)), ("2", (0.0, 0.42))):
        axes[f"xaxis{n}"] = {"domain": LEFT, "anchor": f"y{n}", "range": [0.3, 32.7], "tickvals": [1, 8, 16, 24, 32]}
        axes[f"yaxis{n}"] = {"domain": domain, "anchor": f"x{n}", "tickformat": ".0%", "title": titled("share of the push")}
        side = "policy" if n else "digits"
        high = float((shown[f"{side}_alike"] + shown[f"{side}_other"]).max())
        axes[f"yaxis{n}"]["range"] = [0, next(top for top in (0.15, 0.3, 0.6, 1.05) if high <= 0.97 * top or top > 1)]
    axes["xaxis2"]["title"] = titled("negative or rejected answer, the hardest first")
    ticks = {"tickvals": [1, 2, 4, 8, 16, 32], "range": np.log10([0.9, 36]).tolist()}
    axes["xaxis3"] = {"domain": RIGHT, "anchor": "y3", "type": "log", **ticks, "title": titled("K, how many negatives")}
    axes["yaxis3"] = {"domain": (0.0, 1.0), "anchor": "x3", "range": [0, 4.2], "title": titled("loss, nats")}
    for axis in axes.values():
        axis["fixedrange"] = True
    look = {"barmode": "stack", "bargap": 0.12, "showlegend": False, "annotations": annotations(shown)}
    size = {"width": WIDTH, "height": HEIGHT, "margin": {"l": 60, "r": 30, "t": 60, "b": 50}}
    return theme.layout(**axes, **look, **size, font={"family": theme.FONT, "size": 13, "color": theme.INK})


def titled(text: str) -> dict[str, Any]:
    return {"text": text, "standoff": 6, "font": {"size": 13}}


def annotations(shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A title over each panel, and the name of each line at its right end."""
    plain = {"showarrow": False, "align": "left", "xanchor": "left"}
    over = {**plain, "xref": "paper", "yref": "paper", "yanchor": "bottom", "yshift": 6}
    made = []
    for side, top in (("digits", 1.0), ("policy", 0.42)):
        name, color = SIDES[side][2:]
        words = f'<b><span style="color:{color}">{name}</span></b>, <span style="color:{theme.VERMILION}">{ALIKE[side]}</span>'
        made.append({**over, "text": words, "x": LEFT[0], "y": top})
    strength = "" if shown["strength"] == 1 else f", scores × {shown['strength']:g}"
    made.append({**over, "text": f"<b>K = {shown['k']}</b>{strength}", "x": RIGHT[0], "y": 1.0})
    ends = {"chance<br>log(K + 1)": ("chance", theme.MUTED)} | {side: (f"{side}_loss", SIDES[side][3]) for side in SIDES}
    points = [(32.0, float(min(shown[name][-1], 4.1))) for name, _ in ends.values()]
    for (words, (_, color)), (_, y) in zip(ends.items(), spaced(points, 1, 32, 0, 4.2, 0.1), strict=True):
        at = {"xref": "x3", "yref": "y3", "x": float(np.log10(32)), "y": y, "xshift": 12}
        made.append({**plain, **at, "text": words, "font": {"color": color, "size": 13}})
    return made


@theme.styled
def bought(numbers: np.ndarray, rows: Mapping[str, tuple[np.ndarray, np.ndarray]], start: float) -> "Figure":
    """What answers are worth after teaching with K rejected ones in each list: against K, and against the distance covered.

    Args:
        numbers: K `(k,)`.
        rows: objective -> (worth, KL from the start), each `(k, seeds)`.
        start: worth before any teaching.
    """
    figure, (ax, right) = theme.canvas(2, width=12.6, height=4.5, sharey=True, width_ratios=(1.25, 1))
    ends = []
    for k, (worth, kl) in enumerate(rows.values()):
        ax.fill_between(numbers, worth.min(1), worth.max(1), color=hue(k), alpha=0.18, linewidth=0)
        ax.plot(numbers, worth.mean(1), color=hue(k), marker="o", markersize=6)
        right.plot(kl.mean(1), worth.mean(1), color=hue(k), marker="o", markersize=6)
        ends.append((float(numbers[-1]), float(worth.mean(1)[-1])))
    for side in (ax, right):
        side.axhline(start, color=theme.MUTED, linestyle="--", linewidth=1.2)
    ax.text(numbers[0], start + 0.03, "untaught", color=theme.MUTED)
    ax.set(
        xscale="log",
        xlabel="K, rejected answers in a list",
        ylabel="liked words in an answer, of 5",
        title="equal number of lists",
    )
    ax.set_xticks(numbers, labels=[str(n) for n in numbers])
    ax.minorticks_off()
    ax.set_xlim(numbers[0] * 0.85, numbers[-1] * 4.2)
    right.set(xlabel="KL from the start, nats", title="equal distance", xlim=(0, None))
    for k, (name, place) in enumerate(zip(rows, spaced(ends, 0, float(numbers[-1]), *ax.get_ylim()), strict=True)):
        look = {"color": hue(k), "va": "center", "weight": "bold", "path_effects": halo()}
        ax.annotate(name, place, xytext=(10, 0), textcoords="offset points", **look)
    return figure


@theme.styled
def chance_lines(numbers: np.ndarray, rows: Mapping[str, np.ndarray]) -> "Figure":
    """Losses against K below the chance line log(K + 1).

    Args:
        numbers: K `(k,)`.
        rows: name -> losses `(k,)`, in nats.
    """
    figure, ax = theme.canvas(width=8.4, height=4.4)
    ax.plot(numbers, np.log1p(numbers), color=theme.MUTED, linestyle="--")
    ax.annotate(
        "chance, log(K + 1)",
        (numbers[-1], np.log1p(numbers[-1])),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        color=theme.MUTED,
        path_effects=halo(),
    )
    ends = []
    for k, values in enumerate(rows.values()):
        ax.plot(numbers, values, color=hue(k), marker="o", markersize=5)
        ends.append((float(numbers[-1]), float(values[-1])))
    ax.set(xscale="log", xlabel="K, negatives or rejected answers", ylabel="loss, nats", ylim=(0, 4), xlim=(0.9, 32 * 4.5))
    ax.set_xticks([1, 2, 4, 8, 16, 32], labels=["1", "2", "4", "8", "16", "32"])
    ax.minorticks_off()
    for k, (name, place) in enumerate(zip(rows, spaced(ends, 0, 32, 0, 4), strict=True)):
        ax.annotate(name, place, xytext=(8, 0), textcoords="offset points", va="center", color=hue(k), weight="bold")
    return figure
