"""Sorting what came in: which file is whose, below whatever folders and zips it was wrapped in."""

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from labkit.course.desk.archives import Entry
from labkit.course.desk.senders import Roster, Sender, gradescope, original, sender, split

FOREIGN = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
NO_ZIP = "an archive that is not a zip: unpack it into a folder with the student's name, or ask for a zip"


@dataclass(frozen=True)
class Piece:
    """A file and its sender."""

    entry: Entry
    sender: Sender


def outermost(entries: list[Entry], source: Path, assignment: str, roster: Roster) -> list[Entry]:
    """Without the folder or zip that holds everything, so that the first name on each way is the LMS's or the student's."""
    if source.suffix.lower() == ".zip" and any(e.way[0] == f"{assignment}.ipynb" for e in entries):
        return [replace(e, way=(source.name, *e.way)) for e in entries]  # one student's own zip
    while wrapped(entries, assignment, roster):
        entries = [replace(e, way=e.way[1:]) for e in entries]
    return entries


def wrapped(entries: list[Entry], assignment: str, roster: Roster) -> bool:
    """Whether everything lies in one folder that is not itself a student's."""
    if not entries or len({e.way[0] for e in entries}) > 1 or any(len(e.way) == 1 for e in entries):
        return False
    own = sender(entries[0].way, assignment, roster, set())
    if roster.find([split(entries[0].way[0])[0]]) or (own and own.system != "plain"):
        return False
    below = {e.way[1] for e in entries}
    found = [sender(e.way[1:], assignment, roster, below) for e in entries]
    if "submission_metadata.yml" in below or any(each and each.system != "plain" for each in found):
        return True
    notebooks = {e.way[1] for e in entries if len(e.way) == 2 and split(e.way[1])[1] == ".ipynb"}
    if notebooks:
        return len(notebooks) > 1 and all(original(name)[0] != f"{assignment}.ipynb" for name in notebooks)
    if len(below) == 1:  # a folder in a folder: whatever is found further down
        return wrapped([replace(e, way=e.way[1:]) for e in entries], assignment, roster)
    return assignment not in below


def whose(entries: list[Entry], assignment: str, roster: Roster) -> tuple[dict[str, list[Piece]], list[tuple[Entry, str]]]:
    """The files of each student, and those that are nobody's, with the reason."""
    folders, siblings = gradescope(entries), {e.way[0] for e in entries}
    pieces: dict[str, list[Piece]] = defaultdict(list)
    strangers: list[tuple[Entry, str]] = []
    called: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        senders = senders_of(entry, folders, assignment, roster, siblings)
        if not senders:
            foreign = entry.way[-1].lower().endswith(FOREIGN)
            strangers.append((entry, NO_ZIP if foreign else "it bears no student's name"))
        for each in senders:
            student = roster.find(each.names) or slug(each)
            if not each.rest:
                strangers.append((entry, "a text that the LMS keeps beside the files"))
            elif not roster.known and called.setdefault(student, each.names) != each.names:
                strangers.append((entry, f"{each.names[0]} and {called[student][0]} would both be the student {student}"))
            else:
                pieces[student].append(Piece(entry, each))
    return pieces, strangers


def senders_of(
    entry: Entry, folders: dict[tuple[str, ...], list[Sender]], assignment: str, roster: Roster, siblings: set[str]
) -> list[Sender]:
    for k in range(1, len(entry.way)):
        if entry.way[:k] in folders:
            return [replace(each, rest=entry.way[k:]) for each in folders[entry.way[:k]]]
    if entry.way[-1] == "submission_metadata.yml":
        return []
    found = sender(entry.way, assignment, roster, siblings)
    return [found] if found else []


def slug(who: Sender) -> str:
    """An id that can be a folder's name, for a student whom no roster names.

    >>> slug(Sender("moodle", ("123", "Participant 123", "Zoé Ó Doe"), ())), slug(Sender("canvas", ("12345", "doejane"), ()))
    ('Zoé_Ó_Doe_123', 'doejane_12345')
    """
    name = f"{who.names[-1]}_{who.names[0]}" if who.system in ("canvas", "moodle") and len(who.names) > 1 else who.names[0]
    return re.sub(r"[^\w.@-]+", "_", name).strip("._-@")[:80] or "nameless"
