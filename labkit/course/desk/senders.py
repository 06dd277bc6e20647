r"""Whose file is it? Learning-management systems say so in the names of the files and folders that they zip up.

How each names them:

* Canvas (`lib/content_zipper.rb` of instructure/canvas-lms): `doejane_12345_67890_a1.ipynb`, the name, the user's number, the
  file's number; `doejane_LATE_12345_67890_a1.ipynb` if late; `anon_x7Yz2_67890_a1.ipynb` where grading is anonymous. A file
  that is sent again under its old name becomes `a1-1.ipynb`, `a1-2.ipynb`. Files bear the time of the download, no other.
* Moodle (`mod_assign`, "Download all submissions"): `Jane Doe_12345_assignsubmission_file_/a1.ipynb`, or the same with the
  file's name in place of the folder; the number is the participant's, as in the grading worksheet.
* Blackboard Learn ("Assignment file download"): `Assignment 1_jdoe_attempt_2026-10-01-12-30-45_a1.ipynb`, and a `.txt` with
  what was written beside it.
* Gradescope ("Export submissions"): `assignment_1_export/submission_2/a1.ipynb`, with names and times in
  `submission_metadata.yml` above them.
* By hand: `jane.zip`, `jane/a1.ipynb`, `jane/a1/a1.ipynb`, `jane.ipynb`, `a1_jane.ipynb`.

Only the outermost name counts: what a student calls the things in his own zip cannot make him somebody else.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from labkit.course.desk.archives import Entry

MOODLE = re.compile(r"(?P<name>.+)_(?P<number>\d+)_assignsubmission_(?P<kind>file|onlinetext)_?(?P<file>.*)")
CANVAS = re.compile(r"(?P<name>\w+?)_(?P<late>LATE_)?(?P<number>\d+)_(?P<attachment>\d+)_(?P<file>.+)")
CANVAS_ANONYMOUS = re.compile(r"(?P<late>LATE_)?(?P<number>anon_[A-Za-z0-9]{4,8})_(?P<attachment>\d+)_(?P<file>.+)")
CANVAS_TEXT = re.compile(r"\w+?_(?:LATE_)?\d+_(?:text|link)\.html")
BLACKBOARD = re.compile(r"(?P<name>.+)_attempt_(?P<when>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|\.txt)")
AGAIN = re.compile(r"(?P<stem>.+?)(?: ?\((?P<copy>\d+)\)|-(?P<dash>\d{1,2}))")


@dataclass(frozen=True)
class Sender:
    """What the name of a file says about who sent it.

    names: how the LMS calls the student, the surest first.
    rest: the way to the file as the student named it; empty where the LMS put something of its own.
    order: attempts of one student in the order they came.
    key: files of the same key replace each other; "" where a whole attempt replaces another.
    """

    system: str
    names: tuple[str, ...]
    rest: tuple[str, ...]
    order: tuple[Any, ...] = ()
    key: str = ""
    late: bool = False
    when: datetime | None = None


@dataclass(frozen=True)
class Roster:
    """Who is in the course: any name that an LMS has for somebody -> the id that nbgrader shall use."""

    known: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, students: Mapping[str, str] | Iterable[str] | None) -> "Roster":
        pairs = students.items() if isinstance(students, Mapping) else [(s, s) for s in students or ()]
        return cls({fold(name): student for name, student in pairs})

    def find(self, names: Iterable[str]) -> str | None:
        return next((self.known[fold(name)] for name in names if fold(name) in self.known), None)


def fold(name: str) -> str:
    """
    >>> fold(" Jane  DOE ")
    'jane doe'
    """
    return " ".join(str(name).split()).casefold()


def sender(way: tuple[str, ...], assignment: str, roster: Roster, siblings: set[str]) -> Sender | None:
    """Who sent it, by the outermost name; None where it belongs to nobody.

    Args:
        way: folders, zips and file, from the outermost in.
        siblings: the outermost names of all that came along.

    >>> found = sender(("doejane_LATE_12345_67890_a1-1.ipynb",), "a1", Roster(), set())
    >>> found.system, found.names, found.rest, found.late
    ('canvas', ('12345', 'doejane'), ('a1.ipynb',), True)
    """
    first, rest = way[0], way[1:]
    if found := MOODLE.fullmatch(first):
        mine = (found["file"], *rest) if found["file"] else rest
        names = (found["number"], f"Participant {found['number']}", found["name"])
        return Sender("moodle", names, unzipped(mine) if found["kind"] == "file" else ())
    if CANVAS_TEXT.fullmatch(first):
        return Sender("canvas", (first.split("_")[0],), ())
    if found := CANVAS_ANONYMOUS.fullmatch(first) or CANVAS.fullmatch(first):
        name, again = original(found["file"])
        who = tuple(str(found[key]) for key in ("number", "name") if key in found.groupdict())
        order = (again, int(found["attachment"]))
        return Sender("canvas", who, unzipped((name, *rest)), order, name, bool(found["late"]))
    if found := BLACKBOARD.fullmatch(first):
        when = datetime.strptime(found["when"], "%Y-%m-%d-%H-%M-%S")
        mine = unzipped((found["file"], *rest)) if found["file"] else ()
        return Sender("blackboard", endings(found["name"], roster), mine, (when,), when=when)
    return by_hand(way, assignment, roster, siblings)


def endings(name: str, roster: Roster) -> tuple[str, ...]:
    """Blackboard joins the assignment's name and the user's with a sign that both may hold: a known user, or the last piece.

    >>> endings("Week_1_j_doe", Roster.of(["j_doe"])), endings("Week_1_jdoe", Roster())
    (('j_doe',), ('jdoe',))
    """
    pieces = name.split("_")
    options = ["_".join(pieces[k:]) for k in range(1, len(pieces))] or [name]
    return (next((o for o in options if roster.find([o])), options[-1]),)


def by_hand(way: tuple[str, ...], assignment: str, roster: Roster, siblings: set[str]) -> Sender | None:
    """A folder, zip or notebook that bears the student's name."""
    first, rest = way[0], way[1:]
    stem, ending = split(first)
    if not rest and ending != ".ipynb":
        return None
    plain, again = original(first)
    copied, dash = plain != first, AGAIN.fullmatch(stem)
    if copied and dash and dash["dash"] and (roster.find([stem]) or plain not in siblings):
        plain, again = first, 0  # a student called anna-2, and no second attempt of anna
    name = without(split(plain)[0], assignment)
    if not name:
        return None
    mine = rest if rest else (f"{assignment}.ipynb",)
    return Sender("plain", (name,), unzipped(mine), (again,))


