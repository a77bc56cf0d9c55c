"""edgewright and engines for a board that lacks them, in an environment of its store: `flash --install`.

    what is there -> wheels for that platform, gathered here -> those that the board lacks, by hash -> unpacked there
    -> engines started, the active release asked -> in use

A board needs Python and nothing else: no pip, no venv, no network. The board's side is `devices/_onboard/equip.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from edgewright._version import __version__
from edgewright.boards.own_wheel import own_wheel
from edgewright.boards.transfer import prepared, send
from edgewright.boards.wheels import ENGINES, Platform, Wheel, cache_dir, download, requirements
from edgewright.errors import DeviceError, UsageError
from edgewright.system.interpreter import line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from edgewright.boards.board import Board
    from edgewright.boards.checks import Checks

__all__ = ["Equipment", "Equipped", "Kit", "Outfitter", "Survey", "by_pip", "by_wheels", "equip"]

_PROBE = (
    "from edgewright import __version__ as found; from edgewright.doctor import require_engine; "
    "require_engine(sys.argv[2:]); sys.exit(found != sys.argv[1] and f'edgewright {found}, {sys.argv[1]} is here')"
)
_INSTALL_S = 1800.0


class Survey(Struct, frozen=True):
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


class Equipped(Struct, frozen=True):
    """The Python of an environment that is in use now."""

    python: str


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
    board: Board,
    formats: Sequence[str],
    checks: Checks,
    choose: Outfitter,
    release: Mapping[str, Any],
    progress: Callable[[str], None],
) -> Equipment:
    """See that a board can run artifacts of some of `formats` with this edgewright; install what it lacks.

    A Python of the board's own that can do so stays in use. An environment of the store is made anew when this
    edgewright or an engine's version is another one than when it was made, or when it does not work any more.

    Raises:
        BundleError: the board would refuse `release`, which shall run there.
        UsageError: no engine for any of the formats is installed on boards.
        DeviceError: the board is not one that engines have wheels for, lacks disk, or the engines do not start there.
        GateFailed: the active release fails its health check in the new environment, which is then not used.
    """
    progress("look at what the board has")
    probe = line("{python}", _PROBE, __version__, *formats)
    asked = {**release, "probe": probe, "timeout_s": checks.timeout_s}
    survey = board.ask("survey", Survey, within_s=checks.timeout_s + 60, **asked)
    if not survey.key and not survey.lacks:
        return Equipment(own=False)
    kit = choose(survey, _extras(formats, survey.engines))
    if kit.key == survey.key and not survey.lacks:
        return Equipment(own=True)
    wheels = [Wheel.of(path) for path in kit.wheels(progress)]
    request = _request(kit, wheels, probe, checks)
    wanted = prepared(board, "offer", request, checks.timeout_s)
    send(board, wanted, {wheel.sha256: wheel.path for wheel in wheels}, progress)
    progress(f"install edgewright and {', '.join(kit.engines)} there")
    board.ask("equip", Equipped, within_s=_INSTALL_S + 2 * checks.timeout_s, **request)
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


def _request(kit: Kit, wheels: Sequence[Wheel], probe: Sequence[str], checks: Checks) -> dict[str, Any]:
    rows = [{**asdict(wheel), "path": wheel.path.name} for wheel in wheels]
    facts = {"key": kit.key, "engines": kit.engines, "by_pip": kit.by_pip, "wheels": rows}
    return {**facts, "probe": probe, "health": checks.health, "timeout_s": checks.timeout_s}
