"""How the temperature explorer looks, and what it says of a change."""

import numpy as np

from labkit.explorers.core import Sentence
from labkit.explorers.weighing import SEEDS_SD
from labkit.figures.scene import Axis, Panel, Scene, area, bars, categories, line, points, rule, text
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
    f"Linked views of your embeddings at one temperature: {PARTS}the spectrum; and the loss between its chance line and its "
    f"floor. At another temperature {SHARED}"
)


def embedding(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (
            line(np.cos(CIRCLE), np.sin(CIRCLE), color="grid", width=1.5),
            points("$x", "$y", size="$size", color=categories("$color", PALETTE), opacity=0.75, hover=HOVER, pick="anchor"),
            points("$anchor_x", "$anchor_y", size=17, color="yellow", symbol="star"),
        ),
        title="Whom ★ pushes: own class {anchor_same:.0%}",
        x=Axis(low=-1.25, high=1.25, hidden=True),
        y=Axis(low=-1.25, high=1.25, hidden=True),
        equal=True,
    )


def similarity(at: tuple[float, float, float, float]) -> Panel:
    """At which cosine the pairs are, and above them at which the push is."""
    marks = [
        text(-178, 5.75, "dotted: if all were pushed alike", color="muted", size=12),
        text("$peak_x", 5.2, "{peak:.0%} per 5°", color="muted", size=12, anchor="end", halo=True),
        area("$similarity", "$ridge_push_same", "$ridge_push", color="blue", opacity=0.45),
        area("$similarity", 3, "$ridge_push_same", color="vermilion", opacity=0.7),
        line("$similarity", "$ridge_push", color="ink", width=1.5),
        line("$similarity", "$ridge_even", color="muted", width=1.5, dash="dot"),
    ]
    for base, name, color in ((0, "other", "blue"), (1, "same", "vermilion"), (2, "positive", "green")):
        marks += [
            area("$similarity", base, f"$ridge_{name}", color=color, opacity=0.45),
            line("$similarity", f"$ridge_{name}", color=color, width=1.5),
        ]
    words = ("other classes", "own class", "positives", "the push")
    return Panel(
        at,
        tuple(marks),
        title="Whom all anchors push: own class {push_same:.0%}",
        x=COSINE,
        y=Axis("", 0, 6, ticks=(0, 1, 2, 3), words=words),
    )


def plane(at: tuple[float, float, float, float], *, own: bool = False) -> Panel:
    all_models = (
        line("$alignment_all", "$uniformity_all", color="muted", width=1),
        points("$alignment_all", "$uniformity_all", size=5, color="muted", hover="trained at {taus:g}"),
        text("$alignment_all", "$uniformity_all", ENDS, color="muted", size=12, halo=True),
    )
    now = points("$alignment", "$uniformity", size=13, color="vermilion", hover="this model")
    return Panel(
        at,
        (now,) if own else (*all_models, now),
        title="Alignment {alignment:.2f}, uniformity {uniformity:.2f}",
        x=Axis("alignment", 0, "$far"),
        y=Axis("uniformity", "$low", "$high", ticks="$ticks"),
    )


