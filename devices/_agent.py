"""What a board does of a flash: one request comes in, one answer goes out, and the board is whole whenever it ends.

A request is a JSON object with an `op`, the `root` of the store and what the op needs; the answer is a line that begins
with `MARK`. Every op begins by taking back what an interrupted one left, and can be asked again.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import signal
import sys
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from edgewright.devices._checks import check_memory, check_signature, check_version, probe, replay
from edgewright.devices._disk import Disk, RealDisk
from edgewright.devices._files import remove
from edgewright.devices._journal import Journal
from edgewright.devices._machine import Machine, RealMachine
from edgewright.devices._release import Release
from edgewright.devices._session import NOTE, QUIET_S, Session
from edgewright.devices._state import State
from edgewright.devices._store import Store
from edgewright.errors import DeviceError, EdgewrightError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MARK", "Agent", "answer", "main"]

MARK = "edgewright-answer: "
_SPARE_BYTES, _SPARE_INODES = 2**20, 32
_HINTS = {
    errno.ENOSPC: "free some space on the board",
    errno.EDQUOT: "the quota is used up; free some space on the board",
    errno.EROFS: "the file system is read-only; choose another --root",
    errno.EACCES: "choose another --root, or another user",
    errno.EPERM: "the file system may lack links; choose a --root on ext4 or f2fs",
    errno.EIO: "the board's disk is failing",
}


class Agent:
    """The ops, each a method, on one board."""

    def __init__(self, disk: Disk, machine: Machine, request: dict[str, Any]) -> None:
        self.disk, self.machine, self.request = disk, machine, request
        self.store = Store(disk, request["root"])
        self.journal = Journal(disk, request["root"])
        self.session = Session.of({"boot": machine.boot(), **request.get("session", {})})

    def run(self) -> dict[str, Any]:
        """Do what the request asks. Raises EdgewrightError; a disk that failed is a DeviceError."""
        op = getattr(self, f"op_{self.request['op']}")
        try:
            result: dict[str, Any] = op()
        except OSError as error:
            with suppress(OSError, EdgewrightError):
                self.store.recover()
            active = self._active()
            what = f"{self.request['op']}: {error.strerror or error} ({error.filename or self.store.root})"
            hint = _HINTS.get(error.errno or 0, "look at the board's disk")
            raise DeviceError(f"{what}; active is {active or 'nothing'}", hint=hint) from error
        return result

    def _active(self) -> str:
        with suppress(OSError, EdgewrightError):
            return self.store.current()
        return "unknown"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The store for this process alone, with whatever was interrupted taken back."""
        try:
            lock = self.disk.lock(f"{self.store.root}/lock")
        except BlockingIOError as error:
            what = f"{self.store.root} is locked: another edgewright is at work on the board"
            raise DeviceError(what, hint="try again when it is done") from error
        try:
            found = self.store.recover()
            if found:
                self.journal.note("went back", found)
            yield
        finally:
            self.disk.close(lock)

    def _release(self) -> Release:
        return Release.read(*(base64.b64decode(self.request[name]) for name in ("manifest", "signature")))

    def _sender(self) -> Session:
        if self.session is None:
            raise DeviceError("the request names no session", hint="upgrade edgewright")
        return self.session

    # sending

    def op_prepare(self) -> dict[str, Any]:
        """Refuse what cannot or may not be installed, before anything changes; then say what is to be sent, and where."""
        release, store = self._release(), self.store
        store.check_ours()
        signer = check_signature(store, self.machine, release)
        check_version(store, release, allow_downgrade=self.request["allow_downgrade"])
        active = store.current()
        if active.endswith(f"-{release.digest[:12]}") and not store.state().trial and not store.problem(active):
            return {"unchanged": True, "active": active, "signer": signer}
        check_memory(self.machine, release)
        probe(self.machine, self.request["probe"], self.request["timeout_s"])
        store.make()
        with self._locked():
            return self._receive(release) | {"signer": signer}

    def _receive(self, release: Release) -> dict[str, Any]:
        store, session = self.store, self._sender()
        noted = Session.noted(self.disk, store.incoming)
        if noted and noted.token not in (session.token, self.request["over"]):
            quiet_s = noted.quiet_s(self.disk, store.incoming, session.boot)
            if quiet_s < QUIET_S:
                return {"busy": {**asdict(noted), "quiet_s": quiet_s}}
        session.note(self.disk, store.incoming)
        self._check_links()
        store.clean(keep={NOTE, *(part.sha256 for part in release.parts)})
        missing = store.missing(release.parts)
        self._check_room(release, {part.sha256: part.size_bytes for part in missing})
        return {"incoming": store.incoming, "missing": [asdict(part) for part in missing]}

    def _check_links(self) -> None:
        """Make both kinds of links once: a card with FAT holds neither."""
        note, link = f"{self.store.incoming}/{NOTE}", f"{self.store.incoming}/link"
        for make in (self.disk.link, self.disk.symlink):
            remove(self.disk, link)
            make(note, link)
        remove(self.disk, link)

    def _check_room(self, release: Release, missing: dict[str, int]) -> None:
        """Raise DeviceError where disk or inodes do not suffice; what an interrupted transfer left counts as sent."""
        came = [self.disk.stat(f"{self.store.incoming}/{digest}") for digest in missing]
        need = sum(missing.values()) - sum(facts.size_bytes for facts in came if facts)
        need += _SPARE_BYTES + 2 * len(release.manifest)
        free = self.disk.free(self.store.root)
        if free.free_bytes < need:
            sizes = f"needs {need / 1e6:.1f} MB of disk, {free.free_bytes / 1e6:.1f} MB are free"
            raise DeviceError(
                f"{self.store.root} {sizes}", hint="free some space on the board, or choose another --root"
            )
        inodes = len(release.parts) * 2 + _SPARE_INODES
        if 0 <= free.inodes < inodes:
            what = f"{self.store.root} needs {inodes} inodes, {free.inodes} are free"
            raise DeviceError(what, hint="remove small files on the board")

    def op_end(self) -> dict[str, Any]:
        """Give a transfer up; what has arrived stays, for the next try."""
        with self._locked():
            noted = Session.noted(self.disk, self.store.incoming)
            if noted and noted.token == self._sender().token:
                remove(self.disk, f"{self.store.incoming}/{NOTE}")
        return {}

    # installing

    def op_install(self) -> dict[str, Any]:
        """Make a release of what was sent, prove it, and make it the active one; or leave everything as it was."""
        release, store = self._release(), self.store
        with self._locked():
            signer = check_signature(store, self.machine, release)
            check_version(store, release, allow_downgrade=self.request["allow_downgrade"])
            self._sender().check(self.disk, store.incoming)
            store.adopt(release.parts)
            name = store.build(release)
            try:
                rows = self._proven(name)
            except EdgewrightError as error:
                self.journal.note("refused", f"{name}: {error}")
                self._clean()
                raise
            left = self._try(name)
            self.journal.note("installed", f"{name}, version {release.version}, from {self._sender().who}")
        return {"active": name, "rows": rows, "signer": signer, "left": left}

    def _proven(self, name: str) -> list[dict[str, Any]]:
        problem = self.store.problem(name)
        if problem:
            raise DeviceError(
                f"{name} did not come to the board's disk whole: {problem}", hint="the disk may be failing"
            )
        check = self.request["self_test"]
        return replay(self.machine, "the self-test", check, self.store.release_dir(name), self.request["timeout_s"])

    def _try(self, name: str) -> str:
        """Switch to a release, look at its health, and keep it or go back. What could not be cleaned up is said."""
        store, state = self.store, self.store.state()
        old = state.active
        spare = old if not old or not store.problem(old) or state.previous in ("", name) else state.previous
        store.write(replace(state, trial=name))
        store.switch(name)
        try:
            replay(self.machine, "the health check", self.request["health"], store.link, self.request["timeout_s"])
        except EdgewrightError as error:
            store.recover()
            self.journal.note("went back", f"{name}: {error}; active is {old or 'nothing'}")
            words = f"{error.message}; the board went back to {old or 'nothing'}"
            raise type(error)(words, hint=error.hint) from error
        store.write(State(active=name, previous=spare, sequence=state.sequence))
        return self._clean()

    def _clean(self) -> str:
        try:
            self.store.clean()
        except OSError as error:
            return f"not all was cleaned up: {error.strerror or error}"
        return ""

    def op_rollback(self) -> dict[str, Any]:
        """Make the previous release the active one; with `heal` only where the active one is damaged."""
        store = self.store
        with self._locked():
            state = store.state()
            problem = store.problem(state.active) if state.active else "there is none"
            if self.request["heal"] and not problem:
                return {"active": state.active, "unchanged": True}
            if not state.previous:
                bad = f"the active release {state.active or ''} is {problem}, and " if problem else ""
                raise DeviceError(f"{bad}there is no previous release on the board", hint="flash a bundle")
            self._check_spare(state, problem)
            self._proven(state.previous)
            left = self._try(state.previous)
            self.journal.note("rolled back", f"from {state.active} to {state.previous}{problem and f': {problem}'}")
        return {"active": state.previous, "from": state.active, "left": left}

    def _check_spare(self, state: State, problem: str) -> None:
        bad = self.store.problem(state.previous)
        if bad:
            both = f"; the active one {state.active}: {problem}" if problem else ""
            self.journal.note("refused", f"rollback to {state.previous}: {bad}{both}")
            what = f"the previous release {state.previous} cannot be used: {bad}{both}"
            raise DeviceError(what, hint="nothing was deleted; flash a bundle again")

    # looking and leaving

    def op_status(self) -> dict[str, Any]:
        """What is installed, every file hashed. Nothing changes, and no lock is needed."""
        store = self.store
        store.check_ours()
        state = store.state()
        known = self.disk.stat(store.root) is not None
        return {
            **asdict(state),
            "root": store.root,
            "releases": [self._row(name, state) for name in reversed(store.releases())],
            "free_bytes": self.disk.free(store.root).free_bytes if known else None,
            "signed_only": self.disk.stat(f"{store.root}/keys/allowed_signers") is not None,
            "journal": self.journal.last(20),
        }

    def _row(self, name: str, state: State) -> dict[str, Any]:
        roles = [role for role in ("active", "previous", "trial") if getattr(state, role) == name]
        problem = self.store.problem(name)
        with suppress(OSError, EdgewrightError):
            release = self.store.read(name)
            sizes = {"version": release.version, "size_bytes": sum(part.size_bytes for part in release.parts)}
            return {"name": name, "role": ", ".join(roles), **sizes, "problem": problem}
        return {"name": name, "role": ", ".join(roles), "version": None, "size_bytes": None, "problem": problem}

    def op_uninstall(self) -> dict[str, Any]:
        """Remove every release and the store itself. The owner's keys stay."""
        store, disk = self.store, self.disk
        store.check_ours()
        if disk.stat(store.root) is None:
            return {"removed": []}
        with self._locked():
            removed = store.releases()
            store.write(State(sequence=store.state().sequence))
            store.switch("")
            for name in (
                "releases",
                "blobs",
                "incoming",
                "journal.jsonl",
                "current.new",
                "state.json.new",
                "state.json",
            ):
                remove(disk, f"{store.root}/{name}")
            remove(disk, f"{store.root}/lock")
        if not disk.list(store.root):
            disk.rmdir(store.root)
        return {"removed": removed}


def answer(disk: Disk, machine: Machine, request: dict[str, Any]) -> str:
    """The line that answers a request."""
    try:
        tree = {"result": Agent(disk, machine, request).run()}
    except EdgewrightError as error:
        tree = {"error": error.record()}
    return MARK + json.dumps(tree)


def main(request: dict[str, Any]) -> None:
    """Answer one request on the machine that this runs on. A connection that breaks does not stop it half-way."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    root = os.path.expanduser(request["root"] or f"{home}/edgewright")  # noqa: PTH111
    request["root"] = os.path.realpath(root)
    with suppress(OSError):
        sys.stdout.write(f"\n{answer(RealDisk(), RealMachine(), request)}\n")
        sys.stdout.flush()
