"""The other side of the wall: `python -m labkit.course.box.child ISOLATION LINE` waits to be asked for students' processes.

It imports what notebooks import, once, and forks a process for each student (`overseer`), which shuts itself in (`confine`) and
then runs cells and answers questions. Where nothing can be forked, it becomes the one process itself.
"""

import contextlib
import gc
import os
import random
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from labkit.course.box.overseer import oversee, remove

BINARY = getattr(os, "O_BINARY", 0)  # Windows


class Student:
    """What runs in there: one notebook, and what the grader asks of it."""

    def __init__(self, rooms: Any, notebook: Any):
        from labkit.grading.asking import answer
        from labkit.grading.exercise import Case

        self.rooms, self.notebook, self.answer, self.case = rooms, notebook, answer, Case

    def __call__(self, wire: socket.socket, scratch: Path, asked: dict[str, Any]) -> None:
        from labkit.course.box.confine import confine
        from labkit.course.box.isolation import places
        from labkit.course.box.wire import Wire

        settle(scratch, asked["variant"])
        limits = asked["limits"]
        own = {name: limits[name] for name in ("memory_mb", "file_mb", "processes")}
        confine(asked["isolation"], places(), scratch, **own)
        self.notebook.kept.most, self.wire = limits["output_kb"] << 10, Wire(wire)
        self.rooms.close()
        self.wire.send({"isolation": asked["isolation"]})
        with contextlib.suppress(EOFError, OSError):
            self.serve()

    def serve(self) -> None:
        while True:
            message = self.wire.receive()
            try:
                told = getattr(self, message.pop("do"))(**message)
            except BaseException as error:
                told = {"error": self.notebook.words(error), "kind": "unreadable"}
            try:
                self.wire.send(told)
            except ValueError as error:
                self.wire.send({"error": f"the answer cannot be read: {str(error)[:500]}", "kind": "unreadable"})

    def file(self, name: str, data: Any) -> dict[str, Any]:
        """One of the files that lay beside the notebook."""
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o444), "wb") as file:
            file.write(data.tobytes())
        return {}

    def run(self, source: str) -> dict[str, Any]:
        return self.notebook.run(source)

    def ask(self, name: str, inputs: dict[str, Any], grads: tuple[str, ...]) -> dict[str, Any]:
        if name not in self.notebook.space:
            return {"error": f"there is no {name} in the notebook", "kind": "missing"}
        with self.notebook.heard():
            try:
                found = self.answer(self.notebook.space[name], self.case("", inputs, grads))
            except BaseException as error:
                return {"error": self.notebook.words(error), "kind": "raised"}
        self.notebook.kept.taken()
        return {"value": found.value, "grads": found.grads, "error": found.error, "kind": found.kind}


def settle(scratch: Path, variant: str) -> None:
    """A home of its own, no terminal, and the same random numbers each time the notebook is graded."""
    import numpy as np
    import torch

    (scratch / "home").mkdir()
    os.environ |= {
        "LABKIT_VARIANT": variant,
        "HOME": str(scratch / "home"),
        "TMPDIR": str(scratch),
        "IPYTHONDIR": str(scratch / "home"),
    }
    tempfile.tempdir = None
    os.chdir(scratch)
    sys.path.append(str(scratch))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def prepared(base: Path, eager: bool = True) -> Student:
    """Everything imported that notebooks import; if not eager, what takes longest is left to those who need it."""
    os.environ |= dict.fromkeys(("HOME", "IPYTHONDIR", "MPLCONFIGDIR"), str(base))
    import matplotlib

    matplotlib.use("Agg")
    import torch

    import labkit.course.box.confine
    import labkit.course.box.isolation
    import labkit.course.box.wire  # noqa: F401
    from labkit.course.box.rooms import Rooms
    from labkit.course.box.shell import Notebook

    if eager:
        import matplotlib.pyplot
    torch.set_num_threads(1)
    return Student(Rooms(eager), Notebook())


def alone(port: int) -> None:
    """Where nothing can be forked: call the grader, say the word that only we were told, and be the student's process."""
    word = sys.stdin.readline().strip()
    base = Path(tempfile.mkdtemp(prefix="labkit-student-"))
    student = prepared(base, eager=False)
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(word.encode())
        from labkit.course.box.wire import Wire

        scratch = base / "scratch"
        scratch.mkdir()
        try:
            student(wire, scratch, Wire(wire).receive())
        finally:
            os.chdir(base.parent)
            remove(base)


def main() -> None:
    line = int(sys.argv[2])
    if sys.argv[1] == "alone":
        alone(line)
    else:
        ready(socket.socket(fileno=line))


def ready(control: socket.socket) -> None:
    base = Path(tempfile.mkdtemp(prefix="labkit-student-"))
    try:
        student = prepared(base)
        gc.collect()
        gc.freeze()  # the forked share what is there already
        control.sendall(b"+")
        oversee(control, base, student)
    finally:
        remove(base)


if __name__ == "__main__":
    main()
