"""The model as a service of the board's systemd: its unit, started with each release, asked whether it is well.

That a unit of this store lies in the manager's directory is what says that it is wanted. It names the release that it
was written for: where that is not the active one, what was interrupted is made good.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from edgewright.contracts.board_answers import Serving
from edgewright.devices._onboard.checks import last_words, memory_bytes, replay
from edgewright.devices._onboard.files import ensure_dir, get, put, remove
from edgewright.devices._onboard.unit import NAME, Unit
from edgewright.errors import DeviceError, EdgewrightError, GateFailed, one_line
from edgewright.system.interpreter import started, there

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.contracts.board_commands import Command
    from edgewright.devices._onboard.commands import Place
    from edgewright.devices._onboard.disk import Disk
    from edgewright.devices._onboard.machine import Machine
    from edgewright.devices._onboard.store import Store

__all__ = ["Service"]

_MAX_UNIT_BYTES = 2**16
"""A choice: the unit written here has some hundred bytes; a stranger's is read no further."""
_START_S = 240.0
"""A choice: systemd waits 90 s by default, and a slow card reads a model of hundreds of megabytes after it."""
_RELEASES = 2
"""How many are open at once while the server is told to follow `current`."""
_GPUS = ("/dev/nvidiactl", "/dev/nvmap")


