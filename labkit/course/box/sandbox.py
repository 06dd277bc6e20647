"""A box for one student's notebook: cells go in, answers come out, and nothing else does.

The parent's side. It sends cells and inputs and reads plain data (`codec`); what is right is decided elsewhere, and what is
expected never enters the box. A student's process that hangs, crashes or grows is ended, told of in words, and begun afresh
without the cell that did it.
"""

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from labkit.course.box import isolation as walls
from labkit.course.box import launch
from labkit.course.box.codec import encode
from labkit.grading.asking import ENTRIES, Outcome, leaves
from labkit.grading.exercise import Case

KINDS = ("", "missing", "raised", "timeout", "killed", "unreadable")
RESTARTS = 12


@dataclass(frozen=True)
class Limits:
    """How much one notebook may use.

    Attributes:
        cell_seconds: for one cell.
        call_seconds: for one call of an answer, unless `ask` says otherwise.
        total_seconds: for everything, restarts included.
        memory_mb: of data.
        output_kb: of what a cell prints; the rest is dropped.
        file_mb: of all files together.
        processes: threads; other processes cannot be started where the system lets us see to that.
    """

    cell_seconds: float = 60
    call_seconds: float = 10
    total_seconds: float = 300
    memory_mb: int = 4096
    output_kb: int = 256
    file_mb: int = 64
    processes: int = 64


@dataclass(frozen=True)
class CellOutcome:
    """What came of a cell: its error in the student's words, what it printed, and whether its process died of it."""

    error: str = ""
    output: str = ""
    seconds: float = 0.0
    died: str = ""


class Died(Exception):
    """The student's process is no more, or no longer of use."""

    def __init__(self, kind: str, why: str):
        super().__init__(why)
        self.kind = kind


