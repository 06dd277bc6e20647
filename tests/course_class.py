"""A class of thirty for a1: what each handed in, and what that is worth to the point.

Right in three styles, partly right with mistakes that have names, wrong, blank, damaged on the way, and hostile.
"""

import textwrap
from dataclasses import dataclass, field
from typing import Any

import course_cases as cases

from labkit.grading import given

NAME = "a1_infonce"
FULL = {"similarity": 3, "loop": 3, "chance": 1, "nt_xent": 8, "similarity_gradient": 4, "my_loss": 1}
MINE = "my_loss = float(nt_xent(given.z1, given.z2, given.temperature))"
BY_LOOP = MINE.replace("nt_xent", "loop")  # right although nt_xent is not


def code(text):
    return textwrap.dedent(text).strip()


RIGHT = {
    "similarity": code("""
        def similarity(z1, z2):
            z = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
            return z @ z.T
    """),
    "loop": code("""
        def loop(z1, z2, temperature):
            s = similarity(z1, z2) / temperature
            n, total = len(z1), 0
            for i in range(2 * n):
                others = torch.cat([s[i, :i], s[i, i + 1 :]])
                total = total + others.logsumexp(0) - s[i, (i + n) % (2 * n)]
            return total / (2 * n)
    """),
    "chance": code("""
        import math
        def chance(n):
            return math.log(2 * n - 1)
    """),
    "nt_xent": code("""
        def nt_xent(z1, z2, temperature):
            s = similarity(z1, z2) / temperature
            s = s.masked_fill(torch.eye(len(s), dtype=torch.bool), -torch.inf)
            n = len(z1)
            return torch.nn.functional.cross_entropy(s, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))
    """),
    "similarity_gradient": code("""
        def similarity_gradient(similarity, temperature):
            m = len(similarity)
            q = (similarity / temperature).masked_fill(torch.eye(m, dtype=torch.bool), -torch.inf).softmax(1)
            target = torch.eye(m, dtype=similarity.dtype).roll(m // 2, dims=1)
            return (q - target) / (m * temperature)
    """),
    "my_loss": MINE,
}
NUMPY = RIGHT | {
    "similarity": code("""
        import numpy as np
        def similarity(z1, z2):
            z = np.concatenate([z1.numpy(), z2.numpy()])
            z = z / np.linalg.norm(z, axis=1, keepdims=True)
            return np.einsum("id,jd->ij", z, z)
    """),
    "loop": code("""
        def loop(z1, z2, temperature):
            s = torch.as_tensor(similarity(z1.detach(), z2.detach())).double() / temperature
            n = len(z1)
            each = []
            for i in range(2 * n):
                p = i + n if i < n else i - n
                each.append(-(s[i, p] - torch.stack([s[i, k] for k in range(2 * n) if k != i]).logsumexp(0)))
            return sum(each) / len(each)
    """),
    "nt_xent": code("""
        def nt_xent(z1, z2, temperature):
            a, b = z1 / z1.norm(dim=1, keepdim=True), z2 / z2.norm(dim=1, keepdim=True)
            n = len(a)
            hide = torch.full((n,), torch.inf, dtype=a.dtype).diag()
            ab = torch.einsum("id,jd->ij", a, b) / temperature
            first = torch.cat([ab, a @ a.T / temperature - hide], 1).log_softmax(1).diagonal()
            second = torch.cat([ab.T, b @ b.T / temperature - hide], 1).log_softmax(1).diagonal()
            return -torch.cat([first, second]).mean()
    """),
}
SLOW = RIGHT | {
    "similarity": code("""
        def similarity(a, b):
            rows = list(a) + list(b)
            return torch.stack([torch.stack([u.dot(v) / (u.norm() * v.norm()) for v in rows]) for u in rows])
    """),
    "nt_xent": code("""
        def nt_xent(*views, temperature):
            rows = [z / z.norm() for view in views for z in view]
            n, losses = len(rows) // 2, []
            for i, z in enumerate(rows):
                logits = torch.stack([z @ other / temperature for k, other in enumerate(rows) if k != i])
                top = logits.detach().max()
                partner = z @ rows[(i + n) % len(rows)] / temperature
                losses.append(top + (logits - top).exp().sum().log() - partner)
            return torch.stack(losses).mean()
    """),
    "similarity_gradient": code("""
        def similarity_gradient(s, t):
            out = torch.zeros_like(s)
            m = len(s)
            for i in range(m):
                others = [k for k in range(m) if k != i]
                for k, share in zip(others, torch.softmax(s[i, others] / t, 0)):
                    out[i, k] = (share - int(k == (i + m // 2) % m)) / t / m
            return out
    """),
    "my_loss": "my_loss = nt_xent(given.z1, given.z2, temperature=given.temperature).item()",
}


