"""Collecting without nbgrader's exchange: what an LMS, or thirty e-mails, gave -> `submitted/STUDENT/ASSIGNMENT/`.

The input stays as it is. Nothing here runs anything, and nothing is written under a name that an archive chose.
"""

import hashlib
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from labkit.course.desk.archives import Entry, Limits, Reader, Refused
from labkit.course.desk.senders import Roster, original, split
from labkit.course.desk.sorting import NO_ZIP, Piece, outermost, whose
from labkit.progress import bar

Status = Literal["taken", "same", "aside", "ignored", "refused"]
ORDER = ("refused", "taken", "same", "aside", "ignored")  # of the report: first what somebody must look at
CODE = {".py", ".pyc", ".so", ".pyd", ".pth", ".cfg"}  # beside a notebook, Python could import it in place of a library


@dataclass(frozen=True)
class Received:
    """What became of one attempt, or of one file that was none.

    Args:
        student: nbgrader's id; "" where it belongs to nobody.
        files: as they lie in the student's folder now, or as they were called.
        when: of the submission, in UTC, where somebody who knows has said so.
        note: what was done and why, in words; empty if there is nothing to say.
        status: "taken", "same" (it was here already), "aside" (a later attempt counts), "ignored" or "refused".
        source: the name under which it came.
    """

    student: str
    files: tuple[str, ...]
    when: datetime | None
    note: str
    status: Status = "taken"
    source: str = ""
    late: bool = False


def unpack(
    folder: str | Path,
    submitted: str | Path,
    assignment: str,
    students: Mapping[str, str] | Iterable[str] | None = None,
    *,
    times: Mapping[str, datetime] | None = None,
    file_times: bool = True,
    limits: Limits | None = None,
) -> list[Received]:
    """Sort a folder of submissions (or one big zip of them) into nbgrader's `submitted/`; one Received for each attempt.

    Understands the downloads of Canvas, Moodle, Blackboard and Gradescope, and zips, folders and notebooks that bear the
    student's name (`labkit.course.desk.senders`). The newest of several attempts counts; others, and whatever was there before,
    are kept in `attempts/STUDENT/ASSIGNMENT/` beside `submitted`. Where the time of a submission is known, it is written to
    `timestamp.txt`, from which nbgrader reckons lateness.

    Args:
        folder: what was downloaded: a folder, or a zip. It is only read.
        submitted: nbgrader's folder of that name.
        assignment: nbgrader's name of the assignment.
        students: who is in the course: ids, or any name that the LMS has for somebody -> id (`lms.read(roster).known`).
        times: id -> when it was submitted (`lms.read(worksheet).times`); without a time zone it is this machine's.
        file_times: believe the times of files that came by hand (a student can change them). Those that Canvas and Moodle
            give are never believed: they are of the download.
        limits: of sizes and counts (`archives.Limits`).

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: `assignment` cannot be the name of a folder, or `submitted` lies inside `folder`.
    """
    source, target = Path(folder), Path(submitted)
    if not source.exists():
        raise FileNotFoundError(f"there is no {source}: name the folder or the zip that you downloaded")
    if not re.fullmatch(r"\w[\w.-]*", assignment):
        raise ValueError(f"assignment must be a name such as a1_infonce, got {assignment!r}")
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{target} lies inside {source}: name the folder of what you downloaded, not the course")
    roster = Roster.of(students)
    desk = Desk(target, assignment, times or {}, file_times, roster)
    with tempfile.TemporaryDirectory(prefix="labkit-unpack-") as staging:
        read = Reader(Path(staging), limits or Limits()).read(source)
        found = list(bar(iterable=read, desc="reading submissions", unit=" files"))
        entries = outermost([e for e in found if isinstance(e, Entry)], source, assignment, roster)
        pieces, strangers = whose(entries, assignment, roster)
        report = [Received("", (), None, e.why, "refused", e.name) for e in found if isinstance(e, Refused)]
        report += [Received("", (), None, why, "refused" if why == NO_ZIP else "ignored", e.name) for e, why in strangers]
        for student in sorted(pieces):
            report += desk.settle(student, pieces[student])
    return sorted(report, key=lambda r: (ORDER.index(r.status), r.student, r.source))


