"""One connection that all commands to a device share, and that ends with this process, however it ends.

OpenSSH's master is a child that runs `cat` on the device: when this process goes, even by signal 9, the pipe to `cat`
is closed, and the master with it. Its socket lies in a directory of its own with mode 0700.
"""

from __future__ import annotations

import os
import secrets
import selectors
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Master", "options"]

_LONGEST = 70
"""A socket's path has at most 103 characters, and ssh appends 17 while it makes it."""
_END_S = 2.0
"""A choice: an ssh that was told to end does so at once; then it is killed."""
_CONNECT_S = 10
"""A choice: several round trips of a slow radio; the system's own limit is minutes."""
_ALIVE_S, _ALIVE_COUNT = 10, 3
"""A choice: half a minute of silence, by ssh_config(5), ends the way instead of hanging for ever."""


def options(settings: dict[str, str]) -> list[str]:
    """What ssh is told beside the user's configuration, of which `settings` is the outcome (`ssh -G`).

    It never asks; a device that is silent for 30 s is gone; nothing is forwarded. Times that the user set are kept.
    """
    given = {"BatchMode": "yes", "LogLevel": "INFO", "ClearAllForwardings": "yes", "RemoteCommand": "none"}
    given["PermitLocalCommand"] = "no"
    if settings.get("connecttimeout", "none") in ("none", "0"):
        given["ConnectTimeout"] = str(_CONNECT_S)
    if settings.get("serveraliveinterval", "0") == "0":
        given |= {"ServerAliveInterval": str(_ALIVE_S), "ServerAliveCountMax": str(_ALIVE_COUNT)}
    return ["-T", "-a", "-x", *(word for name, value in given.items() for word in ("-o", f"{name}={value}"))]


class Master:
    """A connection that is open once `open` gives True."""

    def __init__(self) -> None:
        folder = tempfile.gettempdir()
        odd = len(folder) > _LONGEST or not set("% \"'\\").isdisjoint(folder)
        self.folder = Path(tempfile.mkdtemp(prefix="edgewright-", dir="/tmp" if odd else None))  # noqa: S108 - as said
        self._child: subprocess.Popen[bytes] | None = None

    def arguments(self, role: str = "no") -> list[str]:
        """What lets ssh use it, or with "yes" be it."""
        return ["-o", f"ControlMaster={role}", "-o", f"ControlPath={self.folder}/way", "-o", "ControlPersist=no"]

    def alive(self) -> bool:
        """Whether its process still is there."""
        return self._child is not None and self._child.poll() is None

    def words(self) -> str:
        """What it printed on standard error, if it ended; it may take a moment longer than those that it served."""
        if self._child is not None:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_END_S / 2)
        return self.printed()

    def printed(self) -> str:
        """What it has printed on standard error until now."""
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.is_file() else ""

    def open(self, argv: Sequence[str], timeout_s: float) -> bool:
        """Start `argv`, an ssh that runs `cat` there, and wait until a line has gone there and come back."""
        with (self.folder / "log").open("wb") as log:
            self._child = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,  # what an ssh that has ended did not take must not be tried again when it is closed
                start_new_session=True,
            )
        return self._echoes(self._child, secrets.token_hex(8).encode(), time.monotonic() + timeout_s)

    @staticmethod
    def _echoes(child: subprocess.Popen[bytes], token: bytes, until: float) -> bool:
        said = b""
        if child.stdin is None or child.stdout is None:
            raise AssertionError
        try:
            child.stdin.write(token + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            return False
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while token not in said and selector.select(max(0.0, until - time.monotonic())):
                piece = os.read(child.stdout.fileno(), 4096)
                said = said[-4096:] + piece
                if not piece:
                    break
        return token in said

    def close(self) -> None:
        """End it, and remove its directory."""
        child, self._child = self._child, None
        if child is not None:
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    with suppress(OSError):
                        pipe.close()
            try:
                child.wait(_END_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
