"""What a board says of itself when it is probed, and the profile that it matches."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from edgewright import registry
from edgewright.boards.board import Board
from edgewright.boards.catalogue import board_profiles
from edgewright.boards.connect import board_of
from edgewright.boards.wire import plain
from edgewright.contracts.board import Describe, Module
from edgewright.errors import DeviceError
from edgewright.system.shown import brief

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgewright.boards.catalogue import Profile
    from edgewright.contracts.board_answers import Facts
    from edgewright.contracts.transport import Transport

__all__ = ["Match", "ProbedBoard", "ask_facts", "match", "probe_board", "throttling"]

_PACKAGES = (("edgewright", "edgewright"), ("numpy", "numpy"), ("tokenizers", "tokenizers"))
_THROTTLE = ("under-voltage", "clock capped", "throttled", "too hot")
"""Bits 0 to 3 of `vcgencmd get_throttled`: so now; bits 16 to 19: so since the start."""

_LONGEST = 1000
"""Characters of one of a board's words: a name longer than that is shown nowhere, and would be no name."""


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
    board: Board | Transport, *, root: str = "", python: str = "", profiles: str | Path | None = None
) -> ProbedBoard:
    """Probe a board, and find its profile, also among those in a directory of the user's; see `ask_facts`."""
    known = board_profiles(profiles)
    facts = ask_facts(board, root=root, python=python)
    return ProbedBoard(facts, match(facts, known), (board.way if isinstance(board, Board) else board).emulated)


def ask_facts(board: Board | Transport, *, root: str = "", python: str = "", timeout_s: float = 120.0) -> Facts:
    """Probe a board. It needs a Python there, and nothing installed; nothing changes.

    Args:
        board: the board, or the way to one with a Python; `root` and `python` are for such a way.
        root: where its releases are, or would be; by default `~/.local/share/edgewright` there.
        python: its Python; by default that of the releases, or else the one that answers.
        timeout_s: the most seconds that one import may take.

    Raises:
        DeviceError: the board cannot be reached, its Python does not answer, or it says what cannot be.
    """
    board = board_of(board, root, python)
    known = (*_PACKAGES, *((engine.module, engine.package) for engine in _engines()))
    asked = Describe(tuple(Module(*pair) for pair in known), board.python, timeout_s)
    found = board.answer(asked, within_s=timeout_s * (len(known) + 1))
    _check_words(plain(found))
    return found


def _check_words(tree: Any, at: str = "$") -> None:
    """Raise DeviceError where a board has more to say of itself than can be meant."""
    if isinstance(tree, str) and len(tree) > _LONGEST:
        what = f"the board's answer to facts is not acceptable: {len(tree)} characters, at most {_LONGEST} are read"
        raise DeviceError(f"{what} - at `{at}`")
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, part in parts:
        _check_words(part, f"{at}[{name}]" if isinstance(tree, list) else f"{at}.{name}")


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