def spectrum(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (
            bars("$number", "$spectrum", color="purple", hover="direction {number}: {spectrum:.2f} of the widest"),
            text(0.7, 0.6, "{no_width}", color="muted", size=12, halo=True),
        ),
        title="Spectrum: rank {rank:.1f} of {dimensions}",
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


def own_scene() -> Scene:
    """Without what one model cannot show."""
    return Scene(
        (
            embedding((0, 0, 0.44, 0.58)),
            similarity((0.44, 0, 1, 0.58)),
            plane((0, 0.58, 0.31, 1), own=True),
            spectrum((0.31, 0.58, 0.61, 1)),
            loss((0.61, 0.58, 1, 1)),
        ),
        height=540,
    )


SAME = "{before.push_same:.1%} → {after.push_same:.1%}"
NEAR = "{before.push_near:.1%} → {after.push_near:.1%}"
CLOSE = "same-class cosine {before.same_class:.3f} → {after.same_class:.3f}"
SEEDS = f"another seed alone may change that by {SEEDS_SD:g}"
WEIGHED = "{after.whose}, weighed at {after.temperature:g} instead of {before.temperature:g}: no point moved"
TRAINED = "Another model, trained at {after.trained:g} instead of {before.trained:g}"
OTHER = "Another model, trained with {after.loss_name} instead of {before.loss_name}"
EVEN = "of an anchor's push falls on its own class, which is {after.even:.0%} of those it can push."
AGAIN, ANEW, OWN = {"mode": "re-weigh"}, {"mode": "re-train"}, {"data": "yours"}
TOLD = {"loss": "sup_con"}  # the classes

SENTENCES = (
    Sentence(
        f"{WEIGHED}. The own class are positives here; whoever of them takes more than an even share is pushed back: {SAME} of "
        f"the push, and {NEAR} falls on the nearest twentieth.",
        changed="temperature",
        when=AGAIN | TOLD,
    ),
    Sentence(
        f"{WEIGHED}, but small differences of cosine now count for more, and the push gathers on the nearest: {NEAR} on the "
        f"nearest twentieth, {SAME} on the own class.",
        changed="temperature",
        when=AGAIN,
        falls="temperature",
        rises="push_near",
    ),
    Sentence(
        f"{WEIGHED}, but small differences of cosine now count for less, and the push spreads out: {NEAR} on the nearest "
        f"twentieth, {SAME} on the own class.",
        changed="temperature",
        when=AGAIN,
        rises="temperature",
        falls="push_near",
    ),
    Sentence(
        f"{WEIGHED}. {NEAR} of the push on the nearest twentieth, {SAME} on the own class.", changed="temperature", when=AGAIN
    ),
    Sentence(
        f"{TRAINED} and told the classes: its own class is pulled in, and pushed back only where one takes more than an even "
        f"share: {SAME} of the push; {CLOSE}.",
        changed="temperature",
        when=ANEW | TOLD,
    ),
    Sentence(
        f"{TRAINED}: its classes spread out, {CLOSE}. {SAME} of its push falls on the own class.",
        changed="temperature",
        rises="apart",
        falls="closer",
    ),
    Sentence(
        f"{TRAINED}: its classes draw together, {CLOSE}. {SAME} of its push falls on the own class.",
        changed="temperature",
        rises="closer",
        falls="apart",
    ),
    *(
        Sentence(
            f"{TRAINED}: {CLOSE}, and {SEEDS}. {SAME} of its push falls on the own class.",
            changed="temperature",
            rises=up,
            falls=down,
        )
        for up, down in (("closer", ""), ("", "closer"), ("apart", ""), ("", "apart"))
    ),
    Sentence(
        f"{TRAINED}: its classes hardly move, {CLOSE}, and {SEEDS}. {SAME} of its push falls on the own class.",
        changed="temperature",
    ),
    Sentence(
        "Re-weigh: the model trained at {after.trained:g} stays, and no point moves. The slider now only changes how the push "
        "is shared out.",
        changed="mode",
        when=AGAIN,
    ),
    Sentence(
        "Re-train: every temperature is another model, really trained with it; this one at {after.trained:g}.", changed="mode"
    ),
    Sentence(
        f"{TRAINED}, and weighed at the same {{after.temperature:g}}: {SAME} of its push on the own class; {CLOSE}.",
        changed="trained",
    ),
    Sentence(
        "{after.whose}, under {after.loss_name} instead of {before.loss_name}: no point moved; "
        f"{SAME} of the push on the own class.",
        changed="loss",
        when=OWN,
    ),
    Sentence(
        f"{OTHER}, which is told the classes: they are positives, no longer negatives. {SAME} of its push on the own class; "
        f"{CLOSE}.",
        changed="loss",
        when=TOLD,
    ),
    Sentence(f"{OTHER}: {SAME} of its push on the own class; {CLOSE}.", changed="loss"),
    Sentence(
        "Another anchor, of class {after.anchor_class}: {after.anchor_same:.0%} of its push falls on its own class, "
        "{after.push_same:.0%} on average over all anchors.",
        changed="anchor",
    ),
    Sentence(
        f"{{after.whose}}, weighed at {{after.temperature:g}} with {{after.loss_name}}: {{after.push_same:.0%}} {EVEN}",
        when=OWN,
    ),
    Sentence(
        "{after.loss_name} on the {after.data} data, trained at {after.trained:g}, weighed at {after.temperature:g}: "
        f"{{after.push_same:.0%}} {EVEN}"
    ),
)
