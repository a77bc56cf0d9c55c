"""What a release must show on the board: its version, files that keep to it, memory, engines, golden cases."""

from __future__ import annotations

import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from edgewright.bundle.external_data import check_content, graphs_of, weights_of
from edgewright.contracts.board_commands import Verify
from edgewright.devices._onboard.commands import argv
from edgewright.devices._onboard.keys import keys_of
from edgewright.errors import BundleError, DeviceError, GateFailed, one_line
from edgewright.system.untrusted import json_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgewright.contracts.board_answers import Cell
    from edgewright.contracts.board_commands import Command
    from edgewright.devices._onboard.commands import Place
    from edgewright.devices._onboard.machine import Machine, Ran
    from edgewright.devices._onboard.release import Release
    from edgewright.devices._onboard.store import Store

__all__ = [
    "check_contained",
    "check_memory",
    "check_version",
    "last_words",
    "memory_bytes",
    "probe",
    "replay",
    "usable",
]

_BASE_BYTES, _COPIES = 64 * 2**20, 2
"""A choice: a Python with its engine, and the weights twice, as they are read and as kernels pack them."""
_OLDEST = (3, 10)
"""As pyproject.toml has it: pip finds no edgewright for an older one."""
_INSTALL = "run it with --install, or on the board: pip install 'edgewright[onnx]' (or [litert]), or give --python"


def check_version(store: Store, active: str, release: Release, *, allow_downgrade: bool) -> None:
    """Check that a release is not older than what counts on the board.

    That is the one called `active`, or where it cannot be read the newest that ever was. Where the board has its
    owner's keys the newest counts in any case, and the owner alone allows an older one, else whoever sends it.

    Raises:
        BundleError: it is older, and that is not allowed.
        DeviceError: what the board noted of versions cannot be read.
    """
    have, owned = _active_version(store, active), keys_of(store) is not None
    words = f"active on the board is version {have}"
    if have is None or (owned and have < store.newest()):
        have = store.newest()
        words = f"version {have} has been active on the board"
    if release.version >= have:
        return
    what = f"the bundle has version {release.version}, {words}"
    if not owned and not allow_downgrade:
        raise BundleError(what, hint="versions never go down; give --allow-downgrade if this one shall")
    oldest = store.oldest() if owned else release.version
    if oldest is None or release.version < oldest:
        hint = f"the board's owner alone allows that, there: echo {release.version} > {store.root}/keys/oldest"
        raise BundleError(what, hint=hint)


def _active_version(store: Store, active: str) -> int | None:
    """The version of the active release; None where there is none, or it rotted."""
    try:
        return store.read(active).version if active else None
    except (OSError, BundleError):
        return None


def check_contained(store: Store, name: str) -> None:
    """Check that no artifact of a release leads an engine to other files. Raises BundleError and OSError."""
    release, folder = store.read(name), store.release_dir(name)
    sizes = {part.path: part.size_bytes for part in release.parts}
    for path, kind in release.formats:
        weights = weights_of(path)
        for graph in [path] + [beside for beside in graphs_of(path) if beside in sizes]:
            handle = store.disk.open(f"{folder}/{graph}", "read")
            try:
                read = partial(store.disk.read_at, handle)
                check_content(kind, graph, sizes[graph], read, sizes.get(weights), weights=weights)
            finally:
                store.disk.close(handle)


def usable(store: Store, name: str) -> bool:
    """Whether a release is whole, and leads to no other files."""
    try:
        check_contained(store, name)
    except (OSError, BundleError):
        return False
    return not store.problem(name)


def memory_bytes(artifact_bytes: int) -> int:
    """A limit for what serves an artifact: roomy, and known to the board alone, after a rollback too."""
    return _BASE_BYTES + _COPIES * artifact_bytes


def check_memory(machine: Machine, parts_mib: Mapping[str, float]) -> None:
    """Raise DeviceError where what the host predicts (`edgewright.inference.footprint`) exceeds the memory left."""
    have_bytes, need_mib = machine.ram_bytes(), sum(parts_mib.values())
    if 0 <= have_bytes < need_mib * 2**20:
        terms = " + ".join(f"{name.replace('_', ' ')} {size:.0f}" for name, size in parts_mib.items())
        what = f"the smallest artifact needs {terms} = {need_mib:.0f} MiB of memory"
        hint = "end other programs there, or build a smaller precision"
        raise DeviceError(f"{what}, the board has {have_bytes / 2**20:.0f} MiB left", hint=hint)


def probe(machine: Machine, command: Command, place: Place, timeout_s: float, hint: str = _INSTALL) -> None:
    """Raise DeviceError where `command`, which starts the engines, fails: before anything is sent."""
    ran = machine.check(command, place, timeout_s)
    if ran.exit_code != 0:
        what = f"the board's {argv(command, place)[0]} cannot run the bundle: {last_words(ran)}"
        if sys.version_info < _OLDEST and hint is _INSTALL:  # this program runs on it, and edgewright does not
            have, need = (".".join(map(str, version[:2])) for version in (sys.version_info, _OLDEST))
            hint = f"its Python is {have}, edgewright needs {need} or newer: name another one there with --python"
        raise DeviceError(what, hint=hint)


def replay(machine: Machine, what: str, command: Command, place: Place, timeout_s: float) -> list[dict[str, Cell]]:
    """Run a check of a bundle; the rows that it printed as JSON.

    Raises:
        GateFailed: it failed, crashed or hung, or it replayed nothing.
    """
    try:
        ran = machine.check(command, place, timeout_s)
    except DeviceError as error:
        raise GateFailed(f"{what} failed: {error.message}") from error
    if ran.exit_code != 0:
        raise GateFailed(f"{what} failed: {last_words(ran)}")
    rows = _rows(ran.stdout)
    if isinstance(command, Verify) and not rows:
        raise GateFailed(f"{what} proved nothing: it names no artifact that it replayed")
    if rows and not any(row.get("engine", True) for row in rows):
        hint = "install an engine there: pip install 'edgewright[onnx]' or 'edgewright[litert]'"
        raise GateFailed(f"{what} replayed nothing: the board has no engine for any artifact", hint=hint)
    return rows


def _rows(stdout: bytes) -> list[dict[str, Cell]]:
    """The rows of `--json`, as far as they are cells; none where something else was printed."""
    tree = json_or_none(stdout)
    rows = tree.get("rows") if isinstance(tree, dict) else None
    return [_cells(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _cells(row: dict[str, Any]) -> dict[str, Cell]:
    return {name: value for name, value in row.items() if value is None or isinstance(value, (bool, int, float, str))}


def last_words(ran: Ran) -> str:
    """Why a program failed: the signal that it died of, or the last line that it printed."""
    if ran.exit_code == -signal.SIGKILL:
        return "it was killed, most likely because the board ran out of memory"
    if ran.exit_code < 0:
        name = next((s.name for s in signal.Signals if s == -ran.exit_code), f"signal {-ran.exit_code}")
        return f"it died of {name}"
    lines = (ran.stderr or ran.stdout).decode(errors="replace").splitlines()
    words = next((line for line in reversed(lines) if line.strip()), f"exit code {ran.exit_code} and not a word")
    return one_line(words, 400)
