"""What a board is and how it is at this moment, and which packages start there: each import is tried in a child."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edgewright.devices._onboard.checks import last_words
from edgewright.errors import DeviceError
from edgewright.system.interpreter import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.devices._onboard.board import Board

__all__ = ["facts"]

_LOOK = """
import json
from importlib import metadata, util
def version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
found = {module: version(package) for module, package in json.loads(sys.argv[1]) if util.find_spec(module)}
print(json.dumps({"python": sys.version.split()[0], "executable": sys.executable, "found": found}))
"""
_IMPORT = """
import os
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
__import__(sys.argv[1])
print(getattr(sys.modules[sys.argv[1]], "__version__", ""))
sys.stdout.flush()
os._exit(0)  # some engines' static objects log as they go
"""


def facts(board: Board) -> dict[str, Any]:
    """The board's facts, and a row for each of the request's `packages`, pairs of a module and its package."""
    request = board.request
    python = board.python(request["python"] or "{python}")
    looked = _looked(board, python, request["packages"])
    found = looked.pop("found", {})
    rows = [_row(board, python, module, found.get(module)) for module, _ in request["packages"]]
    return {**board.machine.facts(), "disk_free_bytes": _disk_free_bytes(board), **looked, "packages": rows}


def _looked(board: Board, python: str, packages: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The version of a Python, and which packages it finds; why it does not start, where it does not."""
    try:
        ran = board.machine.run(line(python, _LOOK, json.dumps(packages)), board.request["timeout_s"])
    except DeviceError as error:
        return {"python": "", "executable": python, "problem": error.message}
    try:
        looked: dict[str, Any] = json.loads(ran.stdout)
    except ValueError:
        return {"python": "", "executable": python, "problem": last_words(ran)}
    return looked


def _row(board: Board, python: str, module: str, version: str | None) -> dict[str, Any]:
    if version is None:
        return {"module": module, "version": "", "state": "missing"}
    try:
        ran = board.machine.run(line(python, _IMPORT, module), board.request["timeout_s"])
    except DeviceError as error:
        return {"module": module, "version": version, "state": error.message}
    said = ran.stdout.decode(errors="replace").strip()
    return {"module": module, "version": version or said, "state": last_words(ran) if ran.exit_code else "imports"}


def _disk_free_bytes(board: Board) -> int | None:
    """Where releases would lie, or in the first of its parents that is there."""
    folder = board.store.root
    while len(folder) > 1:
        with suppress(OSError):
            return board.disk.free(folder).free_bytes
        folder = folder.rpartition("/")[0] or "/"
    return None
