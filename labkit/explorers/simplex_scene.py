"""How the preference simplex looks, and what it says."""

from labkit.explorers.core import Sentence
from labkit.figures.scene import Axis, Panel, Scene, area, arrows, bars, categories, line, points, rule, text
from labkit.recipes.simplex_plane import TOP

ALT = (
    "A triangle of policies: No, the chosen answer, at the left corner, Never, the rejected one, at the right, and all other "
    "answers on top. Arrows are the exact flow of the loss, and where the log-probabilities of No and Never both fall the "
    "triangle is shaded. A path leads from a start that can be dragged until a margin is won. Beside it: how the "
    "log-probabilities changed along the path against the margin, and who received the probability."
)
ROLES = ("blue", "vermilion", "green")

TRIANGLE = Panel(
    at=(0, 0, 0.64, 1),
    marks=(
        area("$both_x", "$both_low", "$both_high", color="orange", opacity=0.3),
        area("$both_x", "$more_low", "$more_high", color="orange", opacity=0.3),
        line([0, 1, 0.5, 0], [0, 0, TOP, 0], color="muted", width=1.5),
        arrows(
            "$arrow_x",
            "$arrow_y",
            "$arrow_dx",
            "$arrow_dy",
            color="muted",
            width=1.2,
            hover="speed {speed:.2g} (probability per unit of time)",
        ),
        line("$ghost_x", "$ghost_y", color="ink", width=1.5, dash="dot"),
        line("$path_x", "$path_y", color="purple", width=3.5),
        points("$uniform_x", "$uniform_y", size="$uniform_size", color="ink", symbol="square", hover="the reference"),
        points("$end_x", "$end_y", size=16, color="purple", symbol="star", hover="margin {margin_won:.3g} won"),
        points("$start_x", "$start_y", size=15, color="ink", drag=True, hover="the start: drag it"),
        text("$beside_x", "$beside_y", "$to_the_right", bold=True),
        text("$beside_x", "$beside_y", "$to_the_left", anchor="end", bold=True),
        text(0.5, TOP + 0.045, "{top}", bold=True, anchor="middle"),
        text(-0.03, -0.055, "No, chosen", bold=True, color="blue"),
        text(1.03, -0.055, "Never, rejected", bold=True, color="vermilion", anchor="end"),
    ),
    title="Flow of {loss}. Shaded, {both_share:.0%}: both fall",
    x=Axis(low=-0.06, high=1.06, hidden=True),
    y=Axis(low=-0.1, high=TOP + 0.09, hidden=True),
    equal=True,
)
FALL = Panel(
    at=(0.64, 0, 1, 0.54),
    marks=(
        rule(y=0, width=1, dash="solid"),
        line("$ghost_won", "$ghost_change", color="ink", width=1.5, dash="dot"),
        line("$won", "$others_change", color="green", label="{rest}"),
        line("$won", "$rejected_change", color="vermilion", label="Never"),
        line("$won", "$chosen_change", color="blue", width=3, label="No"),
    ),
    title="Change of log-probability\n(dotted: No, margin alone)",
    x=Axis("margin won (nats)", "$won_low", "$margin"),
    y=Axis("nats"),
)
MASS = Panel(
    at=(0.64, 0.54, 1, 1),
    marks=(
        rule(y=0, width=1, dash="solid"),
        bars("$bar", "$gain", color=categories("$role", ROLES), width=0.7, hover="{names}: {gain:+.1%}"),
        text("$bar", "$gain_at", "$gain_words", size=12, anchor="middle"),
    ),
    title="Who got the probability",
    x=Axis(low=-0.6, high="$bar_high", ticks="$bar", words="$names"),
    y=Axis(low=-1.15, high=1.15, ticks=(-1, 0, 1)),
)
FIGURE = Scene((TRIANGLE, FALL, MASS), height=520)

# ---------------------------------------------------------------- what is said

MORE_THAN_THE_MARGIN = ("KTO", "SimPO", "DPOP", "RPO")
NO, NEVER = "No {chosen_start:.1%} → {chosen_end:.1%}", "Never {rejected_start:.1%} → {rejected_end:.1%}"
# How the path ended, by its outcome: filled in by `show`, and by the browser.
ENDS = {
    "fell": "At margin {margin:g} both have fallen: NO, NEVER; {winner} gained {winner_gain:.0%}.",
    "rose": "At margin {margin:g}: NO, NEVER.",
    "held": "At margin {margin:g} No stands where it stood: NO, NEVER.",
    "stalls": "The margin stops at {margin_won:.2g} of {margin:g}: NO, NEVER.",
    "stays": "Here it does not move: what would widen the margin lowers No below the reference, and that costs more.",
    "backwards": "It gives margin away, down to {margin_won:.2g}: NO, NEVER.",
    "cut": "The way is long and cut off at margin {margin_won:.2g}: NO, NEVER.",
}
ENDS = {name: end.replace("NO,", f"{NO},").replace("NEVER", NEVER) for name, end in ENDS.items()}
# Beside it, for losses that look at more: what a loss of the margin alone has made of No where it has won as much.
BESIDE = {name: end.replace(f"{NO},", f"{NO} (margin alone: {{chosen_alone:.1%}}),") for name, end in ENDS.items()}

