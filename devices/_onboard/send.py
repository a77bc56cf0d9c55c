"""Before a release is sent: refuse what cannot or may not be installed, and say which files the board lacks."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from edgewright.contracts.board_answers import Ended, Prepared, Sender, Wanted
from edgewright.devices._onboard.checks import check_memory, check_version, probe
from edgewright.devices._onboard.files import remove
from edgewright.devices._onboard.keys import check_allowed
from edgewright.devices._onboard.session import NOTE, QUIET_S, Session
from edgewright.errors import DeviceError

if TYPE_CHECKING:
    from edgewright.contracts.board import End, Offer, Prepare
    from edgewright.devices._onboard.board import Board
    from edgewright.devices._onboard.release import Part, Release
    from edgewright.devices._onboard.state import State

__all__ = ["begin", "check_room", "end", "prepare", "wanted"]

_SPARE_BYTES, _SPARE_INODES = 2**20, 32
"""A choice: for the journal, the state and directories, which no wheel or artifact counts."""


def prepare(board: Board, request: Prepare) -> Prepared:
    """Check everything before anything changes; then note the transfer, and give the files to send and where to.

    Raises:
        BundleError: not signed as the board's keys want it, or an older version.
        DeviceError: no engine, too little memory, disk or inodes, no links, or another store, or locked.
    """
    release, store, checks = board.release(request.candidate), board.store, request.checks
    store.check_ours()
    if request.server:
        board.service.check()
    signer = check_allowed(store, board.machine, release)
    active = store.state().active
    check_version(store, active, release, allow_downgrade=request.candidate.allow_downgrade)
    if not release.is_called(active):
        check_memory(board.machine, request.memory_mib)
        if checks.probe:
            probe(board.machine, checks.probe, board.place(), checks.timeout_s)
    store.make()
    with board.locked() as state:
        if release.is_called(state.active) and not store.problem(state.active):
            store.clean(state)
            return Prepared(signer, active=state.active)
        return _receive(board, request, release, state, signer)


def _receive(board: Board, request: Prepare, release: Release, state: State, signer: str) -> Prepared:
    store = board.store
    busy = begin(board, request, state, {part.sha256 for part in release.parts})
    if busy:
        return Prepared(signer, busy=busy)
    missing = [part for part in store.missing(release.parts) if not store.has_come(part)]
    sizes = {part.sha256: part.size_bytes for part in missing}
    copies = 0 if board.disk.shares else sum(part.size_bytes for part in release.parts)
    check_room(board, sizes, more_bytes=2 * len(release.manifest) + copies, files=len(release.parts) * 2)
    return Prepared(signer, incoming=store.incoming, missing=tuple(map(wanted, missing)))


def wanted(part: Part) -> Wanted:
    """A file as the host is asked for it."""
    return Wanted(part.path, part.size_bytes, part.sha256)


def begin(board: Board, request: Prepare | Offer, state: State, keep: set[str]) -> Sender | None:
    """Note the transfer, and clean up but for what it can go on with; who is busy where another one sends."""
    store, session = board.store, board.session(request.token)
    noted = Session.noted(board.disk, store.incoming)
    if noted and noted.token not in (session.token, request.over):
        quiet_s = noted.quiet_s(board.disk, store.incoming, session.boot)
        if quiet_s < QUIET_S:
            return Sender(**asdict(noted), quiet_s=quiet_s)
    session.note(board.disk, store.incoming)
    _check_links(board)
    store.clean(state, keep={NOTE, *keep})
    return None


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


def end(board: Board, request: End) -> Ended:
    """Give a transfer up; what has arrived stays, for the next try. A board that refused it is not touched."""
    if _sends(board, request):
        with board.locked():
            if _sends(board, request):
                remove(board.disk, f"{board.store.incoming}/{NOTE}")
    return Ended()


def _sends(board: Board, request: End) -> bool:
    noted = Session.noted(board.disk, board.store.incoming)
    return noted is not None and noted.token == request.token
