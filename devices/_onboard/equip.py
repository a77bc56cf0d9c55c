"""edgewright and engines for a board that lacks them: wheels that the host sends, proven before they are used."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from edgewright.contracts.board_answers import Equipped, Prepared, Survey
from edgewright.devices._onboard.checks import check_version, last_words, probe, replay, usable
from edgewright.devices._onboard.env import Recipe
from edgewright.devices._onboard.files import ensure_dir, remove
from edgewright.devices._onboard.keys import check_allowed
from edgewright.devices._onboard.release import Part
from edgewright.devices._onboard.send import begin, check_room, wanted
from edgewright.errors import DeviceError, EdgewrightError
from edgewright.system.interpreter import here

if TYPE_CHECKING:
    from edgewright.contracts.board import Equip, Examine, Offer
    from edgewright.devices._onboard.board import Board
    from edgewright.devices._onboard.env import Env
    from edgewright.devices._onboard.state import State

__all__ = ["equip", "offer", "survey"]

_PIP = ("pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps")


def survey(board: Board, request: Examine) -> Survey:
    """What decides whether something need be installed, and what: the platform, the environment, what it lacks.

    Raises:
        BundleError: the board would refuse the release for which it is asked.
    """
    board.store.check_ours()
    release = board.release(request.candidate)
    check_allowed(board.store, board.machine, release)
    active, downgrade = board.store.state().active, request.candidate.allow_downgrade
    check_version(board.store, active, release, allow_downgrade=downgrade)
    recipe, lacks = board.store.env.recipe(), ""
    try:
        probe(board.machine, request.probe, board.place(), request.timeout_s)
    except DeviceError as error:
        lacks = error.message
    key, engines = (recipe.key, recipe.engines) if recipe else ("", ())
    return Survey(**board.machine.platform(), lacks=lacks, key=key, engines=engines)


def _wheels(request: Offer | Equip) -> list[Part]:
    return [Part(wheel.path, wheel.size_bytes, wheel.sha256) for wheel in request.wheels]


def offer(board: Board, request: Offer) -> Prepared:
    """Which of the wheels the board lacks, and where to send them.

    Raises:
        DeviceError: too little disk or inodes, no links, or another store, or locked.
    """
    store, wheels = board.store, _wheels(request)
    store.make()
    with board.locked() as state:
        busy = begin(board, request, state, {wheel.sha256 for wheel in wheels})
        if busy:
            return Prepared(busy=busy)
        absent = store.env.missing(wheel.sha256 for wheel in wheels)
        rows = [row for row in request.wheels if row.sha256 in absent]
        missing = [part for part in wheels if part.sha256 in absent and not store.has_come(part)]
        sizes = {part.sha256: part.size_bytes for part in missing}
        unpacked_bytes, files = sum(row.unpacked_bytes for row in rows), sum(row.files for row in rows)
        check_room(board, sizes, more_bytes=unpacked_bytes, files=files + len(sizes))
        return Prepared(incoming=store.incoming, missing=tuple(map(wanted, missing)))


def equip(board: Board, request: Equip) -> Equipped:
    """Make the wheels that were sent, or what pip fetches there, the environment; the one before stays until then.

    Raises:
        DeviceError: they did not arrive whole, the engines do not start with them, or pip failed.
        GateFailed: the active release fails its health check with them.
    """
    store, env, trees = board.store, board.store.env, [wheel.sha256 for wheel in request.wheels]
    with board.locked() as state:
        board.session(request.token).check(board.disk, store.incoming)
        absent = env.missing(trees)
        for row, part in zip(request.wheels, _wheels(request)):  # noqa: B905 - the board's Python may be 3.9
            if part.sha256 in absent:
                env.add(part.sha256, store.arrived(part), row.unpacked_bytes)
            remove(board.disk, f"{store.incoming}/{part.sha256}")
        try:
            trees += [_by_pip(board, env, request)] if request.by_pip else []
            env.write(Recipe(request.key, sys.executable, tuple(trees), request.engines))
            _prove(board, request, state)
        except EdgewrightError as error:
            board.journal.note("refused", f"an environment: {error}")
            env.clean()
            raise
        env.switch()
        _restart(board, state)
        env.clean()
        board.journal.note("equipped", f"with {', '.join(request.engines)}, from {board.asker.who}")
    return Equipped(env.script)


def _restart(board: Board, state: State) -> None:
    """Let a service go on in the new environment; the health check of the next release looks at it."""
    found = board.service.unit()
    if found and state.active and found.argv[:1] == (board.store.env.script,):
        try:
            problem = board.service.start(found.argv, state.active)
            if problem:
                board.journal.note("trouble", problem)
        except EdgewrightError as error:
            board.journal.note("trouble", f"the service could not follow: {error}")


def _by_pip(board: Board, env: Env, request: Equip) -> str:
    """Let the board's pip fetch what the request names; the tree that it made."""
    new = f"{env.wheels}/.new"
    ensure_dir(board.disk, env.wheels)
    numbers = [int(name[4:]) for name in board.disk.list(env.wheels) if name.startswith("pip-")]
    name = f"pip-{max(numbers, default=0) + 1}"
    remove(board.disk, new)
    argv = here(*_PIP, "--only-binary=:all:", "--target", new, *request.by_pip)
    ran = board.machine.run(argv, request.timeout_s)
    if ran.exit_code != 0:
        words, hint = last_words(ran), "give --install alone: this machine then sends the wheels, and no pip is needed"
        raise DeviceError(f"pip on the board failed: {words}", hint=hint)
    env.name(new, name)
    return name


def _prove(board: Board, request: Equip, state: State) -> None:
    """Start the engines in the environment on trial, and see that what is active still answers with it."""
    store = board.store
    python, what = store.env.trial, "the active release's health check, in the new environment,"
    hint = "the board is as it was; name another Python there with --python, or another --root if nothing may execute"
    probe(board.machine, request.probe, board.place(python=python), request.timeout_s, hint)
    if state.active and usable(store, state.active):
        replay(board.machine, what, request.health, board.place(store.link, python), request.timeout_s)
