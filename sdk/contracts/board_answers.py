"""What a board answers to the requests of `edgewright.contracts.board`.

Standard library alone, for Python 3.9 on, as these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union

from edgewright.errors import one_line

__all__ = [
    "Cell",
    "Chain",
    "Cores",
    "Ended",
    "Equipped",
    "Event",
    "Facts",
    "Installed",
    "Listing",
    "Package",
    "Prepared",
    "Rekeyed",
    "Removed",
    "Rolled",
    "Row",
    "Sender",
    "Served",
    "Serving",
    "Status",
    "Survey",
    "Visited",
    "Wanted",
]

Cell = Union[None, bool, int, float, str]  # noqa: UP007 - read by Python 3.9
"""A value in a row that a program printed as `--json` does."""


_LINE = 100
"""Characters of a `repr`, as of `edgewright.system.shown.MOST`, which a board has not."""


def _line(thing: object, *facts: str) -> str:
    words = ", ".join(filter(None, facts))
    return f"<{one_line(f'{type(thing).__name__} {words}', _LINE - 2)}>"


# what answers are made of


@dataclass(frozen=True)
class Sender:
    """Who is sending to a board: the token of the transfer, then as `Asker`; nothing has come for `quiet_s` seconds."""

    token: str
    who: str
    host: str
    pid: int
    boot: str
    quiet_s: float


@dataclass(frozen=True)
class Wanted:
    """A file that the board lacks."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Row:
    """A release on a board.

    Attributes:
        role: active, previous, trial or empty.
        problem: what is wrong with its files, "" for nothing; None where they were not looked at.
    """

    name: str
    role: str
    version: Optional[int]  # noqa: UP045
    size_bytes: Optional[int]  # noqa: UP045
    problem: Optional[str]  # noqa: UP045


@dataclass(frozen=True)
class Event:
    """A line of the board's journal: what happened, why, and when by the board's clock."""

    what: str
    why: str
    at_s: int


@dataclass(frozen=True)
class Chain:
    """Whether a board's journal is what was written: each line names the one before it by its hash.

    Attributes:
        lines: the number of the last line that was written.
        head: its hash, in hexadecimal.
        problem: which line was altered or is missing, "" where none is.
    """

    lines: int
    head: str
    problem: str


@dataclass(frozen=True)
class Serving:
    """Where a board's service listens, and its state in systemd's words."""

    socket: str
    state: str


@dataclass(frozen=True)
class Cores:
    """Cores of one kind: on Arm implementer and part, else the processor's name; their numbers and highest clock."""

    kind: str
    numbers: tuple[int, ...]
    clock_mhz: Optional[float] = None  # noqa: UP045


@dataclass(frozen=True)
class Package:
    """A package that the board's Python has or lacks; state is `imports`, `missing`, or what went wrong."""

    module: str
    version: str
    state: str


# answers


@dataclass(frozen=True)
class Prepared:
    """What the board says before a transfer: where to and which files; or what is active already; or who is busy."""

    signer: str = ""
    active: str = ""
    incoming: str = ""
    missing: tuple[Wanted, ...] = ()
    busy: Optional[Sender] = None  # noqa: UP045


@dataclass(frozen=True)
class Installed:
    """A release that is active now; `rows` is what its self-test printed, `left` what could not be cleaned up.

    `socket` is where a service serves it, "" where none is installed.
    """

    active: str
    rows: tuple[dict[str, Cell], ...]
    signer: str
    left: str
    socket: str


@dataclass(frozen=True)
class Ended:
    """A transfer that was given up."""


@dataclass(frozen=True)
class Rolled:
    """The release that is active after a rollback, and the one that was before."""

    active: str
    before: str
    left: str

    def __repr__(self) -> str:
        return _line(self, f"{self.active} is active", f"{self.before} was", self.left)


