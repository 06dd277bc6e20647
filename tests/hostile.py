"""Notebook cells that mean harm, or do it: what each does, and what has to come of it.

`HOSTILE[name].source` is one cell. In it `/CANARY` stands for the path of a file that it must neither read nor change (think of
the gradebook). Many define `answer(x)`, which is asked with a vector afterwards; the right answer is its sum.
"""

from dataclasses import dataclass
from textwrap import dedent

SECRET = "every grade of the class"


@dataclass(frozen=True)
class Hostile:
    """One cell and what must be seen from outside.

    Attributes:
        source: the cell.
        died: a pattern of what is told of its process, if the cell ends it; empty: the process goes on.
        error: a pattern of the cell's error, if it has one and the process goes on.
        kind: of the outcome when `answer` is asked, a word or several; "value": there is one.
        right: that value is the right one all the same.
        patient: takes as long as the limits allow, so it is tried under one isolation only.
        walled: reaches beyond its process by system calls, so it is tried only where these are filtered.
    """

    source: str
    died: str = ""
    error: str = ""
    kind: str = "missing"
    right: bool = False
    patient: bool = False
    walled: bool = False

    def cell(self, canary: object) -> str:
        return dedent(self.source).strip().replace("/CANARY", str(canary))


TOO_LONG = "ran longer"
HOSTILE: dict[str, Hostile] = {
    # ---------------------------------------------------------------- never ends
    "endless loop": Hostile(
        """
        while True:
            pass
        """,
        died=TOO_LONG,
        patient=True,
    ),
    "endless loop, deaf to signals": Hostile(
        """
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        while True:
            pass
        """,
        died=TOO_LONG,
        patient=True,
    ),
    "endless loop that catches everything": Hostile(
        """
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """,
        died=TOO_LONG,
        patient=True,
    ),
    "endless call": Hostile(
        """
        def answer(x):
            while True:
                pass
        """,
        kind="timeout",
        patient=True,
    ),
    "sleeps": Hostile(
        """
        import time
        def answer(x):
            time.sleep(10**6)
        """,
        kind="timeout",
        patient=True,
    ),
    "holds the lock of Python": Hostile(
        """
        import ctypes
        def answer(x):
            ctypes.PyDLL(None).sleep(1000)
        """,
        kind="timeout",
        patient=True,
    ),
    "an error whose words never end": Hostile(
        """
        class Bad(Exception):
            def __str__(self):
                while True:
                    pass
        def answer(x):
            raise Bad
        """,
        kind="timeout",
        patient=True,
    ),
    "an endless dict": Hostile(
        """
        class Endless(dict):
            def items(self):
                while True:
                    yield 1, 1
        def answer(x):
            return Endless(a=1)
        """,
        kind="timeout killed unreadable",
        patient=True,
    ),
    "waits for an answer": Hostile(
        """
        name = input('your name? ')
        import sys
        sys.stdin.read()
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
    # ---------------------------------------------------------------- ends its process
    "sys.exit": Hostile(
        """
        import sys
        sys.exit(0)
        """,
        error="SystemExit",
    ),
    "sys.exit in a call": Hostile(
        """
        import sys
        def answer(x):
            sys.exit(0)
        """,
        kind="raised",
    ),
    "exit": Hostile(
        """
        exit()
        quit()
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
    "os._exit": Hostile(
        """
        import os
        os._exit(0)
        """,
        died="ended its own process",
    ),
    "os._exit in a call": Hostile(
        """
        import os
        def answer(x):
            os._exit(0)
        """,
        kind="killed",
    ),
    "kills itself": Hostile(
        """
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        died="SIGKILL|line",
    ),
    "segmentation fault": Hostile(
        """
        import ctypes
        ctypes.string_at(0)
        """,
        died="SIGSEGV",
    ),
    "segmentation fault in a call": Hostile(
        """
        import ctypes
        def answer(x):
            ctypes.string_at(0)
        """,
        kind="killed",
    ),
    "abort": Hostile(
        """
        import os
        os.abort()
        """,
        died="SIGABRT",
    ),
    "recursion without end": Hostile(
        """
        import sys
        sys.setrecursionlimit(10**9)
        def answer(x):
            return answer(x)
        """,
        kind="killed timeout raised",
        patient=True,
    ),
    "a time bomb": Hostile(
        """
        import os, threading
        threading.Timer(0.05, os._exit, (1,)).start()
        def answer(x):
            import time
            time.sleep(0.5)
        """,
        kind="killed",
    ),
    "KeyboardInterrupt": Hostile(
        """
        def answer(x):
            raise KeyboardInterrupt
        """,
        kind="raised",
    ),
    # ---------------------------------------------------------------- other processes
    "kills its parent": Hostile(
        """
        import os, signal
        os.kill(os.getppid(), signal.SIGKILL)
        """,
        error="PermissionError",
        walled=True,
    ),
    "kills everybody": Hostile(
        """
        import os, signal
        os.kill(-1, signal.SIGKILL)
        """,
        error="PermissionError",
        walled=True,
    ),
    "kills by system call": Hostile(
        """
        import ctypes, os
        print(ctypes.CDLL(None).kill(os.getppid(), 9), ctypes.CDLL(None).kill(-1, 9))
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
        walled=True,
    ),
    "fork bomb": Hostile(
        """
        import os
        while True:
            os.fork()
        """,
        error="PermissionError",
        walled=True,
    ),
    "daemon that comes back": Hostile(
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(1)
                open('/CANARY', 'a').write('!')
            os._exit(0)
        """,
        error="PermissionError",
        walled=True,
    ),
    "starts a program": Hostile(
        """
        import subprocess
        subprocess.run(['rm', '-rf', '/CANARY'])
        """,
        error="PermissionError",
    ),
    "a shell": Hostile(
        """
        !rm -rf /CANARY
        import os
        try:
            os.system('rm -rf /CANARY')
        except OSError:
            pass
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
    "magics": Hostile(
        """
        %pip install nonsense
        %matplotlib inline
        %cd /
        %run nowhere.py
        !ls
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
    "thread bomb": Hostile(
        """
        import threading, time
        threading.stack_size(2**16)
        while True:
            threading.Thread(target=time.sleep, args=(1000,)).start()
        """,
        died="threads|SIG|line",
        walled=True,
    ),
    # ---------------------------------------------------------------- memory, output, files
    "ten gigabytes": Hostile(
        """
        x = bytearray(10**10)
        """,
        error="MemoryError",
    ),
    "a tensor of ten gigabytes": Hostile(
        """
        import torch
        def answer(x):
            return torch.ones(10**10 // 4)
        """,
        kind="raised",
    ),
    "a list that grows": Hostile(
        """
        kept = []
        while True:
            kept.append(bytes(10**6))
        """,
        error="MemoryError",
    ),
    "shared memory": Hostile(
        """
        import mmap
        m = mmap.mmap(-1, 10**10)
        while True:
            m.write(bytes(10**7))
        """,
        died="memory",
        walled=True,
    ),
    "ten gigabytes as the answer": Hostile(
        """
        def answer(x):
            return [0.0] * (10**10 // 8)
        """,
        kind="raised unreadable",
    ),
    "gigabytes of print": Hostile(
        """
        for _ in range(2000):
            print('x' * 10**6)
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
    "prints without end": Hostile(
        """
        while True:
            print('x' * 10**6)
        """,
        died=TOO_LONG,
        patient=True,
    ),
    "prints past Python": Hostile(
        """
        import os
        for _ in range(1000):
            os.write(1, b'x' * 10**6)
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
    "threads that keep printing": Hostile(
        """
        import threading, time
        def chatter():
            while True:
                print('x' * 1000)
                time.sleep(0.001)
        for _ in range(4):
            threading.Thread(target=chatter, daemon=True).start()
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
    "a large file": Hostile(
        """
        with open('large', 'wb') as f:
            while True:
                f.write(bytes(10**6))
        """,
        error="OSError|too large",
    ),
    "large files": Hostile(
        """
        for k in range(1000):
            with open(f'{k}', 'wb') as f:
                f.write(bytes(10**7))
        while True:
            pass
        """,
        died="files|No space",
        walled=True,
    ),
    "many files": Hostile(
        """
        for k in range(10**6):
            open(f'{k}', 'w').close()
        while True:
            pass
        """,
        died="files",
        walled=True,
    ),
    "folders in folders": Hostile(
        """
        import os
        for k in range(300):
            os.mkdir('d')
            os.chdir('d')
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
    # ---------------------------------------------------------------- what is not its own
    "reads the gradebook": Hostile(
        """
        def answer(x):
            try:
                return open('/CANARY').read()
            except OSError:
                return 'nothing'
        """,
        kind="value",
    ),
    "reads the gradebook through a link": Hostile(
        """
        import os
        try:
            os.symlink('/CANARY', 'here')
        except OSError:
            pass
        def answer(x):
            try:
                return open('here').read()
            except OSError:
                return 'nothing'
        """,
        kind="value",
    ),
    "reads the environment of its parent": Hostile(
        """
        import os
        found = []
        for pid in [os.getppid(), 1]:
            try:
                found.append(open(f'/proc/{pid}/environ').read())
            except OSError:
                pass
        def answer(x):
            return ' '.join(found) + ' '.join(os.environ.values())
        """,
        kind="value",
    ),
    "writes to the gradebook": Hostile(
        """
        open('/CANARY', 'w').write('A+ for everybody')
        """,
        error="Error",
    ),
    "removes the gradebook": Hostile(
        """
        import os
        os.remove('/CANARY')
        """,
        error="Error",
    ),
    "renames the gradebook": Hostile(
        """
        import os
        os.rename('/CANARY', 'mine')
        """,
        error="Error",
    ),
    "shuts the gradebook": Hostile(
        """
        import os
        changes = [
            lambda: os.chmod('/CANARY', 0),
            lambda: os.utime('/CANARY', (0, 0)),
            lambda: os.chown('/CANARY', 1, 1),
            lambda: os.truncate('/CANARY', 0),
        ]
        for change in changes:
            try:
                change()
            except OSError:
                pass
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
    "changes labkit": Hostile(
        """
        import labkit
        open(labkit.__file__, 'a').write('#')
        """,
        error="Error",
    ),
    "calls home": Hostile(
        """
        import socket
        socket.create_connection(('127.0.0.1', 80), timeout=1)
        """,
        error="PermissionError",
    ),
    "lifts its limits": Hostile(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))
        """,
        error="ValueError|PermissionError",
    ),
    # ---------------------------------------------------------------- the line to the grader
    "closes every file": Hostile(
        """
        import os
        os.closerange(0, 4096)
        """,
        died="line|ended",
    ),
    "writes along every line": Hostile(
        """
        import os
        for line in range(3, 64):
            try:
                os.write(line, b'{"value": 1}' * 1000)
            except OSError:
                pass
        """,
        died="not an answer|line",
    ),
    "forges answers": Hostile(
        """
        import os, struct
        from labkit.course.box import codec
        def answer(x):
            import json
            head = json.dumps(['dict', ['value', 1.0], ['error', ''], ['kind', ''], ['grads', ['dict']]]).encode()
            data = struct.pack('>I', len(head)) + head
            for line in range(3, 64):
                try:
                    os.write(line, struct.pack('>Q', len(data)) + data)
                except OSError:
                    pass
            return 0.0
        """,
        kind="value",
    ),
    "claims an endless message": Hostile(
        """
        import os, struct
        def answer(x):
            for line in range(3, 64):
                try:
                    os.write(line, struct.pack('>Q', 2**62))
                except OSError:
                    pass
        """,
        kind="unreadable killed",
    ),
    "has no stdout": Hostile(
        """
        import sys
        sys.stdout = sys.stderr = sys.__stdout__ = None
        del sys.stdin
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
    "a stdout that raises": Hostile(
        """
        import sys
        class Bad:
            def __getattr__(self, name):
                raise SystemExit(name)
        sys.stdout = Bad()
        def answer(x):
            return x.sum()
        """,
        error=".*",
        kind="value",
        right=True,
    ),
    # ---------------------------------------------------------------- strange answers
    "a generator without end": Hostile(
        """
        import itertools
        def answer(x):
            return itertools.count()
        """,
        kind="unreadable",
    ),
    "an object that answers to everything": Hostile(
        """
        class Any:
            def __getattr__(self, name):
                return self
            def __call__(self, *a, **k):
                return self
            def __eq__(self, other):
                return True
            def __reduce__(self):
                import os
                return os.system, ('rm -rf /CANARY',)
        def answer(x):
            return Any()
        """,
        kind="unreadable",
    ),
    "a number that equals everything": Hostile(
        """
        class Equal(float):
            def __eq__(self, other):
                return True
            def __sub__(self, other):
                return 0.0
            __hash__ = None
        def answer(x):
            return Equal(0)
        """,
        kind="value unreadable",
    ),
    "a tensor that equals everything": Hostile(
        """
        import torch
        class Equal(torch.Tensor):
            def __eq__(self, other):
                return True
            @classmethod
            def __torch_function__(cls, *a, **k):
                return True
        def answer(x):
            return torch.zeros(()).as_subclass(Equal)
        """,
        kind="value unreadable raised killed",
    ),
    "an error without words": Hostile(
        """
        class Bad(Exception):
            def __str__(self):
                raise SystemExit
        def answer(x):
            raise Bad
        """,
        kind="raised",
    ),
    "a list in itself": Hostile(
        """
        def answer(x):
            a = []
            a.append(a)
            return a
        """,
        kind="unreadable",
    ),
    "a number beyond all floats": Hostile(
        """
        def answer(x):
            return 10**400
        """,
        kind="unreadable",
    ),
    "half a character": Hostile(
        """
        def answer(x):
            return {'\\ud800': '\\udfff'}
        """,
        kind="unreadable",
    ),
    "a complex tensor": Hostile(
        """
        def answer(x):
            return x * 1j
        """,
        kind="unreadable",
    ),
    # ---------------------------------------------------------------- changes the judge, as it thinks
    "patches the checker": Hostile(
        """
        import labkit.grading as g
        g.check = lambda *a, **k: 100
        g.judge = g.report = None
        import labkit.grading.judge, labkit.grading.compare
        labkit.grading.compare.difference = lambda *a: ''
        def answer(x):
            return 0.0
        """,
        kind="value",
    ),
    "patches torch": Hostile(
        """
        import torch
        torch.allclose = torch.equal = lambda *a, **k: True
        torch.Tensor.__eq__ = lambda a, b: True
        torch.manual_seed = torch.randn = None
        def answer(x):
            return torch.zeros(())
        """,
        kind="value unreadable raised",
    ),
    "patches Python": Hostile(
        """
        import builtins
        builtins.isinstance = lambda *a: True
        builtins.len = lambda *a: 0
        builtins.type = None
        """,
        died=".*",
        error=".*",
        kind="missing killed unreadable raised",
    ),
    "traces everything": Hostile(
        """
        import sys
        def spy(frame, event, arg):
            frame.f_locals.update(value=1)
            return spy
        sys.settrace(spy)
        sys.setprofile(spy)
        def answer(x):
            return x.sum()
        """,
        error=".*",
        kind="value",
        right=True,
    ),
    "warnings are errors": Hostile(
        """
        import warnings
        warnings.simplefilter('error')
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
    "changes torch's modes": Hostile(
        """
        import torch
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        def answer(x):
            return x.sum()
        """,
        kind="value",
        right=True,
    ),
}