class Service:
    """The unit that serves a store's active release."""

    def __init__(self, disk: Disk, machine: Machine, store: Store) -> None:
        self.disk, self.machine, self.store, self.manager = disk, machine, store, machine.manager()
        self.path = f"{self.manager.units}/{NAME}"
        self._wants = f"{self.manager.units}/{self.manager.target}.wants"

    def unit(self) -> Unit | None:
        """What the installed unit says, None where there is none, or one of another store."""
        found = self._found()
        return found if found and found.root == self.store.root else None

    def _found(self) -> Unit | None:
        facts = self.disk.stat(self.path)
        if facts is None or facts.kind != "file":
            return None
        return Unit.read(get(self.disk, self.path, _MAX_UNIT_BYTES).decode(errors="replace"))

    def check(self) -> None:
        """Raise DeviceError where no unit can be installed: no systemd, or one that is not this store's."""
        if self.manager.problem:
            hint = "leave out --service, and start `edgewright serve` by what the board has instead"
            raise DeviceError(f"the board can run no service: {self.manager.problem}", hint=hint)
        found = self._found()
        if self.disk.stat(self.path) and (found is None or found.root != self.store.root):
            owner = f"serves {found.root}" if found else "was not written by edgewright"
            raise DeviceError(f"{self.path} {owner}", hint="remove it first")

    def start(self, argv: Sequence[str], name: str) -> str:
        """Write the unit for a release that `current` leads to, and start it anew; what it will not do, in words.

        Raises:
            DeviceError: systemd does not start it.
        """
        self.check()
        self._write(self._made(_safe(argv), name))
        self._tell("daemon-reload")
        self._tell("reset-failed", NAME, fails=False)  # what an earlier release did wrong does not count
        self._tell("restart", NAME)
        return self._linger() if self.manager.user else ""

    def _linger(self) -> str:
        """Let a user's service outlive the user's sessions; why it will not, "" where it will."""
        try:
            ran = self.machine.run(["loginctl", "enable-linger"], _START_S)
            problem = last_words(ran) if ran.exit_code else ""
        except DeviceError as error:
            problem = error.message
        return f"the service ends with its user's last session: {problem}" if problem else ""

    def ask(self, command: Command, place: Place, name: str, timeout_s: float) -> None:
        """Raise GateFailed where the running service is not well, or serves another release than `name`."""
        rows = replay(self.machine, "the service's health check", command, place, timeout_s)
        serves = rows[0].get("release") if rows else None
        if serves != name:
            raise GateFailed(f"the service's health check failed: it serves {serves}, not {name}")

    def agree(self, name: str) -> str:
        """Let the service be one of the release that is active now, "" for none; says what could not be done."""
        found = self.unit()
        remove(self.disk, f"{self.path}.new")
        if found is None or found.release == name:
            return ""
        try:
            if name:
                return self.start(found.argv, name)
            self.remove()
        except EdgewrightError as error:
            return f"the service could not follow: {error}"
        return ""

    def remove(self) -> bool:
        """Stop the service and remove its unit; whether there was one."""
        if self.unit() is None:
            return False
        self._tell("stop", NAME, fails=False)
        remove(self.disk, f"{self._wants}/{NAME}")
        if self.disk.stat(self._wants):
            self.disk.sync_dir(self._wants)  # first: a unit that is there is one that is not wholly removed
        remove(self.disk, f"{self.path}.new")
        remove(self.disk, self.path)
        self.disk.sync_dir(self.manager.units)
        self._tell("daemon-reload", fails=False)
        return True

    def state(self) -> Serving | None:
        """The socket and what systemd says of the service; None where none is installed."""
        if self.unit() is None:
            return None
        words = "unknown"
        with suppress(DeviceError):
            ran = self.machine.run([*self.manager.argv, "is-active", NAME], _START_S)
            words = one_line(ran.stdout.decode(errors="replace"), 40) or words
        return Serving(self.manager.socket, words)

    def _made(self, argv: Sequence[str], name: str) -> Unit:
        limit = _RELEASES * memory_bytes(self.store.read(name).largest_bytes)
        unit = Unit(self.store.root, tuple(argv), name, limit, self.manager.user, self.manager.target)
        gpu = any(self.disk.stat(path) for path in _GPUS)
        keys = f"{self.store.root}/keys"
        owned = (f"{keys}/allowed_signers",) if self.disk.stat(keys) else ()  # the server looks at them
        places = (self.store.root, *owned, *(word for word in argv[:1] if word.startswith("/")), *self.manager.needs)
        dynamic = not self.manager.user and all(map(self._open_to_all, places))
        return replace(unit, needs=self.manager.needs, gpu=gpu, dynamic=dynamic)

    def _open_to_all(self, path: str) -> bool:
        """Whether every user may go through all directories above a path."""
        parts = path.split("/")
        above = ["/".join(parts[:end]) or "/" for end in range(1, len(parts))]
        return all((facts := self.disk.stat(folder)) is not None and facts.mode & 1 for folder in above)

    def _write(self, unit: Unit) -> None:
        missing, path = [], self._wants
        while self.disk.stat(path) is None:
            missing.append(path)
            path = path.rpartition("/")[0] or "/"
        for folder in reversed(missing):
            ensure_dir(self.disk, folder)
        if self.disk.stat(f"{self._wants}/{NAME}") is None:  # first: a unit that is there is one that is enabled
            self.disk.symlink(f"../{NAME}", f"{self._wants}/{NAME}")
            self.disk.sync_dir(self._wants)
        put(self.disk, self.path, str(unit).encode())

    def _tell(self, *words: str, fails: bool = True) -> None:
        """Tell systemd something. Raises DeviceError where it does not do it and `fails`."""
        try:
            ran = self.machine.run([*self.manager.argv, *words], _START_S)
        except DeviceError:
            if fails:
                raise
            return
        if ran.exit_code != 0 and fails:
            said = (ran.stderr or ran.stdout).decode(errors="replace").strip().splitlines() or ["not a word"]
            look = f"journalctl {'--user ' if self.manager.user else ''}-u {NAME}"
            raise DeviceError(f"systemd did not {words[0]} the service: {said[0]}", hint=f"look at {look} there")


def _safe(argv: Sequence[str]) -> list[str]:
    """The same server, whose unit an older edgewright may have written, without its working directory's files."""
    module, words = started(argv)
    return there(argv[0], module, *words) if module else list(argv)