def split(name: str) -> tuple[str, str]:
    """
    >>> split("jane.doe.zip"), split("jane.doe"), split("a1.ipynb.txt")
    (('jane.doe', '.zip'), ('jane.doe', ''), ('a1', '.ipynb'))
    """
    found = re.fullmatch(r"(.+?)(\.zip|\.ipynb)(?:\.(?:txt|json))?", name, re.IGNORECASE)
    return (found[1], found[2].lower()) if found else (name, "")


def original(name: str) -> tuple[str, int]:
    """A name without what says that it came again, and how often it did.

    >>> original("a1-2.ipynb"), original("jane (1).zip"), original("a1.ipynb")
    (('a1.ipynb', 2), ('jane.zip', 1), ('a1.ipynb', 0))
    """
    stem, ending = split(name)
    found = AGAIN.fullmatch(stem)
    return (f"{found['stem']}{ending}", int(found["copy"] or found["dash"])) if found else (f"{stem}{ending}", 0)


def without(name: str, assignment: str) -> str:
    """
    >>> without("a1_infonce_jane", "a1_infonce"), without("jane-A1_infonce", "a1_infonce"), without("a1_infonce", "a1_infonce")
    ('jane', 'jane', '')
    """
    this = re.escape(assignment)
    return re.sub(rf"^{this}(?:[ _.-]+|$)|[ _.-]+{this}$", "", name, flags=re.IGNORECASE)


def unzipped(way: tuple[str, ...]) -> tuple[str, ...]:
    """The way without the zips on it: a student's `work.zip/a1.ipynb` is his `a1.ipynb`."""
    return tuple(piece for k, piece in enumerate(way) if k == len(way) - 1 or not piece.lower().endswith(".zip"))


def gradescope(entries: Iterable[Entry]) -> dict[tuple[str, ...], list[Sender]]:
    """Folder of a submission -> its senders (several, if a group sent it), by the `submission_metadata.yml` above it."""
    import yaml

    found: dict[tuple[str, ...], list[Sender]] = {}
    for entry in sorted((e for e in entries if e.way[-1] == "submission_metadata.yml"), key=lambda e: len(e.way)):
        above = entry.way[:-1]
        if any(above[: len(folder)] == folder for folder in found):
            continue  # a student's own file of that name
        try:
            table = yaml.safe_load(entry.file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeError):
            continue
        for folder, facts in table.items() if isinstance(table, dict) else ():
            found[(*above, str(folder))] = [one_of_gradescope(who, facts) for who in facts.get(":submitters") or ()]
    return found


def one_of_gradescope(who: Mapping[str, Any], facts: Mapping[str, Any]) -> Sender:
    names = tuple(str(who[key]) for key in (":email", ":sid", ":name") if who.get(key))
    when = facts.get(":created_at")
    return Sender("gradescope", names, (), (), when=when if isinstance(when, datetime) else None)
