"""Students' processes, begun and ended: forked from one that is ready, or each by itself where nothing can be forked."""

import atexit
import contextlib
import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

from labkit.course.box import isolation as walls
from labkit.course.box.wire import Wire

FORKS = sys.platform == "linux"  # macOS has fork as well, but what it makes of a process that has imported torch may crash
READY = 120.0  # seconds for Python to import torch on a busy machine
SIGNALS = {s.value: s.name for s in signal.Signals}


class Begun(Protocol):
    """A student's process."""

    wire: Wire

    def end(self) -> dict[str, Any]:
        """End it; how it ended: its exit `status`, negative for a signal, and `why` it was ended, if for its excesses."""


@dataclass
class Forked:
    wire: Wire
    leash: socket.socket

    def end(self) -> dict[str, Any]:
        self.wire.close()
        with self.leash, contextlib.suppress(OSError, ValueError):
            self.leash.shutdown(socket.SHUT_WR)
            self.leash.settimeout(10)
            return dict(json.loads(self.leash.recv(4096)))
        return {}


class Overseer:
    """The process inside the walls from which students' processes are forked; it has imported torch, which takes seconds."""

    def __init__(self, isolation: walls.Isolation):
        self.isolation, self.lock, self.failed = isolation, threading.Lock(), ""
        self.control, theirs = socket.socketpair()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        begun = threading.Event()
        # What dies with its parent dies with the thread that started it: so this thread stays as long as the process does.
        self.keeper = threading.Thread(target=self.keep, args=(theirs, begun), daemon=True)
        self.keeper.start()
        begun.wait()
        theirs.close()
        self.control.settimeout(READY)
        self.acknowledged()

    def keep(self, line: socket.socket, begun: threading.Event) -> None:
        try:
            with subprocess.Popen(
                walls.command(self.isolation, str(line.fileno())),
                env=walls.environment(),
                pass_fds=[line.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self.errors,
                stderr=self.errors,
                start_new_session=True,
            ):
                begun.set()
        except OSError as error:
            self.failed = str(error)
        finally:
            begun.set()

    def acknowledged(self) -> None:
        with contextlib.suppress(OSError):
            if self.control.recv(1) == b"+":
                return
        self.errors.seek(0)
        said = self.errors.read()[-2000:].decode(errors="replace")
        self.close()
        raise RuntimeError(f"no process for students' code could be started ({self.isolation}): {self.failed or said}")

    def begin(self, asked: dict[str, Any]) -> Begun:
        """Raises: RuntimeError (it is no more)."""
        wire, far_wire = socket.socketpair()
        leash, far_leash = socket.socketpair()
        with self.lock, far_wire, far_leash:
            try:
                socket.send_fds(self.control, [json.dumps(asked).encode()], [far_wire.fileno(), far_leash.fileno()])
                self.acknowledged()
            except (OSError, RuntimeError) as error:
                wire.close()
                leash.close()
                raise RuntimeError(str(error)) from None
        return Forked(Wire(wire), leash)

    @property
    def alive(self) -> bool:
        return self.keeper.is_alive()

    def close(self) -> None:
        self.control.close()
        self.keeper.join(10)
        self.errors.close()


OVERSEERS: dict[walls.Isolation, Overseer] = {}
LOCK = threading.Lock()


def overseer(isolation: walls.Isolation) -> Overseer:
    """The one for this isolation, begun when it is first needed."""
    with LOCK:
        known = OVERSEERS.get(isolation)
        if known is None or not known.alive:
            if known is not None:
                known.close()
            OVERSEERS[isolation] = known = Overseer(isolation)
        return known


@atexit.register
def close() -> None:
    """End every process that this one began."""
    with LOCK:
        while OVERSEERS:
            OVERSEERS.popitem()[1].close()


@dataclass
class Alone:
    """A process by itself, begun anew for each student and after each death."""

    wire: Wire
    process: subprocess.Popen[str]
    folder: str

    def end(self) -> dict[str, Any]:
        self.wire.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.2)
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        return {"status": self.process.wait()}


def alone(asked: dict[str, Any]) -> Alone:
    word, folder = secrets.token_hex(16), tempfile.mkdtemp(prefix="labkit-student-")
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "labkit.course.box.child", "alone", str(port)],
            env=walls.environment() | {"TMPDIR": folder, "TEMP": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert process.stdin is not None
        with process.stdin as told:
            told.write(word + "\n")
        until = time.monotonic() + READY
        try:
            while True:
                door.settimeout(max(until - time.monotonic(), 0.01))
                wire = Wire(door.accept()[0])
                if bytes(wire.read(len(word), time.monotonic() + 5)) == word.encode():
                    wire.send(asked)
                    return Alone(wire, process, folder)
                wire.close()
        except (OSError, EOFError) as error:
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
            raise RuntimeError(f"no process for students' code could be started: {error}") from None


class Owned:
    """A forked process with an overseer of its own, where processes of one overseer could reach each other."""

    def __init__(self, isolation: walls.Isolation, asked: dict[str, Any]):
        self.overseer = Overseer(isolation)
        self.forked = self.overseer.begin(asked)
        self.wire = self.forked.wire

    def end(self) -> dict[str, Any]:
        told = self.forked.end()
        self.overseer.close()
        return told


def begin(isolation: walls.Isolation, asked: dict[str, Any]) -> Begun:
    """A student's process.

    Raises:
        RuntimeError: none can be started.
    """
    if not FORKS:
        return alone(asked)
    if not walls.shared():
        return Owned(isolation, asked)
    try:
        return overseer(isolation).begin(asked)
    except RuntimeError:  # it was ended from outside, just now: once more
        return overseer(isolation).begin(asked)
