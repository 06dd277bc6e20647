"""An explorer in plain Python: a state, the controls that change it, what it shows, and one line about what a change did.

Nothing here knows a browser. `show` is pure, so the live view, the kernel-free figure and the tests see the same numbers.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar
from urllib.parse import parse_qsl, urlencode

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go

Shown = dict[str, Any]
Drawn = dict[str, Any]


@dataclass(frozen=True)
class State:
    """Where the controls stand: a frozen dataclass of words and numbers."""


S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class Control(Generic[S]):
    """One field of the state that the reader can change.

    Args:
        name: the field.
        label: what stands beside it.
        options: what it can be, given where the other controls stand.
        kind: "slider" for numbers in order, "toggle" for two or three words, "menu" for more.
    """

    name: str
    label: str
    options: Callable[[S], Sequence[Any]]
    kind: Literal["slider", "toggle", "menu"] = "slider"


@dataclass(frozen=True)
class Track(Generic[S]):
    """A slider of the kernel-free figure: from `start`, the control `name` takes each of its options."""

    label: str
    start: S
    name: str


@dataclass(frozen=True)
class Explorer(Generic[S]):
    """What the reader may change, what is then shown, and what is said of it.

    Args:
        name: what its state codes begin with.
        start: the state it opens in.
        controls: from top to bottom.
        show: state -> numbers, words and arrays; pure, and fast enough to follow a drag.
        explain: (before, after) -> one line that says what changed and why; with `before == after`, what is seen.
        draw: what `show` gave -> a plotly figure in plain values, `{"data": [...], "layout": {...}}` with a width, a height and
            a bottom margin. Every state of one explorer gives traces of the same kinds, with the same keys.
        tracks: the sliders of the kernel-free figure; the first begins at `start`.
        alt: what the figure shows, for those who cannot see it.
        settle: (state, name of the field just changed) -> a state whose fields go together.
    """

    name: str
    start: S
    controls: tuple[Control[S], ...]
    show: Callable[[S], Shown]
    explain: Callable[[S, S], str]
    draw: Callable[[Shown], Drawn]
    tracks: tuple[Track[S], ...]
    alt: str
    settle: Callable[[S, str], S] = lambda state, changed: state

    def moved(self, state: S, name: str, value: Any) -> S:
        """The state after the reader set one control."""
        return self.settle(dataclasses.replace(state, **{name: value}), name)

    def control(self, name: str) -> Control[S]:
        for control in self.controls:
            if control.name == name:
                return control
        raise ValueError(f"{self.name} has no control {name!r}; there are {', '.join(c.name for c in self.controls)}")

    def frames(self, name: str, start: S | None = None) -> Iterator[S]:
        """The states that the control `name` can reach from `start`, in order."""
        start = start or self.start
        for value in self.control(name).options(start):
            yield self.moved(start, name, value)

    def code(self, state: S) -> str:
        """The state in a line of text, which `restore` turns back into the state.

        Floats are written so that they come back exactly.
        """
        return f"{self.name}?{urlencode(dataclasses.asdict(state))}"

    def restore(self, code: str) -> S:
        """The state that `code` wrote.

        Raises:
            ValueError: the code of another explorer, or one with unknown or missing fields.
        """
        name, _, query = code.partition("?")
        given, kinds = dict(parse_qsl(query, keep_blank_values=True)), typing.get_type_hints(type(self.start))
        if name != self.name or given.keys() != kinds.keys():
            raise ValueError(f"code must look like {self.code(self.start)!r}, got {code!r}")
        return type(self.start)(**{field: kinds[field](value) for field, value in given.items()})

    def opened(self, code: str) -> "Explorer[S]":
        """The same explorer, opening in the state of `code`."""
        return dataclasses.replace(self, start=self.restore(code))

    @functools.cached_property
    def memory(self) -> dict[S, Shown]:
        """What was shown before: going back to a place is free."""
        return {}

    def seen(self, state: S) -> Shown:
        """`show(state)`, computed once."""
        if state not in self.memory:
            self.memory[state] = self.show(state)
        return self.memory[state]

    def drawn(self, state: S) -> Drawn:
        return self.draw(self.seen(state))

    def figure(self, state: S | None = None) -> "go.Figure":
        """One state as a figure that stands still, for slides."""
        import plotly.graph_objects as go

        return go.Figure(self.drawn(state or self.start))

    def static(self) -> "go.Figure":
        """A figure whose sliders need no kernel: every state of its tracks is inside."""
        from labkit.explorers import view

        return view.static(self)

    def live(self) -> Any:
        """Widgets that ask this kernel."""
        from labkit.explorers import view

        return view.live(self)

    def _ipython_display_(self) -> None:
        from labkit import reader

        reader.show(self)


def jsonable(shown: Shown) -> Shown:
    """What is shown, as plain lists, numbers and words.

    >>> jsonable({"x": np.array([1.5, 2.0]), "n": np.int64(2), "title": "Push"})
    {'x': [1.5, 2.0], 'n': 2, 'title': 'Push'}
    """
    return {name: value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value for name, value in shown.items()}
