"""A child process on this machine, held to a time and to an amount of output."""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
import time
from typing import IO, TYPE_CHECKING

from edgewright.contracts.transport import Completed
from edgewright.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST_BYTES", "capture"]

MOST_BYTES = 2**26
"""What is read of a device's answer at most."""
_PIECE = 2**16
"""What a pipe holds on Linux (pipe(7)): no read brings more."""


def capture(
    argv: Sequence[str],
    *,
    stdin: bytes | IO[bytes] = b"",
    timeout_s: float,
    most_bytes: int = MOST_BYTES,
    name: str = "",
) -> Completed:
    """Run a program to its end; `stdin` is bytes, or an unbuffered file that is read from where it stands.

    Errors call it `name`.

    Raises:
        FileNotFoundError: there is no such program.
        DeviceError: it took longer than `timeout_s` seconds, or printed more than `most_bytes`; it was ended.
    """
    with tempfile.TemporaryFile() as spooled:
        if isinstance(stdin, bytes):
            spooled.write(stdin)
            spooled.seek(0)
        given = spooled if isinstance(stdin, bytes) else stdin
        child = subprocess.Popen(list(argv), stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with child:
        try:
            out, err = _read(child, name or argv[0], time.monotonic() + timeout_s, most_bytes)
            return Completed(child.wait(), out, err)
        except TimeoutError as error:
            raise DeviceError(f"{name or argv[0]} took longer than {timeout_s:g} s and was ended") from error
        finally:
            if child.poll() is None:
                child.kill()


def _read(child: subprocess.Popen[bytes], name: str, until: float, most_bytes: int) -> tuple[bytes, bytes]:
    """Both outputs, as they come. Raises TimeoutError, DeviceError."""
    found: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
    with selectors.DefaultSelector() as selector:
        for pipe, key in ((child.stdout, "out"), (child.stderr, "err")):
            selector.register(pipe or 0, selectors.EVENT_READ, key)
        while selector.get_map():
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError
            for item, _ in ready:
                piece = os.read(item.fd, _PIECE)
                found[item.data] += piece
                if not piece:
                    selector.unregister(item.fileobj)
                if len(found[item.data]) > most_bytes:
                    raise DeviceError(f"{name} printed more than {most_bytes} bytes and was ended")
    return bytes(found["out"]), bytes(found["err"])
