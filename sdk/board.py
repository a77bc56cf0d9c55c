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

from edgewright.agent import call
from edgewright.errors import ConnectionLost, DeviceError
from edgewright.interpreter import line, there

if TYPE_CHECKING:
    from edgewright.contracts import Transport

__all__ = [
    "Board",
    "Checks",
    "Ended",
    "Installed",
    "Listing",
    "Prepared",
    "Removed",
    "Rolled",
    "Row",
    "Sender",
    "Served",
    "Status",
    "Wanted",
    "alive",
    "given_up",
    "serving",
]

given_up: set[str] = set()
"""The tokens of transfers that this process gave up; a board whose connection broke may not know it."""

_Answer = TypeVar("_Answer", bound=Struct)
_REPEATABLE = ("list", "status", "survey", "facts")
_TRIES, _PAUSE_S = 3, 1.0
_SERVE = ("serve", "{bundle}", "--socket", "{socket}")
_VERIFY = ("verify", "{bundle}", "--json", "--quiet")
_ASK = tuple(there("", "edgewright", "ask", "{socket}", "--health", "--json")[1:])


class Wanted(Struct, frozen=True):
    """A file that the board lacks."""

    path: str
    size_bytes: int
    sha256: str


class Sender(Struct, frozen=True):
    """Who is sending to a board: a transfer's token, a user and machine for people, the host's boot, a process."""

    token: str
    who: str
    host: str
    pid: int
    boot: str = ""
    quiet_s: float = 0.0


class Prepared(Struct, frozen=True):
    """What the board says before a transfer: where to and which files; or what is active already; or who is busy."""

    signer: str = ""
    active: str = ""
    incoming: str = ""
    missing: tuple[Wanted, ...] = ()
    busy: Sender | None = None


class Installed(Struct, frozen=True):
    """A release that is active now; `rows` is what its self-test printed, `left` what could not be cleaned up.

    `socket` is where a service serves it, "" where none is installed.
    """

    active: str
    rows: tuple[dict[str, Any], ...] = ()
    signer: str = ""
    left: str = ""
    socket: str = ""


class Rolled(Struct, frozen=True):
    """The release that is active after a rollback, and the one that was before."""

    active: str
    before: str = msgspec.field(name="from")
    left: str = ""


class Ended(Struct, frozen=True):
    """A transfer that was given up."""


class Removed(Struct, frozen=True):
    """The releases that were uninstalled."""

    removed: tuple[str, ...]


class Row(Struct, frozen=True):
    """A release on a board.

    Attributes:
        role: active, previous, trial or empty.
        problem: what is wrong with its files, "" for nothing; None where they were not looked at.
    """

    name: str
    role: str
    version: int | None
    size_bytes: int | None
    problem: str | None


class Listing(Struct, frozen=True):
    """What is installed on a board, newest release first.

    Attributes:
        current: where the link `current` leads: what apps open. It differs from `active` in an interrupted trial alone.
        engines: the extras, such as onnx, that `flash --install` put there.
    """

    root: str
    current: str
    active: str
    previous: str
    trial: str
    sequence: int
    engines: tuple[str, ...]
    releases: tuple[Row, ...]


class Status(Listing, frozen=True):
    """A listing for which every file was hashed.

    Attributes:
        signed_only: whether the board has its owner's keys.
        service: the socket and state of the service, where one is installed.
    """

    free_bytes: int | None
    signed_only: bool
    journal: tuple[dict[str, Any], ...]
    service: dict[str, str] | None = None


class Served(Struct, frozen=True):
    """Where a service serves the active release, "" where it was removed or there was none."""

    socket: str


@dataclass(frozen=True)
class Checks:
    """What a release must pass on the board: argument vectors there.

    `{bundle}` in them stands for its directory, `{python}` for the store's Python, or the one that answers. Each ends
    with 0 if all is well; rows that it prints as `--json` does are kept, and one must name an engine.

    Attributes:
        probe: starts the engines that the bundle wants, before anything is sent; empty for none.
        self_test: proves the release where it lies, before it is active.
        health: looks at it through `current`, when it is.
        ask: the words by which the Python that serves it, if one does, asks at `{socket}` whether the service is well.
        timeout_s: for each of them.
    """

    probe: tuple[str, ...]
    self_test: tuple[str, ...]
    health: tuple[str, ...]
    timeout_s: float = 600.0
    ask: tuple[str, ...] = _ASK

    @classmethod
    def of(cls, python: str, formats: tuple[str, ...], timeout_s: float) -> Checks:
        """By the edgewright of a Python, "" for `{python}`: golden cases in every engine, then one by `current`."""
        python = python or "{python}"
        probe = line(python, "from edgewright.doctor import require_engine; require_engine(sys.argv[1:])", *formats)
        verify = there(python, "edgewright", *_VERIFY)
        return cls(tuple(probe), tuple(verify), (*verify, "--quick"), timeout_s)


def serving(python: str) -> tuple[str, ...]:
    """The argument vector of a service, by the edgewright of a Python, "" for `{python}`, as in `Checks`."""
    return tuple(there(python or "{python}", "edgewright", *_SERVE))


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
