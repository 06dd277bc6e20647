"""How the temperature explorer looks."""

import numpy as np

from labkit.figures.scene import Axis, Panel, Scene, area, bars, categories, line, points, rects, rule, text
from labkit.recipes.temperature_grid import TEMPERATURES

# The anchor's own class first; the other ten have colours of their own.
PALETTE = ("vermilion", "blue", "green", "purple", "sky", "muted", "yellow", "ink", "#9c6b30", "orange", "#7a8f3c")
CIRCLE = np.linspace(0, 2 * np.pi, 121)
TAUS = Axis("temperature", 0.02, 2, log=True, ticks=(0.02, 0.1, 0.5, 2))
TRAINED_AT = Axis("trained at temperature", 0.02, 2, log=True, ticks=(0.02, 0.1, 0.5, 2))
ENDS = ("\u00a0\u00a00.02", *[""] * (len(TEMPERATURES) - 2), "\u00a0\u00a02")  # of the row of models
ANGLES = (-180, -120, -90, -60, 0)  # cosines crowd where angles are small, so the axis is spaced by angle
COSINE = Axis("cosine, spaced by angle", -180, 0, ticks=ANGLES, words=("−1", "−½", "0", "½", "1"))
HOVER = "class {labels}: {share:.1%} of the push, cosine {cosine:.2f}"

PARTS = (
    "the embeddings, with each point as large as its share of the push on one anchor; at which similarity the push is, and "
    "where positives, same-class and other pairs are; alignment against uniformity; "
)
SHARED = "no point moves, and the push is shared out anew."
ALT = (
    f"Linked views of embeddings at one temperature: {PARTS}accuracy; the length of the mean vector; the spectrum; and the "
    "loss between its chance line and its floor. To re-train shows another model at every temperature; to re-weigh shows one: "
    f"{SHARED}"
)
OWN_ALT = (
    "Linked views of your embeddings at one temperature; your model is not re-trained: the embeddings, with each point as "
    "large as its share of the push on one anchor; at which similarity the push is, and where the pairs are; how much of the "
    "push falls on the nearest 5% at every temperature; the spectrum; and the loss between its chance line and its floor. At "
    f"another temperature {SHARED}"
)
STILL = "Your embeddings, not re-trained"


def embedding(at: tuple[float, float, float, float], *, own: bool = False, classes: bool = True) -> Panel:
    whom = "Whom ★ pushes: own class {anchor_same:.0%}" if classes else "Whom ★ pushes"
    color = categories("$color", PALETTE) if classes else "blue"
    hover = HOVER if classes else HOVER.partition(": ")[2]
    return Panel(
        at,
        (
            line(np.cos(CIRCLE), np.sin(CIRCLE), color="grid", width=1.5),
            points("$x", "$y", size="$size", color=color, opacity=0.75, hover=hover, pick="anchor"),
            points("$anchor_x", "$anchor_y", size=17, color="yellow", symbol="star"),
        ),
        title=f"{STILL}\n{whom}" if own else whom,
        x=Axis(low=-1.25, high=1.25, hidden=True),
        y=Axis(low=-1.25, high=1.25, hidden=True),
        equal=True,
    )


def similarity(at: tuple[float, float, float, float], *, classes: bool = True) -> Panel:
    """At which cosine the pairs are, and above them at which the push is; without classes all others are of one kind."""
    marks = [
        text(-178, 5.75, "dotted: if all were pushed alike", color="muted", size=12),
        text("$peak_x", 5.2, "{peak:.0%} per 5°", color="muted", size=12, anchor="end", halo=True),
    ]
    if classes:
        marks.append(area("$similarity", "$ridge_push_same", "$ridge_push", color="blue", opacity=0.45))
    marks += [
        area("$similarity", 3, "$ridge_push_same", color="vermilion" if classes else "blue", opacity=0.7 if classes else 0.45),
        line("$similarity", "$ridge_push", color="ink", width=1.5),
        line("$similarity", "$ridge_even", color="muted", width=1.5, dash="dot"),
    ]
    rows = ((0, "other", "blue"), (1, "same", "vermilion"), (2, "positive", "green"))
    for base, name, color in rows if classes else ((1, "same", "blue"), rows[2]):
        marks += [
            area("$similarity", base, f"$ridge_{name}", color=color, opacity=0.45),
            line("$similarity", f"$ridge_{name}", color=color, width=1.5),
        ]
    words = ("other classes", "own class", "positives", "the push") if classes else ("all others", "positives", "the push")
    return Panel(
        at,
        tuple(marks),
        title="Whom all anchors push: own class {push_same:.0%}" if classes else "At which similarity all anchors push",
        x=COSINE,
        y=Axis("", 0, 6, ticks=(0, 1, 2, 3), words=words) if classes else Axis("", 1, 6, ticks=(1, 2, 3), words=words),
    )


