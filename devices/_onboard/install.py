"""Making a release the active one: laid out, proven, switched to, found healthy, kept; or everything as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgewright.devices._onboard.checks import check_contained, check_signature, check_version, replay
from edgewright.devices._onboard.state import State, sequence_of
from edgewright.errors import DeviceError, EdgewrightError

if TYPE_CHECKING:
    from edgewright.devices._onboard.board import Board

__all__ = ["install", "rollback", "serve"]


def install(board: Board) -> dict[str, Any]:
    """Make a release of what was sent and the active one of the release.

    Raises:
        BundleError: not signed as the board's keys want it, an older version, or an artifact that names other files.
        GateFailed: the self-test or the health check failed; what was active is active.
        DeviceError: files did not arrive whole, or the board cannot go on.
    """
    release, store = board.release(), board.store
    with board.locked() as state:
        signer = check_signature(store, board.machine, release)
        check_version(store, state.active, release, allow_downgrade=board.request["allow_downgrade"])
        board.session.check(board.disk, store.incoming)
        store.adopt(release.parts)
        name = state.next(release.digest)
        store.build(release, name)
        try:
            rows = _proven(board, name)
        except EdgewrightError as error:
            board.journal.note("refused", f"{name}: {error}")
            _clean(board, state)
            raise
        left = _try(board, state, name)
        board.journal.note("installed", f"{name}, version {release.version}, from {board.session.who}")
    socket = board.service.manager.socket if board.service.unit() else ""
    return {"active": name, "rows": rows, "signer": signer, "left": left, "socket": socket}


def _proven(board: Board, name: str) -> list[dict[str, Any]]:
    """Hash every file of a release where it lies, see what it names, and replay its golden cases; the rows of that."""
    problem = board.store.problem(name)
    if problem:
        raise DeviceError(f"{name} did not come to the board's disk whole: {problem}", hint="the disk may be failing")
    check_contained(board.store, name)
    argv = board.argv(board.request["self_test"], board.store.release_dir(name))
    return replay(board.machine, "the self-test", argv, board.request["timeout_s"])


def _try(board: Board, state: State, name: str) -> str:
    """Switch to a release, look at its health, and keep it or go back. Says what could not be cleaned up."""
    store, request, old = board.store, board.request, state.active
    spare = next((n for n in (old, state.previous) if n not in ("", name) and not store.problem(n)), old)
    sequence = max(state.sequence, sequence_of(name))
    store.write(replace(state, trial=name, sequence=sequence))
    store.switch(name)
    served = board.service.unit()
    try:
        replay(board.machine, "the health check", board.argv(request["health"], store.link), request["timeout_s"])
        _serve(board, name)
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
    store.write(kept)
    return _clean(board, kept)


def _serve(board: Board, name: str) -> None:
    """Let the service serve a release, where one is installed or asked for. Raises DeviceError, GateFailed."""
    request, found = board.request, board.service.unit()
    argv = board.argv(request.get("serve", ()), board.store.link) or (list(found.argv) if found else [])
    if argv:
        board.service.start(argv, name)
        board.service.ask([*argv[:1], *request["ask"]], name, request["timeout_s"])


def serve(board: Board) -> dict[str, Any]:
    """Install the service for the active release, or with nothing to start remove it.

    Raises:
        BundleError: an artifact names other files.
        DeviceError: nothing is active, or systemd does not start it.
        GateFailed: it is not well; a service that was not there before is removed again.
    """
    service = board.service
    with board.locked() as state:
        if not board.request["serve"]:
            service.remove()
            return {"socket": ""}
        if not state.active:
            raise DeviceError(f"nothing is installed in {board.store.root}", hint="flash a bundle")
        check_contained(board.store, state.active)
        served = service.unit()
        try:
            _serve(board, state.active)
        except EdgewrightError:
            if served is None:
                service.remove()
            raise
    return {"socket": service.manager.socket}


def _clean(board: Board, state: State) -> str:
    try:
        board.store.clean(state)
    except OSError as error:
        return f"not all was cleaned up: {error.strerror or error}"
    return ""


def rollback(board: Board) -> dict[str, Any]:
    """Make the previous release the active one; with `heal` only where the active one is damaged.

    Raises:
        BundleError: an artifact of it names other files.
        DeviceError: there is no previous release, or it is damaged. Nothing is deleted.
        GateFailed: its self-test or health check failed; what was active is active.
    """
    store = board.store
    with board.locked() as state:
        problem = store.problem(state.active) if state.active else ""
        if board.request["heal"] and not problem:
            return {"active": state.active, "from": state.active, "left": _clean(board, state)}
        _check_previous(board, state, f"; the active one, {state.active}, is too: {problem}" if problem else "")
        _proven(board, state.previous)
        left = _try(board, state, state.previous)
        why = f": {problem}" if problem else ""
        board.journal.note("rolled back", f"from {state.active} to {state.previous}{why}")
    return {"active": state.previous, "from": state.active, "left": left}


def _check_previous(board: Board, state: State, both: str) -> None:
    if not state.previous:
        what = f"{board.store.root} has no previous release{both.replace(' is too', ' is damaged')}"
        raise DeviceError(what, hint="flash a bundle; nothing was deleted")
    bad = board.store.problem(state.previous)
    if bad:
        what = f"the previous release, {state.previous}, cannot be used: {bad}{both}"
        board.journal.note("refused", what)
        raise DeviceError(what, hint="flash a bundle; nothing was deleted")
