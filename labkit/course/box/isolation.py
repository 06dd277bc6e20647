"""Where a student's code can run: inside bubblewrap, inside Landlock, or merely in a process of its own.

The parent's half: find out what this system has, and start the process that students' processes are forked from. Their
own half, what a process takes from itself before the first line of a student's code, is `confine`.
"""

import contextlib
import functools
import importlib.util
import os
import shutil
import site
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from labkit.course.box import landlock, seccomp
from labkit.paths import PACKAGE, shipped

Isolation = Literal["bubblewrap", "landlock", "not isolated"]
NAMES: dict[str, Isolation] = {
    "bubblewrap": "bubblewrap",
    "landlock": "landlock",
    "none": "not isolated",
    "not isolated": "not isolated",
}
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/nix/store")
DETAILS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/mime.types")
TEMPORARY_MB = 512  # all of the space for files inside bubblewrap; each student's share is smaller


def chosen(name: str | None = None) -> Isolation:
    """The strongest isolation that works here, or the one that is named, here or by `LABKIT_ISOLATION`.

    Raises:
        ValueError: there is none of this name.
        RuntimeError: the one that is named does not work on this system.
    """
    name = name or os.environ.get("LABKIT_ISOLATION") or ""
    if not name:
        return available()[0]
    if name not in NAMES:
        raise ValueError(f"isolation must be one of bubblewrap, landlock and none, got {name!r}")
    if NAMES[name] not in available():
        raise RuntimeError(f"{name} does not work on this system; what does: {', '.join(available())}")
    return NAMES[name]


@functools.cache
def available() -> tuple[Isolation, ...]:
    """What works on this system, the strongest first; tried once."""
    found: list[Isolation] = []
    if sys.platform == "linux" and shutil.which("bwrap"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            tried = [*bubblewrap(), sys.executable, "-I", "-S", "-c", "print('inside')"]
            told = subprocess.run(
                tried, capture_output=True, timeout=60, env=environment(), stdin=subprocess.DEVNULL, text=True
            )
            found += ["bubblewrap"] if told.stdout == "inside\n" and not told.returncode else []
    if landlock.version() >= 1 and seccomp.works():
        found.append("landlock")
    return (*found, "not isolated")


def shared() -> bool:
    """Whether students' processes may be forked from one and the same: Landlock and a filter keep them from each other."""
    return landlock.version() >= 1 and seccomp.works()


def places() -> list[Path]:
    """Folders that Python and labkit need to run. The course, the checkout and the home are not among them."""
    found = [Path(p) for p in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)]
    found += [Path(os.path.realpath(sys.executable)).parent, PACKAGE, shipped()]
    found += sites()
    return sorted({path for path in found if path.is_dir() and path != Path(path.anchor)})


def sites() -> list[Path]:
    """Where the packages that we need were installed, if Python would not find them by itself."""
    found = [Path(site.getusersitepackages())] if site.ENABLE_USER_SITE else []
    for name in ("torch", "numpy", "IPython", "matplotlib", "scipy", "sklearn", "jaxtyping"):
        spec = importlib.util.find_spec(name)
        found += [Path(spec.origin).parent.parent] if spec and spec.origin else []
    return list(dict.fromkeys(path for path in found if path.is_dir()))


def environment() -> dict[str, str]:
    """All that a student's process sees of the environment: no home, no tokens, no paths of the course."""
    kept = {k: os.environ[k] for k in ("LD_LIBRARY_PATH", "SYSTEMROOT", "PATHEXT", "COMSPEC") if k in os.environ}
    known = set(map(Path, site.getsitepackages()))  # what comes by PYTHONPATH comes before Python's own library
    path = os.pathsep.join(str(p) for p in dict.fromkeys([PACKAGE.parent, *sites()]) if p not in known)
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    flags = {"LABKIT_SMOKE": "1", "LABKIT_STATIC": "1", "NBGRADER_EXECUTION": "autograde", "MPLBACKEND": "Agg"}
    python = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "ignore"}
    plain = {"PATH": "/usr/bin:/bin" if os.name == "posix" else "", "LANG": "C.UTF-8", "TZ": "UTC"}
    return kept | plain | one | flags | python | {"TMPDIR": tempfile.gettempdir()}


def bubblewrap() -> list[str]:
    """The command before the command: a root of our own that holds what is needed and nothing else, and no network."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "student"]
    for path in map(Path, SYSTEM):
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            command += ["--ro-bind", str(path), str(path)]
    for detail in DETAILS:
        command += ["--ro-bind-try", detail, detail]
    megabytes = str(TEMPORARY_MB * 2**20)
    command += ["--proc", "/proc", "--dev", "/dev", "--size", megabytes, "--perms", "0700", "--tmpfs", "/tmp"]
    for place in places():
        if not any(place.is_relative_to(path) for path in SYSTEM):
            command += ["--ro-bind", str(place), str(place)]
    return [*command, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--setenv", "TMPDIR", "/tmp"]


def command(isolation: Isolation, *options: str) -> list[str]:
    """Starts the process from which those of students are forked (`child`)."""
    # -P: the folder it is started in is not searched for modules; -s and -S would hide where packages were installed
    python = [sys.executable, "-P", "-m", "labkit.course.box.child", isolation, *options]
    return [*bubblewrap(), *python] if isolation == "bubblewrap" else python
