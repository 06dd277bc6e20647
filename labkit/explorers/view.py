"""Two thin views of an explorer: widgets that ask this kernel, and a figure whose sliders carry every frame with them.

No mathematics here: both draw what `explorer.seen(state)` gave, and say what `explorer.explain` says.
"""

import itertools
import textwrap
from html import escape
from typing import TYPE_CHECKING, Any

from labkit.explorers.changes import Path, changing, difference, leaves, nested, ranges, unlike
from labkit.explorers.old import Control, Drawn, Explorer, State, Track
from labkit.figures import theme

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROOM = 170  # pixels under the figure for its sliders and the line of text
NOW = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}


def words(value: Any) -> str:
    """A value as it stands beside a slider."""
    return f"{value:g}" if isinstance(value, float) else str(value)


# ---------------------------------------------------------------- without a kernel


def static(explorer: Explorer) -> "go.Figure":
    """One slider for each track, of which one is seen at a time, buttons that choose, and a line of text underneath."""
    import plotly.graph_objects as go

    first, rows = explorer.drawn(explorer.start), [list(explorer.frames(t.name, t.start)) for t in explorer.tracks]
    drawn = [[explorer.drawn(state) for state in states] for states in rows]
    everything = [first, *itertools.chain(*drawn)]
    moving = changing([leaves(d["data"]) for d in everything]), changing([ranges(d["layout"]) for d in everything])
    frames = []
    for number, (track, states) in enumerate(zip(explorer.tracks, rows, strict=True)):
        for place, state in enumerate(states):
            frames.append(frame(f"{number}/{place}", drawn[number][place], explorer.explain(track.start, state), moving))
        # what the button of this track shows: where it starts, with its own slider
        start = drawn[number][states.index(track.start)]
        frames.append(frame(f"{number}", start, explorer.explain(track.start, track.start), moving))
        frames[-1]["layout"]["sliders"] = sliders(explorer, rows, number)
    layout, said = first["layout"], explorer.explain(explorer.start, explorer.start)
    more = {
        "sliders": sliders(explorer, rows, 0),
        "updatemenus": buttons(explorer.tracks),
        "annotations": with_line(first, said),
    }
    room = {"height": layout["height"] + ROOM, "margin": {**layout["margin"], "b": layout["margin"]["b"] + ROOM}}
    figure = go.Figure(data=first["data"], layout={**layout, **more, **room}, frames=frames)
    theme.alt(figure, explorer.alt)
    return figure


def frame(name: str, drawn: Drawn, line: str, moving: tuple[list[Path], list[Path]]) -> dict[str, Any]:
    found, axes = leaves(drawn["data"]), ranges(drawn["layout"])
    data = nested({path: found[path] for path in [(n, "type") for n, *_ in moving[0]] + moving[0]})
    layout = {"annotations": with_line(drawn, line), **nested({path: axes[path] for path in moving[1]})}
    return {"name": name, "data": [data[n] for n in sorted(data)], "traces": sorted(data), "layout": layout}


def with_line(drawn: Drawn, line: str) -> list[Any]:
    """The figure's own annotations, and the line of text under everything."""
    layout = drawn["layout"]
    text = "<br>".join(textwrap.wrap(line, int(layout["width"] / 8)))
    place = {"x": 0, "y": 0, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "top", "yshift": -ROOM + 15}
    return [*layout["annotations"], {"text": text, "showarrow": False, "align": "left", "font": {"size": 14}, **place}]


def sliders(explorer: Explorer, states: list[list[State]], seen: int) -> list[dict[str, Any]]:
    tracks, labels = explorer.tracks, {control.name: control.label for control in explorer.controls}
    left = 0.29 if len(tracks) > 1 else 0.0
    made = []
    for number, (track, row) in enumerate(zip(tracks, states, strict=True)):
        names = [words(getattr(state, track.name)) for state in row]
        steps = [{"label": w, "method": "animate", "args": [[f"{number}/{i}"], NOW]} for i, w in enumerate(names)]
        made.append(
            {
                "steps": steps,
                "active": row.index(track.start),
                "visible": number == seen,
                "currentvalue": {"prefix": f"{labels[track.name]} ", "font": {"size": 16, "color": theme.INK}},
                "x": left,
                "len": 1 - left,
                "pad": {"t": 60, "b": 0},
                "transition": {"duration": 0},
                "bgcolor": theme.GRID,
                "activebgcolor": theme.BLUE,
                "bordercolor": theme.MUTED,
            }
        )
    return made