def plane(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (
            line("$alignment_all", "$uniformity_all", color="muted", width=1),
            points("$alignment_all", "$uniformity_all", size=5, color="muted", hover="trained at {taus:g}"),
            text("$alignment_all", "$uniformity_all", ENDS, color="muted", size=12, halo=True),
            points("$alignment", "$uniformity", size=13, color="vermilion", hover="this model"),
        ),
        title="Alignment {alignment:.2f}, uniformity {uniformity:.2f}",
        x=Axis("alignment", 0, "$far"),
        y=Axis("uniformity", "$low", "$high", ticks="$ticks"),
    )


def nearest(at: tuple[float, float, float, float]) -> Panel:
    """How much of the push the nearest take at every temperature, and between which temperatures that changes."""
    return Panel(
        at,
        (
            rects("$span_low", "$span_high", 0, 1.05, color="sky", opacity=0.25),
            rule(x="$now"),
            rule(y=0.05, color="muted", width=1, dash="dot"),
            line("$taus", "$near_all", color="blue"),
            points("$now", "$push_near", size=10, color="blue"),
        ),
        title="The nearest 5% get {push_near:.0%}\n{span_told}",
        x=TAUS,
        y=Axis("share of the push", 0, 1.05, ticks=(0, 0.5, 1), format=".0%"),
    )


def spectrum(at: tuple[float, float, float, float], *, own: bool = False) -> Panel:
    rank = "rank {rank:.1f} of {dimensions}"
    return Panel(
        at,
        (
            bars("$number", "$spectrum", color="purple", hover="direction {number}: {spectrum:.2f} of the widest"),
            text(0.7, 0.6, "{no_width}", color="muted", size=12, halo=True),
        ),
        title=f"Alignment {{alignment:.2f}}, uniformity {{uniformity:.2f}}\n{rank}" if own else f"Spectrum: {rank}",
        x=Axis("direction", 0.5, "$last", ticks="$counted"),
        y=Axis("singular value", 0, 1.05, ticks=(0, 0.5, 1)),
    )


def accuracy(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (
            rule(x="$made"),
            rule(y="$knn_untrained", color="blue", width=1, dash="dot"),
            rule(y="$few_label_untrained", color="green", width=1, dash="dot"),
            line("$taus", "$knn_all", color="blue"),
            line("$taus", "$few_label_all", color="green"),
            points("$made", "$knn", size=10, color="blue"),
            points("$made", "$few_label", size=10, color="green", symbol="square"),
        ),
        title="kNN ● {knn:.0%}, few ■ {few_label:.0%}\ndotted: untrained",
        x=TRAINED_AT,
        y=Axis("test accuracy", 0.5, 1, format=".0%"),
    )


def leaning(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (
            rule(x="$made"),
            rule(y="$mean_norm_untrained", dash="dot", label="untrained"),
            line("$taus", "$mean_norm_all", color="purple"),
            points("$made", "$mean_norm", size=10, color="purple"),
        ),
        title="Mean vector: {mean_norm:.2f}",
        x=TRAINED_AT,
        y=Axis("length", 0, 1.2, ticks=(0, 0.5, 1)),
    )


def loss(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (
            rule(x="$now"),
            line("$taus", "$chance_all", color="muted", dash="dash", width=1.5, label="chance"),
            line("$taus", "$floor_all", color="muted", dash="dot", width=1.5, label="floor"),
            line("$taus", "$loss_all", color="vermilion"),
            points("$now", "$value", size=10, color="vermilion"),
        ),
        title="{loss_name} loss: {value:.2f}",
        x=TAUS,
        y=Axis("loss", "$loss_low", "$loss_high", ticks="$loss_ticks"),
        cursor="temperature",
    )


def scene() -> Scene:
    return Scene(
        (
            embedding((0, 0, 0.44, 0.46)),
            similarity((0.44, 0, 1, 0.46)),
            plane((0, 0.46, 0.5, 0.73)),
            spectrum((0.5, 0.46, 1, 0.73)),
            accuracy((0, 0.73, 0.31, 1)),
            leaning((0.31, 0.73, 0.61, 1)),
            loss((0.61, 0.73, 1, 1)),
        ),
        height=660,
    )


def own_scene(*, classes: bool = True) -> Scene:
    """Without what one model cannot show, and with where its push goes."""
    return Scene(
        (
            embedding((0, 0, 0.44, 0.58), own=True, classes=classes),
            similarity((0.44, 0, 1, 0.58), classes=classes),
            nearest((0, 0.58, 0.33, 1)),
            spectrum((0.33, 0.58, 0.66, 1), own=True),
            loss((0.66, 0.58, 1, 1)),
        ),
        height=580,
    )