@dataclass
class Desk:
    """Puts each student's attempts where they belong."""

    submitted: Path
    assignment: str
    times: Mapping[str, datetime]
    file_times: bool
    roster: Roster

    def settle(self, student: str, pieces: list[Piece]) -> Iterator[Received]:
        """The newest attempt goes to `submitted`, the others aside."""
        *earlier, last = attempts(pieces)
        try:
            for attempt in earlier:
                yield self.put_aside(student, attempt, "a later attempt counts")
            yield from self.put_in(student, last)
        except OSError as error:  # a file called like a folder beside it, for example
            yield self.said(student, pieces, (), f"its files cannot lie together: {error.strerror}", "refused")

    def put_in(self, student: str, pieces: list[Piece]) -> Iterator[Received]:
        files, doubles = arrange(pieces, self.assignment)
        if not any(name.endswith(".ipynb") for name in files):
            names = ", ".join(sorted(files)[:5]) or "nothing"
            yield self.said(student, pieces, (), f"no notebook in it, only {names}", "refused")
            return
        if doubles:
            yield self.put_aside(student, doubles, "a newer file of the same name counts")
        place, when = self.submitted / student / self.assignment, self.moment(student, pieces)
        notes = self.remarks(student, pieces, files)
        was = stamp(place)
        if contents(place) == digests(files):
            if when and when != was:
                note_time(place, when)
            yield self.said(student, pieces, tuple(files), "; ".join(["it was here already", *notes]), "same")
            return
        if was and when and when < was:
            yield self.put_aside(student, pieces, f"what is here already came later ({was:%Y-%m-%d %H:%M} UTC)")
            return
        half = written(files, place, when)
        if place.exists():
            kept = self.attempts_folder(student)
            kept.parent.mkdir(parents=True, exist_ok=True)
            place.replace(kept)
            notes.append(f"what was here before is kept in {self.shown(kept)}")
        half.replace(place)
        yield self.said(student, pieces, tuple(files), "; ".join(notes), "taken")

    def put_aside(self, student: str, pieces: list[Piece], why: str) -> Received:
        files = arrange(pieces, self.assignment)[0]
        place = self.attempts_folder(student, digests(files))
        if not place.exists():
            written(files, place, self.moment(student, pieces, last=False)).replace(place)
        return self.said(student, pieces, tuple(files), f"{why}; kept in {self.shown(place)}", "aside")

    def attempts_folder(self, student: str, same: dict[str, str] | None = None) -> Path:
        """A place beside `submitted`, where nbgrader does not look: free, or one that holds the same already."""
        root = self.submitted.parent / "attempts" / student / self.assignment
        places = (root / f"{n:02d}" for n in range(1, 10_000))
        return next(place for place in places if not place.exists() or contents(place) == same)

    def shown(self, place: Path) -> str:
        return place.relative_to(self.submitted.parent).as_posix()

    def said(self, student: str, pieces: list[Piece], files: tuple[str, ...], note: str, status: Status) -> Received:
        late, source = any(p.sender.late for p in pieces), pieces[0].entry.way[0]
        when = self.moment(student, pieces, last=status in ("taken", "same"))
        return Received(student, tuple(sorted(files)), when, note, status, source, late)

    def moment(self, student: str, pieces: list[Piece], *, last: bool = True) -> datetime | None:
        """When it was submitted, as far as somebody who knows has said so; in UTC."""
        told = [p.sender.when for p in pieces if p.sender.when]
        if last and student in self.times:
            told = [self.times[student]]
        elif not told and self.file_times and pieces[0].sender.system == "plain":
            told = [p.entry.when for p in pieces if p.entry.when and split(p.entry.way[-1])[1] == ".ipynb"]
        return max((t.astimezone(UTC).replace(microsecond=0) for t in told), default=None)

    def remarks(self, student: str, pieces: list[Piece], files: Mapping[str, Piece]) -> list[str]:
        """What the instructor should know of an attempt that is taken."""
        first, notes = pieces[0].sender, []
        if self.roster.known and not self.roster.find([student, *first.names]):
            notes.append("not on the roster")
        if first.late:
            notes.append("the LMS marks it late")
        if self.times and self.moment(student, pieces) is None:
            notes.append("no time of submission known")
        elif first.system == "plain" and student not in self.times:
            notes.append("the time is that of the file")
        names = {name: p.entry.way[-1] for name, p in files.items()}
        notes += [f"{was} is now {name}" for name, was in names.items() if not was.endswith(name.split("/")[-1])]
        code = sorted(name for name in files if Path(name).suffix in CODE)
        return [*notes, f"brings code files: {', '.join(code)}"] if code else notes


