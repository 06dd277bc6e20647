"""BibTeX of what a report used, from `data/bibliography.json`: our own entries, one for each paper."""

import functools
import json
from collections.abc import Iterable

import labkit
from labkit.paths import shipped
from labkit.registry import papers
from labkit.report.paper.words import counted, meters
from labkit.report.pieces import CARDS
from labkit.report.result import Report

HALVES, JACKKNIFE = "10.1214/aos/1176325770", "tukey1958"  # where the intervals come from
FOLDED = ("scale", "spectrum", "geometry")  # sections whose intervals come from folds
LETTERS = str.maketrans({"ć": r"{\'c}", "š": r"{\v{s}}"})


@functools.cache
def bibliography() -> dict[str, dict]:
    """source -> {"entry": "article", "key": "politis1994subsamples", "fields": {...}}; sources are arXiv ids, DOIs or names."""
    return json.loads(shipped("bibliography.json").read_text(encoding="utf-8"))


def known(source: str) -> dict:
    """The entry of a source: ours, or what `data/papers.csv` says of the paper, or its bare name."""
    if source in bibliography():
        return bibliography()[source]
    row = papers().get(source, {})
    key = "arxiv" + source.replace(".", "") if row else "".join(c for c in source if c.isalnum())
    fields = {"title": row.get("title") or source, "author": row.get("authors", "").replace(" et al.", " and others")}
    fields |= {"eprint": source, "archiveprefix": "arXiv", "year": row.get("year", "")} if row else {}
    return {"entry": "misc", "key": key, "fields": {name: value for name, value in fields.items() if value}}


def cited(meter: str) -> str:
    """Who to name for a meter: " (Wang and Isola 2020)"; "" where nobody."""
    found = [short(known(source)) for source in CARDS[meter].sources] if meter in CARDS else []
    return f" ({'; '.join(found)})" if found else ""


def short(found: dict) -> str:
    """
    >>> short(known("2005.10242")), short(known("2210.02885"))
    ('Wang and Isola 2020', 'Garrido et al. 2023')
    """
    fields = found["fields"]
    names = [author.split(",")[0] for author in fields.get("author", fields["title"]).split(" and ")]
    said = f"{names[0]} et al." if len(names) > 2 or names[-1] == "others" else " and ".join(names)
    return f"{said} {fields.get('year', '')}".strip()


def sources(report: Report) -> list[str]:
    """Of the meters that this report used, and of its intervals; each once, in order."""
    found = [source for meter in meters(report) for source in CARDS[meter].sources]
    return list(dict.fromkeys([*found, *behind(report)]))


def behind(report: Report) -> list[str]:
    """Where this report's intervals come from."""
    there = {number.card.section for number in report.numbers if not counted(number.estimate)}
    return [HALVES] * bool(there - set(FOLDED)) + [JACKKNIFE] * bool(there & set(FOLDED))


def bibtex(sources: Iterable[str]) -> str:
    """The entries, and labkit's own."""
    own = {"title": "labkit", "author": "{The labkit authors}", "note": f"version {labkit.__version__}"}
    return "\n\n".join(map(entry, [*map(known, sources), {"entry": "misc", "key": "labkit", "fields": own}])) + "\n"


def entry(found: dict) -> str:
    """One entry; letters that BibTeX of old does not sort are written its way."""
    fields = "".join(f"  {name} = {{{value.translate(LETTERS)}}},\n" for name, value in found["fields"].items())
    return f"@{found['entry']}{{{found['key']},\n{fields}}}"
