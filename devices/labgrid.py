"""A board that a team shares, a place of labgrid: acquired for as long as it is used, and reached by ssh.

labgrid's own client is asked, which finds the coordinator in `LG_COORDINATOR`.
"""

from __future__ import annotations

import getpass
import os
import socket
import weakref
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from edgewright.contracts.transport import Completed, Transport
from edgewright.devices._ways.programs import find_program, last_line, run_program
from edgewright.devices.ssh import Ssh
from edgewright.errors import DeviceError
from edgewright.registry import install_line, require
from edgewright.system.files import home, locked
from edgewright.system.notices import log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Labgrid"]

_ASK_S = 60.0
"""A choice: an answer takes half a second, and a coordinator behind a bad radio some tries."""


class Labgrid(Transport):
    """The transport `labgrid://PLACE`. The first step acquires the place, `close` releases it.

    One that this user had before is used, and stays theirs. Another process of edgewright never shares it.
    """

    def __init__(self, place: str) -> None:
        """Raises DeviceError: there is no labgrid here."""
        self._place = place
        self._client = (find_program("labgrid-client", f"run: {install_line('labgrid')}"), "-p", place)
        self._ssh: Ssh | None = None
        self._end = weakref.finalize(self, lambda: None)

    @classmethod
    def at(cls, rest: str) -> Labgrid:
        """The place that labgrid finds by that name: one object, however many ask for it."""
        return _at(rest)

    def close(self) -> None:
        """End the connection, and release what was acquired."""
        self._end()
        self._ssh = None

    def _run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> Completed:
        return self._way().run(argv, timeout_s=timeout_s, stdin=stdin)

    def _push(self, here: Path, there: str) -> None:
        self._way().push(here, there)

    def _pull(self, there: str, here: Path) -> None:
        self._way().pull(there, here)

    def _way(self) -> Ssh:
        if self._ssh is None:
            held = ExitStack()
            self._end = weakref.finalize(self, held.close)
            try:
                self._acquire(held)
                self._ssh = self._service()
                held.callback(self._ssh.close)
            except BaseException:
                self.close()
                raise
        return self._ssh

    def _acquire(self, held: ExitStack) -> None:
        """Make the place this process's, until `held` is closed. Raises DeviceError, which says whose it is."""
        folder = home("XDG_CACHE_HOME", ".cache") / "edgewright" / "labgrid" / self._place.replace("/", "%")
        folder.mkdir(parents=True, exist_ok=True)
        if not held.enter_context(locked(folder, wait=False)):
            what = f"place {self._place} is used by another edgewright of yours on this machine"
            raise DeviceError(what, hint="wait for its end")
        if _ask(self._client, "env").exit_code == 0:
            log("devices").info("place %s was yours before, and is not released", self._place)
            return
        try:
            done = _ask(self._client, "acquire")
        except BaseException:  # one that was interrupted may have come through
            _release(self._client)
            raise
        if done.exit_code != 0:
            raise _failure(done)
        held.callback(_release, self._client)

    def _service(self) -> Ssh:
        """The way to the place's NetworkService. Raises DeviceError: it has none, or several."""
        done = _ask(self._client, "env")
        if done.exit_code != 0:
            raise _failure(done)
        found = _services(done.stdout)
        if len(found) != 1:
            what = f"place {self._place} has {len(found)} resources of the kind NetworkService, one is needed"
            raise DeviceError(what, hint=f"labgrid-client -p {self._place} show: is its exporter running?")
        host = f"[{found[0].address}]" if ":" in found[0].address else found[0].address
        return Ssh.at(f"{found[0].username}@{host}:{found[0].port}")


_at = cache(Labgrid)


class _Service(msgspec.Struct):
    """labgrid's NetworkService; its password is not read, for none is ever typed."""

    address: str
    username: str
    port: int = 22


class _Resource(msgspec.Struct):
    service: _Service | None = msgspec.field(default=None, name="NetworkService")


class _Target(msgspec.Struct):
    resources: tuple[_Resource, ...] = ()


class _Environment(msgspec.Struct):
    """What `labgrid-client env` prints, as YAML."""

    targets: dict[str, _Target]


def _services(printed: bytes) -> list[_Service]:
    require(("yaml",), "labgrid")
    import yaml

    try:
        found = msgspec.convert(yaml.safe_load(printed), _Environment)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise DeviceError(f"labgrid-client env printed no environment: {error}") from error
    return [one.service for target in found.targets.values() for one in target.resources if one.service]


def _ask(client: Sequence[str], *words: str) -> Completed:
    return run_program([*client, *words], timeout_s=_ASK_S)


def _release(client: Sequence[str]) -> None:
    """Give the place back where it is this user's on this machine."""
    user, host = os.environ.get("LG_USERNAME") or getpass.getuser(), os.environ.get("LG_HOSTNAME")
    try:
        done = _ask(client, "release-from", f"{host or socket.gethostname()}/{user}")
        problem = "" if done.exit_code == 0 else last_line(done)
    except DeviceError as error:
        problem = str(error)
    if problem:
        log("devices").warning("place %s was not released: %s", client[-1], problem)


def _failure(done: Completed) -> DeviceError:
    words = last_line(done).removeprefix("labgrid-client: ").removeprefix("Server error: ").removeprefix("Error: ")
    hint = (
        "is LG_COORDINATOR the coordinator's HOST:PORT?" if "oordinator" in words else "labgrid-client who tells more"
    )
    return DeviceError(words, hint=hint)