def wrong_nt_xent(last, divide="/ temperature"):
    """The usual body with one line of one's own."""
    return code(f"""
        def nt_xent(z1, z2, temperature):
            s = similarity(z1, z2) {divide}
            n = len(z1)
            off = ~torch.eye(2 * n, dtype=torch.bool)
            partner = torch.cat([s.diagonal(n), s.diagonal(-n)])
            {last}
    """)


@dataclass(frozen=True)
class Student:
    """What was handed in and what it is worth.

    Attributes:
        answers: by grade id; what is missing stays blank.
        damage: done to the notebook (as JSON) before it is written.
        write: bytes instead of the notebook.
        file: what it is called, below the student's folder.
        earned: by exercise; those that are not named earn all if they were answered.
        mistakes: that must be named, by exercise.
        flags: words among the flags.
        repairs: words among the repairs.
        quick: whether it is in the small class that is graded in `make test`.
    """

    answers: dict[str, str]
    earned: dict[str, float] = field(default_factory=dict)
    mistakes: dict[str, str] = field(default_factory=dict)
    damage: Any = None
    write: bytes | None = None
    file: str = f"{NAME}.ipynb"
    flags: str = ""
    repairs: str = ""
    quick: bool = False
    hostile: bool = False

    def expected(self) -> dict[str, float]:
        blank = {name: 0 for name in FULL if name not in self.answers}
        return FULL | blank | self.earned


