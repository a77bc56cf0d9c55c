"""A board as the host sees it: what its part of edgewright is asked, and its answers, typed and read with distrust."""

from __future__ import annotations

import getpass
import os
import platform
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from edgewright.boards.agent import call
from edgewright.errors import ConnectionLost, DeviceError

if TYPE_CHECKING:
    from edgewright.boards.answers import Sender
    from edgewright.contracts.transport import Transport

__all__ = ["Board", "alive", "given_up"]

given_up: set[str] = set()
"""The tokens of transfers that this process gave up; a board whose connection broke may not know it."""

_Answer = TypeVar("_Answer", bound=Struct)
_REPEATABLE = ("list", "status", "survey", "facts")
_TRIES, _PAUSE_S = 3, 1.0


@dataclass(frozen=True)
class Board:
    """A board behind a transport.

    Attributes:
        root: where its releases are; by default `~/.local/share/edgewright` there.
        python: its Python; by default the transport's own.
    """

    transport: Transport
    root: str = ""
    python: str = ""
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def interpreter(self) -> str:
        """The Python to ask for."""
        return self.python or self.transport.python

    def _answer(self, request: dict[str, Any], within_s: float, tries: int) -> dict[str, Any]:
        """As `call`; where the way breaks, what only looks is asked again."""
        while True:
            try:
                return call(self.transport, request, python=self.interpreter(), timeout_s=within_s)
            except ConnectionLost:
                tries -= 1
                if not tries:
                    raise
                time.sleep(_PAUSE_S)

    def ask(self, op: str, kind: type[_Answer], *, within_s: float, **request: Any) -> _Answer:
        """Let the board's part do `op`.

        Raises:
            EdgewrightError: as it says; DeviceError where it gives no answer, or one that is not a `kind`.
        """
        session = {"token": self.token, "who": _who(), "host": _host(), "pid": os.getpid()}
        whole = {"op": op, "root": self.root, "session": session, **request}
        answer = self._answer(whole, within_s, tries=_TRIES if op in _REPEATABLE else 1)
        try:
            return msgspec.convert(answer, kind, strict=True)
        except msgspec.ValidationError as error:
            raise DeviceError(f"the board's answer to {op} is not acceptable: {error}") from error


def alive(sender: Sender) -> bool:
    """Whether a sender may still be at work; False only for one of this process that gave up, or an ended one here."""
    if sender.token in given_up:
        return False
    if sender.host != _host():
        return True
    try:
        os.kill(sender.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        name = str(os.getuid())
    return f"{name}@{platform.node()}"


def _host() -> str:
    """A name of this boot of this machine: process numbers mean nothing outside it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return f"{platform.node()} {boot}"