BETA = "β {before.beta:g} → {after.beta:g}: "
PULL = "No is pushed {after.pull:.3g} times as hard as Never."
# What changed and why, by control and by what else must be so; how the path ended follows.
SAID: dict[tuple[str, tuple[str, str | int] | None, str], str] = {
    ("loss", ("loss", "DPO"), ""): "DPO pushes No up as hard as Never down, so its path is a line in logits, whatever learns.",
    ("loss", ("loss", "IPO"), ""): "IPO pushes the same way as DPO, at another speed, until the margin over the reference is "
    "1/(2β) = {after.target:g}: the same line.",
    ("loss", ("loss", "KTO"), ""): f"KTO judges each answer by itself: at the start {PULL}",
    ("loss", ("loss", "SimPO"), ""): f"SimPO asks no reference; it counts per token, and {PULL}",
    (
        "loss",
        ("loss", "DPOP"),
        "",
    ): "DPOP is DPO until No falls below the reference; each nat below counts {after.lambda_:g} times.",
    ("loss", ("loss", "RPO"), ""): "RPO is DPO plus η = {after.eta:g} times imitation of No, which never lets go.",
    (
        "beta",
        ("loss", "IPO"),
        "",
    ): f"{BETA}IPO's line stays; its target is now 1/(2β) = {{after.target:g}} nats over the reference.",
    ("beta", ("loss", "KTO"), ""): f"{BETA}how far a log-ratio must go before KTO lets go of its answer.",
    ("beta", ("loss", "RPO"), ""): f"{BETA}the pair pushes with at most β, imitation always with η = {{after.eta:g}}.",
    (
        "beta",
        None,
        "",
    ): f"{BETA}another speed (at the start {{after.pace:.2g}} nats of margin per unit of time), the same path.",
    ("eta", None, "rises"): "More imitation, η {before.eta:g} → {after.eta:g}: a push that never lowers No.",
    ("eta", None, ""): "Less imitation, η {before.eta:g} → {after.eta:g}: the pair counts for more.",
    ("lambda_", None, ""): "λ {before.lambda_:g} → {after.lambda_:g}: how often a nat of No below the reference counts.",
    ("gamma", None, ""): "γ {before.gamma:g} → {after.gamma:g}: when SimPO eases off, not where it goes.",
    ("chosen_lengths", None, ""): f"SimPO counts per token: {PULL}",
    ("rejected_lengths", None, ""): f"SimPO counts per token: {PULL}",
    ("kl", None, ""): f"KTO now judges against K = {{after.kl:g}}: at the start {PULL}",
    ("desirable_weight", None, ""): f"The chosen answer weighs {{after.desirable_weight:g}}: at the start {PULL}",
    ("undesirable_weight", None, ""): f"The rejected answer weighs {{after.undesirable_weight:g}}: at the start {PULL}",
    (
        "geometry",
        ("geometry", "independent"),
        "",
    ): "Each answer has its own logit: a loss of the margin alone raises No everywhere.",
    (
        "geometry",
        ("geometry", "alike"),
        "",
    ): "No and Never share the one feature that learns, and Yes lies at its other end: every "
    "loss walks the same line, one way or the other.",
    (
        "geometry",
        ("geometry", "both"),
        "",
    ): "The shared feature learns and each answer's logit too: the two pull No opposite ways wherever the feature lowers it.",
    (
        "geometry",
        ("geometry", "apart"),
        "",
    ): "One more feature tells No from Never: the margin alone moves nothing that they share.",
    ("answers", ("answers", 3), ""): "Three answers: the triangle shows every policy there is.",
    (
        "answers",
        None,
        "",
    ): "{after.answers:d} answers: on top are all others together, in the field with the shares of the start, "
    "on the path with their own.",
    ("reference", ("reference", "uniform"), ""): "The reference is the uniform policy (the square), wherever training starts.",
    ("reference", None, ""): "The reference is the policy that training starts from.",
    ("margin", None, "rises"): "Walked on, from margin {before.margin:g} to {after.margin:g}.",
    ("margin", None, ""): "Stopped earlier, at margin {after.margin:g} instead of {before.margin:g}.",
    ("moved", None, ""): "Another start.",
    (
        "",
        None,
        "",
    ): "{after.loss}, No preferred to Never. On the lower side, where only two answers are left, both cannot fall.",
}
SENTENCES = tuple(
    Sentence(
        f"{what} {{after.ended}}", changed=changed, when=dict([also] if also else []), rises=changed if way == "rises" else ""
    )
    for (changed, also, way), what in SAID.items()
)


def ending(outcome: str, loss: str) -> str:
    """The template of how a path ended."""
    return (BESIDE if loss in MORE_THAN_THE_MARGIN else ENDS)[outcome]