def buttons(tracks: tuple[Track, ...]) -> list[dict[str, Any]]:
    """Choose the track: its slider comes, and the figure goes to its first state."""
    if len(tracks) == 1:
        return []
    made = [{"label": track.label, "method": "animate", "args": [[f"{i}"], NOW]} for i, track in enumerate(tracks)]
    place = {"x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "pad": {"t": 68}}
    return [{"type": "buttons", "direction": "down", "buttons": made, "showactive": True, "active": 0, **place}]


# ---------------------------------------------------------------- with a kernel


class Live:
    """Controls left, figure right, one line of text underneath; every change goes through `explorer.moved`."""

    def __init__(self, explorer: Explorer):
        import ipywidgets as W
        import plotly.graph_objects as go

        self.explorer, self.state, self.busy = explorer, explorer.start, False
        # A FigureWidget forgets in some front ends what it is told between its making and its display.
        self.drawn = as_wide_as_there_is(explorer.drawn(explorer.start))
        self.figure = go.FigureWidget(self.drawn)
        self.line = W.HTML()
        self.controls = {c.name: self.widget(c) for c in explorer.controls}
        left = W.VBox(list(self.controls.values()), layout=W.Layout(width="340px", flex="0 0 auto", padding="8px"))
        right = W.VBox([self.figure, self.line], layout=W.Layout(flex="1 1 760px", min_width="0"))
        self.box = W.HBox([left, right], layout=W.Layout(flex_flow="row wrap"))
        self.say(self.state, self.state)

    def widget(self, control: Control) -> Any:
        import ipywidgets as W

        options = [(words(v), v) for v in control.options(self.state)]
        value, wide = getattr(self.state, control.name), W.Layout(width="320px")
        if control.kind == "slider":
            whole = {"description_width": "initial"}  # or "temperature" is cut short
            made: Any = W.SelectionSlider(options=options, value=value, continuous_update=True, style=whole, layout=wide)
        elif control.kind == "toggle":
            made = W.ToggleButtons(options=options, value=value, style={"button_width": "105px"}, layout=wide)
        else:
            made = W.Dropdown(options=options, value=value, layout=wide)
        made.add_class(f"labkit-{control.name}")
        made.tooltip, made.description = control.label, control.label
        made.observe(lambda change: self.move(control.name, change["new"]), "value")
        return made

    def move(self, name: str, value: Any) -> None:
        """A control was moved by the reader: the other controls, the figure and the line follow."""
        if self.busy:
            return
        before, self.state = self.state, self.explorer.moved(self.state, name, value)
        self.follow()
        old, new = self.drawn, as_wide_as_there_is(self.explorer.drawn(self.state))
        with self.figure.batch_update():  # one message, and nothing in it that stayed as it was
            for number, change in difference(old["data"], new["data"]).items():
                self.figure.data[number].update(change)
            for number, change in difference(old["layout"]["annotations"], new["layout"]["annotations"]).items():
                self.figure.layout.annotations[number].update(change)
            axes = (ranges(drawn["layout"]) for drawn in (old, new))
            self.figure.layout.update(nested(unlike(*axes)))
        self.drawn = new
        self.say(before, self.state)

    def follow(self) -> None:
        """Every control shows the state; its own change is not the reader's."""
        self.busy = True
        try:
            for control in self.explorer.controls:
                widget, value = self.controls[control.name], getattr(self.state, control.name)
                options = tuple((words(v), v) for v in control.options(self.state))
                if widget.options != options:
                    widget.options = options
                widget.value = value
        finally:
            self.busy = False

    def say(self, before: State, after: State) -> None:
        style = f"font:15px/1.4 {theme.FONT};padding:4px 12px;border-left:4px solid {theme.BLUE};white-space:normal"
        self.line.value = f'<div role="status" style="{style}">{escape(self.explorer.explain(before, after))}</div>'


def as_wide_as_there_is(drawn: Drawn) -> Drawn:
    """The figure without a width of its own: a notebook beside a file browser is narrow."""
    layout = {name: value for name, value in drawn["layout"].items() if name != "width"}
    return {"data": drawn["data"], "layout": {**layout, "autosize": True}}


def live(explorer: Explorer) -> Any:
    """The widgets, ready to be displayed."""
    return Live(explorer).box
