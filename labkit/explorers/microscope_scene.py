"""How the force microscope looks, and what it says."""

import numpy as np

from labkit.explorers.core import Sentence
from labkit.figures.scene import Axis, Panel, Scene, arrows, bars, categories, line, points, text

CURVE = np.linspace(0, 180, 91)
ROUND = np.linspace(0, 2 * np.pi, 91)
PALETTE = ("ink", "blue", "purple", "orange")
LETTERS = ("paper", "paper", "dark", "dark")
BY_ROLE = categories("$role", PALETTE)
ALT = (
    "Twelve points on a circle, or on a sphere, twice: on the left under one loss, on the right under another. Arrows are the "
    "forces of every point on the anchor, one beneath the other, and a thick arrow is their sum. Below, bars: each negative's "
    "share of the push against its angle from the anchor, highest for the nearest; a thin line is the softmax that they follow."
)


def field(side: str, at: tuple[float, float, float, float]) -> Panel:
    """The points, and the forces under one loss."""
    near = {"hover": f"{{names}}, {{role_name}}, {{angle:.0f}}°: {{{side}_share:.1%}} of the push on {{anchor_name}}"}
    told = {"hover": f"{{tells}} {{names}}: {{{side}_force:.2g}}"}
    total = {"hover": f"sum of the forces on {{anchor_name}}: {{{side}_net:.2g}}"}
    hidden = Axis(low=-1.15, high=1.15, hidden=True)
    return Panel(
        at=at,
        marks=(
            line(np.cos(ROUND), np.sin(ROUND), color="muted", width=1.2),
            line(np.linspace(-1, 1, len(CURVE)), "$equator", color="grid", width=1.2),
            line("$spine_x", "$spine_y", color="grid", width=1.5),
            arrows(f"${side}_x", f"${side}_y", f"${side}_dx", f"${side}_dy", color=BY_ROLE, width=2, **told),
            arrows("$anchor_x", "$anchor_y", f"${side}_net_dx", f"${side}_net_dy", color="ink", width=4, **total),
            points("$anchor_x", "$anchor_y", size=23, color="ink"),
            points("$x", "$y", size="$size", color=BY_ROLE, opacity="$opacity", drag=True, pick="anchor", **near),
            text("$x", "$y", "$letters", color=categories("$role", LETTERS), size=12, anchor="middle"),
            text(f"${side}_name_x", f"${side}_name_y", f"${side}_told", size=12, anchor="middle"),
        ),
        title=f"{{{side}}}: longest arrow {{{side}_longest:.2g}}",
        x=hidden,
        y=hidden,
        equal=True,
    )


def spectrum(side: str, at: tuple[float, float, float, float]) -> Panel:
    """Who has which share of the push, against the angle."""
    said = f"{{names}}, {{role_name}}, {{angle:.0f}}°: {{{side}_share:.1%}}"
    return Panel(
        at=at,
        marks=(
            line(CURVE, f"${side}_curve", color="muted", width=1.2, dash="dot"),
            bars("$angle", f"${side}_share", width=4, color=BY_ROLE, hover=said),
        ),
        title=f"{{{side}_top_name}} has {{{side}_top:.0%}} of the push",
        x=Axis("angle from {anchor_name} (degrees)", 0, 180, ticks=(0, 45, 90, 135, 180)),
        y=Axis("share", "$share_low", "$share_high", ticks=(0, 0.5, 1), format=".0%"),
    )


LEGEND = Panel(
    at=(0, 0, 1, 0.06),
    marks=(
        points(np.array([0.02, 0.2, 0.42, 0.64]), np.zeros(4), size=13, color=categories(np.arange(4), PALETTE)),
        text(np.array([0.045, 0.225, 0.445, 0.665]), np.zeros(4), ["anchor", "its positive", "same class", "other class"]),
    ),
    x=Axis(low=0, high=1, hidden=True),
    y=Axis(low=-1, high=1, hidden=True),
)
FIGURE = Scene(
    panels=(
        LEGEND,
        field("left", (0, 0.06, 0.5, 0.68)),
        field("right", (0.5, 0.06, 1, 0.68)),
        spectrum("left", (0, 0.68, 0.5, 1)),
        spectrum("right", (0.5, 0.68, 1, 1)),
    ),
    height=560,
)


# ---------------------------------------------------------------- what is said

