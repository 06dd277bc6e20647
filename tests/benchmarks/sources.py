"""Two official codes that are no packages: single files, fetched when needed, believed by their sha256, never kept here."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from benchmarks.registry import Skip

FOLDER = Path(sys.prefix) / "sources"  # beside the peers' packages
RAW = "https://raw.githubusercontent.com/{repository}/{commit}/"
FILES = {  # repository, commit, path, bytes, sha256
    "SupContrast": (
        "HobbitLong/SupContrast", "66a8fe53880d6a1084b2e4e0db0a019024d6d41a", "losses.py", 4137,
        "a432e24bdff118aa0ab3013a4c85a4b099871ebef554177054d91fe6fca616db",
    ),
    "align_uniform": (
        "SsnL/align_uniform", "e256d476ddbe04873dc15a8f893d4443d1f81671", "align_uniform/__init__.py", 236,
        "43c57a9b5036fa709a64a5c325a4fe5307c3d67907c561636824fea97c87c00c",
    ),
}  # fmt: skip


def fetch() -> dict[str, str]:
    """Brings what is missing; what is missing still, and why."""
    missing = {}
    for name in FILES:
        try:
            path(name)
        except FileNotFoundError as error:
            missing[name] = str(error).splitlines()[0]
    return missing


def path(name: str, *, download: bool = True) -> Path:
    """The verified file in our folder.

    Raises:
        FileNotFoundError: it is not there and could not be had.
    """
    from labkit.data.fetch import File, Source, locate

    repository, commit, file, size, digest = FILES[name]
    folder, _, last = file.rpartition("/")
    mirror = RAW.format(repository=repository, commit=commit) + (f"{folder}/" if folder else "")
    home = f"github.com/{repository}"
    source = Source(name, (File(last, size, digest),), (mirror,), license="", citation="", homepage=home)
    return locate(source, last, root=FOLDER, download=download)


def module(name: str) -> ModuleType:
    """The file as a module.

    Raises:
        Skip: it is not available.
    """
    try:
        spec = importlib.util.spec_from_file_location(name, path(name, download=False))
    except FileNotFoundError as error:
        raise Skip(f"not available: {FILES[name][0]} could not be fetched") from error
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def commits() -> dict[str, str]:
    return {name: f"commit {row[1][:7]}" for name, row in FILES.items()}
