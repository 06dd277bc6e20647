"""An explorer as HTML: what the browser has to know, the script that draws it, and a picture for where scripts do not run."""

import base64
import functools
import html as escape
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.figures import theme
from labkit.figures.picture import png, stops

if TYPE_CHECKING:
    from labkit.explorers.core import Explorer

WEB = Path(__file__).parent / "web"
PARTS = ("values", "contrast", "link", "codes", "marks", "scene", "pointer", "controls", "runtime")
KINDS = {"f": "f4", "i": "i4", "u": "i4", "b": "u1"}  # how arrays of other widths travel
KEPT = {"i1", "u1", "i2", "u2", "i4", "f4", "f8"}


# ---------------------------------------------------------------- numbers


def sent(value: Any) -> Any:
    """A value as JSON that the browser's `decoded` turns back: arrays in base64, single precision for numbers with a point."""
    if isinstance(value, np.ndarray) and value.dtype.kind in KINDS and value.ndim:
        kind = value.dtype.str[1:]
        kind = kind if kind in KEPT and kind != "f8" else KINDS[value.dtype.kind]
        return packed(value, kind)
    if isinstance(value, (np.ndarray, np.generic)):
        return sent(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return {"$": "n", "v": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, Mapping):
        return {str(name): sent(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [sent(inner) for inner in value]
    return value


def packed(value: np.ndarray, kind: str) -> dict[str, Any]:
    bytes_ = np.ascontiguousarray(value, dtype=f"<{kind}").tobytes()
    return {"$": kind, "shape": list(value.shape), "b": base64.b64encode(bytes_).decode()}


def exact(value: np.ndarray) -> dict[str, Any]:
    """An array in double precision, for data that a model computes with."""
    return packed(value, "f8")


def table(explorer: "Explorer") -> dict[str, Any]:
    """What is shown in every state; each value is sent once."""
    names: dict[str, dict[str, Any]] = {}
    rows: list[list[int]] = []
    for state in explorer.states():
        shown = explorer.seen(state)
        if rows and shown.keys() != names.keys():
            raise ValueError(f"{explorer.name} shows {sorted(shown)} in {state}, and {sorted(names)} before")
        for name, value in shown.items():
            column = names.setdefault(name, {"known": {}, "values": [], "places": []})
            made = sent(np.asarray(value) if isinstance(value, np.ndarray) else value)
            key = json.dumps(made, sort_keys=True)
            if key not in column["known"]:
                column["known"][key] = len(column["values"])
                column["values"].append(made)
            column["places"].append(column["known"][key])
        rows.append([c.options.index(getattr(state, c.name)) for c in explorer.controls])
    columns = {n: {"values": c["values"], "places": sent(np.array(c["places"], np.int32))} for n, c in names.items()}
    return {"rows": sent(np.array(rows, np.int32)), "columns": columns}


def payload(explorer: "Explorer") -> dict[str, Any]:
    """Everything that the browser has to know of an explorer."""
    controls = [
        {
            "name": c.name,
            "label": c.label,
            "kind": c.kind,
            "options": list(c.options),
            "words": c.called(),
            "when": [c.when[0], list(c.when[1])] if c.when else None,
            "follows": c.follows,
            "resets": list(c.resets),
            "hidden": c.hidden,
        }
        for c in explorer.controls
    ]
    sentences = [
        {"text": s.text, "changed": s.changed, "when": dict(s.when), "rises": s.rises, "falls": s.falls}
        for s in explorer.sentences
    ]
    start = {c.name: getattr(explorer.start, c.name) for c in explorer.controls}
    if hasattr(explorer.start, "moved"):
        start["moved"] = explorer.start.moved
    model = explorer.model
    told = {"model": {"name": model.name, "data": sent(model.data)}} if model else {"table": table(explorer)}
    return {
        **{name: getattr(explorer, name) for name in ("name", "title", "version", "alt")},
        "signature": explorer.layout.signature,
        "start": sent(start),
        "controls": sent(controls),
        "scene": sent(explorer.scene.plain()),
        "sentences": sent(sentences),
        **told,
    }


# ---------------------------------------------------------------- HTML


@functools.cache
def style() -> str:
    return (WEB / "explorer.css").read_text(encoding="utf-8")


@functools.cache
def source(model: str = "") -> str:
    """The script: the parts, and the model that is needed, in one scope."""
    paths = [WEB / f"{part}.js" for part in PARTS] + ([WEB / "models" / f"{model}.js"] if model else [])
    maps = json.dumps(stops())
    known = f"const models = {{}};\nconst PALETTE = {{ maps: {maps} }};\n"
    return known + "\n".join(path.read_text(encoding="utf-8") for path in paths if path.exists())


def script(model: str = "") -> str:
    return f'(() => {{\n"use strict";\n{source(model)}\nstart(document.currentScript.closest(".labkit-explorer"));\n}})();'


def html(explorer: "Explorer") -> str:
    """The explorer in one piece; where scripts do not run, a picture of its first state stays."""
    picture = base64.b64encode(png(explorer.figure())).decode()
    said = escape.escape(explorer.explain(explorer.start, explorer.start))
    alt = escape.escape(explorer.alt, quote=True)
    told = json.dumps(payload(explorer), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        f'<div class="labkit-explorer" data-explorer="{explorer.name}"><style>{style()}</style>'
        f'<div class="lk-still"><img alt="{alt}" src="data:image/png;base64,{picture}"><p>{said}</p></div>'
        f'<script type="application/json" class="lk-told">{told}</script>'
        f"<script>{script(explorer.model.name if explorer.model else '')}</script></div>"
    )


def page(explorer: "Explorer") -> str:
    """A page of its own."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape.escape(explorer.title)} · labkit</title><link rel="icon" href="data:,">'
        "<style>html{color-scheme:light dark}body{margin:0 auto;padding:16px;max-width:1400px;"
        f"font-family:{theme.FONT};background:Canvas;color:CanvasText}}h1{{font-size:22px;margin:0 0 12px}}</style></head>"
        f"<body><h1>{escape.escape(explorer.title)}</h1>{html(explorer)}</body></html>\n"
    )