@dataclass(frozen=True)
class Rekeyed:
    """The root of keys that a board has now.

    Attributes:
        before: the version that it had, now the one that it has.
        threshold: of how many keys a signature is needed.
        names: who has keys.
        refused: the active and previous releases that these keys did not sign.
    """

    before: int
    now: int
    threshold: int
    names: tuple[str, ...]
    refused: tuple[str, ...]

    def __repr__(self) -> str:
        refused = f"{len(self.refused)} releases refused" if self.refused else ""
        return _line(self, f"root {self.now}", f"{self.before} was", f"{self.threshold} of {len(self.names)}", refused)


@dataclass(frozen=True)
class Served:
    """Where a service serves the active release, "" where it was removed or there was none."""

    socket: str


@dataclass(frozen=True)
class Listing:
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
        return _line(
            self,
            active,
            f"{len(self.releases)} release{'s' * (len(self.releases) != 1)}",
            f"{bad} of them damaged" if bad else "",
            self.root,
        )


@dataclass(frozen=True, repr=False)
class Status(Listing):
    """A listing for which every file was hashed.

    Attributes:
        signed_only: whether the board has its owner's keys.
        newest: the highest version that was ever active there.
        keys: the version of its owner's root of keys; 0 where it has none.
        fleets: what its owner calls it.
        service: the socket and state of the service, where one is installed.
    """

    free_bytes: Optional[int]  # noqa: UP045
    signed_only: bool
    newest: int
    keys: int
    fleets: tuple[str, ...]
    journal: tuple[Event, ...]
    chain: Chain
    service: Optional[Serving]  # noqa: UP045


@dataclass(frozen=True)
class Removed:
    """The releases that were uninstalled."""

    removed: tuple[str, ...]


@dataclass(frozen=True)
class Visited:
    """A command that ended: its exit code, the end of its standard error, and its files by name, packed by zlib.

    Under the name "" stands what it printed.
    """

    exit_code: int
    files: dict[str, bytes]
    words: str


@dataclass(frozen=True)
class Facts:
    """The record of a probe; "" and None is what the board does not tell.

    Attributes:
        model: as its device tree has it, or the processor's name.
        product: Android's `ro.product.model`.
        instructions: sets of instructions by the names of `edgewright.boards.catalogue`.
        temperature_c: of its hottest thermal zone.
        clock_mhz: of its fastest core, now.
        throttled: bits of `vcgencmd get_throttled`, see `edgewright.boards.facts.throttling`.
        disk_free_bytes: where releases would lie.
        python: the version of the Python that would run a bundle; problem says why it does not start.
    """

    model: str
    product: str
    architecture: str
    cores: tuple[Cores, ...]
    instructions: tuple[str, ...]
    ram_mib: int
    os: str
    kernel: str
    temperature_c: Optional[float]  # noqa: UP045
    clock_mhz: Optional[float]  # noqa: UP045
    governor: Optional[str]  # noqa: UP045
    load: Optional[float]  # noqa: UP045
    free_ram_mib: Optional[float]  # noqa: UP045
    throttled: Optional[int]  # noqa: UP045
    disk_free_bytes: Optional[int]  # noqa: UP045
    python: str
    executable: str
    problem: str
    packages: tuple[Package, ...]

    def __repr__(self) -> str:
        cores = " + ".join(f"{len(one.numbers)} x {one.kind}" for one in self.cores)
        return _line(self, self.model or self.product, cores, f"{self.ram_mib} MiB", self.os)


@dataclass(frozen=True)
class Survey:
    """What decides whether something need be installed on a board, and what.

    Attributes:
        python: the version of its Python, such as 3.11.
        implementation: such as cpython.
        machine: what its programs are made for, such as aarch64.
        glibc: the version of its C library, "" for another one.
        lacks: why the bundle cannot run there, "" where it can.
        key: the name of its environment's content, "" where there is none.
        engines: the extras in its environment.
    """

    python: str
    implementation: str
    machine: str
    glibc: str
    lacks: str
    key: str = ""
    engines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Equipped:
    """The Python of an environment that is in use now."""

    python: str
