"""Where artifacts are measured: this machine, or a board behind a transport.

The process that measures runs there, so that no clock is compared with another machine's; here it is decided what runs
next. What has been measured is here when the way to a board breaks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from edgewright import registry
from edgewright.bundle.manifest import Manifest  # noqa: TC001 - msgspec reads annotations
from edgewright.errors import DeviceError, UsageError
from edgewright.inference.engines import runnable
from edgewright.inference.footprint import model_config
from edgewright.measure.process import AskAbout, AskPeaks, answered, known
from edgewright.measure.roofline import Roofline, roofline
from edgewright.measure.rows import Machine
from edgewright.system.child import death
from edgewright.system.interpreter import here
from edgewright.system.machine import machine, require_clock

if TYPE_CHECKING:
    from edgewright.bundle.bundle import Bundle
    from edgewright.measure.process import Given, Request

__all__ = ["About", "Here", "Place"]

_WORKER = "edgewright.runtimes._measuring.worker"
_ASKED_S = 120.0
"""A choice: peaks are measured within some seconds, behind the import of an engine on a slow card."""


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
    def ask(self, request: Request[Given], timeout_s: float) -> Given:
        """What the measuring process answers to a request; its bundle is this place's.

        Raises:
            ConnectionLost: the way there broke.
            DeviceError: it died, or gave no answer.
            EdgewrightError: what it names.
        """

    @cached_property
    def about(self) -> About:
        """Asked for once. Raises what `ask` raises."""
        found = self.ask(AskAbout(), _ASKED_S)
        return About(known(found.machine, Machine), found.formats, found.manifest, found.config)

    def peaks(self, threads: int) -> Roofline:
        """The machine's measured peaks. Raises what `ask` raises."""
        return self.ask(AskPeaks(peaks=threads), _ASKED_S)

    def check_threads(self, threads: int) -> None:
        """Raise UsageError where the machine has fewer cores, or fewer than one thread is asked."""
        cores = self.about.machine.cores
        if not 1 <= threads <= cores:
            whose = "this machine" if self.name == "local" else self.name
            what = f"{threads} threads were asked, {whose} has {cores} core{'s' * (cores > 1)} for this process"
            raise UsageError(what, hint=f"give {f'1 to {cores}' if cores > 1 else '1'}")


class Here(Place):
    """This machine."""

    name = "local"

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    @cached_property
    def about(self) -> About:
        """See `Place.about`. Raises UsageError: this machine is emulated."""
        require_clock()
        kind, config = msgspec.convert(machine(), Machine), model_config(self.bundle.directory) or None
        return About(kind, tuple(runnable(self.bundle)), self.bundle.manifest, config)

    def peaks(self, threads: int) -> Roofline:
        """See `Place.peaks`."""
        return roofline(threads)

    def ask(self, request: Request[Given], timeout_s: float) -> Given:
        """See `Place.ask`."""
        asked = replace(request, bundle=str(self.bundle.directory)).packed()
        way = registry.load("devices", "local")()
        done = way.run(here(_WORKER), timeout_s=timeout_s, stdin=asked)
        if done.exit_code != 0:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            what = f"the measuring process {death(done.exit_code)}"
            raise DeviceError(what, hint=words[-1] if words else "")
        return answered(request, done.stdout)
