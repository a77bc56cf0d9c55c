"""What a board answers, typed and read with distrust."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from edgewright.system.shown import brief

__all__ = [
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
]


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

    def __repr__(self) -> str:
        return brief(self, f"{self.active} is active", f"{self.before} was", self.left)


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

    def __repr__(self) -> str:
        active = f"{self.active} is active" if self.active else "nothing is active"
        bad = sum(bool(row.problem) for row in self.releases)
        return brief(self, active, f"{len(self.releases)} releases", f"{bad} of them damaged" if bad else "", self.root)


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
