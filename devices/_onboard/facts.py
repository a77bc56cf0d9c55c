"""What a board is and how it is at this moment, and which packages start there: each import is tried in a child."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple

from edgewright.boards.wire import plain, read
from edgewright.contracts.board_answers import Facts, Package
from edgewright.devices._onboard.checks import last_words
from edgewright.errors import DeviceError
from edgewright.system.interpreter import line
from edgewright.system.untrusted import json_or_none

if TYPE_CHECKING:
    from edgewright.contracts.board import Describe
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


class _Looked(NamedTuple):
    """What a Python says of itself, the versions of the packages that it finds; why it does not start."""

    python: str
    executable: str
    problem: str
    found: dict[str, str]


def facts(board: Board, request: Describe) -> Facts:
    """The board's facts, and a row for each of the request's packages."""
    python = board.python(request.python)
    looked = _looked(board, python, request)
    rows = [
        _row(board, python, one.module, looked.found.get(one.module), request.timeout_s) for one in request.packages
    ]
    said = {
        **board.machine.facts(),
        "disk_free_bytes": _disk_free_bytes(board),
        "python": looked.python,
        "executable": looked.executable,
        "problem": looked.problem,
        "packages": plain(tuple(rows)),
    }
    names = {field.name for field in fields(Facts)}
    return read(Facts, {name: value for name, value in said.items() if name in names})


def _looked(board: Board, python: str, request: Describe) -> _Looked:
    packages = json.dumps([[one.module, one.package] for one in request.packages])
    try:
        ran = board.machine.run(line(python, _LOOK, packages), request.timeout_s)
    except DeviceError as error:
        return _Looked("", python, error.message, {})
    tree = json_or_none(ran.stdout)
    if not isinstance(tree, dict) or not {"python", "executable", "found"} <= tree.keys():
        return _Looked("", python, last_words(ran), {})
    return _Looked(tree["python"], tree["executable"], "", tree["found"])


def _row(board: Board, python: str, module: str, version: str | None, timeout_s: float) -> Package:
    if version is None:
        return Package(module, "", "missing")
    try:
        ran = board.machine.run(line(python, _IMPORT, module), timeout_s)
    except DeviceError as error:
        return Package(module, version, error.message)
    said = ran.stdout.decode(errors="replace").strip()
    return Package(module, version or said, last_words(ran) if ran.exit_code else "imports")


def _disk_free_bytes(board: Board) -> int | None:
    """Where releases would lie, or in the first of its parents that is there."""
    folder = board.store.root
    while len(folder) > 1:
        with suppress(OSError):
            return board.disk.free(folder).free_bytes
        folder = folder.rpartition("/")[0] or "/"
    return None
