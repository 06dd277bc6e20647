"""How the temperature explorer looks, and what it says of a change."""

import numpy as np

from labkit.explorers.core import Sentence
from labkit.figures.scene import Axis, Panel, Scene, area, categories, line, points, rule, text

PALETTE = ("blue", "vermilion", "green", "purple", "sky", "orange", "yellow", "muted", "ink", "dark")
CIRCLE = np.linspace(0, 2 * np.pi, 121)
TAUS = Axis("temperature", 0.02, 2, log=True, ticks=(0.02, 0.1, 0.5, 2))
TRAINED_AT = Axis("trained at temperature", 0.02, 2, log=True, ticks=(0.02, 0.1, 0.5, 2))
ANGLES = (-180, -120, -90, -60, 0)  # cosines crowd where angles are small, so the axis is spaced by angle
COSINE = Axis("cosine, spaced by angle", -180, 0, ticks=ANGLES, words=("−1", "−½", "0", "½", "1"))
BARE = Axis("", -180, 0, ticks=ANGLES, words=("", "", "", "", ""))
HOVER = "class {labels}: {share:.1%} of the push, cosine {cosine:.2f}"

ALT = (
    "Linked views of embeddings at one temperature: the embeddings, with each point as large as its share of the push on one "
    "anchor; at which similarity the push is, and where positives, same-class and other pairs are; alignment against "
    "uniformity; accuracy; the length of the mean vector; the spectrum; and the loss between its chance line and its floor. "
    "Lowering the temperature on fixed embeddings moves the push to the most similar points, most of them of the anchor's own "
    "class; models trained at lower temperatures spread their classes out."
)


def embedding(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (
            line(np.cos(CIRCLE), np.sin(CIRCLE), color="grid", width=1.5),
            points("$x", "$y", size="$size", color=categories("$labels", PALETTE), opacity=0.75, hover=HOVER, pick="anchor"),
            points("$anchor_x", "$anchor_y", size=17, color="yellow", symbol="star"),
        ),
        title="The push on the star: {anchor_same:.0%} on its class",
        x=Axis(low=-1.25, high=1.25, hidden=True),
        y=Axis(low=-1.25, high=1.25, hidden=True),
        equal=True,
    )


def hardness(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (
            area("$similarity", 0, "$push_by_all", color="blue", opacity=0.45),
            area("$similarity", 0, "$push_by_same", color="vermilion", opacity=0.75),
            line("$similarity", "$push_by_all", color="ink", width=1.2),
        ),
        title="Whom is pushed: {push_same:.0%} own class",
        x=BARE,
        y=Axis("share of push", 0, None, format=".0%"),
    )


def ridges(at: tuple[float, float, float, float]) -> Panel:
    marks = []
    for base, name, color in ((0, "other", "blue"), (1, "same", "vermilion"), (2, "positive", "green")):
        marks += [
            area("$similarity", base, f"$ridge_{name}", color=color, opacity=0.45),
            line("$similarity", f"$ridge_{name}", color=color, width=1.5),
        ]
    words = ("other classes", "own class", "positives")
    return Panel(at, tuple(marks), title="Where the pairs are", x=COSINE, y=Axis("", 0, 3, ticks=(0.2, 1.2, 2.2), words=words))


def plane(at: tuple[float, float, float, float], *, own: bool = False) -> Panel:
    all_models = (
        line("$alignment_all", "$uniformity_all", color="muted", width=1),
        points("$alignment_all", "$uniformity_all", size=5, color="muted", hover="trained at {taus:g}"),
        points("$alignment_untrained", "$uniformity_untrained", size=9, color="ink", symbol="cross", hover="untrained"),
    )
    now = points("$alignment", "$uniformity", size=13, color="vermilion", hover="this model")
    return Panel(
        at,
        (now,) if own else (*all_models, now),
        title="Alignment {alignment:.2f}, uniformity {uniformity:.2f}",
        x=Axis("alignment (0: views agree)", 0, 1),
        y=Axis("uniformity", -4, 0),
    )


def spectrum(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (area("$number", 0, "$spectrum", color="purple", opacity=0.25), points("$number", "$spectrum", size=5, color="purple")),
        title="Spectrum: rank {rank:.1f} of {dimensions}",
        x=Axis("direction", 0, "$dimensions", format="d"),
        y=Axis("singular value", 0, 1.05, ticks=(0, 0.5, 1)),
    )


