"""An explorer in plain Python: a state, the controls that change it, what it shows, and one line about what a change did.

Nothing here knows a browser. `show` is pure, so the page, the picture for a slide and the tests see the same numbers.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from labkit.explorers import codes
from labkit.explorers.parts import Control, Model, Moved, Sentence, Shown, State, digest, jsonable, nearest
from labkit.figures.scene import Scene
from labkit.figures.words import fill, said

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Control", "Explorer", "Model", "Moved", "Sentence", "Shown", "State", "digest", "jsonable", "nearest"]

S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class Explorer(Generic[S]):
    """What the reader may change, what is then shown, and what is said of it.

    Args:
        name: what its state codes begin with.
        title: what it is called on the page.
        start: the state it opens in.
        controls: from top to bottom, one for each field of the state but `moved`.
        show: state -> numbers, words and arrays, of the same names in every state; pure.
        scene: how that is drawn.
        sentences: what is said, in order; the last should fit everything.
        alt: what the figure shows, for those who cannot see it.
        model: how the browser knows what to show; without it, it looks it up in a table of all states.
        version: of the state codes.
        mine: names the reader's own data, if it shows any: a code made on them is refused on others.
    """

    name: str
    title: str
    start: S
    controls: tuple[Control, ...]
    show: Callable[[S], Shown]
    scene: Scene
    sentences: tuple[Sentence, ...]
    alt: str
    model: Model | None = None
    version: int = 1
    mine: str = ""

    def __post_init__(self) -> None:
        fields = [f.name for f in dataclasses.fields(self.start)]
        if [c.name for c in self.controls] != [f for f in fields if f != "moved"]:
            raise ValueError(f"controls must be {fields}, in this order, got {[c.name for c in self.controls]}")
        object.__setattr__(self, "start", self.settled(self.start))
        for control in self.controls:
            value = getattr(self.start, control.name)
            if value not in control.options:
                choices = ", ".join(repr(o) if isinstance(o, str) else said(o) for o in control.options)
                raise ValueError(f"{control.name} must be one of {choices}; got {value!r}")

    # ------------------------------------------------------------------ states

    def settled(self, state: S) -> S:
        """Controls that are not seen follow, or stand where they began."""
        for control in self.controls:
            if control.when and getattr(state, control.when[0]) not in control.when[1]:
                value = getattr(state, control.follows) if control.follows else getattr(self.start, control.name)
                state = dataclasses.replace(state, **{control.name: value})
        return state

    def moved(self, state: S, **changes: Any) -> S:
        """The state after the reader changed this."""
        changed = [c for c in self.controls if changes.get(c.name, getattr(state, c.name)) != getattr(state, c.name)]
        back = {name: None if name == "moved" else getattr(self.start, name) for c in changed for name in c.resets}
        return self.settled(dataclasses.replace(state, **{**back, **changes}))

    def states(self) -> Iterator[S]:
        """Every state that the controls can reach, with no point moved."""
        known = set()
        names = [control.name for control in self.controls]
        for values in itertools.product(*(control.options for control in self.controls)):
            state = self.moved(self.start, **dict(zip(names, values, strict=True)))
            if state not in known:
                known.add(state)
                yield state

    @functools.cached_property
    def layout(self) -> codes.Layout:
        options = tuple(tuple(c.options) for c in self.controls)
        return codes.Layout(self.name, self.version, options, moves=hasattr(self.start, "moved"), mine=self.mine)

    def code(self, state: S | None = None) -> str:
        """The state in a short code, which `labkit.restore` turns back into the explorer in this state."""
        state = self.start if state is None else self.settled(state)
        return self.layout.write([getattr(state, c.name) for c in self.controls], getattr(state, "moved", None))

    def opened(self, code: str) -> "Explorer[S]":
        """The same explorer, opening in the state of `code`.

        Raises:
            ValueError: the code of another explorer or version, or a damaged one.
        """
        values, moved = self.layout.read(code)
        found = dict(zip((c.name for c in self.controls), values, strict=True))
        return dataclasses.replace(self, start=dataclasses.replace(self.start, **found, **({"moved": moved} if moved else {})))

    def starting(self, **values: Any) -> "Explorer[S]":
        """The same explorer, opening with these controls where they are told to stand.

        Raises:
            ValueError: there is no such control, or it has no such option.
        """
        unknown = [name for name in values if not hasattr(self.start, name)]
        if unknown:
            raise ValueError(f"{self.name} has no control {unknown[0]!r}; there are {', '.join(c.name for c in self.controls)}")
        return dataclasses.replace(self, start=self.moved(self.start, **values))

    def hidden(self, *names: str | Iterable[str]) -> "Explorer[S]":
        """The same explorer without these controls: they stay where they start, on the figure, too.

        Raises:
            ValueError: there is no such control.
        """
        known = [control.name for control in self.controls]
        asked = [name for given in names for name in ([given] if isinstance(given, str) or given is None else given)]
        for name in asked:
            if name not in known:
                raise ValueError(f"hide must name controls of {self.name}: {', '.join(known)}; got {name!r}")
        controls = tuple(dataclasses.replace(c, hidden=c.hidden or c.name in asked) for c in self.controls)
        return dataclasses.replace(self, controls=controls)

    # ------------------------------------------------------------------ what is shown and said

    @functools.cached_property
    def memory(self) -> dict[S, Shown]:
        """What was shown before: going back to a place is free."""
        return {}

    def seen(self, state: S | None = None) -> Shown:
        """`show(state)`, computed once."""
        state = self.start if state is None else self.settled(state)
        if state not in self.memory:
            self.memory[state] = self.show(state)
        return self.memory[state]

    def known(self, state: S) -> dict[str, Any]:
        """What a sentence may speak of: the state, and what is shown."""
        return {**dataclasses.asdict(state), **self.seen(state)}

    def explain(self, before: S, after: S) -> str:
        """One line that says what changed and why; with the same state twice, what is seen."""
        before, after = self.settled(before), self.settled(after)
        old, new = self.known(before), self.known(after)
        changed = next((f.name for f in dataclasses.fields(after) if getattr(before, f.name) != getattr(after, f.name)), "")
        for sentence in self.sentences:
            if sentence.fits(changed, old, new):
                return fill(
                    sentence.text, {f"{when}.{k}": v for when, kv in (("before", old), ("after", new)) for k, v in kv.items()}
                )
        return ""

    # ------------------------------------------------------------------ views

    def figure(self, state: S | None = None) -> "Figure":
        """One state as a picture that stands still, for slides."""
        from labkit.figures import picture, theme

        state = self.start if state is None else self.settled(state)
        figure = picture.drawn(self.scene, self.known(state))
        theme.alt(figure, self.alt)
        return figure

    def html(self) -> str:
        """The explorer in one piece of HTML, which moves without a kernel and without a network."""
        from labkit.explorers import page

        return page.html(self)

    def page(self) -> str:
        """The explorer as a page of its own."""
        from labkit.explorers import page

        return page.page(self)

    def save(self, path: str | Path) -> Path:
        """Write the page, which opens in any browser, offline."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.page(), encoding="utf-8")
        return path

    def widget(self) -> Any:
        """The same view as a widget of this kernel: its `state` and `code` follow the reader's hand, and can be set."""
        from labkit.explorers import widget

        return widget.widget(self)

    def _ipython_display_(self) -> None:
        from labkit import reader

        reader.show(self)
