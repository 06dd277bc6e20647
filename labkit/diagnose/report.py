"""A diagnosis: fields that are numbers, and the page that is read."""

import html
from dataclasses import dataclass, field
from typing import Any

from labkit.diagnose.evidence import Receiver
from labkit.metrics import Estimate

LEVELS = {
    "L0": (
        "means from trainer logs",
        "which pairs fell, at which tokens, who gained, and why: only averages over whatever was in each batch were logged",
    ),
    "L1": ("log-probabilities of every pair, before and after", "at which tokens they fell, who gained, and why"),
    "L2": (
        "log-probabilities of every token of a fixed set of pairs, and who gained where the answers open",
        "why: no gradients were kept, and only the likeliest gainers are named",
    ),
    "L3": (
        "checkpoints: the whole softmax before and after",
        "what the policy says to prompts that were not looked at; a fall is no harm by itself",
    ),
}


@dataclass(frozen=True)
class Diagnosis:
    """What became of the answers, who gained, and what to try; printed, it says so in words.

    level: "L0" to "L3", what it rests on.
    verdict: "no displacement", "fell", "fell and the opposite gained", "fell and near-paraphrases gained", "rejected rises" or
        "cannot tell".
    n: pairs; at L0 the rows of the log that were averaged.
    chosen, rejected, margin: mean change in log-probability (at L0 without beta, in rewards), with its interval.
    fallen: the share of pairs whose chosen answer fell.
    opening, ending: of the chosen answer's mean change, what happened up to the fork with the rejected answer, and after it.
    gains: kind of word -> probability gained at the opening, mean over pairs.
    receivers: the words that gained most there.
    account: the accumulated first-order account: "true", "total", "own", "entangled", "rest".
    ratio, sign_ratio: entanglement at the start, for plain gradient descent and for sign steps.
    ln_ches, ches: mean scores at the start; they lead nowhere by themselves.
    curves: column -> list over the run, for figures.
    evidence, remedies, missing: sentences.
    """

    level: str
    verdict: str
    n: int
    chosen: Estimate | None = None
    rejected: Estimate | None = None
    margin: Estimate | None = None
    fallen: float | None = None
    opening: float | None = None
    ending: float | None = None
    gains: dict[str, Estimate] = field(default_factory=dict)
    receivers: tuple[Receiver, ...] = ()
    account: dict[str, float] | None = None
    ratio: float | None = None
    sign_ratio: float | None = None
    ln_ches: float | None = None
    ches: float | None = None
    curves: dict[str, list] = field(default_factory=dict, repr=False)
    evidence: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def fell(self) -> bool | None:
        """Whether the chosen answers fell; None if it cannot be told."""
        return None if self.verdict == "cannot tell" else self.verdict.startswith("fell")

    @property
    def cannot(self) -> str:
        return LEVELS[self.level][1]

    def parts(self) -> list[tuple[str, tuple[str, ...]]]:
        """Headings and their sentences, in the order in which they are read."""
        level = (f"{self.level}: {LEVELS[self.level][0]}.", f"It cannot tell {self.cannot}.")
        found = [("Evidence level", level), ("Verdict", (self.verdict,)), ("Evidence", self.evidence)]
        return [*found, ("Try next", self.remedies), ("Log next", self.missing)]

    def __str__(self) -> str:
        lines = []
        for heading, sentences in self.parts():
            if sentences:
                lines.append(f"{heading}: {sentences[0]}" if len(sentences) == 1 else f"{heading}:")
                lines += [f"  {s}" for s in sentences] if len(sentences) > 1 else []
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        color = "#009E73" if self.fell is False and self.verdict == "no displacement" else "#D55E00" if self.fell else "#5F6470"
        rows = []
        for heading, sentences in self.parts():
            if heading == "Verdict":
                rows.append(f'<p style="margin:.5em 0;font-size:1.15em;color:{color}"><b>{html.escape(self.verdict)}</b></p>')
            elif sentences:
                items = "".join(f"<li>{line(s)}</li>" for s in sentences)
                rows.append(f'<b>{heading}</b><ul style="margin:.2em 0 .5em">{items}</ul>')
        return f'<div class="labkit-diagnosis" style="border-left:4px solid {color};padding:.35em .8em">{"".join(rows)}</div>'

    def numbers(self) -> dict[str, Any]:
        """Every field that is a number, as JSON takes it."""
        plain = {name: getattr(self, name) for name in ("level", "verdict", "n", "fallen", "opening", "ending", "account")}
        plain |= {name: getattr(self, name) for name in ("ratio", "sign_ratio", "ln_ches", "ches", "curves")}
        estimates = {name: getattr(self, name) for name in ("chosen", "rejected", "margin")}
        plain |= {name: e and e._asdict() for name, e in estimates.items()}
        plain["gains"] = {kind: e._asdict() for kind, e in self.gains.items()}
        return plain | {"receivers": [r._asdict() for r in self.receivers]}


def line(sentence: str) -> str:
    """A sentence as HTML; one that holds code keeps its lines."""
    text = html.escape(sentence)
    return f"<pre style='margin:.2em 0'>{text}</pre>" if "\n" in sentence else text
