"""`report.save(folder)`: the same bytes for the same report, whole files only, and nothing of anyone else's touched."""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labkit.report.paper.drawings import FIGURES, Drawn, figures
from labkit.report.paper.latex import to_latex
from labkit.report.paper.methods import paragraph
from labkit.report.paper.page import page, picture
from labkit.report.paper.plain import SCHEMA, as_csv, as_json, tidy
from labkit.report.paper.private import public
from labkit.report.paper.references import bibtex, sources
from labkit.report.result import Report

INDEX = "report.json"  # names everything that belongs to the report; written first, so that what was broken off can be redone
TEXTS = (INDEX, "report.html", "numbers.csv", "methods.txt", "references.bib", "table.tex", "sample.npz")
KINDS = ("svg", "pdf", "png", "csv")
NAMES = (*TEXTS, *(f"figures/{name}.{kind}" for name in FIGURES for kind in KINDS))  # all that a report may write
UNDATED: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
    "png": {"metadata": {"Software": None}, "dpi": 300},
}


def save(report: Report, folder: str | Path, *, include_data: bool = False) -> Path:
    """The folder, with the report in it; see `Report.save`.

    Raises:
        FileExistsError: a file where the folder should be, or one of another origin under a name that the report needs.
        ValueError: an empty name; `include_data` where no row could be read.
    """
    if not str(folder).strip():
        raise ValueError("folder must be named: save('report')")
    folder = Path(folder).expanduser()
    earlier = written_before(folder)
    refuse(folder, earlier)
    files = contents(report, include_data=include_data)
    for name, data in files.items():
        put(folder / name, data)
    for name in set(earlier) - set(files):
        forget(folder / name, earlier[name])
    return folder


# ---------------------------------------------------------------- what is kept


def contents(report: Report, *, include_data: bool = False) -> dict[str, bytes]:
    """name -> bytes of every file."""
    report, note = (report, "") if include_data else public(report)
    drawn = figures(report)
    pictures = {name: rendered(each) for name, each in drawn.items()}
    files = {
        "report.html": page(
            report, [picture(name, drawn[name], found["svg"]) for name, found in pictures.items()], note
        ).encode(),
        "numbers.csv": as_csv(tidy(report)).encode(),
        "methods.txt": (paragraph(report) + "\n").encode(),
        "references.bib": bibtex(sources(report)).encode(),
        "table.tex": to_latex(report).encode(),
    }
    for name, found in pictures.items():
        files |= {f"figures/{name}.{kind}": data for kind, data in found.items()}
    files |= {"sample.npz": rows(report)} if include_data else {}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return {INDEX: as_json(report, hashes).encode(), **files}


def rendered(drawn: Drawn) -> dict[str, bytes]:
    """The figure in three formats without a date, and its data."""
    import matplotlib

    found = {"csv": as_csv(drawn.data).encode()}
    drawn.figure.draw_without_rendering()
    drawn.figure.set_layout_engine("none")  # it is laid out once, not once for each format
    with matplotlib.rc_context({"svg.hashsalt": "labkit", "pdf.fonttype": 42}):
        for kind, how in UNDATED.items():
            buffer = io.BytesIO()
            drawn.figure.savefig(buffer, format=kind, **how)
            found[kind] = buffer.getvalue()
    return found


def rows(report: Report) -> bytes:
    """The rows that the meters saw."""
    if report.rows is None:
        raise ValueError("include_data=True, but no row could be read")
    found = {name: getattr(report.rows, name) for name in ("z1", "z2", "labels", "groups", "untrained", "rows")}
    arrays = {name: value.cpu().numpy() for name, value in found.items() if value is not None}
    if report.rows.class_names:
        arrays["class_names"] = np.array(report.rows.class_names, dtype=str)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


# ---------------------------------------------------------------- the disk


def written_before(folder: Path) -> Mapping[str, str]:
    """name -> sha256 of the files of an earlier report; empty where there is none."""
    try:
        found = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        ours = str(found["schema"]).startswith(SCHEMA.split("/")[0] + "/")
        return {INDEX: "", **{k: v for k, v in found["files"].items() if k in NAMES}} if ours else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def refuse(folder: Path, earlier: Mapping[str, str]) -> None:
    """Stop before anything is drawn, where something of another origin is in the way."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"folder must be a folder, and {folder} is a file: name another one")
    inner = folder / "figures"
    if inner.exists() and not inner.is_dir():
        raise FileExistsError(f"{inner} is a file, and the report puts its figures there: move it, or name another folder")
    foreign = [name for name in NAMES if (folder / name).exists() and name not in earlier]
    if foreign:
        raise FileExistsError(
            f"{folder} holds {', '.join(foreign[:3])}{' ...' if len(foreign) > 3 else ''}, not written by a report: "
            "move it, or name another folder"
        )


def put(path: Path, data: bytes) -> None:
    """Whoever reads meanwhile sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def forget(path: Path, known: str) -> None:
    """Remove what an earlier report left and this one does not have, unless somebody changed it."""
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == known:
        path.unlink()
