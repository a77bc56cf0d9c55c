"""A service manager in memory: it starts what a unit on the board's disk says, and again after a restart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edgewright.devices._onboard.machine import Manager, Ran
from edgewright.devices._onboard.unit import NAME, Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.devices._fake.disk import FakeDisk

__all__ = ["MANAGER", "FakeSystemd"]

MANAGER = Manager(("systemctl",), "/etc/systemd/system", "multi-user.target", "/run/edgewright/socket")


class FakeSystemd:
    """Attributes: serves is the release that the running service has open, "" where none runs."""

    def __init__(self) -> None:
        self.serves = ""
        self._loaded: Unit | None = None

    def boot(self, disk: FakeDisk, broken: Sequence[int]) -> None:
        """Start with the board: what is enabled is started."""
        self.serves = ""
        self.run(disk, "daemon-reload", broken)
        if f"{MANAGER.units}/{MANAGER.target}.wants/{NAME}" in disk.tree():
            self.run(disk, "restart", broken)

    def run(self, disk: FakeDisk, verb: str, broken: Sequence[int]) -> Ran:
        """Do as `systemctl VERB`; releases of the versions in `broken` do not start."""
        if verb == "daemon-reload":
            there = f"{MANAGER.units}/{NAME}"
            self._loaded = Unit.read(disk.peek(there).decode()) if there in disk.tree() else None
        elif verb == "stop":
            self.serves = ""
        elif verb == "is-active":
            return Ran(0 if self.serves else 3, b"active\n" if self.serves else b"inactive\n", b"")
        elif verb == "restart":
            return self._restart(disk, broken)
        return Ran(0, b"", b"")

    def _restart(self, disk: FakeDisk, broken: Sequence[int]) -> Ran:
        self.serves = ""
        if self._loaded is None:
            return Ran(5, b"", f"Unit {NAME} not found.".encode())
        link = f"{self._loaded.root}/current"
        if link not in disk.tree() or json.loads(disk.peek(f"{link}/manifest.json")).get("version", 0) in broken:
            return Ran(1, b"", f"Job for {NAME} failed because the control process exited.".encode())
        self.serves = disk.leads(link).rpartition("/")[2]
        return Ran(0, b"", b"")
