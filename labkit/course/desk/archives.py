"""Reading what strangers packed: zips, folders and zips within zips, as plain files with harmless names.

Nothing of an archive decides where something is written: every file goes to a place of our own that bears a number, and its
name stays a word beside it. Bytes are counted as they come, because what an archive says of its sizes may be a lie.
"""

import lzma
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

# Made by operating systems and by Jupyter, of no interest to anybody.
CLUTTER = {"__MACOSX", ".ipynb_checkpoints", "__pycache__", ".git", ".DS_Store", "Thumbs.db", "desktop.ini"}
BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Limits:
    """How much is taken in. A notebook has some tens of kB; a class of 500 with saved figures fits.

    file, total: bytes of one file, and of everything in one archive or folder, unpacked.
    files: how many.
    ratio: of unpacked to packed bytes, of one file and of one zip, above `free` bytes (zeros compress a thousandfold, notebooks
        tenfold). What an archive says of its sizes is not asked: its size on the disk is.
    depth: zips within zips.
    """

    file: int = 100 << 20
    total: int = 4 << 30
    files: int = 20_000
    ratio: float = 200.0
    free: int = 4 << 20
    depth: int = 3


@dataclass(frozen=True)
class Entry:
    """A file as it was named (`way`: folders and zips on the way to it, then the file), and where its bytes lie now."""

    way: tuple[str, ...]
    file: Path
    when: datetime | None = None  # the file's own time, in the clock of whoever packed it

    @property
    def name(self) -> str:
        return "/".join(self.way)


@dataclass(frozen=True)
class Refused:
    """What was not taken in, and why."""

    name: str
    why: str


@dataclass
class Reader:
    """Takes archives and folders apart into `into`, within limits that hold for all of them together."""

    into: Path
    limits: Limits = field(default_factory=Limits)
    files: int = 0
    taken: int = 0  # bytes
    ceilings: list[int] = field(default_factory=list)  # for `taken`, one for each zip that is being read

    def read(self, source: Path) -> Iterator[Entry | Refused]:
        """Every file of a folder, or of one zip or notebook."""
        self.into.mkdir(parents=True, exist_ok=True)
        for path, way in walk(source):
            if path.is_symlink() or not path.is_file():
                yield Refused("/".join(way), "a link or a device, not a file")
            elif set(way) & CLUTTER:
                continue
            elif path.suffix.lower() == ".zip":
                yield from self.unzip(path, way, 1)
            else:
                yield self.kept(way, path)

    def kept(self, way: tuple[str, ...], path: Path) -> Entry | Refused:
        when = datetime.fromtimestamp(path.stat().st_mtime)
        with path.open("rb") as file:
            return self.store(way, file, path.stat().st_size, when)

    def unzip(self, path: Path, way: tuple[str, ...], depth: int) -> Iterator[Entry | Refused]:
        """Every file of a zip; a broken one is told of, and never ends the batch."""
        if depth > self.limits.depth:
            yield Refused("/".join(way), f"zips within zips, deeper than {self.limits.depth}")
            return
        self.ceilings.append(self.taken + int(max(8 * self.limits.free, self.limits.ratio * path.stat().st_size)))
        try:
            with zipfile.ZipFile(path) as archive:
                if len(archive.infolist()) > self.limits.files:
                    raise zipfile.BadZipFile(f"it holds more than {self.limits.files} files")
                for info in archive.infolist():
                    yield from self.member(archive, info, way, depth)
        except BROKEN as error:
            yield Refused("/".join(way), f"a broken zip: {error}")
        self.ceilings.pop()

    def member(
        self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, way: tuple[str, ...], depth: int
    ) -> Iterator[Entry | Refused]:
        inside = parts(real_name(info))
        if info.is_dir() or set(inside) & CLUTTER:
            return
        name, why = "/".join((*way, *inside)), unwanted(info, inside)
        if why:
            yield Refused(name, why)
            return
        try:
            with archive.open(info) as file:
                found = self.store((*way, *inside), file, info.compress_size, moment(info))
        except BROKEN as error:
            yield Refused(name, "encrypted" if info.flag_bits & 1 else f"broken: {error}")
            return
        if isinstance(found, Entry) and inside[-1].lower().endswith(".zip"):
            yield from self.unzip(found.file, (*way, *inside), depth + 1)
            found.file.unlink()
        else:
            yield found

    def store(self, way: tuple[str, ...], file: IO[bytes], packed: int, when: datetime | None) -> Entry | Refused:
        """Copy the bytes, counting them; whoever exceeds a limit leaves nothing behind."""
        if self.files >= self.limits.files:
            return Refused("/".join(way), f"more than {self.limits.files} files")
        self.files += 1
        place, size = self.into / f"{self.files:06d}", 0
        with place.open("wb") as out:
            while chunk := file.read(1 << 16):
                size += len(chunk)
                why = self.too_much(size, packed)
                if why:
                    break
                out.write(chunk)
        if why := self.too_much(size, packed):
            place.unlink()
            return Refused("/".join(way), why)
        self.taken += size
        return Entry(way, place, when)

    def too_much(self, size: int, packed: int) -> str:
        bounds = self.limits
        if size > bounds.file:
            return f"larger than {bounds.file >> 20} MB"
        if self.taken + size > bounds.total:
            return f"everything together is larger than {bounds.total >> 20} MB"
        bomb = size > bounds.free and size > bounds.ratio * max(packed, 1)
        if bomb or any(self.taken + size > ceiling for ceiling in self.ceilings):
            return f"unpacks to more than {bounds.ratio:g} times its size: a zip bomb"
        return ""


