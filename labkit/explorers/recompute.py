"""Stored numbers are to be doubted: a button computes them again, here and now, and says how far apart the two lie."""

import html
import inspect
from typing import Any

import numpy as np

from labkit import reader, results


def recompute(name: str) -> None:
    """A button that computes a stored result on this machine; where nobody can press it, the command that does the same.

    Nothing is written: the stored numbers stay what they are.

    Args:
        name: one of `labkit.results.names()`.

    Raises:
        ValueError: there is no such result.
    """
    if name not in results.names():
        raise ValueError(f"name must be one of {', '.join(results.names())}; got {name!r}")
    command = f"python -m labkit results {name}"
    if reader.live():
        reader.display(button(name), "")
    else:
        reader.display(reader.Html(f"<p>Stored numbers; to compute them again: <code>{command}</code></p>"), command)


def button(name: str) -> Any:
    import ipywidgets as W

    about = inspect.getdoc(results.RESULTS[name]) or ""
    press = W.Button(description="Compute again", button_style="primary", tooltip=name)
    said = W.HTML(html.escape(about.splitlines()[0] if about else name))

    def pressed(_: Any) -> None:
        press.disabled, said.value = True, "Computing; this kernel is busy until it is done."
        try:
            said.value = html.escape(compared(results.compute(name), results.load(name)))
        except Exception as error:  # shown to the reader, who pressed the button, and nowhere else
            said.value = f"{type(error).__name__}: {html.escape(str(error))}"
        press.disabled = False

    press.on_click(pressed)
    return W.HBox([press, said])


def compared(made: dict[str, Any], kept: dict[str, Any]) -> str:
    """How far new numbers lie from stored ones, as a share of each array's range.

    >>> compared({"loss": np.array([1.0, 2.0])}, {"loss": np.array([1.0, 2.01])})
    'Computed again: the stored numbers are found again to within 1 % of their range.'
    >>> compared({"loss": np.array([1.0, 2.0])}, {"loss": np.array([1.0, 3.0])})
    'Computed again: loss differs from the stored numbers by up to 50 % of its range.'
    """
    apart = {}
    for name, stored in kept.items():
        old, new = np.asarray(stored), np.asarray(made.get(name))
        if old.dtype.kind not in "iufb" or old.shape != new.shape:
            continue
        spread = float(np.ptp(old)) or 1.0
        apart[name] = float(np.abs(new.astype(float) - old.astype(float)).max()) / spread
    worst = max(apart, key=lambda name: apart[name])
    percent = f"{max(100 * apart[worst], 1):.0f} %"
    if apart[worst] <= 0.05:
        return f"Computed again: the stored numbers are found again to within {percent} of their range."
    return f"Computed again: {worst} differs from the stored numbers by up to {percent} of its range."
