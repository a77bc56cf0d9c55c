"""edgewright and engines for a board that lacks them, in an environment of its store: `flash --install`.

    what is there -> wheels for that platform, gathered here -> those that the board lacks, by hash -> unpacked there
    -> engines started, the active release asked -> in use

A board needs Python and nothing else: no pip, no venv, no network. The board's side is `devices/_onboard/equip.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgewright._version import __version__
from edgewright.boards.own_wheel import own_wheel
from edgewright.boards.wheels import ENGINES, Platform, Wheel, cache_dir, download, requirements
from edgewright.contracts.board import Equip, Examine, Offer, WheelFile
from edgewright.contracts.board_commands import Engines
from edgewright.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from edgewright.boards.transfer import Transfer
    from edgewright.contracts.board import Candidate
    from edgewright.contracts.board_answers import Survey
    from edgewright.contracts.board_commands import Checks

__all__ = ["Equipment", "Kit", "Outfitter", "by_pip", "by_wheels", "equip"]

_INSTALL_S = 1800.0
"""A choice: pip unpacks some 200 MB of wheels, and compiles each module of them, on a slow card."""


@dataclass(frozen=True)
class Kit:
    """What an environment shall be made of.

    Attributes:
        key: a name for exactly this content.
        engines: the extras in it.
        wheels: gathers the wheels that are sent; nothing is fetched before that.
        by_pip: what the board's own pip shall fetch beside them.
    """

    key: str
    engines: tuple[str, ...]
    wheels: Callable[[Callable[[str], None]], Sequence[Path]]
    by_pip: tuple[str, ...] = ()


class Outfitter(Protocol):
    """Chooses the kit for a board: what was found there, and the extras that it shall have."""

    def __call__(self, survey: Survey, engines: Sequence[str]) -> Kit: ...  # noqa: D102


@dataclass(frozen=True)
class Equipment:
    """What was done: whether the board uses its store's environment now, and the wheels that travelled."""

    own: bool
    sent: tuple[str, ...] = ()
    sent_bytes: int = 0


def by_wheels(survey: Survey, engines: Sequence[str]) -> Kit:
    """Everything is sent; the board needs no network. Raises DeviceError: no engine has wheels for the board."""
    platform, wanted = _wanted(survey, engines)
    digest, own = own_wheel(cache_dir())
    key = _key("wheels", digest, repr(platform), *wanted)
    return Kit(key, tuple(engines), lambda progress: [own, *download(wanted, platform, progress)])


def by_pip(survey: Survey, engines: Sequence[str]) -> Kit:
    """Edgewright is sent, the board's pip fetches the rest. Raises DeviceError as `by_wheels` does."""
    platform, wanted = _wanted(survey, engines)
    digest, own = own_wheel(cache_dir())
    return Kit(_key("pip", digest, repr(platform), *wanted), tuple(engines), lambda _: [own], wanted)


def _wanted(survey: Survey, engines: Sequence[str]) -> tuple[Platform, tuple[str, ...]]:
    if survey.implementation != "cpython":
        what = f"the board's Python is {survey.implementation}, engines have wheels for CPython"
        raise DeviceError(what, hint="name another one there with --python")
    platform = Platform(survey.python, survey.machine, survey.glibc)
    platform.check()
    return platform, requirements(engines, survey.python)


def _key(*facts: str) -> str:
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def equip(
    transfer: Transfer,
    formats: Sequence[str],
    checks: Checks,
    choose: Outfitter,
    candidate: Candidate,
    progress: Callable[[str], None],
) -> Equipment:
    """See that a board can run artifacts of some of `formats` with this edgewright; install what it lacks.

    A Python of the board's own that can do so stays in use. An environment of the store is made anew when this
    edgewright or an engine's version is another one than when it was made, or when it does not work any more.

    Raises:
        BundleError: the board would refuse `candidate`, which shall run there.
        UsageError: no engine for any of the formats is installed on boards.
        DeviceError: the board is not one that engines have wheels for, lacks disk, or the engines do not start there.
        GateFailed: the active release fails its health check in the new environment, which is then not used.
    """
    progress("look at what the board has")
    board, probe = transfer.board, Engines(tuple(formats), version=__version__)
    survey = board.answer(Examine(candidate, probe, checks.timeout_s), within_s=checks.timeout_s + 60)
    if not survey.key and not survey.lacks:
        return Equipment(own=False)
    kit = choose(survey, _extras(formats, survey.engines))
    if kit.key == survey.key and not survey.lacks:
        return Equipment(own=True)
    wheels = [Wheel.of(path) for path in kit.wheels(progress)]
    rows = tuple(_file(wheel) for wheel in wheels)
    wanted = transfer.prepared(Offer(transfer.token, "", rows), checks.timeout_s)
    transfer.send(wanted, {wheel.sha256: wheel.path for wheel in wheels}, progress)
    progress(f"install edgewright and {', '.join(kit.engines)} there")
    facts = (kit.key, kit.engines, kit.by_pip, rows)
    board.answer(
        Equip(transfer.token, *facts, probe, checks.health, checks.timeout_s),
        within_s=_INSTALL_S + 2 * checks.timeout_s,
    )
    sent = wanted.missing
    return Equipment(own=True, sent=tuple(f.path for f in sent), sent_bytes=sum(f.size_bytes for f in sent))


def _extras(formats: Collection[str], there: Collection[str]) -> tuple[str, ...]:
    """The extras of an environment for some formats, with those that it has already: the way back needs them."""
    from edgewright.inference.engines import engines_of

    needed = {engine.extra for name in formats for engine in engines_of(name)} & set(ENGINES)
    if not needed:
        what = f"no engine for {', '.join(formats)} can be installed on a board from here"
        raise UsageError(what, hint="build onnx or tflite for it")
    return tuple(extra for extra in ENGINES if extra in needed or extra in there)


def _file(wheel: Wheel) -> WheelFile:
    return WheelFile(wheel.path.name, wheel.size_bytes, wheel.sha256, wheel.unpacked_bytes, wheel.files)