def accuracy(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (
            rule(x="$trained"),
            line("$taus", "$knn_all", color="blue"),
            line("$taus", "$few_label_all", color="green"),
            points("$trained", "$knn", size=10, color="blue"),
            points("$trained", "$few_label", size=10, color="green", symbol="square"),
        ),
        title="kNN ● {knn:.0%}, 2 labels ■ {few_label:.0%}",
        x=TRAINED_AT,
        y=Axis("test accuracy", 0.5, 1, format=".0%"),
    )


def leaning(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (
            rule(x="$trained"),
            rule(y="$mean_norm_untrained", dash="dot"),
            text(2, "$mean_norm_untrained", "untrained", color="muted", size=12, anchor="end"),
            line("$taus", "$mean_norm_all", color="purple"),
            points("$trained", "$mean_norm", size=10, color="purple"),
        ),
        title="Mean vector: {mean_norm:.2f}",
        x=TRAINED_AT,
        y=Axis("length", 0, 1.05, ticks=(0, 0.5, 1)),
    )


def loss(at: tuple[float, float, float, float]) -> Panel:
    return Panel(
        at,
        (
            rule(x="$temperature"),
            line("$taus", "$chance_all", color="muted", dash="dash", width=1.5),
            line("$taus", "$floor_all", color="muted", dash="dot", width=1.5),
            line("$taus", "$loss_all", color="vermilion"),
            points("$temperature", "$loss", size=10, color="vermilion"),
        ),
        title="{loss_name} {loss:.2f}",
        x=TAUS,
        y=Axis("loss", "$loss_low", "$loss_high"),
        cursor="temperature",
    )


def scene() -> Scene:
    return Scene(
        (
            embedding((0, 0, 0.47, 0.44)),
            hardness((0.47, 0, 1, 0.2)),
            ridges((0.47, 0.2, 1, 0.44)),
            plane((0, 0.44, 0.5, 0.72)),
            spectrum((0.5, 0.44, 1, 0.72)),
            accuracy((0, 0.72, 0.34, 1)),
            leaning((0.34, 0.72, 0.66, 1)),
            loss((0.66, 0.72, 1, 1)),
        ),
        height=660,
    )


def own_scene() -> Scene:
    """Without what one model cannot show."""
    return Scene(
        (
            embedding((0, 0, 0.5, 0.62)),
            hardness((0.5, 0, 1, 0.28)),
            ridges((0.5, 0.28, 1, 0.62)),
            plane((0, 0.62, 0.34, 1), own=True),
            spectrum((0.34, 0.62, 0.67, 1)),
            loss((0.67, 0.62, 1, 1)),
        ),
        height=560,
    )


SAME = "{before.push_same:.1%} → {after.push_same:.1%}"
NEAR = "{before.push_near:.1%} → {after.push_near:.1%}"
CLOSE = "same-class cosine {before.same_class:.3f} → {after.same_class:.3f}"
LEANS = "mean vector {before.mean_norm:.2f} → {after.mean_norm:.2f}"
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
        f"{TRAINED}: more of its push falls on the own class ({SAME}), and its classes spread out: {CLOSE}.",
        changed="temperature",
        when=ANEW,
        rises="push_same",
        falls="same_class",
    ),
    Sentence(
        f"{TRAINED}: less of its push falls on the own class ({SAME}), and its classes draw together: {CLOSE}.",
        changed="temperature",
        when=ANEW,
        falls="push_same",
        rises="same_class",
    ),
    Sentence(
        f"{TRAINED}: more of its push falls on the own class ({SAME}), yet its classes lie no less close: {CLOSE}; {LEANS}.",
        changed="temperature",
        when=ANEW,
        rises="push_same",
    ),
    Sentence(
        f"{TRAINED}: less of its push falls on the own class ({SAME}), yet its classes lie no closer: {CLOSE}; {LEANS}.",
        changed="temperature",
        when=ANEW,
        falls="push_same",
    ),
    Sentence(f"{TRAINED}: {SAME} of its push on the own class; {CLOSE}.", changed="temperature"),
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
        "{after.loss_name} on {after.data}, trained at {after.trained:g}, weighed at {after.temperature:g}: "
        f"{{after.push_same:.0%}} {EVEN}"
    ),
)
