"""Commands that start a server: JupyterLab on the lessons or on one explorer, and all explorers as a dashboard."""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from labkit.paths import PACKAGE, home, notebooks


def lab(arguments: argparse.Namespace) -> int:
    if arguments.app or arguments.code:
        start = app(arguments.app, arguments.code)
    else:
        folder = workplace(notebooks(), Path("labkit-notebooks"))
        start = folder / "00_start_here.ipynb"
        start = start if start.exists() else folder
    path = os.pathsep.join(p for p in (str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")) if p)
    env = {**os.environ, "PYTHONPATH": path}  # the kernels find this labkit, installed or not
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(start), *arguments.rest], env=env)


def app(name: str, code: str) -> Path:
    """The notebook of an explorer, in LABKIT_HOME; a state code names its explorer, too."""
    from labkit import apps as written
    from labkit.explorers.codes import parts

    path = written.put(home() / "explorers", name or parts(code)[0], code)
    print(f"labkit: {path} (what you change in it stays)")
    return path


def apps(arguments: argparse.Namespace) -> int:
    if importlib.util.find_spec("voila") is None:
        print("labkit: the dashboard is served by Voila, which is missing here: python -m pip install voila", file=sys.stderr)
        print("        (in a checkout, make apps installs it)", file=sys.stderr)
        return 1
    from labkit.apps import dashboard
    from labkit.explorers import EXPLORERS
    from labkit.progress import bar

    folder = home() / "dashboard"
    with bar(total=len(EXPLORERS), desc="labkit: writing the pages") as progress:
        dashboard.build(folder, tick=progress.update)
    return subprocess.call([*dashboard.command(folder, sys.executable), *arguments.rest], env=dashboard.environment(folder))


def workplace(source: Path, copy: Path) -> Path:
    """The lessons of a checkout themselves; from an installed wheel, a copy to work on, where nobody's work is overwritten."""
    if source.parent != PACKAGE:
        return source
    new = 0
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        target = copy / file.relative_to(source)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            new += 1
    print(f"labkit: the lessons are in {copy.resolve()} ({new} new files; what was there stays as it is)")
    return copy.resolve()
