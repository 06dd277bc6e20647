"""Forks a process for each student, watches them, and ends them when they use too much or when the grader lets go.

It runs no student's code. Each forked process hangs on a leash, a socket: when the grader's end is closed, whatever the reason,
the process ends. Told along it, in turn, is how a process ended.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Become = Callable[[socket.socket, Path, dict[str, Any]], None]
PAUSE = 0.02  # seconds between two looks at those who run
FILES = 500  # in a scratch folder


@dataclass
class Ward:
    """A student's process, as the one who watches it knows it."""

    pid: int
    leash: socket.socket
    scratch: Path
    limits: dict[str, Any]
    why: str = ""
    looks: int = 0

    def watch(self) -> bool:
        """Whether it goes on; if not, its end is told and its traces are removed."""
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        if not ended:
            self.looks += 1
            if not self.why and (why := self.excess()):
                self.end(why)
            return True
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)  # whom it may have left behind
        with contextlib.suppress(OSError):
            self.leash.sendall(json.dumps({"status": os.waitstatus_to_exitcode(status), "why": self.why}).encode())
        self.leash.close()
        remove(self.scratch)
        return False

    def end(self, why: str) -> None:
        self.why = self.why or why
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)

    def excess(self) -> str:
        """What it has too much of; empty if nothing."""
        try:
            with Path(f"/proc/{self.pid}/status").open(encoding="ascii", errors="replace") as file:
                facts = dict(line.split(":", 1) for line in file if ":" in line)
        except OSError:  # not Linux, or gone
            return ""
        kilobytes = sum(int(facts.get(name, "0 kB").split()[0]) for name in ("RssAnon", "RssShmem"))
        if kilobytes > self.limits["memory_mb"] << 10:
            return "memory"
        if int(facts.get("Threads", "1")) > self.limits["processes"]:
            return "processes"
        return "files" if self.looks % 10 == 0 and crowded(self.scratch, self.limits["file_mb"] << 20) else ""


def crowded(folder: Path, most: int) -> bool:
    """Whether the files in there are too many or too large; looks at no more than it must."""
    waiting, size, number = [folder], 0, 0
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                number += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    with contextlib.suppress(OSError):
                        size += entry.stat(follow_symlinks=False).st_size
                if size > most or number > FILES:
                    return True
    return False


def remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):  # nested too deep for Python
        with contextlib.suppress(OSError):
            subprocess.run(["rm", "-rf", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)


def oversee(control: socket.socket, base: Path, become: Become) -> None:
    """Fork for whoever asks, until nobody can ask any more."""
    wards = list[Ward]()
    try:
        while True:
            held = [ward.leash for ward in wards if not ward.why]
            ready, _, _ = select.select([control, *held], [], [], PAUSE if wards else None)
            for ward in wards:
                if ward.leash in ready:  # nothing is ever sent along it: it was let go
                    ward.end("let go")
            if control in ready:
                data, lines, _, _ = socket.recv_fds(control, 65536, 2)
                if not data:
                    return
                wards.append(fork(json.loads(data), lines, base, [control, *(ward.leash for ward in wards)], become))
                control.sendall(b"+")
            wards = [ward for ward in wards if ward.watch()]
    finally:
        for ward in wards:
            ward.end("let go")
            os.waitpid(ward.pid, 0)


def fork(
    asked: dict[str, Any],
    lines: list[int],
    base: Path,
    others: list[socket.socket],
    become: Become,
) -> Ward:
    wire, leash = (socket.socket(fileno=line) for line in lines)
    scratch = Path(tempfile.mkdtemp(dir=base))
    pid = os.fork()
    if pid:
        wire.close()
        return Ward(pid, leash, scratch, asked["limits"])
    status = 1
    try:
        for each in (leash, *others):
            each.close()
        os.setsid()
        become(wire, scratch, asked)
        status = 0
    finally:  # whatever happens, never back into the loop above
        os._exit(status)
