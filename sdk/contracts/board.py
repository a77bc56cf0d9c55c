"""The seam of a board: what it can be asked; `board_answers` holds what it answers, `board_commands` what it runs.

    Install(candidate, ...) -> Installed        a request knows the type of its answer

Standard library alone, for Python 3.9 on: these types travel to the board with its part of edgewright, and both ends
read them strictly (`edgewright.boards.wire`). `edgewright.boards.board.Board` asks, three kinds of boards answer: one
with a Python, to which the board's part is sent (`edgewright.boards.agent`), one without (`devices/_native/board.py`),
and one in memory (`devices/_fake/board.py`). What each request does stands with its operation in `devices/_onboard/`.

A new request is a dataclass here and an entry in `devices/_onboard/agent.py`:

    @dataclass(frozen=True)
    class Rename(Request[Renamed]):
        op: ClassVar[str] = "rename"
        name: str
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Optional, TypeVar, get_args

from edgewright.contracts.board_answers import (
    Ended,
    Equipped,
    Facts,
    Installed,
    Listing,
    Prepared,
    Rekeyed,
    Removed,
    Rolled,
    Served,
    Status,
    Survey,
    Visited,
)
from edgewright.contracts.board_commands import Checks, Command, Kind, Server

__all__ = [
    "Asker",
    "Call",
    "Candidate",
    "Describe",
    "End",
    "Equip",
    "Examine",
    "Inspect",
    "Install",
    "List",
    "Module",
    "Offer",
    "Prepare",
    "Rekey",
    "Request",
    "RollBack",
    "Serve",
    "Uninstall",
    "Visit",
    "WheelFile",
]


@dataclass(frozen=True)
class Asker:
    """Who asks: user and machine for people, the host's boot, a process."""

    who: str
    host: str
    pid: int


@dataclass(frozen=True)
class Candidate:
    """A release that shall be installed: the bytes of its manifest and signature; whether it may be older."""

    manifest: bytes
    signature: bytes
    allow_downgrade: bool


@dataclass(frozen=True)
class WheelFile:
    """A wheel that is offered: its name, size and hash, and what it takes where it is unpacked."""

    path: str
    size_bytes: int
    sha256: str
    unpacked_bytes: int
    files: int


@dataclass(frozen=True)
class Module:
    """A Python module, and the package that brings it."""

    module: str
    package: str


_Answer_co = TypeVar("_Answer_co", covariant=True)


class Request(Kind, Generic[_Answer_co]):
    """Something that a board is asked.

    Attributes:
        repeatable: whether it only looks, so that it may be asked again where the way broke.
    """

    repeatable: ClassVar[bool] = False

    @classmethod
    def answer(cls) -> type[_Answer_co]:
        """The type of its answer. Law: `Install.answer() is Installed`."""
        (base,) = (base for base in cls.__dict__["__orig_bases__"] if get_args(base))
        kind: type[_Answer_co] = get_args(base)[0]
        return kind


@dataclass(frozen=True)
class Prepare(Request[Prepared]):
    """Which files of a release are to be sent, and where to, once everything is known to be in order.

    Attributes:
        token: the transfer's own.
        over: the token of a transfer that is known to be over.
        server: the service that shall serve the release, None where none is asked for.
        memory_mib: what the smallest artifact needs, by the part that needs it.
    """

    op: ClassVar[str] = "prepare"
    token: str
    over: str
    candidate: Candidate
    checks: Checks
    server: Optional[Server]  # noqa: UP045
    memory_mib: dict[str, float]


@dataclass(frozen=True)
class Install(Request[Installed]):
    """Make what was sent a release and the active one; with a `server` let it be served."""

    op: ClassVar[str] = "install"
    token: str
    candidate: Candidate
    checks: Checks
    server: Optional[Server]  # noqa: UP045


@dataclass(frozen=True)
class End(Request[Ended]):
    """Give a transfer up."""

    op: ClassVar[str] = "end"
    token: str


@dataclass(frozen=True)
class RollBack(Request[Rolled]):
    """Make the previous release the active one; with `heal` only where the active one is damaged."""

    op: ClassVar[str] = "rollback"
    heal: bool
    checks: Checks


@dataclass(frozen=True)
class Rekey(Request[Rekeyed]):
    """Take the newest of some roots of keys, a file of `edgewright.bundle.keys`."""

    op: ClassVar[str] = "rekey"
    roots: bytes


@dataclass(frozen=True)
class Serve(Request[Served]):
    """Let the active release be served by `server`; with None remove the service."""

    op: ClassVar[str] = "serve"
    server: Optional[Server]  # noqa: UP045
    timeout_s: float


@dataclass(frozen=True)
class List(Request[Listing]):
    """What is installed, in an instant."""

    op: ClassVar[str] = "list"
    repeatable: ClassVar[bool] = True


@dataclass(frozen=True)
class Inspect(Request[Status]):
    """What is installed, every file hashed."""

    op: ClassVar[str] = "status"
    repeatable: ClassVar[bool] = True


@dataclass(frozen=True)
class Uninstall(Request[Removed]):
    """Remove everything but the owner's keys."""

    op: ClassVar[str] = "uninstall"


@dataclass(frozen=True)
class Visit(Request[Visited]):
    """Run a module of edgewright on the active release.

    Attributes:
        digest: of the release that must be active, "" for any; version is its version, for messages.
        words: in them `{bundle}` stands for the release's directory, `{files}` for that of the files.
        python: "" for the store's own, or the one that answers.
        files: what it finds there, by name, packed by zlib.
        takes: the names of files that it writes there.
    """

    op: ClassVar[str] = "visit"
    digest: str
    version: int
    module: str
    words: tuple[str, ...]
    python: str
    files: dict[str, bytes]
    takes: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True)
class Describe(Request[Facts]):
    """What the board is and how it is, and which of some packages its Python imports; `timeout_s` is for each."""

    op: ClassVar[str] = "facts"
    repeatable: ClassVar[bool] = True
    packages: tuple[Module, ...]
    python: str
    timeout_s: float


@dataclass(frozen=True)
class Examine(Request[Survey]):
    """What decides whether something need be installed, for a release that shall run there."""

    op: ClassVar[str] = "survey"
    repeatable: ClassVar[bool] = True
    candidate: Candidate
    probe: Command
    timeout_s: float


@dataclass(frozen=True)
class Offer(Request[Prepared]):
    """Which of some wheels are to be sent, and where to; `token` and `over` are as in `Prepare`."""

    op: ClassVar[str] = "offer"
    token: str
    over: str
    wheels: tuple[WheelFile, ...]


@dataclass(frozen=True)
class Equip(Request[Equipped]):
    """Make wheels that were sent, and what pip fetches there, the environment.

    Attributes:
        key: the host's name for exactly this content.
        engines: the extras in it.
        by_pip: what the board's own pip shall fetch.
        probe: starts the engines in it, before it is used.
        health: looks at the active release in it.
    """

    op: ClassVar[str] = "equip"
    token: str
    key: str
    engines: tuple[str, ...]
    by_pip: tuple[str, ...]
    wheels: tuple[WheelFile, ...]
    probe: Command
    health: Command
    timeout_s: float


@dataclass(frozen=True)
class Call:
    """A request on its way: to which store, "" for the usual one, and by whom."""

    root: str
    asker: Asker
    request: Request[Any]
