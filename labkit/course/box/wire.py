"""Messages over a socket, each with its length before it and a time by which it must be through."""

import contextlib
import socket
import struct
import time
from typing import Any

from labkit.course.box.codec import LARGEST, decode, encode

FOREVER = float("inf")


class Wire:
    """One end of a line. What comes in is trusted no further than `decode` trusts it."""

    def __init__(self, line: socket.socket):
        self.line = line

    def send(self, value: Any, until: float = FOREVER) -> None:
        """Raises: ValueError (not plain data), TimeoutError, OSError (nobody there)."""
        self.write(encode(value), until)

    def write(self, message: bytes, until: float) -> None:
        """Send what is encoded already. Raises: TimeoutError, OSError (nobody there)."""
        self.wait(until)
        self.line.sendall(struct.pack(">Q", len(message)) + message)

    def receive(self, until: float = FOREVER) -> Any:
        """Raises: ValueError (not one of our messages), TimeoutError, EOFError or OSError (nobody there)."""
        (size,) = struct.unpack(">Q", self.read(8, until))
        if size > LARGEST:
            raise ValueError(f"a message of {size:,} bytes")
        return decode(self.read(size, until))

    def read(self, size: int, until: float) -> bytearray:
        """In pieces: a length that somebody claims does not yet cost memory."""
        data = bytearray()
        while len(data) < size:
            self.wait(until)
            piece = self.line.recv(min(size - len(data), 2**20))
            if not piece:
                raise EOFError("the other end is closed")
            data += piece
        return data

    def wait(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.line.settimeout(None if until == FOREVER else left)

    def cut(self) -> None:
        """Nothing more comes or goes, not even for one who waits for it in another thread."""
        with contextlib.suppress(OSError):
            self.line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.line.close()
