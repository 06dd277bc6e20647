"""Files from the network, whole or not at all: mirrors in turn, resumed after a cut, believed only when the sha256 fits."""

import functools
import gzip
import hashlib
import http.client
import os
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from labkit.paths import home, shipped
from labkit.progress import bar

BLOCK = 1 << 18
TIMEOUT = 30  # seconds without a byte before a mirror counts as silent
TRIES = 3  # per mirror: a cut connection goes on where it was cut


class Refused(OSError):
    """A mirror that answers, but not with our file: no use asking it again."""


BROKEN = (OSError, http.client.HTTPException)  # what a network can do to us; a refused connection is an OSError


@dataclass(frozen=True)
class File:
    """One file of a data set: its name, size and sha256, and where gzipped the sha256 of its content."""

    name: str
    size: int
    sha256: str
    content: str = ""


@dataclass(frozen=True)
class Source:
    """What `data/sources.toml` says of one data set."""

    name: str
    files: tuple[File, ...]
    mirrors: tuple[str, ...]
    license: str
    citation: str
    homepage: str = ""
    folders: tuple[str, ...] = ()  # of the system, where a package may have put the files
    hint: str = ""

    def file(self, name: str) -> File:
        return next(f for f in self.files if f.name == name)


@functools.cache
def sources() -> dict[str, Source]:
    """`data/sources.toml`, by data set."""
    table = tomllib.loads(shipped("sources.toml").read_text(encoding="utf-8"))
    return {name: Source(name, files(rows.pop("files")), **frozen(rows)) for name, rows in table.items()}


def files(rows: list[dict[str, Any]]) -> tuple[File, ...]:
    return tuple(File(**row) for row in rows)


def frozen(row: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


def locate(source: Source, name: str, *, root: Path | None = None, download: bool = True) -> Path:
    """The path of a verified file: found in a folder, or downloaded into `root` (default: labkit's cache).

    `LABKIT_OFFLINE=1` and smoke runs never download.

    Raises:
        ValueError: a file is there, but is not the published one.
        FileNotFoundError: it is nowhere and could not be downloaded; says where to put it by hand.
    """
    file = source.file(name)
    mine = (root or home() / "data") / source.name
    folders = dict.fromkeys([mine, home() / "data" / source.name, *map(Path, source.folders)])
    for folder in folders:
        if (folder / name).exists():
            return verified(folder / name, file)
    offline = [f"not tried: {name}=1" for name in ("LABKIT_OFFLINE", "LABKIT_SMOKE") if os.environ.get(name) == "1"]
    said = (offline or download_file(source, file, mine)) if download else ["not tried: download=False"]
    if not said:
        return mine / name
    lines = [
        f"{name} of {source.name} is not in {' or '.join(map(str, folders))}, and could not be downloaded:",
        *(f"  {line}" for line in said),
        f"Get it by hand ({source.homepage}) and put it, as it is, into {mine}",
        *([source.hint] if source.hint else []),
    ]
    raise FileNotFoundError("\n".join(lines))


def download_file(source: Source, file: File, folder: Path) -> list[str]:
    """Try every mirror until `folder / file.name` is whole; what each of them answered, or nothing when it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    whole, part = folder / file.name, folder / f"{file.name}.part"
    said = []
    with FileLock(folder / f"{file.name}.lock"):  # a second kernel waits here, and finds the file
        for mirror in source.mirrors:
            if whole.exists():
                return []
            try:
                pull(mirror + file.name, part, file)
                part.replace(whole)
            except BROKEN as error:
                said.append(f"{mirror}: {error}")
    return [] if whole.exists() else said


def pull(url: str, part: Path, file: File) -> None:
    """Bring `part` to a whole, verified file, or raise; what has arrived stays for the next try, unless it proved wrong."""
    for attempt in range(TRIES):
        had = size(part)
        try:
            receive(url, part, file)
        except urllib.error.HTTPError as error:
            if not (error.code == 416 and had):  # 416: our part is longer than their file
                raise
            part.unlink()
            continue
        except BROKEN as error:
            if isinstance(error, Refused) or size(part) == had or attempt == TRIES - 1:
                raise
            continue  # cut off on the way: go on from there
        if hexdigest(part) == file.sha256:
            return
        part.unlink()
        if not had:  # all of it came from here
            break
    raise Refused("what it sent is not the published file (its sha256 differs)")


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def receive(url: str, part: Path, file: File) -> None:
    """Append to `part` what is missing of it; start anew where the server cannot resume."""
    start = size(part)
    if start == file.size:
        return
    if start > file.size:
        part.unlink()
        start = 0
    if not url.startswith(("http://", "https://")):
        raise Refused("not an http address")
    request = urllib.request.Request(url, headers={"User-Agent": "labkit", **({"Range": f"bytes={start}-"} if start else {})})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
        goes_on = reply.status == 206 and reply.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        promised = start * goes_on + int(reply.headers.get("Content-Length") or file.size - start * goes_on)
        if promised != file.size:
            raise Refused(f"its file has {promised:,} bytes, the published one has {file.size:,}")
        if reply.status == 206 and not goes_on:
            raise Refused(f"asked for bytes from {start}, answered {reply.headers.get('Content-Range')}")
        with part.open("ab" if goes_on else "wb") as out, progress(file, start if goes_on else 0) as shown:
            while block := reply.read(BLOCK):
                out.write(block)
                shown.update(len(block))
                if out.tell() > file.size:
                    break
    if size(part) < file.size:
        raise OSError(f"cut off after {size(part):,} of {file.size:,} bytes")


def progress(file: File, start: int) -> Any:
    return bar(total=file.size, initial=start, unit="B", unit_scale=True, desc=file.name)


def verified(path: Path, file: File) -> Path:
    """The path again, when the file there is the published one or a repacked copy of it."""
    digest = hexdigest(path)
    if digest == file.sha256 or (file.content and content_digest(path) == file.content):
        return path
    raise ValueError(
        f"{path} is not the published {file.name}: its sha256 is {digest[:12]}..., expected {file.sha256[:12]}... "
        f"({path.stat().st_size:,} bytes, expected {file.size:,}); delete it and try again"
    )


def hexdigest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_digest(path: Path) -> str:
    try:
        with gzip.open(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    except (OSError, EOFError):
        return ""
