"""Where things lie: what ships with labkit, and where labkit may write."""

import os
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).resolve().parent


def shipped(name: str = "") -> Path:
    """A file or folder of the repository's `data/`, found in a checkout or inside an installed wheel."""
    for root in (PACKAGE / "_shipped", PACKAGE.parent / "data"):
        if (root / "papers.csv").exists():
            return root / name
    raise FileNotFoundError("labkit's data/ folder is missing; reinstall labkit, or clone the repository again")


def notebooks() -> Path:
    """The lessons: `notebooks/` of a checkout, or the copy inside an installed wheel."""
    for root in (PACKAGE / "_notebooks", PACKAGE.parent / "notebooks"):
        if root.is_dir():
            return root
    raise FileNotFoundError("labkit's notebooks/ folder is missing; reinstall labkit, or clone the repository again")


def home() -> Path:
    """Where runs and downloads are kept: `LABKIT_HOME`, or else the platform's cache folder."""
    folder = Path(os.environ.get("LABKIT_HOME") or platformdirs.user_cache_dir("labkit")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
