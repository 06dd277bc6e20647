"""What every explorer of the table kind must bear: each state, each change of one control, each sentence."""

import itertools
import json

from labkit.explorers import page


def neighbours(explorer):
    """Every change of one control by one option, from every state: (control, before, after)."""
    for before in explorer.states():
        for control in explorer.controls:
            at = control.options.index(getattr(before, control.name))
            for other in {at - 1, at + 1} & set(range(len(control.options))):
                yield control.name, before, explorer.moved(before, **{control.name: control.options[other]})


def check_sentences(explorer, most=None):
    """Something is said of each change, and what is said has no gaps; returns what was said, by control."""
    said = {}
    for name, before, after in itertools.islice(neighbours(explorer), most):
        words = explorer.explain(before, after)
        assert words and not any(bad in words for bad in ("{", "}", "NaN", "None", "∞")), (before, after, words)
        said.setdefault(name, set()).add(words)
    assert set(said) == {c.name for c in explorer.controls if len(c.options) > 1}
    for state in explorer.states():
        words = explorer.explain(state, state)
        assert words and "NaN" not in words and "{" not in words, (state, words)
    return said


def check_size(explorer, most=1_500_000):
    """All states together travel in so many bytes."""
    told = json.dumps(page.payload(explorer), separators=(",", ":"), allow_nan=False)
    assert len(told) <= most, f"{explorer.name} is told in {len(told):,} bytes"