class Sandbox:
    """One student's notebook, shut away.

    Args:
        limits: how much it may use.
        variant: of the assignment; what `given` gives in there.
        folder: of the submission; its files, notebooks excepted, are copied into the box.
        isolation: "bubblewrap", "landlock" or "none"; default: what `LABKIT_ISOLATION` says, or else the best there is.

    Raises:
        ValueError, RuntimeError: no such isolation; or it does not work here.
    """

    def __init__(
        self, limits: Limits | None = None, variant: str = "practice", folder: Path | None = None, isolation: str | None = None
    ):
        self.limits, self.variant, self.folder = limits or Limits(), variant, folder
        self.isolation = walls.chosen(isolation)
        self.left = self.limits.total_seconds
        self.begun: launch.Begun | None = None
        self.starts, self.took = 0, 0.0
        self.lock = threading.RLock()
        self.cells: list[str] = []  # those that did not end the process

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the student's process, from whatever thread; a box can be used again, and begins afresh."""
        if (begun := self.begun) is not None:
            begun.wire.cut()  # whoever waits for an answer has waited enough
            with self.lock:
                self.ended(begun)

    def ended(self, begun: launch.Begun) -> dict[str, Any]:
        """How it ended."""
        if self.begun is not begun:
            return {}
        self.begun = None
        return begun.end()

    def run(self, source: str) -> CellOutcome:
        """Run one cell of the notebook; the next one runs whatever became of it."""
        try:
            told = self.told({"do": "run", "source": source}, self.limits.cell_seconds)
        except Died as death:
            return CellOutcome(error=str(death), seconds=self.took, died=str(death))
        self.cells.append(source)
        output = words(told, "output")[: (self.limits.output_kb << 10) + 100]
        return CellOutcome(words(told, "error")[:2000], output, self.took)

    def ask(self, name: str, case: Case, seconds: float | None = None) -> Outcome:
        """Call what the notebook calls `name` with the inputs of the case; or fetch its value, if there are none.

        Raises:
            ValueError: the inputs are not plain data.
        """
        try:
            question = {"do": "ask", "name": name, "inputs": case.inputs, "grads": tuple(case.grads)}
            return outcome(self.told(question, seconds or self.limits.call_seconds))
        except Died as death:
            return Outcome(error=str(death), kind=death.kind)  # type: ignore[arg-type]

    def told(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a message into the box, which is begun if it has to be, and read the answer.

        Raises:
            Died: there is no answer.
        """
        with self.lock:
            while self.begun is None and self.left > 0:
                self.start()
            return self.exchanged(message, seconds)

    def start(self) -> None:
        """A new process, with the files, and with the cells that went well; a cell that does not go well again is dropped."""
        if self.starts > RESTARTS:
            raise Died("killed", f"not tried any more: the notebook ended its process {self.starts} times")
        self.starts += 1
        asked = {"isolation": self.isolation, "variant": self.variant, "limits": asdict(self.limits)}
        self.begun = launch.begin(self.isolation, asked)
        self.exchanged(None, launch.READY)
        for name, data in files(self.folder, self.limits.file_mb << 20):
            self.exchanged({"do": "file", "name": name, "data": data}, self.limits.cell_seconds)
        for k, cell in enumerate(self.cells):
            try:
                self.exchanged({"do": "run", "source": cell}, self.limits.cell_seconds)
            except Died:
                del self.cells[k]
                return

    def exchanged(self, message: dict[str, Any] | None, seconds: float) -> dict[str, Any]:
        """One message, one answer, within the time that is left."""
        used_up = f"the notebook has used up its {self.limits.total_seconds:g} seconds"
        if (begun := self.begun) is None or self.left <= 0:
            self.close()
            raise Died("timeout", used_up)
        sent = None if message is None else encode(message)  # if this cannot be encoded, it is not the student's fault
        began = time.monotonic()
        until = began + min(seconds, self.left)
        try:
            if sent is not None:
                begun.wire.write(sent, until)
            answer = begun.wire.receive(until)
            if not isinstance(answer, dict):
                raise ValueError("not an answer")
            return answer
        except TimeoutError:
            self.close()
            raise Died("timeout", f"it ran longer than {seconds:g} s" if seconds <= self.left else used_up) from None
        except (EOFError, OSError):
            raise Died("killed", self.cause(self.ended(begun))) from None
        except ValueError as error:
            self.close()
            raise Died("unreadable", f"what came back is not an answer: {error}") from None
        finally:
            self.took = time.monotonic() - began
            self.left -= self.took

    def cause(self, told: dict[str, Any]) -> str:
        """How a process ended, in words."""
        status, why = told.get("status"), told.get("why")
        most = {
            "memory": f"it took more than {self.limits.memory_mb} MB of memory",
            "processes": f"it started more than {self.limits.processes} threads",
            "files": f"it wrote more files than {self.limits.file_mb} MB, or too many",
        }
        if why in most:
            return most[why]
        if why == "let go" and status == -9:
            return "it cut its line to the grader, or was killed"
        if isinstance(status, int) and status < 0:
            return f"it crashed Python ({launch.SIGNALS.get(-status, f'signal {-status}')})"
        return f"it ended its own process (status {status})" if status is not None else "its process ended"


def outcome(told: dict[str, Any]) -> Outcome:
    """What the box says, as far as it is what a box can say."""
    grads, kind = told.get("grads", {}), told.get("kind")
    if not (isinstance(grads, dict) and all(type(k) is str and isinstance(v, Tensor) for k, v in grads.items())):
        raise Died("unreadable", "what came back is not an answer")
    if sum(math.prod(x.shape) for x in leaves([told.get("value"), grads]) if isinstance(x, (Tensor, np.ndarray))) > ENTRIES:
        raise Died("unreadable", "the answer has more numbers than any right one")
    if type(kind) is not str or kind not in KINDS or (kind == "") != (words(told, "error") == ""):
        raise Died("unreadable", "what came back is not an answer")
    return Outcome(told.get("value"), grads, words(told, "error"), kind)  # type: ignore[arg-type]


def words(told: dict[str, Any], name: str) -> str:
    found = told.get(name, "")
    return found if isinstance(found, str) else ""


def files(folder: Path | None, most: int) -> Iterator[tuple[str, np.ndarray]]:
    """The plain files below a folder, notebooks and hidden ones excepted, while they are not too large together."""
    if folder is None:
        return
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix == ".ipynb" or path.is_symlink() or not path.is_file() or any(p.startswith(".") for p in name.parts):
            continue
        most -= path.stat().st_size
        if most < 0:
            return
        yield name.as_posix(), np.fromfile(path, dtype=np.uint8)
