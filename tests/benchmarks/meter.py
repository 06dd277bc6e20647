"""CPU seconds of one call, and the memory that it takes beside what is there: the numbers behind every ratio."""

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
UNIT = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss, in MiB


class Meter:
    """`with Meter(device) as m: ...`, then `m.seconds` (of all threads and children), `m.wall` and `m.mib`.

    On a GPU `seconds` are those until it has finished, and memory is what its allocator handed out.
    """

    def __init__(self, device: str = "cpu"):
        self.cuda = device == "cuda"

    def __enter__(self) -> "Meter":
        self.before = self.reset()
        self.start, self.begun = self.clock(), time.perf_counter()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.cuda:
            torch.cuda.synchronize()
        self.wall = time.perf_counter() - self.begun
        self.seconds = self.clock() - self.start
        self.mib = max(0.0, self.peak() - self.before)

    def clock(self) -> float:
        if self.cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time() + children()

    def reset(self) -> float:
        """What is used now, from where the peak counts."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            return torch.cuda.memory_allocated() / 2**20
        give_back()
        try:
            CLEAR.write_text("5")
        except OSError:  # not Linux, or not allowed: the peak so far counts
            return self.peak()
        return status("VmRSS")

    def peak(self) -> float:
        if self.cuda:
            return torch.cuda.max_memory_allocated() / 2**20
        if STATUS.exists():
            return status("VmHWM")
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNIT if resource else float("nan")


def status(name: str) -> float:
    """One line of /proc/self/status, in MiB."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines[name].split()[0]) / 1024


def give_back() -> None:
    """Hands freed memory back to the system, so that it is not used again unseen."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except AttributeError:  # another C library
            return


def children() -> float:
    """CPU seconds of child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def at_most(gib: float) -> None:
    """From here on this process gets this much more memory, and no more: it fails, and not its neighbours."""
    if resource is None or not STATUS.exists():
        return
    limit = int((status("VmSize") / 1024 + gib) * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
