"""Where artifacts are measured: this machine, or a board behind a transport.

The process that measures runs there, so that no clock is compared with another machine's; here it is decided what runs
next. What has been measured is here when the way to a board breaks.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from edgewright import registry
from edgewright.bundle import Bundle
from edgewright.device import connect
from edgewright.engines import runnable
from edgewright.errors import DeviceError, UsageError, from_record
from edgewright.interpreter import here
from edgewright.machine import machine, require_clock
from edgewright.manifest import Manifest  # noqa: TC001 - msgspec reads annotations
from edgewright.remote import ACTIVE
from edgewright.roofline import Roofline, roofline
from edgewright.rows import Machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgewright.remote import Remote

__all__ = ["About", "Here", "Place", "There", "refuse_emulated"]

_WORKER = "edgewright.runtimes._worker"
_ASKED_S = 120.0


class About(Struct, frozen=True, forbid_unknown_fields=True):
    """A place: what kind of machine it is, and of a bundle there the formats that an engine opens, and config.json."""

    machine: Machine
    formats: tuple[str, ...]
    manifest: Manifest
    config: dict[str, Any] | None = None


class Place(ABC):
    """A machine that has edgewright, and a bundle on it."""

    name: str

    @abstractmethod
    def ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """What the measuring process answers to a request, see `runtimes/_worker.py`.

        Raises:
            ConnectionLost: the way there broke.
            DeviceError: it died, or gave no answer.
            EdgewrightError: what it names.
        """

    @cached_property
    def about(self) -> About:
        """Asked for once. Raises what `ask` raises."""
        found: About = _typed(self.ask({"about": True}, _ASKED_S), About)
        return found

    def peaks(self, threads: int) -> Roofline:
        """The machine's measured peaks. Raises what `ask` raises."""
        found: Roofline = _typed(self.ask({"peaks": threads}, _ASKED_S), Roofline)
        return found

    def check_threads(self, threads: int) -> None:
        """Raise UsageError where the machine has fewer cores, or fewer than one thread is asked."""
        cores = self.about.machine.cores
        if not 1 <= threads <= cores:
            whose = "this machine" if self.name == "local" else self.name
            raise UsageError(f"{threads} threads were asked, {whose} has {cores} cores", hint=f"give 1 to {cores}")


def _typed(tree: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(tree, kind, strict=True)
    except msgspec.ValidationError as error:
        hint = "is the edgewright there as new as here?"
        raise DeviceError(f"the measuring process gave no {kind.__name__}: {error}", hint=hint) from error


class Here(Place):
    """This machine."""

    name = "local"

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    @cached_property
    def about(self) -> About:
        """See `Place.about`. Raises UsageError: this machine is emulated."""
        require_clock()
        path = self.bundle.directory / "config.json"
        config = json.loads(path.read_text()) if path.is_file() else None
        kind = msgspec.convert(machine(), Machine)
        return About(kind, tuple(runnable(self.bundle)), self.bundle.manifest, config)

    def peaks(self, threads: int) -> Roofline:
        """See `Place.peaks`."""
        return roofline(threads)

    def ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """See `Place.ask`."""
        asked = json.dumps({**request, "bundle": str(self.bundle.directory)}).encode()
        way = registry.load("devices", "local")()
        done = way.run(here(_WORKER), timeout_s=timeout_s, stdin=asked)
        if done.exit_code != 0:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            what = f"the measuring process ended with exit code {done.exit_code}"
            raise DeviceError(what, hint=words[-1] if words else "")
        return _record(done.stdout)


class There(Place):
    """A board, and on it the release that is active: a bundle here must be that one, `-` stands for it.

    Raises:
        UsageError: the board is emulated.
    """

    def __init__(self, remote: Remote, bundle: str | Path) -> None:
        refuse_emulated(remote.url)
        self.name, self._remote, self._bundle = remote.url, remote, bundle
        self._peaks: dict[int, Roofline] = {}

    def opened(self) -> Bundle:
        """The bundle here, or what the board says of its own. Raises what `Bundle.open` and `ask` raise."""
        if str(self._bundle) != ACTIVE:
            return Bundle.open(self._bundle)
        return Bundle(Path(ACTIVE), self.about.manifest)

    def peaks(self, threads: int) -> Roofline:
        """See `Place.peaks`."""
        if threads not in self._peaks:
            self._peaks[threads] = super().peaks(threads)
        return self._peaks[threads]

    def ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """See `Place.ask`."""
        files = {"request.json": json.dumps(dict(request)).encode()}
        words = ["{files}/request.json", "{bundle}"]
        found = self._remote.visit(self._bundle, words, files=files, timeout_s=timeout_s, module=_WORKER)
        return _record(found.get("", b""))


def _record(printed: bytes) -> dict[str, Any]:
    try:
        record = json.loads(printed)
    except (ValueError, RecursionError) as error:
        raise DeviceError(f"the measuring process printed no JSON: {error}") from error
    if not isinstance(record, dict):
        raise DeviceError("the measuring process printed JSON that is no object")
    if "error" in record:
        raise from_record(record["error"])
    return record


def refuse_emulated(url: str) -> None:
    """Raise UsageError where the board at a URL is emulated: its time is not a board's."""
    if connect(url).emulated:
        hint = "measure on a real board; `edgewright bench` counts instructions here"
        raise UsageError(f"{url} is emulated: milliseconds there say nothing of a board", hint=hint)