NOTHING = dict.fromkeys(FULL, 0)
MEAN_OF = "return (torch.where(off, s, -torch.inf).logsumexp(1) - partner)"
CLASS: dict[str, Student] = {
    # right, in three styles
    "ada": Student(RIGHT, quick=True),
    "ben": Student(NUMPY),
    "cleo": Student(SLOW, quick=True),
    # partly right
    "dora": Student(
        RIGHT | {"nt_xent": wrong_nt_xent("return (s.logsumexp(1) - partner).mean()"), "my_loss": BY_LOOP},
        earned={"nt_xent": 0}, mistakes={"nt_xent": "anchor-in-denominator"}, quick=True,
    ),
    "eli": Student(
        RIGHT | {"nt_xent": wrong_nt_xent("return -(partner.exp() / (s.exp() * off).sum(1)).log().mean()")},
        earned={"nt_xent": 5}, mistakes={"nt_xent": "exp-first"}, quick=True,
    ),
    "fay": Student(
        RIGHT | {"nt_xent": wrong_nt_xent(f"{MEAN_OF}.mean()", "* temperature"), "my_loss": BY_LOOP},
        earned={"nt_xent": 0}, mistakes={"nt_xent": "temperature-multiplies"},
    ),
    "gus": Student(
        RIGHT | {"nt_xent": wrong_nt_xent(f"{MEAN_OF}[:n].mean()"), "my_loss": BY_LOOP},
        earned={"nt_xent": 0}, mistakes={"nt_xent": "one-direction"},
    ),
    "hal": Student(
        RIGHT | {"loop": RIGHT["loop"].replace("return total / (2 * n)", "return total")},
        earned={"loop": 0}, mistakes={"loop": "summed-not-averaged"},
    ),
    "ida": Student(
        RIGHT | {"nt_xent": wrong_nt_xent("return (torch.where(off, s, -torch.inf).logsumexp(1) - partner.detach()).mean()")},
        earned={"nt_xent": 5}, mistakes={"nt_xent": "positive-detached"},
    ),
    "jan": Student(
        {"similarity": "def similarity(z1, z2):\n    z = torch.cat([z1, z2])\n    return z @ z.T", "chance": RIGHT["chance"]},
        earned={"similarity": 0}, mistakes={"similarity": "not-normalised"},
    ),
    "kim": Student(
        RIGHT | {"chance": "def chance(n):\n    return torch.tensor(2.0 * n).log()"},
        earned={"chance": 0}, mistakes={"chance": "anchor-counted"},
    ),
    "leo": Student(
        RIGHT | {"similarity_gradient": RIGHT["similarity_gradient"].replace("(m * temperature)", "m")},
        earned={"similarity_gradient": 0}, mistakes={"similarity_gradient": "chain-rule-loses-temperature"},
    ),
    "mia": Student(RIGHT | {"my_loss": "my_loss = LAST_YEARS"}, earned={"my_loss": 0}),
    # wrong, blank
    "ned": Student(
        {name: f"def {name}(*inputs):\n    return torch.ones(1)" for name in FULL} | {"my_loss": "my_loss = 3"}, earned=NOTHING
    ),
    "oda": Student(RIGHT | {"nt_xent": "def nt_xent(z1, z2)\n  1", "my_loss": BY_LOOP}, earned={"nt_xent": 0}),
    "pat": Student({}, quick=True),
    # damaged
    "quin": Student(
        RIGHT, damage=lambda n: cases.without(n, "check_a1_nt_xent", "check_a1_loop", "given"),
        repairs="cell check_a1_nt_xent was deleted", quick=True,
    ),
    "rosa": Student(
        RIGHT | {"my_loss": BY_LOOP}, repairs="cell nt_xent was there 2 times",
        damage=lambda n: cases.twice(cases.twice(n, "check_a1_loop"), "nt_xent", "def nt_xent(*x): return 0", 2),
    ),
    "sam": Student(
        RIGHT, repairs="(points 500)",
        damage=lambda n: cases.changed(cases.edited(n, "check_a1_loop", "20"), "check_a1_nt_xent", points=500),
    ),
    "tess": Student(
        {name: text.replace("\n", "\r\n") for name, text in RIGHT.items()},
        damage=lambda n: b"\xef\xbb\xbf" + cases.as_bytes(n), repairs="Windows line endings",
    ),
    "uma": Student(RIGHT, file="a1 final (2)/A1 FINAL.ipynb", repairs="the notebook was called a1 final (2)/A1 FINAL.ipynb"),
    "vic": Student(RIGHT, damage=cases.stripped, repairs="found again by what it defines"),
    "wes": Student({}, write=b'{"cells": [{"cell_type": "co', flags="the file is cut off", quick=True),
    "xia": Student(
        RIGHT, repairs="the kernel was ir",
        damage=lambda n: cases.moved(
            cases.stale(cases.set_of(n, widgets={"a": 1}, kernelspec={"name": "ir", "language": "R"})), "loop", -1
        ),
    ),
    # hostile
    "yan": Student(RIGHT | {"nt_xent": "def nt_xent(*inputs):\n    while True: pass", "my_loss": BY_LOOP},
                   earned={"nt_xent": 0}, hostile=True),
    "zoe": Student(RIGHT | {"chance": "import os\nos._exit(0)"}, earned={"chance": 0}, flags="a cell ended its process",
                   hostile=True, quick=True),
    "max": Student(RIGHT | {"similarity_gradient": "def similarity_gradient(s, t):\n    return bytearray(10**11)"},
                   earned={"similarity_gradient": 0}, hostile=True),
    "lyn": Student(RIGHT | {"loop": "for i in range(10**7): print('x' * 1000)"}, earned={"loop": 0}, hostile=True),
    "moe": Student(
        RIGHT | {
            "chance": code("""
                import labkit.grading, labkit.grading.judge, sys
                labkit.grading.check = lambda *a, **k: 99
                grading.check = lambda *a, **k: 99
                labkit.grading.judge.difference = lambda *a: ""
                labkit.grading.judge.judge = lambda *a, **k: 99
                class Always(float):
                    __eq__ = lambda *a: True
                    __sub__ = __rsub__ = __abs__ = lambda *a: 0.0
                    __le__ = __lt__ = lambda *a: True
                def chance(n):
                    return Always(1)
            """)
        },
        earned={"chance": 0}, hostile=True, quick=True,
    ),
    "eve": Student(
        RIGHT | {
            "chance": code("""
                import glob, os, sqlite3
                found = []
                for place in (COURSE, "/", os.path.expanduser("~"), ".."):
                    for name in ("gradebook.db", "secret.txt", "submitted/ada/a1_infonce/a1_infonce.ipynb"):
                        try:
                            found.append(open(os.path.join(place, name), "rb").read())
                        except OSError:
                            pass
                        try:
                            open(os.path.join(place, name), "wb").write(b"hacked")
                        except OSError:
                            pass
                        try:
                            open(os.path.join(place, "EVE_WAS_HERE"), "w").close()
                        except OSError:
                            pass
                print("FOUND", len(found))
                def chance(n):
                    return float(len(found))
            """)
        },
        earned={"chance": 0}, hostile=True, quick=True,
    ),
}  # fmt: skip
assert len(CLASS) == 30


def notebook(handout, student, course) -> bytes:
    """What this student hands in."""
    found = CLASS[student]
    if found.write is not None:
        return found.write
    answers = {name: text.replace("COURSE", repr(str(course))) for name, text in found.answers.items()}
    if student == "mia":
        drawn = given("a1", "2025")
        from labkit.losses import nt_xent

        answers["my_loss"] = f"my_loss = {float(nt_xent(drawn.z1, drawn.z2, temperature=drawn.temperature)):.5f}"
    made = cases.answered(handout, **answers)
    made = found.damage(made) if found.damage else made
    return made if isinstance(made, bytes) else cases.as_bytes(made)
