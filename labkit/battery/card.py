"""The card: what the battery found, to be read."""

import html
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from labkit.battery.trials import Check

MARKS = {"passed": "ok", "failed": "FAILED", "differs": "differs", "look": "LOOK", "not applicable": "-"}
COLORS = {"passed": "#009E73", "failed": "#D55E00", "differs": "#5F6470", "look": "#B07A00", "not applicable": "#5F6470"}


@dataclass(frozen=True)
class ObjectiveCard:
    """What `check_objective` found.

    name: of the function. kind: which tensors it takes. call: how it was called.
    checks: every check, in order; `card["gradient"]` is one of them.
    passed: nothing failed. What merely `differs` from most losses, or deserves a `look`, does not count.
    timing: what a step takes, yours and the reference's: a sentence beside the card, which differs from call to call.
    """

    name: str
    kind: str
    call: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    timing: str = field(default="", compare=False, repr=False)
    drawn: list[int] = field(default_factory=list, compare=False, repr=False)  # the cells that show it already

    @property
    def passed(self) -> bool:
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if c.verdict == "failed")

    @property
    def looks(self) -> tuple[Check, ...]:
        """What is usually a mistake, though it may be meant."""
        return tuple(c for c in self.checks if c.verdict == "look")

    def __bool__(self) -> bool:
        return self.passed

    def __getitem__(self, key: str) -> Check:
        for check in self.checks:
            if check.key == key:
                return check
        raise KeyError(f"no check is called {key!r}; there are {', '.join(c.key for c in self.checks)}")

    @property
    def verdict(self) -> str:
        """One sentence."""
        asked = sum(c.verdict != "not applicable" for c in self.checks)
        looks = f"{len(self.looks)} thing{'s' * (len(self.looks) > 1)} to look at"
        if self.failed:
            return f"{len(self.failed)} of {asked} checks failed{f', and {looks}' if self.looks else ''}"
        return (
            f"passed, but {looks} ({', '.join(c.key for c in self.looks)})"
            if self.looks
            else f"passed: nothing is wrong in {asked} checks"
        )

    def groups(self) -> Iterator[tuple[str, list[Check]]]:
        """What is wrong first, then what to look at, then the rest."""
        for heading, verdicts in (
            ("Wrong", ("failed",)),
            ("Look at", ("look",)),
            ("", ("passed", "differs", "not applicable")),
        ):
            if found := [c for c in self.checks if c.verdict in verdicts]:
                yield heading or ("Everything else" if self.failed or self.looks else "Checks"), found

    def __str__(self) -> str:
        lines = [f"{self.call}: {self.verdict}.", *self.notes]
        width = max(len(c.title) for c in self.checks)
        for heading, found in self.groups():
            lines += ["", f"{heading}:"]
            for c in found:
                start = f"  {MARKS[c.verdict]:7}  {c.title:{width}}  "
                lines.append(textwrap.fill(c.says, 128, initial_indent=start, subsequent_indent=" " * len(start)))
        return "\n".join(lines)

    __repr__ = __str__

    def show(self) -> None:
        """In a notebook as HTML, else as text."""
        cell = current_cell()
        if cell is None:
            print(self, *([self.timing] if self.timing else []), sep="\n\n")
        else:
            publish(self)
            self.drawn.append(cell)

    def _ipython_display_(self) -> None:
        """What a cell ends with is drawn, but not a second time in the cell that has just shown it."""
        if current_cell() not in self.drawn:
            publish(self)

    def _repr_html_(self) -> str:
        color = COLORS["failed" if self.failed else "look" if self.looks else "passed"]
        says = f"<code>{html.escape(self.call)}</code> <b style='color:{color}'>{html.escape(self.verdict)}</b>"
        head = f"<p style='margin:.3em 0'>{says}</p>"
        notes = "".join(f"<p style='margin:.2em 0'>{html.escape(n)}</p>" for n in self.notes)
        rows = []
        for heading, found in self.groups():
            rows.append(f"<tr><th colspan=3 style='text-align:left;padding:.6em 0 .2em'>{heading}</th></tr>")
            rows += [row(c) for c in found]
        table = f"<table style='border-collapse:collapse;text-align:left'>{''.join(rows)}</table>"
        return f'<div class="labkit-card" style="border-left:4px solid {color};padding:.35em .8em">{head}{notes}{table}</div>'


def current_cell() -> int | None:
    """The number of the notebook cell that runs; None outside of notebooks."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return shell.execution_count if shell is not None and hasattr(shell, "kernel") else None


def publish(card: ObjectiveCard) -> None:
    from IPython.display import display

    page = card._repr_html_() + (f"<p>{html.escape(card.timing)}</p>" if card.timing else "")
    display({"text/html": page, "text/plain": str(card)}, raw=True)


def row(check: Check) -> str:
    cell = "text-align:left;padding:.1em .8em .1em 0;vertical-align:top"
    mark = f"<td style='{cell};color:{COLORS[check.verdict]}'><b>{MARKS[check.verdict]}</b></td>"
    return f"<tr>{mark}{''.join(f'<td style={cell!r}>{html.escape(text)}</td>' for text in (check.title, check.says))}</tr>"
