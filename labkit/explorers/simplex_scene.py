"""How the preference simplex looks, and what it says."""

from typing import Any

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
        text("$beside_x", "$beside_y", "$to_the_right", bold=True, halo=True),
        text("$beside_x", "$beside_y", "$to_the_left", anchor="end", bold=True, halo=True),
        text(0.5, TOP + 0.06, "{top}", bold=True, anchor="middle"),
        text(-0.03, -0.055, "No, chosen", bold=True, color="blue"),
        text(1.03, -0.055, "Never, rejected", bold=True, color="vermilion", anchor="end"),
    ),
    title="Flow of {loss}. Shaded, {both_share:.0%}: both fall",
    x=Axis(low=-0.06, high=1.06, hidden=True),
    y=Axis(low=-0.1, high=TOP + 0.1, hidden=True),
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
    title="Change of log π\n(dotted: margin alone)",
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
    "stalls": "The margin stops at {margin_won:.2g}, short of {margin:g}: NO, NEVER.",
    "stays": "Here it does not move: what would widen the margin lowers No below the reference, and that costs more.",
    "backwards": "It gives margin away; the walk stops at {margin_won:.2g}, as far down as it was to go up: NO, NEVER.",
    "rests": "It gives margin away and comes to rest at {margin_won:.2g}: NO, NEVER.",
    "cut": "The way is long and cut off at margin {margin_won:.2g}: NO, NEVER.",
}
ENDS = {name: end.replace("NO,", f"{NO},").replace("NEVER", NEVER) for name, end in ENDS.items()}
# Beside it, for losses that look at more: what a loss of the margin alone has made of No where it has won as much.
BESIDE = {name: end.replace(f"{NO},", f"{NO} (margin alone: {{chosen_alone:.1%}}),") for name, end in ENDS.items()}

BETA = "β {before.beta:g} → {after.beta:g}: "
PULL = "No is pushed {after.pushed} Never."


def told(changed: str, why: str, *, rises: str = "", falls: str = "", **when: Any) -> Sentence:
    """What changed and why, and then how the path ended."""
    return Sentence(f"{why} {{after.ended}}", changed=changed, when=when, rises=rises, falls=falls)


SENTENCES = (
    told("loss", "DPO pushes No up as hard as Never down: its path is a line in logits, whatever learns.", loss="DPO"),
    told(
        "loss",
        "IPO pushes the same way as DPO and walks its line, up to a margin over the reference of 1/(2β) = {after.target:g}.",
        loss="IPO",
    ),
    told("loss", f"KTO judges each answer by itself: at the start {PULL}", loss="KTO"),
    told("loss", f"SimPO asks no reference; it counts per token, and {PULL}", loss="SimPO"),
    told(
        "loss",
        "DPOP is DPO until No is below the reference; a nat below costs λ = {after.lambda_:g} of margin in its eyes.",
        loss="DPOP",
    ),
    told("loss", "RPO is DPO plus η = {after.eta:g} times imitation of No, which never lets go.", loss="RPO"),
    told("beta", f"{BETA}IPO's line stays; its target is now 1/(2β) = {{after.target:g}} nats.", loss="IPO"),
    told("beta", f"{BETA}how far a log-ratio must go before KTO lets go of its answer.", loss="KTO"),
    told("beta", f"{BETA}the pair pushes with at most β, imitation always with η = {{after.eta:g}}.", loss="RPO"),
    told("beta", f"{BETA}the same path at another speed, at first {{after.pace:.2g}} nats of margin per unit of time."),
    told("eta", "More imitation, η {before.eta:g} → {after.eta:g}: a push that never lowers No.", rises="eta"),
    told("eta", "Less imitation, η {before.eta:g} → {after.eta:g}: the pair counts for more."),
    told(
        "lambda_",
        "λ {before.lambda_:g} → {after.lambda_:g}: a nat of No below the reference costs that much margin in DPOP's eyes.",
    ),
    told("gamma", "γ {before.gamma:g} → {after.gamma:g}: when SimPO eases off, not where it goes."),
    told("chosen_lengths", f"SimPO counts per token: {PULL}"),
    told("rejected_lengths", f"SimPO counts per token: {PULL}"),
    told("kl", f"KTO now judges against K = {{after.kl:g}}: at the start {PULL}"),
    told("desirable_weight", f"The chosen answer weighs {{after.desirable_weight:g}}: at the start {PULL}"),
    told("undesirable_weight", f"The rejected answer weighs {{after.undesirable_weight:g}}: at the start {PULL}"),
    told("geometry", "Each answer has its own logit: a loss of the margin alone raises No everywhere.", geometry="independent"),
    told(
        "geometry",
        "No and Never share the one feature that learns, with Yes at its other end: every loss walks one line, back or forth.",
        geometry="alike",
    ),
    told(
        "geometry",
        "The shared feature learns, and each answer's own logit: what one does to No the other may undo.",
        geometry="both",
    ),
    told("geometry", "One more feature tells No from Never: the margin alone moves nothing that they share.", geometry="apart"),
    told("answers", "Three answers: the triangle shows every policy there is.", answers=3),
    told(
        "answers",
        "{after.answers:d} answers, on top all others: in the field they share as at the start, on the path as the flow says.",
    ),
    told("reference", "The reference is the uniform policy (the square), wherever training starts.", reference="uniform"),
    told("reference", "The reference is the policy that training starts from."),
    told("margin", "Walked on, from margin {before.margin_won:.2g} to {after.margin_won:.2g}.", rises="walked"),
    told("margin", "Stopped earlier, at margin {after.margin_won:.2g} instead of {before.margin_won:.2g}.", falls="walked"),
    told("margin", "Margin {after.margin:g} is asked for instead of {before.margin:g}, and the path is the same."),
    told("moved", "Another start."),
    told("", "{after.loss}, No preferred to Never. On the lower side, where only two answers are left, both cannot fall."),
)


def ending(outcome: str, loss: str) -> str:
    """The template of how a path ended."""
    return (BESIDE if loss in MORE_THAN_THE_MARGIN else ENDS)[outcome]
