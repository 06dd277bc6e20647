"""What the reader sees and answers: figures with words beside them, and a guess to commit to before the reveal.

Everything here knows three places: a notebook with a person before it, one that runs alone (for an exported page, for a
grader), and a plain script.
"""

import base64
import html
import io
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

from labkit.figures import theme
from labkit.reader import log

# Who runs cells without asking questions, and yet shows widgets to people.
SERVED = {"SERVER_SOFTWARE": "voila/", "COLAB_RELEASE_TAG": "", "KAGGLE_KERNEL_RUN_TYPE": "Interactive"}


def shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def in_notebook() -> bool:
    """Whether a Jupyter kernel is listening to what is displayed."""
    return getattr(shell(), "kernel", None) is not None


def attended() -> bool:
    """Whether somebody may answer.

    Every request to run a cell says whether its sender can be asked for input. JupyterLab, VS Code and consoles can;
    nbclient cannot, and with it nbconvert, papermill, Quarto and nbgrader. Where nothing is said, somebody is there.
    """
    request: dict[str, Any] = getattr(shell(), "get_parent", dict)() or {}
    asked = request.get("content", {}).get("allow_stdin", True)
    return asked or any(name in os.environ and os.environ[name].startswith(value) for name, value in SERVED.items())


def live() -> bool:
    """Whether widgets make sense: a kernel with a person before it, and not a page being exported (`LABKIT_STATIC=1`)."""
    return in_notebook() and os.environ.get("LABKIT_STATIC", "0") in ("", "0") and attended()


def display(item: Any, text: str) -> None:
    """Show the item in a notebook; elsewhere print the text, if there is any."""
    if in_notebook():
        from IPython.display import display as show_in_notebook

        show_in_notebook(item)
    elif text:
        print(text)


def predict(key: str, options: Iterable[str]) -> str | None:
    """Ask the reader to commit to a guess before the reveal; never waits, so a notebook runs to its end without a reader.

    Args:
        key: names the question, such as "who-pushes".
        options: two or more answers to choose from.

    Returns:
        The guess, if this reader has committed to one, else None (always None in a script or where a notebook runs alone).

    Raises:
        ValueError: fewer than two options, or the same one twice.
    """
    choices = list(options)
    if len(choices) < 2 or len(set(choices)) < len(choices):
        raise ValueError(f"options must be two or more different answers, got {choices}")
    if not in_notebook():
        return None
    if not live():
        display(Html(static_question(key, choices)), "")
        return None
    known = log.own().get(key)
    display(live_question(key, choices, known if known in choices else None), "")
    return known if known in choices else None


class Html(str):
    """Text that a notebook shows as HTML."""

    def _repr_html_(self) -> str:
        return str(self)


def static_question(key: str, choices: list[str]) -> str:
    """The question as plain HTML: it can be answered on an exported page, where nothing is recorded."""
    name = html.escape(f"predict-{key}", quote=True)
    rows = "".join(f'<label><input type="radio" name="{name}"> {html.escape(c)}</label>' for c in choices)
    return f'<fieldset class="labkit-predict"><legend>Your guess, before you read on</legend>{rows}</fieldset>'


def live_question(key: str, choices: list[str], known: str | None) -> Any:
    """Radio buttons and a button that commits; afterwards the guess stands."""
    import ipywidgets as W

    radio = W.RadioButtons(options=choices, value=known, layout=W.Layout(width="max-content"))
    button = W.Button(description="Commit", button_style="primary", disabled=known is not None)
    said = W.HTML(f"You said: <b>{html.escape(known)}</b>. Read on." if known else "Commit to a guess, then read on.")

    def committed(_: Any) -> None:
        if radio.value is None:
            said.value = "Choose one first."
            return
        log.commit(key, radio.value, choices)
        radio.disabled = button.disabled = True
        said.value = f"You said: <b>{html.escape(radio.value)}</b>. Read on."

    radio.disabled = known is not None
    button.on_click(committed)
    return W.VBox([radio, W.HBox([button, said])])


def show(figure: Any, alt: str = "") -> None:
    """Show a matplotlib or plotly figure, or an explorer, with words for those who cannot see it.

    An explorer (anything with `html()`) moves by itself, in a notebook and on an exported page; where scripts do not run,
    a picture of it stands. In a script nothing is shown, but the figure is drawn all the same.

    Args:
        figure: matplotlib Figure, plotly Figure, or explorer.
        alt: what it shows, in a sentence or two; may be left out where the figure brings its own (`theme.alt`).

    Raises:
        ValueError: nobody said in words what the figure shows.
        TypeError: it is none of the three.
    """
    words = alt or theme.alt(figure) or getattr(figure, "alt", "")
    if not (isinstance(words, str) and words):
        raise ValueError("alt is empty: say in a sentence what the figure shows, for those who cannot see it")
    if hasattr(figure, "static") and hasattr(figure, "live"):
        if live():
            display(figure.live(), "")
            return
        figure = figure.static()
    if hasattr(figure, "html"):
        bundle: dict[str, Any] = {"text/html": figure.html(), "text/plain": words}
        metadata: dict[str, Any] = {}
    elif hasattr(figure, "to_plotly_json"):
        bundle, metadata = plotly_bundle(figure, words)
    elif hasattr(figure, "savefig"):
        bundle, metadata = png_bundle(figure, words)
    else:
        raise TypeError(f"figure must be a matplotlib figure, a plotly figure or an explorer, got {type(figure).__name__}")
    if in_notebook():
        from IPython.display import display as show_in_notebook

        show_in_notebook(bundle, metadata=metadata, raw=True)


def png_bundle(figure: Any, alt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A PNG with twice the pixels it is shown at, and its words."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    png = buffer.getvalue()
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)  # or a notebook would show it a second time
    width, height = (int.from_bytes(png[i : i + 4], "big") // 2 for i in (16, 20))
    bundle = {"image/png": base64.b64encode(png).decode(), "text/plain": alt}
    return bundle, {"image/png": {"width": width, "height": height, "alt": alt}}


def plotly_bundle(figure: Any, alt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figure as JSON for the plotly that JupyterLab, VS Code or our exported page has; no copy of the library in it."""
    content = json.loads(figure.to_json())
    content["layout"]["meta"] = {**(content["layout"].get("meta") or {}), "alt": alt}
    content["config"] = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["lasso2d", "select2d"]}
    return {"application/vnd.plotly.v1+json": content, "text/plain": alt}, {}
