"""A Comparison as data, as a figure, and as a folder: the same bytes for the same comparison."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.figures import comparison as drawing
from labkit.figures import theme
from labkit.report.comparing.page import SCHEMA, page
from labkit.report.comparing.result import Comparison, Difference
from labkit.report.comparing.words import signed
from labkit.report.drawing import DRAWS
from labkit.report.paper.drawings import Drawn
from labkit.report.paper.folder import forget, put, rendered
from labkit.report.paper.methods import versions
from labkit.report.paper.plain import as_csv, estimate, finding, number, rounded
from labkit.report.paper.words import shown, title
from labkit.report.pieces import LEVEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INDEX = "compare.json"  # written last: it names everything that belongs to the comparison
SIDES = ("value", "low", "high")


# ---------------------------------------------------------------- data


def plain(found: Comparison, files: Mapping[str, str] | None = None) -> dict[str, Any]:
    """As JSON takes it: no time, no path, none of the data."""
    sampled = found.sampled
    return {
        "schema": SCHEMA,
        "names": list(found.names),
        "versions": versions(),
        "device": "cpu",
        "seed": found.seed,
        "sample": {"n": sampled.n, "total": sampled.total, "seed": sampled.seed, "unit": sampled.unit},
        "options": {"level": LEVEL, "halves": DRAWS, "precision": "float64"},
        "inputs": [
            {"name": g.name, "source": g.source, "shape": list(g.shape), "dtype": g.dtype, "sha256": g.sha256}
            for g in found.given
        ],
        "findings": [finding(f) for f in found.findings],
        "differences": [difference(d) for d in found.differences],
        "from_first": [difference(d) for d in found.from_first],
        "likeness": [number(n) for n in found.likeness],
        "missing": [{"meter": each.meter, "needs": each.needs} for each in found.missing],
        "arrays": {name: [[rounded(x) for x in row] for row in values.tolist()] for name, values in found.arrays.items()},
        "files": dict(files or {}),
    }


def difference(found: Difference) -> dict[str, Any]:
    words = {"meter": found.meter, "of": found.of, "from": found.names[0], "to": found.names[1], "says": found.says}
    return words | {
        "verdict": found.verdict,
        "within_noise": found.verdict == "within noise",
        "change": estimate(found.change),
        "first": number(found.a),
        "second": number(found.b),
    }


def table(found: Comparison) -> dict[str, list[Any]]:
    """A row for each difference, and for each number that two models have in common."""
    columns: dict[str, list[Any]] = {name: [] for name in ("kind", "meter", "of", "from", "to", "n")}
    for who in ("first", "second", "change", "first_floor", "second_floor"):
        columns |= {f"{who}_{side}": [] for side in SIDES}
    columns |= {"verdict": [], "says": []}
    steps = [("step", each) for each in found.differences] + [("from first", each) for each in found.from_first]
    for kind, d in steps:
        estimates = (d.a.estimate, d.b.estimate, d.change, d.a.floor.estimate, d.b.floor.estimate)
        cells = [kind, d.meter, d.of, *d.names, d.a.n, *(x for e in estimates for x in e), d.verdict, d.says]
        for values, cell in zip(columns.values(), cells, strict=True):
            values.append(cell)
    for each in found.likeness:
        gap = float("nan")
        cells = [
            "in common",
            each.meter,
            each.of,
            "",
            "",
            each.n,
            *each.estimate,
            *[gap] * 6,
            *each.floor.estimate,
            *[gap] * 3,
            "",
            "",
        ]
        for values, cell in zip(columns.values(), cells, strict=True):
            values.append(cell)
    return columns


# ---------------------------------------------------------------- figure


def figure(found: Comparison) -> "Figure":
    return drawn(found).figure


def drawn(found: Comparison) -> Drawn:
    """The figure, its data, and what it shows in words."""
    made = of_layers(found) if found.layered else of_two(found)
    theme.alt(made.figure, made.alt)
    return made


def of_two(found: Comparison) -> Drawn:
    two_views = any(d.of == "z2" for d in found.differences)
    rows = [
        drawing.Change(title(d.meter) + (f", {d.of}" if two_views else ""), signed(d.change), *map(float, d.change))
        for d in found.differences
    ]
    alt = (
        "Differences with their intervals about 0, each on its own scale. " + "; ".join(d.says for d in found.differences) + "."
    )
    return Drawn(drawing.differences(rows, (found.names[0], found.names[1])), drawing.columns(rows), alt)


def of_layers(found: Comparison) -> Drawn:
    numbers, data = found.numbers, {"layer": list(found.names)}
    curves = []
    for key in dict.fromkeys(d.name for d in found.differences):
        mine = [numbers[name].get(key) for name in found.names]
        sides = [np.array([np.nan if n is None else n.estimate[k] for n in mine]) for k in range(3)]
        null = np.array([np.nan if n is None else n.floor.estimate.value for n in mine])
        of, _, meter = key.rpartition(".")
        named = title(meter) + ("" if of == "z1" else f", {of}")
        null_name = next(n.floor.name for n in mine if n is not None)
        curves.append(drawing.Curve(named, sides[0], sides[1], sides[2], null, null_name))
        data |= {f"{key} {side}": values.tolist() for side, values in zip((*SIDES, "floor"), (*sides, null), strict=True)}
    cka = found.arrays.get("cka")
    if cka is not None:
        data |= {f"cka with {name}": cka[:, k].tolist() for k, name in enumerate(found.names)}
    told = "; ".join(f"{c.title} from {shown(c.value[0])} to {shown(c.value[-1])}" for c in curves)
    alt = f"Meters over {len(found.names)} layers, each with its interval and its null row. {told}."
    return Drawn(drawing.layers(curves, found.names, cka), data, alt)


# ---------------------------------------------------------------- a folder


def save(found: Comparison, folder: str | Path) -> Path:
    """See `Comparison.save`."""
    folder = Path(folder)
    picture = drawn(found)
    files = {f"figures/differences.{kind}": data for kind, data in rendered(picture).items()}
    files["compare.html"] = page(found, files["figures/differences.svg"], picture.alt).encode()
    files["differences.csv"] = as_csv(table(found)).encode()
    earlier = written_before(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"folder must be a folder, and {folder} is a file: name another one")
    foreign = [name for name in (*files, INDEX) if (folder / name).exists() and name not in earlier]
    if foreign:
        raise FileExistsError(f"{folder} holds {', '.join(foreign[:3])}, not written by a comparison: name another folder")
    for name, data in files.items():
        put(folder / name, data)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    text = json.dumps(plain(found, hashes), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    put(folder / INDEX, text.encode())
    for name in set(earlier) - {*files, INDEX}:
        forget(folder / name, earlier[name])
    return folder


def written_before(folder: Path) -> Mapping[str, str]:
    """name -> sha256 of the files of an earlier comparison; empty where there is none."""
    try:
        found = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        ours = str(found["schema"]).startswith(SCHEMA.split("/")[0] + "/")
        return {INDEX: "", **found["files"]} if ours else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
