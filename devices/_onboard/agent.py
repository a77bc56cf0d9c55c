"""What a board does of a flash: one request comes in, one answer goes out, and the board is whole whenever it ends.

A call and its answer are those of `edgewright.contracts.board`, as JSON and framed as `edgewright.boards.wire` does.
Every operation that changes something begins by taking back what an interrupted one left, and can be asked again.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from edgewright.boards.wire import frame, plain, read
from edgewright.contracts.board import (
    Call,
    Describe,
    End,
    Equip,
    Examine,
    Inspect,
    Install,
    List,
    Offer,
    Prepare,
    Rekey,
    Request,
    RollBack,
    Serve,
    Uninstall,
    Visit,
)
from edgewright.contracts.board_answers import Listing, Removed, Row, Status
from edgewright.devices._onboard.board import Board
from edgewright.devices._onboard.disk import Disk, RealDisk
from edgewright.devices._onboard.equip import equip, offer, survey
from edgewright.devices._onboard.facts import facts
from edgewright.devices._onboard.files import remove
from edgewright.devices._onboard.install import install, rollback, serve
from edgewright.devices._onboard.keys import fleets_of, keys_of
from edgewright.devices._onboard.machine import Machine, RealMachine
from edgewright.devices._onboard.rekey import rekey
from edgewright.devices._onboard.send import end, prepare
from edgewright.devices._onboard.state import State
from edgewright.devices._onboard.visit import visit
from edgewright.errors import DeviceError, EdgewrightError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OPERATIONS", "answer", "listing", "main", "status", "told", "uninstall"]

_JOURNAL_LINES = 20
"""A choice: what fits a screen; the whole journal stays on the board."""
_WORK = (
    *("env", "native", "wheels", "releases", "blobs", "incoming", "journal.jsonl", "journal.head"),
    *("reserve", "current.new", "newest.new", "state.json.new", "state.json", "lock"),
)
"""In the order in which they go."""

_TEMPORARY_BYTES = 2**24
"""A choice: what a self-test writes of inputs and outputs."""
_IN_MEMORY = "/dev/shm"  # noqa: S108 - its files are made under random names, by tempfile

_HINTS = {
    errno.ENOSPC: "free some space on the board",
    errno.EDQUOT: "the quota is used up; free some space on the board",
    errno.EROFS: "the file system is read-only; choose another --root",
    errno.EACCES: "choose another --root, or another user",
    errno.EPERM: "the file system may lack links; choose a --root on ext4 or f2fs",
    errno.ENOLCK: "give a --root on a disk of the board's own",
    errno.EIO: "the board's disk is failing",
}


def listing(board: Board, request: List) -> Listing:
    """What is installed, no file of a release read but its manifest. Nothing changes, and no lock is needed."""
    del request
    board.store.check_ours()
    return Listing(**_overview(board, lambda _: None))


def status(board: Board, request: Inspect) -> Status:
    """What is installed, every file hashed. Nothing changes, and no lock is needed."""
    del request
    board.store.check_ours()
    store, there = board.store, board.disk.stat(board.store.root) is not None
    keys = keys_of(store)
    return Status(
        **_overview(board, store.problem),
        free_bytes=board.disk.free(store.root).free_bytes if there else None,
        signed_only=keys is not None,
        newest=store.newest(),
        keys=keys.root.version if keys and keys.root else 0,
        fleets=tuple(sorted(fleets_of(store))),
        journal=tuple(board.journal.last(_JOURNAL_LINES)),
        chain=board.journal.chain(),
        service=board.service.state(),
    )


def _overview(board: Board, problem: Callable[[str], str | None]) -> dict[str, Any]:
    """The fields of a `Listing`."""
    store, recipe = board.store, board.store.env.recipe()
    state = store.state()
    return {
        **asdict(state),
        "root": store.root,
        "current": store.current(),
        "engines": recipe.engines if recipe else (),
        "releases": tuple(_row(board, name, state, problem(name)) for name in reversed(store.releases())),
    }


def _row(board: Board, name: str, state: State, problem: str | None) -> Row:
    role = ", ".join(role for role in ("active", "previous", "trial") if getattr(state, role) == name)
    row = Row(name, role, None, None, problem)
    with suppress(OSError, EdgewrightError):
        release = board.store.read(name)
        row = replace(row, version=release.version, size_bytes=sum(part.size_bytes for part in release.parts))
    return row


def uninstall(board: Board, request: Uninstall) -> Removed:
    """Remove the service, every release and the store itself. The owner's keys, and with them `newest`, stay."""
    del request
    store, disk = board.store, board.disk
    store.check_ours()
    if disk.stat(store.root) is None:
        return Removed(())
    with board.locked() as state:
        removed = store.releases()
        board.service.remove()
        store.write(State(sequence=state.sequence))
        store.switch("")
        for name in (*(() if keys_of(store) else ("newest",)), *_WORK):
            remove(disk, f"{store.root}/{name}")
    if not disk.list(store.root):
        disk.rmdir(store.root)
    return Removed(tuple(removed))


