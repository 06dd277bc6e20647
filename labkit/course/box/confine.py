"""What a process takes from itself before it runs a student's code, and cannot take back.

Landlock shuts the file system but for what Python needs and a scratch folder; a filter of system calls shuts what Landlock
leaves open; limits bound memory and files. On Linux; elsewhere limits only, and a fence that stops what is done without malice.
"""

import contextlib
import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labkit.course.box import landlock, seccomp
from labkit.course.box.landlock import called, libc


def without_privileges() -> None:
    """Even if root grades: no capability left, and none to be had from a program."""
    libc().prctl(38, 1, 0, 0, 0)  # no new privileges
    libc().prctl(1, 9, 0, 0, 0)  # SIGKILL when the one who watches is gone
    number = {"x86_64": 126, "aarch64": 91}.get(platform.machine())
    if number:
        called(number, ctypes.c_char_p(struct.pack("=Ii", 0x20080522, 0)), ctypes.c_char_p(bytes(24)))


def limited(memory_mb: int, file_mb: int, processes: int) -> None:
    """Memory for data, size of files, open files; no core dumps."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has none of these
        return
    wanted = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": file_mb << 20, "RLIMIT_DATA": memory_mb << 20, "RLIMIT_NOFILE": 256}
    if not seccomp.works() and os.getuid():  # counts all of the user's processes, so only where nothing better is to be had
        wanted["RLIMIT_NPROC"] = 1024 + processes
    for name, value in wanted.items():
        with contextlib.suppress(ValueError, OSError, AttributeError):  # what the system does not have, or has tighter
            resource.setrlimit(getattr(resource, name), (value, value))


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "os.link", "os.symlink"}
CHANGES |= {"os.utime", "os.setxattr", "os.removexattr", "os.chflags", "shutil.rmtree", "shutil.move"}
STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile"}
STARTS |= {"os.kill", "os.killpg", "signal.pthread_kill", "socket.connect", "socket.bind", "socket.sendto", "pty.spawn"}


def fenced(writable: Path) -> None:
    """Python's own calls that change files elsewhere, start programs or reach the network raise; `ctypes` gets around it."""
    inside, own = os.path.realpath(writable), os.getpid()

    def outside(path: Any) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        real = os.path.realpath(os.fsdecode(path))
        return real not in (inside, os.path.realpath(os.devnull)) and not real.startswith(inside + os.sep)

    def guard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            bad = isinstance(arguments[2], int) and bool(arguments[2] & WRITING) and outside(arguments[0])
        elif event in CHANGES:
            bad = any(map(outside, arguments[:2]))
        else:
            bad = event in STARTS and not (event == "os.kill" and arguments[0] == own)
        if bad:
            raise PermissionError(f"{event} is closed while answers are graded")

    sys.addaudithook(guard)


def confine(
    isolation: str, places: Iterable[Path | str], scratch: Path, *, memory_mb: int, file_mb: int, processes: int
) -> None:
    """All of it, in the order in which each still allows the next.

    Raises:
        OSError: something that should work here did not; then no student's code may run.
    """
    limited(memory_mb, file_mb, processes)
    if sys.platform == "linux":
        without_privileges()
        if isolation != "not isolated" and landlock.version():
            landlock.enter(places, scratch)
        if seccomp.works():
            seccomp.enter()
    if isolation == "not isolated":
        fenced(scratch)
