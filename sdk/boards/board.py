"""A board as the host sees it: asked with a request, it gives the request's answer."""

from __future__ import annotations

import getpass
import os
import platform
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from edgewright.contracts.board import Asker, Call
from edgewright.errors import ConnectionLost

if TYPE_CHECKING:
    from edgewright.contracts.board import Request
    from edgewright.contracts.transport import Transport

__all__ = ["Board", "here"]

_Answer = TypeVar("_Answer")
_TRIES, _PAUSE_S = 3, 1.0
"""A way that breaks, such as a wireless one, mostly is back at once; more tries would hide one that does not hold."""


class Board(ABC):
    """A board and the way to it; what one is, implements `_answer`.

    Attributes:
        native: whether it has no Python, and a runner in its place.
        way: how programs are run there and files copied.
        root: where its releases are; "" for `~/.local/share/edgewright` there.
        python: the Python to ask for there; "" for the way's own.
    """

    native: ClassVar[bool] = False

    def __init__(self, way: Transport, root: str = "", python: str = "") -> None:
        self.way, self.root, self.python = way, root, python

    def answer(self, request: Request[_Answer], *, within_s: float) -> _Answer:
        """What the board answers; where the way breaks, a request that only looks is made again.

        Raises:
            EdgewrightError: as the board's part says it.
            DeviceError: the board gives no answer within `within_s` seconds, or not one to this request.
        """
        call, tries = Call(self.root, here(), request), _TRIES if request.repeatable else 1
        while True:
            try:
                found: _Answer = self._answer(call, within_s)
            except ConnectionLost:
                tries -= 1
                if not tries:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return found

    @abstractmethod
    def _answer(self, call: Call, within_s: float) -> Any:
        """An answer of the type that the request of `call` names."""

    def close(self) -> None:
        """Give back what the board's way holds on this machine."""
        self.way.close()


def here() -> Asker:
    """This process, as a board is told of it."""
    return Asker(_who(), _host(), os.getpid())


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
