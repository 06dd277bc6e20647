"""Landlock, by `ctypes`: a process gives up all files but those it names, and cannot take them back."""

import contextlib
import ctypes
import functools
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Numbers from <linux/landlock.h>
CREATE, ADD, RESTRICT = 444, 445, 446  # the same on every architecture
EXECUTE, WRITE, READ, LIST = 1, 2, 4, 8
SPECIAL = 2**6 | 2**9 | 2**11  # to make devices and sockets
ALL_RIGHTS = {1: 2**13 - 1, 2: 2**14 - 1, 3: 2**15 - 1, 4: 2**15 - 1}  # from version 5 on, with ioctl on devices
TRUNCATE = 2**14
BIND_AND_CONNECT = 3  # TCP, from version 4 on
SCOPES = 3  # abstract sockets and signals, from version 6 on
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
FACTS = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/filesystems", "/sys/devices/system/cpu")
LIBRARIES = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
)


@functools.cache
def libc() -> Any:
    found = ctypes.CDLL(None, use_errno=True)
    found.syscall.restype = ctypes.c_long
    return found


def called(number: int, *arguments: Any) -> int:
    """A system call.

    Raises:
        OSError: it failed.
    """
    result = libc().syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


@functools.cache
def version() -> int:
    """0 where there is none."""
    if sys.platform != "linux":
        return 0
    try:
        return called(CREATE, 0, 0, 1)
    except OSError:
        return 0


def enter(readable: Iterable[Path | str], writable: Path) -> None:
    """From here on only these files, and of these only the last folder's to change.

    Raises:
        OSError: the kernel has no Landlock.
    """
    abi = version()
    rights = ALL_RIGHTS.get(abi, 2**16 - 1)
    words = [rights, *([BIND_AND_CONNECT] if abi >= 4 else []), *([SCOPES] if abi >= 6 else [])]
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = called(CREATE, ctypes.c_char_p(attributes), len(attributes), 0)
    for path in [*readable, *LIBRARIES, *FACTS]:
        allow(ruleset, path, READ | LIST | EXECUTE)
    allow(ruleset, f"/proc/{os.getpid()}", READ | LIST)
    for device in DEVICES:
        allow(ruleset, device, READ | WRITE)
    allow(ruleset, writable, rights & ~EXECUTE & ~SPECIAL)
    called(RESTRICT, ruleset, 0)
    os.close(ruleset)


def allow(ruleset: int, path: Path | str, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not Path(path).is_dir():
            rights &= EXECUTE | WRITE | READ | TRUNCATE
        called(ADD, ruleset, 1, ctypes.c_char_p(struct.pack("=Qi", rights, opened)), 0)
        os.close(opened)
