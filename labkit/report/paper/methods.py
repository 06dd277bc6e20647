"""What was computed, as the paragraph of a paper, with BibTeX of the meters used."""

import platform
from importlib import metadata

import numpy as np
import torch

import labkit
from labkit.report.drawing import DRAWS, FOLDS
from labkit.report.paper.references import HALVES, JACKKNIFE, behind, bibtex, cited, known, short, sources
from labkit.report.paper.words import PERCENT, is_clean, lacking, listed, meters, size, title
from labkit.report.result import Report


def methods(report: Report) -> str:
    """A paragraph, an empty line, BibTeX."""
    return f"{paragraph(report)}\n\n{bibtex(sources(report))}"


def versions() -> dict[str, str]:
    """What the numbers were made with."""
    return {
        "labkit": labkit.__version__,
        "matplotlib": metadata.version("matplotlib"),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "scipy": metadata.version("scipy"),
        "torch": torch.__version__,
    }


def paragraph(report: Report) -> str:
    """What came in, what the meters saw, which meters, how intervals and null rows were made, what could not be measured."""
    parts = [inputs(report), seen(report), used(report), intervals(report), nulls(report), absent(report)]
    return " ".join(part for part in parts if part)


def inputs(report: Report) -> str:
    made = versions()
    given = listed([f"{each.name} ({size(each)}; sha256 {each.sha256[:12]})" for each in report.given])
    tools = f"PyTorch {made['torch']}, NumPy {made['numpy']}, Python {made['python']}"
    return f"We measured {given} with labkit {made['labkit']} ({tools}), in double precision on the CPU."


def seen(report: Report) -> str:
    if report.sampled.n == report.sampled.total:
        return f"The meters saw {report.sampled}; every random draw used seed {report.seed}."
    return f"The meters saw {report.sampled}; the sanity of the input was checked on all of it."


def used(report: Report) -> str:
    loud = [m for m in meters(report) if not all(is_clean(n) for n in report.numbers if n.meter == m)]
    if not loud:
        return ""
    clean = [title(m) for m in meters(report) if m not in loud]
    rest = f" There were no {listed(clean)}." if clean else ""
    return f"We report {listed([title(m) + cited(m) for m in loud])}.{rest}"


def intervals(report: Report) -> str:
    """How they were made; a rank of half of the rows is another rank, so that theirs come from folds."""
    ways = {
        HALVES: f"for what looks at single rows or at neighbours, the value plus and minus the {PERCENT} quantile of how far "
        f"the same meter on {DRAWS} random halves of the sample strays from their mean",
        JACKKNIFE: f"for mean, spectrum and distances of the cloud, a jackknife that leaves out each of {FOLDS} folds",
    }
    told = "; ".join(f"{ways[source]} ({short(known(source))})" for source in behind(report))
    return told and (
        f"Intervals are {PERCENT}, from parts of the sample drawn without replacement: {told}. They say how far the value "
        "would move on another sample of this size, not what bias the size itself brings, which the null rows show."
    )


def nulls(report: Report) -> str:
    """Which null rows there were, and how each was made."""
    found: dict[str, list[str]] = {}
    for number in report.numbers:
        for null in number.nulls:
            if null.name != "clean" and null.says not in found.setdefault(null.name, []):
                found[null.name].append(null.says)
    told = [name if says == [name] else f"{name} ({'; '.join(says)})" for name, says in found.items()]
    return f"Beside each number stand the values of the same meter on null rows: {listed(told)}." if told else ""


def absent(report: Report) -> str:
    found = [f"{listed(names)} (needs {needs})" for needs, names in lacking(report).items()]
    return f"Not measured: {'; '.join(found)}." if found else ""
