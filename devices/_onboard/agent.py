"""What a board does of a flash: one request comes in, one answer goes out, and the board is whole whenever it ends.

A request is a JSON object with an `op`, the `root` of the store and what the op needs; the answer is one too, framed as
`edgewright.boards.wire` does. Every op that changes something begins by taking back what an interrupted one left, and
can be asked again.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgewright.boards.wire import frame
from edgewright.devices._onboard.board import Board
from edgewright.devices._onboard.disk import Disk, RealDisk
from edgewright.devices._onboard.equip import equip, offer, survey
from edgewright.devices._onboard.facts import facts
from edgewright.devices._onboard.files import remove
from edgewright.devices._onboard.install import install, rollback, serve
from edgewright.devices._onboard.machine import Machine, RealMachine
from edgewright.devices._onboard.send import end, prepare
from edgewright.devices._onboard.state import State
from edgewright.devices._onboard.visit import visit
from edgewright.errors import DeviceError, EdgewrightError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["answer", "listing", "main", "status", "uninstall"]

_JOURNAL_LINES = 20
_WORK = (
    *("env", "native", "wheels", "releases", "blobs", "incoming", "journal.jsonl"),
    *("current.new", "state.json.new", "state.json", "lock"),
)
"""In the order in which they go."""

_HINTS = {
    errno.ENOSPC: "free some space on the board",
    errno.EDQUOT: "the quota is used up; free some space on the board",
    errno.EROFS: "the file system is read-only; choose another --root",
    errno.EACCES: "choose another --root, or another user",
    errno.EPERM: "the file system may lack links; choose a --root on ext4 or f2fs",
    errno.EIO: "the board's disk is failing",
}


def listing(board: Board) -> dict[str, Any]:
    """What is installed, no file of a release read but its manifest. Nothing changes, and no lock is needed."""
    board.store.check_ours()
    return _overview(board, lambda _: None)


def status(board: Board) -> dict[str, Any]:
    """What is installed, every file hashed. Nothing changes, and no lock is needed."""
    board.store.check_ours()
    store, there = board.store, board.disk.stat(board.store.root) is not None
    return {
        **_overview(board, store.problem),
        "service": board.service.state(),
        "free_bytes": board.disk.free(store.root).free_bytes if there else None,
        "signed_only": board.disk.stat(f"{store.root}/keys/allowed_signers") is not None,
        "journal": board.journal.last(_JOURNAL_LINES),
    }


def _overview(board: Board, problem: Callable[[str], str | None]) -> dict[str, Any]:
    store, recipe = board.store, board.store.env.recipe()
    state = store.state()
    return {
        **asdict(state),
        "root": store.root,
        "current": store.current(),
        "engines": recipe.engines if recipe else (),
        "releases": [_row(board, name, state, problem(name)) for name in reversed(store.releases())],
    }


def _row(board: Board, name: str, state: State, problem: str | None) -> dict[str, Any]:
    role = ", ".join(role for role in ("active", "previous", "trial") if getattr(state, role) == name)
    row: dict[str, Any] = {"name": name, "role": role, "version": None, "size_bytes": None, "problem": problem}
    with suppress(OSError, EdgewrightError):
        release = board.store.read(name)
        row |= {"version": release.version, "size_bytes": sum(part.size_bytes for part in release.parts)}
    return row


def uninstall(board: Board) -> dict[str, Any]:
    """Remove the service, every release and the store itself. The owner's keys stay."""
    store, disk = board.store, board.disk
    store.check_ours()
    if disk.stat(store.root) is None:
        return {"removed": []}
    with board.locked() as state:
        removed = store.releases()
        board.service.remove()
        store.write(State(sequence=state.sequence))
        store.switch("")
        for name in _WORK:
            remove(disk, f"{store.root}/{name}")
    if not disk.list(store.root):
        disk.rmdir(store.root)
    return {"removed": removed}


_OPS: dict[str, Callable[[Board], dict[str, Any]]] = {
    "prepare": prepare,
    "install": install,
    "end": end,
    "rollback": rollback,
    "serve": serve,
    "list": listing,
    "status": status,
    "uninstall": uninstall,
    "visit": visit,
    "facts": facts,
    "survey": survey,
    "offer": offer,
    "equip": equip,
}


def answer(disk: Disk, machine: Machine, request: dict[str, Any]) -> bytes:
    """The framed answer to a request: a result, or the record of an error."""
    try:
        tree: dict[str, Any] = {"result": _done(Board(disk, machine, request))}
    except EdgewrightError as error:
        tree = {"error": error.record()}
    return frame(tree)


def _done(board: Board) -> dict[str, Any]:
    """Do what the request asks; a disk that fails is a DeviceError."""
    op = board.request["op"]
    if op not in _OPS:
        raise UsageError(f"the board's part knows no {op!r}", hint=f"it knows {', '.join(_OPS)}")
    try:
        return _OPS[op](board)
    except OSError as error:
        what = f"{op}: {error.strerror or error} ({error.filename or board.store.root}); active is {board.current()}"
        raise DeviceError(what, hint=_HINTS.get(error.errno or 0, "look at the board's disk")) from error


def main(request: dict[str, Any]) -> None:
    """Answer one request on the machine that this runs on. A connection that breaks does not stop it half-way."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    root = os.path.expanduser(request["root"] or f"{home}/edgewright")  # noqa: PTH111 - strings, as everywhere here
    if os.path.isabs(root) and root.isprintable():  # noqa: PTH117
        said = answer(RealDisk(), RealMachine(), {**request, "root": os.path.realpath(root)})
    else:
        hint = "begin it with / or ~, and leave out control characters"
        said = frame({"error": UsageError(f"root {root!r} is no absolute path", hint=hint).record()})
    with suppress(OSError):
        sys.stdout.buffer.write(said)
        sys.stdout.buffer.flush()
