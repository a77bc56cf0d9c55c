"""Before a release is sent: refuse what cannot or may not be installed, and say which files the board lacks."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgewright.devices._onboard.checks import check_memory, check_signature, check_version, probe
from edgewright.devices._onboard.files import remove
from edgewright.devices._onboard.session import NOTE, QUIET_S, Session
from edgewright.errors import DeviceError

if TYPE_CHECKING:
    from edgewright.devices._onboard.board import Board
    from edgewright.devices._onboard.release import Release
    from edgewright.devices._onboard.state import State

__all__ = ["begin", "check_room", "end", "prepare"]

_SPARE_BYTES, _SPARE_INODES = 2**20, 32
"""A choice: for the journal, the state and directories, which no wheel or artifact counts."""


def prepare(board: Board) -> dict[str, Any]:
    """Check everything before anything changes; then note the transfer, and give the files to send and where to.

    Raises:
        BundleError: not signed as the board's keys want it, or an older version.
        DeviceError: no engine, too little memory, disk or inodes, no links, or another store, or locked.
    """
    release, store, request = board.release(), board.store, board.request
    store.check_ours()
    if request.get("serve"):
        board.service.check()
    signer = check_signature(store, board.machine, release)
    active = store.state().active
    check_version(store, active, release, allow_downgrade=request["allow_downgrade"])
    if not release.is_called(active):
        check_memory(board.machine, request["memory_mib"])
        probe(board.machine, board.argv(request["probe"]), request["timeout_s"])
    store.make()
    with board.locked() as state:
        if release.is_called(state.active) and not store.problem(state.active):
            store.clean(state)
            return {"active": state.active, "signer": signer}
        return {**_receive(board, release, state), "signer": signer}


def _receive(board: Board, release: Release, state: State) -> dict[str, Any]:
    store = board.store
    busy = begin(board, state, {part.sha256 for part in release.parts})
    if busy:
        return busy
    missing = [part for part in store.missing(release.parts) if not store.has_come(part)]
    sizes = {part.sha256: part.size_bytes for part in missing}
    copies = 0 if board.disk.shares else sum(part.size_bytes for part in release.parts)
    check_room(board, sizes, more_bytes=2 * len(release.manifest) + copies, files=len(release.parts) * 2)
    return {"incoming": store.incoming, "missing": [asdict(part) for part in missing]}


def begin(board: Board, state: State, keep: set[str]) -> dict[str, Any]:
    """Note the transfer, and clean up but for what it can go on with; who is busy where another one sends."""
    store, session = board.store, board.session
    noted = Session.noted(board.disk, store.incoming)
    if noted and noted.token not in (session.token, board.request["over"]):
        quiet_s = noted.quiet_s(board.disk, store.incoming, session.boot)
        if quiet_s < QUIET_S:
            return {"busy": {**asdict(noted), "quiet_s": quiet_s}}
    session.note(board.disk, store.incoming)
    _check_links(board)
    store.clean(state, keep={NOTE, *keep})
    return {}


def _check_links(board: Board) -> None:
    """Make both kinds of links once: a card with FAT holds neither."""
    note, link = f"{board.store.incoming}/{NOTE}", f"{board.store.incoming}/link"
    for make in (board.disk.link, board.disk.symlink):
        remove(board.disk, link)
        make(note, link)
    remove(board.disk, link)


def check_room(board: Board, missing: dict[str, int], *, more_bytes: int, files: int) -> None:
    """Raise DeviceError where disk or inodes do not suffice; what an interrupted transfer left counts as sent."""
    root = board.store.root
    came = [board.disk.stat(f"{board.store.incoming}/{digest}") for digest in missing]
    need = sum(missing.values()) - sum(facts.size_bytes for facts in came if facts) + _SPARE_BYTES + more_bytes
    free = board.disk.free(root)
    if free.free_bytes < need:
        sizes = f"needs {need / 1e6:.1f} MB of disk, {free.free_bytes / 1e6:.1f} MB are free"
        raise DeviceError(f"{root} {sizes}", hint="free some space on the board, or choose another --root")
    inodes = files + _SPARE_INODES
    if 0 <= free.inodes < inodes:
        raise DeviceError(f"{root} needs {inodes} inodes, {free.inodes} are free", hint="remove files on the board")


def end(board: Board) -> dict[str, Any]:
    """Give a transfer up; what has arrived stays, for the next try. A board that refused it is not touched."""
    if _sends(board):
        with board.locked():
            if _sends(board):
                remove(board.disk, f"{board.store.incoming}/{NOTE}")
    return {}


def _sends(board: Board) -> bool:
    noted = Session.noted(board.disk, board.store.incoming)
    return noted is not None and noted.token == board.session.token
