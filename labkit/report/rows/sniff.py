"""What a file really is, by its first bytes: the name of a file is a claim."""

import zipfile
from pathlib import Path

# What labkit reads, by its suffixes. Suffixes that say nothing (.bin, .ckpt, none) are read by what is in the file.
SUFFIXES = {
    "npy": (".npy",),
    "npz": (".npz",),
    "torch": (".pt", ".pth"),
    "safetensors": (".safetensors",),
    "parquet": (".parquet", ".pq"),
    "text": (".csv", ".tsv", ".txt"),
}
FORMATS = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
CALLED = {
    "npy": "a NumPy array (.npy)",
    "npz": "NumPy arrays in a zip (.npz)",
    "torch": "a file of torch.save (.pt)",
    "safetensors": "a safetensors file (.safetensors)",
    "parquet": "a Parquet table (.parquet)",
    "text": "a table as text (.csv)",
}
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before 1.6: a pickle that begins with torch's own number
# First bytes -> what was found, what to do. Nothing here is read.
FOREIGN = {
    b"version https://git-lfs": ("a Git LFS pointer, not the file itself", "fetch it with git lfs pull"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it first, with gunzip"),
    b"BZh": ("compressed by bzip2", "unpack it first"),
    b"\xfd7zXZ": ("compressed by xz", "unpack it first"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "unpack it first"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it first"),
    b"\x89HDF": ("an HDF5 file", "save the array with numpy.save"),
    b"ARROW1": ("an Arrow file (Feather)", "save it as Parquet, or the array with numpy.save"),
    b"PARE": ("an encrypted Parquet table", "decrypt it first"),
    b"MATLAB": ("a MATLAB file", "load it with scipy.io.loadmat and save the array with numpy.save"),
    b"\xff\xfe": ("text in UTF-16", "save it as UTF-8"),
    b"\xfe\xff": ("text in UTF-16", "save it as UTF-8"),
    b"\x89PNG": ("a picture", "labkit reads embeddings, not their inputs"),
    b"\xff\xd8\xff": ("a picture", "labkit reads embeddings, not their inputs"),
    b"%PDF": ("a PDF", "pass the array itself"),
    b"SQLite format 3": ("an SQLite database", "save the array with numpy.save"),
    b"GGUF": ("a GGUF model", "pass embeddings, not the weights of a model"),
}
PICKLE = (
    "a Python pickle, which can run code when it is loaded, and labkit never runs one",
    "where you trust it, load it yourself and save the array: numpy.save('z1.npy', z)",
)


RAW = "read it with numpy.fromfile(path, 'float32').reshape(-1, d) and pass the array"


class Unreadable(ValueError):
    """A file that is not what it says; `opened` puts the argument's name in front."""


def refuse(path: Path, found: str, try_next: str) -> Unreadable:
    return Unreadable(f"{path.name} {found}; {try_next}")


def kind(path: Path) -> str:
    """Which of SUFFIXES the file is.

    Raises:
        Unreadable: it is something else, or its name says that it is another of them.
    """
    with path.open("rb") as file:
        start = file.read(4096)
    if not start:
        raise refuse(path, "is empty (0 bytes)", "was it still being written, or the disk full?")
    found = _known(path, start) or _text(path, start)
    claimed = next((k for k, suffixes in SUFFIXES.items() if path.suffix.lower() in suffixes), None)
    if claimed and claimed != found:
        shown = f", beginning {start[:24].decode('utf-8', 'replace')!r}" if found == "text" else ""
        wanted = f"rename it to {path.stem}{SUFFIXES[found][0]}, or look at what wrote it"
        raise refuse(path, f"is called {path.suffix} but is {CALLED[found]}{shown}", wanted)
    if not claimed and found == "text":
        raise refuse(path, "is text", "if it is a table of numbers, call it .csv; .json and .jsonl are not read")
    return found


def _known(path: Path, start: bytes) -> str | None:
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped(path)
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(LEGACY):
        return "torch"
    if start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") < 2**32:
        return "safetensors"
    for magic, (found, try_next) in FOREIGN.items():
        if start.startswith(magic):
            raise refuse(path, f"is {found}", try_next)
    if start[257:262] == b"ustar":
        raise refuse(path, "is a tar archive", "unpack it first; very old files of torch.save must be saved again")
    if start.startswith((*(bytes([0x80, protocol]) for protocol in (2, 3, 4, 5)), b"(lp", b"(dp", b"cnumpy")):
        raise refuse(path, f"is {PICKLE[0]}", PICKLE[1])
    return None


def _zipped(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            sealed = any(member.flag_bits & 1 for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise refuse(path, "is cut off: a zip whose list of contents, at its end, is missing", "copy it again") from error
    if sealed:
        raise refuse(path, "is a zip with a password", "unpack it first")
    if any(name.endswith("data.pkl") for name in names):
        return "torch"
    if any(name.endswith(".npy") for name in names):
        return "npz"
    if "[Content_Types].xml" in names:
        raise refuse(path, "is an Office document", "save the table as .csv")
    inside = ", ".join(names[:3]) or "nothing"
    raise refuse(path, f"is a zip that holds {inside}", "unpack it and pass the file of embeddings")


def _text(path: Path, start: bytes) -> str:
    begins = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    lower = begins[:64].lower()
    if lower.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<error")):
        raise refuse(path, "is a web page", "a download often saves the page that asks to log in: get the file itself")
    if lower.startswith((b'{"', b"{\n", b'[{"', b"[[")):
        raise refuse(path, "is JSON", "save the rows with numpy.save, or as .csv")
    if not start.strip(b"\0"):
        raise refuse(path, "holds nothing but zero bytes at its start", "a download that never arrived? copy it again")
    if b"\0" in start or sum(byte < 9 for byte in start):
        raise refuse(path, "is in no format that labkit knows (raw numbers without a header?)", RAW)
    return "text"