OPERATIONS: dict[type[Request[Any]], Callable[[Board, Any], Any]] = {
    Prepare: prepare,
    Install: install,
    End: end,
    RollBack: rollback,
    Rekey: rekey,
    Serve: serve,
    List: listing,
    Inspect: status,
    Uninstall: uninstall,
    Visit: visit,
    Describe: facts,
    Examine: survey,
    Offer: offer,
    Equip: equip,
}
"""Each takes its request, and gives the answer that the request names."""


def answer(disk: Disk, machine: Machine, call: Call) -> Any:
    """The answer to the request of a call.

    Raises:
        EdgewrightError: as its operation does.
        DeviceError: the disk fails.
    """
    board = Board(disk, machine, call)
    try:
        return OPERATIONS[type(call.request)](board, call.request)
    except OSError as error:
        op, where = call.request.op, error.filename or board.store.root
        what = f"{op}: {error.strerror or error} ({where}); active is {board.current()}"
        raise DeviceError(what, hint=_HINTS.get(error.errno or 0, "look at the board's disk")) from error


def told(disk: Disk, machine: Machine, tree: Any, rooted: Callable[[str], str]) -> bytes:
    """The framed answer to a call that came as a tree: a result, or the record of an error.

    `rooted` gives the absolute path of the root that the call names.
    """
    try:
        call = _call(tree)
        found = answer(disk, machine, replace(call, root=rooted(call.root)))
    except EdgewrightError as error:
        return frame({"error": error.record()})
    return frame({"result": plain(found)})


def _call(tree: Any) -> Call:
    try:
        return read(Call, tree)
    except ValueError as error:
        raise UsageError(f"the board's part does not take the request: {error}") from error


def _rooted(root: str) -> str:
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    found = os.path.expanduser(root or f"{home}/edgewright")  # noqa: PTH111 - strings, as everywhere here
    if not (os.path.isabs(found) and found.isprintable()):  # noqa: PTH117
        hint = "begin it with / or ~, and leave out control characters"
        raise UsageError(f"root {found!r} is no absolute path", hint=hint)
    return os.path.realpath(found)


def _find_room() -> None:
    """Let temporary files, of this process and of what it starts, be in memory where the usual place is full."""
    try:
        usual = tempfile.gettempdir()
        free = os.statvfs(usual)
        full = free.f_bavail * free.f_frsize < _TEMPORARY_BYTES
    except OSError:  # there is none
        full = True
    if full and os.access(_IN_MEMORY, os.W_OK | os.X_OK):
        tempfile.tempdir = os.environ["TMPDIR"] = _IN_MEMORY


def main(tree: Any) -> None:
    """Answer one call on the machine that this runs on. A connection that breaks does not stop it half-way."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    _find_room()
    said = told(RealDisk(), RealMachine(), tree, _rooted)
    with suppress(OSError):
        sys.stdout.buffer.write(said)
        sys.stdout.buffer.flush()