def attempts(pieces: list[Piece]) -> list[list[Piece]]:
    """The files of each attempt, the newest attempt last.

    Canvas sends the newest version of every file, and a file sent again may have had company that was not: there the newest
    of each name make up the last attempt, and what they replaced the ones before.
    """
    groups: dict[Any, list[Piece]] = defaultdict(list)
    for piece in pieces:
        box = piece.entry.way[0] if piece.sender.system in ("plain", "canvas") else ""
        groups[piece.sender.system, piece.sender.order, box].append(piece)
    last = datetime.min
    times = {key: max((p.entry.when or last for p in group), default=last) for key, group in groups.items()}
    found = [groups[key] for key in sorted(groups, key=lambda key: (*key[:2], times[key], key[2]))]
    newest = {piece.sender.key: n for n, group in enumerate(found) for piece in group if piece.sender.key}
    together = [p for n, group in enumerate(found) for p in group if p.sender.key and newest[p.sender.key] == n]
    rest = [group for n, group in enumerate(found) if not group[0].sender.key or newest[group[0].sender.key] != n]
    return [*rest, together] if together else rest


def arrange(pieces: list[Piece], assignment: str) -> tuple[dict[str, Piece], list[Piece]]:
    """Name in the student's folder -> its file, with the notebook on top; and the files whose name a newer one has taken."""
    wanted = f"{assignment}.ipynb"
    books = [p.sender.rest for p in pieces if split(p.sender.rest[-1])[1] == ".ipynb"]
    top = min(books, key=lambda way: (original(way[-1])[0] != wanted, len(way), way), default=("",))[:-1]
    files: dict[str, Piece] = {}
    doubles = []
    for piece in sorted(pieces, key=lambda p: (original(p.sender.rest[-1])[1], p.entry.when or datetime.min)):
        way = piece.sender.rest[len(top) :] if piece.sender.rest[: len(top)] == top else piece.sender.rest
        base = original(way[-1])[0]
        name = "/".join((*way[:-1], base if base == wanted or split(way[-1])[0] + ".ipynb" == base else way[-1]))
        if name == "timestamp.txt":
            continue  # the student would say when it was submitted
        doubles += [files[name]] if name in files else []
        files[name] = piece
    return files, doubles


def written(files: Mapping[str, Piece], place: Path, when: datetime | None) -> Path:
    """All files of an attempt beside `place`, to be moved there at once: a reader sees all of them or none."""
    half = place.with_name(f".{place.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    for name, piece in files.items():
        (half / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(piece.entry.file, half / name)
    if when:
        note_time(half, when)
    return half


def note_time(place: Path, when: datetime) -> None:
    (place / "timestamp.txt").write_text(f"{when:%Y-%m-%d %H:%M:%S} UTC\n", encoding="utf-8")


def stamp(place: Path) -> datetime | None:
    """What `timestamp.txt` says, if it is one of ours or of nbgrader's."""
    try:
        text = (place / "timestamp.txt").read_text(encoding="utf-8")
        return datetime.fromisoformat(text.strip()[:19]).replace(tzinfo=UTC)
    except (OSError, ValueError):
        return None


def contents(place: Path) -> dict[str, str]:
    files = (p for p in place.rglob("*") if p.is_file() and p.relative_to(place).as_posix() != "timestamp.txt")
    return {p.relative_to(place).as_posix(): digest(p) for p in files}


def digests(files: Mapping[str, Piece]) -> dict[str, str]:
    return {name: digest(piece.entry.file) for name, piece in files.items()}


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
