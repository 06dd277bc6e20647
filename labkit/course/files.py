"""Files that are there whole or not at all, and folders of students read without following where they point."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

IGNORED = {".ipynb_checkpoints", "__MACOSX", "__pycache__", ".git"}


def write(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write the file beside its place, then move it there: whoever reads meanwhile sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_once(path: Path, content: str, mode: int = 0o644) -> None:
    """Write the file unless there is one, also when several try at the same time: all of them then find the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        Path(name).chmod(mode)
        try:
            path.hardlink_to(name)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not path.exists():
                Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def handed_in(folder: Path) -> Iterator[Path]:
    """The regular files below a student's folder, in order; links are not followed."""
    for root, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in IGNORED)
        for name in sorted(names):
            path = Path(root) / name
            if path.is_file() and not path.is_symlink() and not name.startswith("._"):
                yield path
