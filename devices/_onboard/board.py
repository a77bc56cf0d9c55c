"""A board while it answers one request: its store, its journal, who asks, and the lock."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from edgewright.devices._onboard.commands import Place
from edgewright.devices._onboard.files import get
from edgewright.devices._onboard.journal import Journal
from edgewright.devices._onboard.release import Release
from edgewright.devices._onboard.service import Service
from edgewright.devices._onboard.session import Session
from edgewright.devices._onboard.store import Store
from edgewright.errors import DeviceError, EdgewrightError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgewright.contracts.board import Call, Candidate
    from edgewright.devices._onboard.disk import Disk
    from edgewright.devices._onboard.machine import Machine
    from edgewright.devices._onboard.state import State

__all__ = ["Board"]

_MAX_HOLDER_BYTES = 400
"""A hundred characters, of four bytes at most."""


class Board:
    """What the operations work on: a disk and a machine, and whose call they answer."""

    def __init__(self, disk: Disk, machine: Machine, call: Call) -> None:
        self.disk, self.machine, self.op, self.asker = disk, machine, call.request.op, call.asker
        self.store = Store(disk, call.root)
        self.journal = Journal(disk, call.root)
        self.service = Service(disk, machine, self.store)

    def session(self, token: str) -> Session:
        """The transfer of whoever asks, by its token."""
        return Session(token, self.asker.who, self.asker.host, self.asker.pid, self.machine.boot())

    @contextmanager
    def locked(self) -> Iterator[State]:
        """The store for this process alone, and its state; what was interrupted, before or now, is taken back."""
        if self.disk.stat(self.store.root) is None:
            raise DeviceError(f"nothing is installed in {self.store.root}", hint="flash a bundle")
        lock = self._lock()
        try:
            state, found = self.store.recover(self.follow)
            if found:
                self.journal.note("went back", found)
            yield state
        except OSError:
            with suppress(OSError, EdgewrightError):
                self.store.recover(self.follow)
            raise
        finally:
            self.disk.close(lock)

    def follow(self, name: str) -> None:
        """Let the service, if there is one, be that of the release that is active now."""
        problem = self.service.agree(name)
        if problem:
            self.journal.note("trouble", problem)

    def _lock(self) -> int:
        path = f"{self.store.root}/lock"
        try:
            lock = self.disk.lock(path)
        except BlockingIOError as error:
            who = ""
            with suppress(OSError):
                who = one_line(get(self.disk, path, 2 * _MAX_HOLDER_BYTES).decode(errors="replace"))
            raise DeviceError(
                f"{self.store.root} is locked by {who or 'another process'}", hint="try again when it is done"
            ) from error
        holder = one_line(f"{self.op} from {self.asker.who}", _MAX_HOLDER_BYTES // 4)
        with suppress(OSError):  # for people; the lock itself is the kernel's
            self.disk.write(lock, holder.encode().ljust(_MAX_HOLDER_BYTES))
        return lock

    def python(self, given: str = "") -> str:
        """The Python called `given`; for "" the store's own, and where it has none the one that runs this."""
        own = f"{self.store.root}/env/bin/python"
        return given or (own if self.disk.stat(own) else sys.executable)

    def place(self, bundle: str = "", python: str = "") -> Place:
        """Where a command is run, on a release or none."""
        return Place(self.python(python), bundle, self.service.manager.socket)

    @staticmethod
    def release(candidate: Candidate) -> Release:
        """The release that is to be installed. Raises BundleError."""
        return Release.read(candidate.manifest, candidate.signature)

    def current(self) -> str:
        """What `current` leads to, for messages."""
        with suppress(OSError):
            return self.store.current() or "nothing"
        return "unknown"
