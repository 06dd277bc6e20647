"""A notebook without a kernel: cells run one after the other, the beginning of what they print is kept, nobody is asked."""

import builtins
import contextlib
import getpass
import io
import sys
import warnings
from types import MethodType
from typing import Any

from labkit.grading.asking import told

RUN_AS_CODE = ("time", "timeit", "prun", "capture")  # magics around code that counts; all others do nothing


class Kept(io.TextIOBase):
    """Takes everything, keeps the beginning. Stands where `sys.stdout` and `sys.stderr` were."""

    encoding = "utf-8"

    def __init__(self, most: int):
        self.most, self.pieces, self.size, self.lost = most, list[str](), 0, 0

    def write(self, text: str) -> int:
        kept = str(text)[: max(self.most - self.size, 0)]
        self.size += len(kept)
        self.lost += len(text) - len(kept)
        if kept:
            self.pieces.append(kept)
        return len(text)

    def writable(self) -> bool:
        return True

    def taken(self) -> str:
        """What was kept since it was last taken."""
        text = "".join(self.pieces) + (f"\n... and {self.lost:,} characters more" if self.lost else "")
        self.pieces, self.size, self.lost = [], 0, 0
        return text[: self.most + 100]


class Notebook:
    """The student's namespace, and the shell in which cells run that fill it."""

    def __init__(self, most: int = 2**18):
        self.kept = Kept(most)
        self.shell = silent_shell()
        self.space: dict[str, Any] = self.shell.user_ns

    def run(self, source: str) -> dict[str, Any]:
        """One cell: what went wrong, in words, and what it printed."""
        error: BaseException | None = None
        with self.heard():
            try:
                done = self.shell.run_cell(source, silent=True, store_history=False)
                error = done.error_before_exec or done.error_in_exec
            except BaseException as raised:  # of the shell itself, if the student changed it
                error = raised
        said = "" if error is None else self.words(error)
        return {"error": said, "output": sound(self.kept.taken())}

    def words(self, error: BaseException) -> str:
        try:
            if isinstance(error, SyntaxError) and error.text:
                return sound(f"{type(error).__name__}: {error.msg}   (at: {error.text.strip()[:200]})")
            return sound(str(told(error))[:2000])
        except BaseException:  # an exception's own words may raise anything
            return type(error).__name__

    @contextlib.contextmanager
    def heard(self) -> Any:
        """What is printed is kept, whatever became of `sys.stdout` meanwhile; nobody answers; warnings do not matter."""
        sys.stdout = sys.stderr = self.kept
        sys.stdin = io.StringIO()
        builtins.input = getpass.getpass = nobody
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield


def sound(text: str) -> str:
    """Without half characters, which cannot be written to a file."""
    return text.encode("utf-8", "replace").decode()


def nobody(*_: Any, **__: Any) -> str:
    """Stands in for `input`: there is nobody to answer."""
    return ""


def nothing(*_: Any, **__: Any) -> None:
    """Stands in for what has no place here."""


def silent_shell() -> Any:
    """IPython as cells know it, without history, without display, without commands of the system."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    shell: Any = InteractiveShell.instance(config=config)
    shell.display_formatter.format = lambda *_, **__: ({}, {})
    shell.display_pub.publish = shell.display_pub.clear_output = nothing
    for name in (
        "showtraceback",
        "showsyntaxerror",
        "showindentationerror",
        "ask_exit",
        "system",
        "system_raw",
        "system_piped",
    ):
        setattr(shell, name, nothing)
    shell.getoutput = lambda *_, **__: []
    shell._tee = lambda channel: contextlib.nullcontext()  # or it keeps all output for its history, gigabytes of it
    shell.run_line_magic = MethodType(line_magic, shell)
    shell.run_cell_magic = MethodType(cell_magic, shell)
    return shell


def line_magic(shell: Any, name: str, line: str, _stack_depth: int = 1) -> Any:
    """`%time f(x)` runs `f(x)`; `%pip install`, `%matplotlib inline` and the rest do nothing."""
    if name == "time":
        shell.run_cell(line, silent=True).raise_error()


def cell_magic(shell: Any, name: str, line: str, cell: str) -> Any:
    """`%%time` and its like run the cell; `%%bash`, `%%writefile`, `%%html` do nothing."""
    if name in RUN_AS_CODE:
        shell.run_cell(cell, silent=True).raise_error()
