"""State codes: where an explorer stands, in a few letters that survive being read aloud.

`temperature1-k3f9-8zqp` is the explorer and its version, the state as one number in base 32 (no i, l, o, u), and a checksum
over both and over the options that the explorer offers: a code that was mistyped, or made for other options, is refused.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
READ = str.maketrans("oil", "011")  # what is easily mistaken for a digit
FORM = re.compile(r"([a-z_]+)(\d+)-([0-9a-z]+)-([0-9a-z]{4})")
REACH, STEP, MOST = 2.0, 1000, 4096  # a moved point: within [-2, 2], in thousandths; of so many points
SIDE = int(2 * REACH * STEP) + 1


@dataclass(frozen=True)
class Layout:
    """What a code of one explorer is made of: for each control its options; and whether a point can be moved."""

    name: str
    version: int
    options: tuple[tuple[Any, ...], ...]
    moves: bool = False
    mine: str = ""

    @property
    def signature(self) -> str:
        """Of the options, and of the reader's own data: codes written for others are refused."""
        return to_base(zlib.crc32((repr(self.options) + self.mine).encode()), 7)

    def write(self, values: Sequence[Any], moved: tuple[int, float, float] | None = None) -> str:
        number = 0
        for options, value in zip(self.options, values, strict=True):
            number = number * len(options) + options.index(value)
        if self.moves:
            number = number * 2 + (moved is not None)
            if moved is not None:
                point, x, y = moved
                for place, base in ((point, MOST), (steps(x), SIDE), (steps(y), SIDE)):
                    number = number * base + place
        body = to_base(number)
        return f"{self.name}{self.version}-{body}-{self.checksum(body)}"

    def read(self, code: str) -> tuple[list[Any], tuple[int, float, float] | None]:
        """The values and the moved point.

        Raises:
            ValueError: another explorer's or version's code, or a damaged one.
        """
        name, version, body, check = parts(code)
        if name != self.name:
            raise ValueError(f"code {code!r} belongs to the explorer {name!r}, not to {self.name!r}")
        if version != self.version:
            raise ValueError(f"code {code!r} is of version {version} of {name!r}; this labkit reads version {self.version}")
        if check != self.checksum(body):
            raise ValueError(f"code {code!r} is damaged, or was made for other options or data: copy it again")
        number, moved = unmoved(from_base(body), self.size) if self.moves else (from_base(body), None)
        values = []
        for options in reversed(self.options):
            number, place = divmod(number, len(options))
            values.append(options[place])
        if number:
            raise ValueError(f"code {code!r} is damaged: it names a state that there is not")
        return values[::-1], moved

    @property
    def size(self) -> int:
        """How many states the controls have."""
        made = 1
        for options in self.options:
            made *= len(options)
        return made

    def checksum(self, body: str) -> str:
        return to_base(zlib.crc32(f"{self.name}{self.version}-{body}-{self.signature}".encode()) & 0xFFFFF, 4)


def unmoved(number: int, size: int) -> tuple[int, tuple[int, float, float] | None]:
    """The number of the controls' state, and the moved point, if there is one: only then is the number this large."""
    if number < 2 * size:
        return number // 2, None
    number, y = divmod(number, SIDE)
    number, x = divmod(number, SIDE)
    number, point = divmod(number, MOST)
    return number // 2, (point, round(x / STEP - REACH, 3), round(y / STEP - REACH, 3))


def steps(x: float) -> int:
    return round((min(max(x, -REACH), REACH) + REACH) * STEP)


def parts(code: str) -> tuple[str, int, str, str]:
    """Name, version, body and checksum.

    Raises:
        ValueError: this is no code.
    """
    found = FORM.fullmatch(code.strip().lower()) if isinstance(code, str) else None
    if not found:
        raise ValueError(f"code must look like 'temperature1-k3f9-8zqp', got {code!r}")
    body, check = (found[i].translate(READ) for i in (3, 4))
    if "u" in body + check:
        raise ValueError(f"code {code!r} is damaged: there is no letter u in its last two parts")
    return found[1], int(found[2]), body, check


def to_base(number: int, width: int = 1) -> str:
    """
    >>> to_base(1023), to_base(0, 4)
    ('zz', '0000')
    """
    made = ""
    while number:
        number, place = divmod(number, 32)
        made = DIGITS[place] + made
    return made.rjust(width, "0")


def from_base(body: str) -> int:
    number = 0
    for letter in body:
        number = number * 32 + DIGITS.index(letter)
    return number
