"""edgewright and engines for a board that lacks them: wheels that the host sends, proven before they are used."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgewright.devices._onboard.checks import check_signature, check_version, last_words, probe, replay, usable
from edgewright.devices._onboard.env import Recipe
from edgewright.devices._onboard.files import ensure_dir, remove
from edgewright.devices._onboard.release import Part
from edgewright.devices._onboard.send import begin, check_room
from edgewright.errors import DeviceError, EdgewrightError
from edgewright.system.interpreter import here

if TYPE_CHECKING:
    from edgewright.devices._onboard.board import Board
    from edgewright.devices._onboard.env import Env
    from edgewright.devices._onboard.state import State

__all__ = ["equip", "offer", "survey"]

_PIP = ("pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps")


def survey(board: Board) -> dict[str, Any]:
    """What decides whether something need be installed, and what: the platform, the environment, what it lacks.

    Raises:
        BundleError: the board would refuse the release for which it is asked.
    """
    board.store.check_ours()
    check_signature(board.store, board.machine, board.release())
    downgrade = board.request["allow_downgrade"]
    check_version(board.store, board.store.state().active, board.release(), allow_downgrade=downgrade)
    recipe, lacks = board.store.env.recipe(), ""
    try:
        probe(board.machine, board.argv(board.request["probe"]), board.request["timeout_s"])
    except DeviceError as error:
        lacks = error.message
    known = {"key": recipe.key, "engines": recipe.engines} if recipe else {}
    return {**board.machine.platform(), **known, "lacks": lacks}


def _wheels(board: Board) -> list[Part]:
    return [Part(wheel["path"], wheel["size_bytes"], wheel["sha256"]) for wheel in board.request["wheels"]]


def offer(board: Board) -> dict[str, Any]:
    """Which of the wheels the board lacks, and where to send them.

    Raises:
        DeviceError: too little disk or inodes, no links, or another store, or locked.
    """
    store, wheels = board.store, _wheels(board)
    store.make()
    with board.locked() as state:
        busy = begin(board, state, {wheel.sha256 for wheel in wheels})
        if busy:
            return busy
        absent = store.env.missing(wheel.sha256 for wheel in wheels)
        rows = [row for row in board.request["wheels"] if row["sha256"] in absent]
        missing = [part for part in wheels if part.sha256 in absent and not store.has_come(part)]
        sizes = {part.sha256: part.size_bytes for part in missing}
        unpacked_bytes, files = (sum(row[name] for row in rows) for name in ("unpacked_bytes", "files"))
        check_room(board, sizes, more_bytes=unpacked_bytes, files=files + len(sizes))
        return {"incoming": store.incoming, "missing": [asdict(part) for part in missing]}


def equip(board: Board) -> dict[str, Any]:
    """Make the wheels that were sent, or what pip fetches there, the environment; the one before stays until then.

    Raises:
        DeviceError: they did not arrive whole, the engines do not start with them, or pip failed.
        GateFailed: the active release fails its health check with them.
    """
    store, request = board.store, board.request
    env, trees = store.env, [wheel["sha256"] for wheel in request["wheels"]]
    with board.locked() as state:
        board.session.check(board.disk, store.incoming)
        absent = env.missing(trees)
        for row, part in zip(request["wheels"], _wheels(board)):  # noqa: B905 - the board's Python may be 3.9
            if part.sha256 in absent:
                env.add(part.sha256, store.arrived(part), row["unpacked_bytes"])
            remove(board.disk, f"{store.incoming}/{part.sha256}")
        try:
            trees += [_by_pip(board, env)] if request["by_pip"] else []
            env.write(Recipe(request["key"], sys.executable, tuple(trees), tuple(request["engines"])))
            _prove(board, state)
        except EdgewrightError as error:
            board.journal.note("refused", f"an environment: {error}")
            env.clean()
            raise
        env.switch()
        _restart(board, state)
        env.clean()
        board.journal.note("equipped", f"with {', '.join(request['engines'])}, from {board.session.who}")
    return {"python": env.script}


def _restart(board: Board, state: State) -> None:
    """Let a service go on in the new environment; the health check of the next release looks at it."""
    found = board.service.unit()
    if found and state.active and found.argv[:1] == (board.store.env.script,):
        try:
            board.service.start(found.argv, state.active)
        except EdgewrightError as error:
            board.journal.note("trouble", f"the service could not follow: {error}")


def _by_pip(board: Board, env: Env) -> str:
    """Let the board's pip fetch what the request names; the tree that it made."""
    new = f"{env.wheels}/.new"
    ensure_dir(board.disk, env.wheels)
    numbers = [int(name[4:]) for name in board.disk.list(env.wheels) if name.startswith("pip-")]
    name = f"pip-{max(numbers, default=0) + 1}"
    remove(board.disk, new)
    argv = here(*_PIP, "--only-binary=:all:", "--target", new, *board.request["by_pip"])
    ran = board.machine.run(argv, board.request["timeout_s"])
    if ran.exit_code != 0:
        words, hint = last_words(ran), "give --install alone: this machine then sends the wheels, and no pip is needed"
        raise DeviceError(f"pip on the board failed: {words}", hint=hint)
    env.name(new, name)
    return name


def _prove(board: Board, state: State) -> None:
    """Start the engines in the environment on trial, and see that what is active still answers with it."""
    store, request = board.store, board.request
    python = store.env.trial
    hint = "the board is as it was; name another Python there with --python, or another --root if nothing may execute"
    probe(board.machine, board.argv(request["probe"], python=python), request["timeout_s"], hint)
    if state.active and usable(store, state.active):
        argv = board.argv(request["health"], store.link, python)
        replay(board.machine, "the active release's health check, in the new environment,", argv, request["timeout_s"])
