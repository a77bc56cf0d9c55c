"""Making a release the active one: laid out, proven, switched to, found healthy, kept; or everything as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgewright.contracts.board_answers import Installed, Rolled, Served
from edgewright.contracts.board_commands import Health
from edgewright.devices._onboard.checks import check_contained, check_version, replay
from edgewright.devices._onboard.commands import Place, argv
from edgewright.devices._onboard.keys import check_allowed
from edgewright.devices._onboard.state import State, sequence_of
from edgewright.errors import BundleError, DeviceError, EdgewrightError

if TYPE_CHECKING:
    from edgewright.contracts.board import Install, RollBack, Serve
    from edgewright.contracts.board_answers import Cell
    from edgewright.contracts.board_commands import Checks, Server
    from edgewright.devices._onboard.board import Board

__all__ = ["install", "rollback", "serve"]


def install(board: Board, request: Install) -> Installed:
    """Make a release of what was sent and the active one of the release.

    Raises:
        BundleError: not signed as the board's keys want it, an older version, or an artifact that names other files.
        GateFailed: the self-test or the health check failed; what was active is active.
        DeviceError: files did not arrive whole, or the board cannot go on.
    """
    release, store = board.release(request.candidate), board.store
    with board.locked() as state:
        signer = check_allowed(store, board.machine, release)
        check_version(store, state.active, release, allow_downgrade=request.candidate.allow_downgrade)
        board.session(request.token).check(board.disk, store.incoming)
        store.adopt(release.parts)
        name = state.next(release.digest)
        store.build(release, name)
        try:
            rows = _proven(board, request.checks, name)
        except EdgewrightError as error:
            board.journal.note("refused", f"{name}: {error}")
            _clean(board, state)
            raise
        left = _try(board, request.checks, request.server, state, name)
        board.journal.note("installed", f"{name}, version {release.version}, from {board.asker.who}")
    socket = board.service.manager.socket if board.service.unit() else ""
    return Installed(name, tuple(rows), signer, left, socket)


def _proven(board: Board, checks: Checks, name: str) -> list[dict[str, Cell]]:
    """Hash every file of a release where it lies, see what it names, and replay its golden cases; the rows of that."""
    problem = board.store.problem(name)
    if problem:
        raise DeviceError(f"{name} did not come to the board's disk whole: {problem}", hint="the disk may be failing")
    check_contained(board.store, name)
    place = board.place(board.store.release_dir(name))
    return replay(board.machine, "the self-test", checks.self_test, place, checks.timeout_s)


def _try(board: Board, checks: Checks, server: Server | None, state: State, name: str) -> str:
    """Switch to a release, look at its health, and keep it or go back. Says what could not be cleaned up."""
    store, old = board.store, state.active
    spare = next((n for n in (old, state.previous) if n not in ("", name) and not store.problem(n)), old)
    sequence = max(state.sequence, sequence_of(name))
    store.write(replace(state, trial=name, sequence=sequence))
    store.switch(name)
    served = board.service.unit()
    try:
        replay(board.machine, "the health check", checks.health, board.place(store.link), checks.timeout_s)
        _serve(board, server, checks.timeout_s, name)
    except EdgewrightError as error:
        state = store.settled(replace(state, sequence=sequence), (state.previous,) if state.previous != name else ())
        store.switch(state.active)
        if served is None:
            board.service.remove()
        board.follow(state.active)
        store.write(state)
        _clean(board, state)
        board.journal.note("went back", f"{name}: {error}; active is {board.current()}")
        words = f"{error.message}; the board went back to {state.active or 'nothing'}"
        raise type(error)(words, hint=error.hint) from error
    kept = State(active=name, previous=spare, sequence=sequence)
    store.raise_newest(store.read(name).version)
    store.write(kept)
    return _clean(board, kept)


def _serve(board: Board, server: Server | None, timeout_s: float, name: str) -> None:
    """Let the service serve a release, where one is installed or asked for. Raises DeviceError, GateFailed."""
    found = board.service.unit()
    words = argv(server, board.place(board.store.link)) if server else list(found.argv) if found else []
    if words:
        problem = board.service.start(words, name)
        if problem:
            board.journal.note("trouble", problem)
        board.service.ask(Health(), Place(words[0], socket=board.service.manager.socket), name, timeout_s)


def serve(board: Board, request: Serve) -> Served:
    """Install the service for the active release, or with nothing to start remove it.

    Raises:
        BundleError: an artifact names other files, or the board's keys do not allow it any more.
        DeviceError: nothing is active, or systemd does not start it.
        GateFailed: it is not well; a service that was not there before is removed again.
    """
    service = board.service
    with board.locked() as state:
        if request.server is None:
            service.remove()
            return Served("")
        if not state.active:
            raise DeviceError(f"nothing is installed in {board.store.root}", hint="flash a bundle")
        _check_still_allowed(board, state.active)
        check_contained(board.store, state.active)
        served = service.unit()
        try:
            _serve(board, request.server, request.timeout_s, state.active)
        except EdgewrightError:
            if served is None:
                service.remove()
            raise
    return Served(service.manager.socket)


def _clean(board: Board, state: State) -> str:
    try:
        board.store.clean(state)
    except OSError as error:
        return f"not all was cleaned up: {error.strerror or error}"
    return ""


def rollback(board: Board, request: RollBack) -> Rolled:
    """Make the previous release the active one; with `heal` only where the active one is damaged.

    Raises:
        BundleError: an artifact of it names other files, or the board's keys do not allow it any more.
        DeviceError: there is no previous release, or it is damaged. Nothing is deleted.
        GateFailed: its self-test or health check failed; what was active is active.
    """
    store = board.store
    with board.locked() as state:
        problem = store.problem(state.active) if state.active else ""
        if request.heal and not problem:
            return Rolled(state.active, state.active, _clean(board, state))
        _check_previous(board, state, f"; the active one, {state.active}, is too: {problem}" if problem else "")
        _check_still_allowed(board, state.previous)
        _proven(board, request.checks, state.previous)
        left = _try(board, request.checks, None, state, state.previous)
        why = f": {problem}" if problem else ""
        board.journal.note("rolled back", f"from {state.active} to {state.previous}{why}")
    return Rolled(state.previous, state.active, left)


def _check_still_allowed(board: Board, name: str) -> None:
    """Raise BundleError where the board's keys do not allow a release any more, as one whose key was revoked since."""
    try:
        check_allowed(board.store, board.machine, board.store.read(name))
    except BundleError as error:
        board.journal.note("refused", f"{name}: {error.message}")
        hint = f"its owner alone allows it again, in {board.store.root}/keys there"
        raise BundleError(f"the release {name} may not be active: {error.message}", hint=hint) from error


def _check_previous(board: Board, state: State, both: str) -> None:
    if not state.previous:
        what = f"{board.store.root} has no previous release{both.replace(' is too', ' is damaged')}"
        raise DeviceError(what, hint="flash a bundle; nothing was deleted")
    bad = board.store.problem(state.previous)
    if bad:
        what = f"the previous release, {state.previous}, cannot be used: {bad}{both}"
        board.journal.note("refused", what)
        raise DeviceError(what, hint="flash a bundle; nothing was deleted")