MORE = " (more than all, because easy ones pull)"
WHY = {
    "InfoNCE": "InfoNCE has the positive in its denominator, so the whole force of an anchor's own loss fades by 1 − p+: for "
    "{after.anchor_name} that is {after.rest:.1%}.",
    "DCL": "DCL takes the positive out of the denominator: the force of an anchor's own loss is InfoNCE's divided by 1 − p+, "
    "for {after.anchor_name} {after.rest:.1%}. The shares are the same.",
    "DHEL": "DHEL compares a point with its own view only: names with a prime do not push names without one.",
    "SupCon": "SupCon counts all points of the anchor's class as positives; only the other class has a share of the push. A "
    "positive that is much nearer than the others can still be pushed.",
    "MACL": "MACL is DCL at a temperature that rises with alignment: here {after.SIDE_temperature:.2g}, where the slider says "
    "{after.temperature:g}.",
    "HCL": "HCL weighs hard negatives by e^(cos/τ) once more, and differentiates the weights: an easy negative can get a "
    "share below zero, that is, be pulled, and the hardest then more than all of the push.",
    "align + uniform": "Alignment is a spring between the two views and knows no negatives; uniformity pushes within a view, "
    "by a Gaussian that falls off as e^(cos/τ) does, so the shares within a view are a softmax.",
}
SEEN = {
    "a hard negative": "x, of the other class, lies nearer to a than its positive a′, and has {after.left_top:.0%} of the push "
    "under {after.left}{after.left_more}, {after.right_top:.0%} under {after.right}{after.right_more}. Drag a′ onto a: which "
    "side fades?",
    "a false negative": "b is of a's class and nearer to a than a's positive. Losses without labels have it among the "
    "negatives; SupCon counts it as a positive.",
    "an easy positive": "a′ is next to a, nearer than anyone else. In a's own loss, InfoNCE's force is DCL's times 1 − p+ = "
    "{after.rest:.2g}. Drag a′ away, and back.",
    "a hard positive": "a′ is far from a, and others lie between. 1 − p+ = {after.rest:.0%}, so InfoNCE's own force on a is "
    "nearly DCL's.",
    "a duplicate": "x, of the other class, lies exactly on a: no share of the push is larger, {after.left_top:.0%} "
    "under {after.left}{after.left_more}, and yet its force is zero, because it points along the radius.",
    "two classes": "Two classes, as training finds them. Of the push on a, its own class has {after.left_same:.0%} under "
    "{after.left} and {after.right_same:.0%} under {after.right}.",
    "random, on a sphere": "A sphere seen from in front: small faint points are behind, and a point that is dragged stays on "
    "its half. Sum of the forces on a: {after.left_net:.2g} under {after.left}, {after.right_net:.2g} under {after.right}.",
    "two classes, on a sphere": "A sphere seen from in front: small faint points are behind. Of the push on a, its own class "
    "has {after.left_same:.0%} under {after.left} and {after.right_same:.0%} under {after.right}.",
}
TOPS = (
    "{after.left}: {after.left_top_name} has {after.left_top:.0%} of the push on {after.anchor_name}{after.left_more} (before "
    "{before.left_top:.0%}). {after.right}: {after.right_top_name} has {after.right_top:.0%}{after.right_more} (before "
    "{before.right_top:.0%})."
)
FACTOR = (
    "1 − p+ was {before.rest:.2g} and is {after.rest:.2g}. InfoNCE's own force on {after.anchor_name} is DCL's times this; the "
    "shares of the push are the same."
)
# Who was moved, and what that did to the positive, where it became easier and where harder.
MOVES = {
    "its positive": ("The positive {after.mover_name} was moved, and is", "easier", "harder"),
    "the anchor": ("The anchor {after.mover_name} was moved, and its positive is", "easier", "harder"),
    "another": ("{after.mover_name}, a negative, was moved, and beside it the positive is", "easier", "harder"),
}


def against(left: str, right: str) -> list[Sentence]:
    """What a moved point means where InfoNCE stands beside DCL."""
    found = []
    for mover, (words, easier, harder) in MOVES.items():
        when = {"left": left, "right": right, "mover": mover}
        found.append(Sentence(f"{words} {easier} than before: {FACTOR}", changed="moved", when=when, falls="rest_told"))
        found.append(Sentence(f"{words} {harder} than before: {FACTOR}", changed="moved", when=when, rises="rest_told"))
    return found


SHARE = "With {after.mover_name} moved, the largest share of the push under {after.left} is "
SENTENCES = (
    *against("InfoNCE", "DCL"),
    *against("DCL", "InfoNCE"),
    Sentence(SHARE + "larger than before. " + TOPS, changed="moved", rises="left_top_told"),
    Sentence(SHARE + "smaller than before. " + TOPS, changed="moved", falls="left_top_told"),
    Sentence(SHARE + "as before. " + TOPS, changed="moved"),
    Sentence("Colder: the push gathers on the nearest. " + TOPS, changed="temperature", falls="temperature", rises="left_top"),
    Sentence("Warmer: the push spreads over all. " + TOPS, changed="temperature", rises="temperature", falls="left_top"),
    Sentence(TOPS, changed="temperature"),
    *(
        Sentence(words.replace("SIDE", side), changed=side, when={side: name})
        for side in ("left", "right")
        for name, words in WHY.items()
    ),
    Sentence(
        "Each arrow is the sum of the forces on its point. The bars are still the shares for {after.anchor_name}.",
        changed="on",
        when={"on": "every point"},
    ),
    Sentence("Each arrow is the force of one point on {after.anchor_name}, the thick one is their sum.", changed="on"),
    Sentence(
        "One scale: lengths can be compared between left and right. The longest arrows are {after.left_longest:.2g} and "
        "{after.right_longest:.2g}.",
        changed="scale",
        when={"scale": "one scale"},
    ),
    Sentence(
        "Each its own scale: the longest arrow on both sides is drawn equally long, though they are {after.left_longest:.2g} "
        "and {after.right_longest:.2g}. Compare directions, not lengths.",
        changed="scale",
    ),
    *(Sentence(words, when={"scene": name, "anchor": 0, "moved": None}) for name, words in SEEN.items()),
    Sentence(
        "Forces on {after.anchor_name}. {after.left}: sum {after.left_net:.2g}, {after.left_top_name} has {after.left_top:.0%} "
        "of the push{after.left_more}. {after.right}: sum {after.right_net:.2g}, {after.right_top_name} has "
        "{after.right_top:.0%}{after.right_more}."
    ),
)
