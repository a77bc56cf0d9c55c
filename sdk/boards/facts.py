"""What a board says of itself when it is probed, and the profile that it matches."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct

from edgewright import registry
from edgewright.boards.board import Board
from edgewright.boards.catalogue import board_profiles
from edgewright.system.shown import brief

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgewright.boards.catalogue import Profile
    from edgewright.contracts.transport import Transport

__all__ = ["Cores", "Facts", "Match", "Package", "ProbedBoard", "ask_facts", "match", "probe_board", "throttling"]

_PACKAGES = (("edgewright", "edgewright"), ("numpy", "numpy"), ("tokenizers", "tokenizers"))
_THROTTLE = ("under-voltage", "clock capped", "throttled", "too hot")
"""Bits 0 to 3 of `vcgencmd get_throttled`: so now; bits 16 to 19: so since the start."""

_Words = Annotated[str, Meta(max_length=1000)]


class Cores(Struct, frozen=True):
    """Cores of one kind: on Arm implementer and part, else the processor's name; their numbers and highest clock."""

    kind: _Words
    numbers: tuple[int, ...]
    clock_mhz: float | None = None


class Package(Struct, frozen=True):
    """A package that the board's Python has or lacks; state is `imports`, `missing`, or what went wrong."""

    module: _Words
    version: _Words
    state: _Words


class Facts(Struct, frozen=True, kw_only=True):
    """The record of a probe; "" and None is what the board does not tell.

    Attributes:
        model: as its device tree has it, or the processor's name.
        product: Android's `ro.product.model`.
        instructions: sets of instructions by the names of `edgewright.boards.catalogue`.
        temperature_c: of its hottest thermal zone.
        clock_mhz: of its fastest core, now.
        throttled: bits of `vcgencmd get_throttled`, see `throttling`.
        disk_free_bytes: where releases would lie.
        python: the version of the Python that would run a bundle; problem says why it does not start.
    """

    model: _Words
    product: _Words
    architecture: _Words
    cores: tuple[Cores, ...]
    instructions: tuple[_Words, ...]
    ram_mib: int
    os: _Words
    kernel: _Words
    temperature_c: float | None = None
    clock_mhz: float | None = None
    governor: _Words | None = None
    load: float | None = None
    free_ram_mib: float | None = None
    throttled: int | None = None
    disk_free_bytes: int | None = None
    python: _Words
    executable: _Words
    problem: _Words = ""
    packages: tuple[Package, ...]

    def __repr__(self) -> str:
        cores = " + ".join(f"{len(one.numbers)} x {one.kind}" for one in self.cores)
        return brief(self, self.model or self.product, cores, f"{self.ram_mib} MiB", self.os)


class Match(Struct, frozen=True):
    """The profile of a board, "" where none fits, and what told it; `alike` are others that fit no worse."""

    profile: str
    by: Literal["name", "cores", "architecture", ""]
    alike: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProbedBoard:
    """A board that was probed: what it said, the profile that it matches, and whether it is emulated."""

    facts: Facts
    match: Match
    emulated: bool

    def __repr__(self) -> str:
        return brief(self, self.facts.model or self.facts.product, self.match.profile or "of no known profile")


def probe_board(
    transport: Transport, *, root: str = "", python: str = "", profiles: str | Path | None = None
) -> ProbedBoard:
    """Probe a board, and find its profile, also among those in a directory of the user's; see `ask_facts`."""
    known = board_profiles(profiles)
    facts = ask_facts(transport, root=root, python=python)
    return ProbedBoard(facts, match(facts, known), transport.emulated)


def ask_facts(transport: Transport, *, root: str = "", python: str = "", timeout_s: float = 120.0) -> Facts:
    """Probe a board. It needs a Python there, and nothing installed; nothing changes.

    Args:
        transport: the way to the board.
        root: where its releases are, or would be; by default `~/.local/share/edgewright` there.
        python: its Python; by default that of the releases, or else the one that answers.
        timeout_s: the most seconds that one import may take.

    Raises:
        DeviceError: the board cannot be reached, its Python does not answer, or it says what cannot be.
    """
    packages = [*_PACKAGES, *((engine.module, engine.package) for engine in _engines())]
    within_s = timeout_s * (len(packages) + 1)
    request: dict[str, Any] = {"packages": packages, "python": python, "timeout_s": timeout_s}
    return Board(transport, root, python).ask("facts", Facts, within_s=within_s, **request)


def _engines() -> list[Any]:
    return [registry.load("runtimes", name)() for name in registry.names("runtimes")]


def match(facts: Facts, profiles: Mapping[str, Profile]) -> Match:
    """The profile whose pattern of names is the longest that fits; else by the kinds of cores; else a generic one."""
    named = {name: _length(facts, profile) for name, profile in profiles.items()}
    longest = max(named.values(), default=0)
    if longest:
        return _first([name for name, length in named.items() if length == longest], "name")
    kinds = {cores.kind for cores in facts.cores}
    alike = [
        name for name, one in profiles.items() if kinds and kinds == {cluster.part for cluster in one.cpu.clusters}
    ]
    if alike:
        return _first(alike, "cores")
    system = "android" if facts.product else "linux"
    known = {name: (one.recognized.generic, one.cpu.architecture) for name, one in profiles.items()}
    return _first([name for name, one in known.items() if one == (system, facts.architecture)], "architecture")


def _length(facts: Facts, profile: Profile) -> int:
    """Of the longest pattern that fits."""
    pairs = ((profile.recognized.models, facts.model), (profile.recognized.products, facts.product))
    return max((len(one) for patterns, name in pairs for one in patterns if fnmatchcase(name, one)), default=0)


def _first(names: list[str], by: Literal["name", "cores", "architecture"]) -> Match:
    return Match(names[0], by, tuple(names[1:])) if names else Match("", "")


def throttling(bits: int) -> list[str]:
    """What the bits of `vcgencmd get_throttled` mean."""
    now = [f"{words} now" for at, words in enumerate(_THROTTLE) if bits >> at & 1]
    return now + [f"{words} since the start" for at, words in enumerate(_THROTTLE) if bits >> (at + 16) & 1]