def walk(source: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Files below a folder in order, links not followed; or the one file itself, whose name is no folder on the way."""
    if not source.is_dir():
        yield source, () if source.suffix.lower() == ".zip" else (clean(source.name),)
        return
    for path in sorted(source.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield path, parts(path.relative_to(source).as_posix())


def unwanted(info: zipfile.ZipInfo, inside: tuple[str, ...]) -> str:
    """Why a member is not even opened."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    raw = info.orig_filename.replace("\\", "/")
    if raw.startswith("/") or raw[1:2] == ":" or ".." in raw.split("/"):
        return "its name points out of the archive"
    if kind not in (0, stat.S_IFREG):
        return "a link or a device, not a file"
    if info.flag_bits & 1:
        return "encrypted"
    return "" if inside else "it has no name"


def real_name(info: zipfile.ZipInfo) -> str:
    """The name as it was meant: many packers write UTF-8 without saying so, and zipfile then reads it as code page 437."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def parts(name: str) -> tuple[str, ...]:
    """Folders and file of a name, harmless on every system; Windows' separators as well.

    >>> parts("Zoé\\\\a1.ipynb"), parts("../../etc/passwd"), parts("C:/x/./y")
    (('Zoé', 'a1.ipynb'), ('etc', 'passwd'), ('C_', 'x', 'y'))
    """
    pieces = name.replace("\\", "/").split("/")
    return tuple(clean(piece) for piece in pieces if piece not in ("", ".", ".."))


def clean(piece: str) -> str:
    """One name without control characters, invisible marks that turn text around, and what Windows forbids.

    >>> clean("a\\u202e1:b.ipynb"), clean("nul"), len(clean("x" * 300 + ".ipynb"))
    ('a1_b.ipynb', '_nul', 120)
    """
    text = unicodedata.normalize("NFC", piece)
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    text = "".join("_" if c in '<>:"|?*/\\' else c for c in text).strip(" ").rstrip(".")
    stem = text.partition(".")[0].lower()
    if stem in {"con", "prn", "aux", "nul"} or (stem[:3] in {"com", "lpt"} and stem[3:].isdigit()):
        text = f"_{text}"
    return text if 0 < len(text) <= 120 else f"{text[:100]}{text[100:][-20:]}" or "_"  # the ending stays


def moment(info: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*info.date_time)
    except ValueError:  # a month 0, as some packers write
        return None
