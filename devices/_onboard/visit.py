"""A command of edgewright that the host asks for, run on the active release, with files that come and go with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from typing import TYPE_CHECKING

from edgewright.contracts.board_answers import Visited
from edgewright.devices._onboard.checks import check_contained
from edgewright.errors import BundleError, DeviceError, one_line
from edgewright.system.interpreter import environment, there
from edgewright.system.keeper import end_all
from edgewright.system.untrusted import check_path

if TYPE_CHECKING:
    from edgewright.contracts.board import Visit
    from edgewright.devices._onboard.board import Board
    from edgewright.devices._onboard.store import Store

__all__ = ["active", "visit"]

_MAX_PACKED_BYTES = 3 * 2**20
"""Below the 4 MiB that the other end reads of an answer (sdk/boards/wire.py), words and names beside it."""
_MAX_WORDS_BYTES = 2**13
"""A choice: the end of a traceback, no more."""
_BEAT_S = 1.0
"""A choice: several beats before any shell, bridge or keep-alive takes the silence for an end."""


def visit(board: Board, request: Visit) -> Visited:
    """Run `module` with the `words` of the request, and give what it printed and the files that it wrote.

    In a word `{bundle}` is the release's directory, `{files}` a private one that is removed after.

    Raises:
        BundleError: the active release is not the one that the host means, or an artifact of it names other files.
        DeviceError: nothing is installed, the command cannot be started, took too long or printed too much.
    """
    name = active(board.store, request.digest, request.version)
    check_contained(board.store, name)  # the edgewright that is installed here may be older than this check
    folder = tempfile.mkdtemp(prefix="edgewright-")
    try:
        for path, data in request.files.items():
            with open(f"{folder}/{check_path(path)}", "wb") as file:  # noqa: PTH123 - strings, as everywhere here
                file.write(zlib.decompress(data))
        places = {"{bundle}": board.store.release_dir(name), "{files}": folder}
        words = [_placed(word, places) for word in request.words]
        return _run(there(board.python(request.python), request.module, *words), folder, request)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def active(store: Store, digest: str, version: int) -> str:
    """The name of the active release, which must have the digest of the host's bundle, or any for "".

    Raises:
        BundleError: it has another one.
        DeviceError: nothing is installed.
    """
    name = store.current()
    if not name:
        raise DeviceError(f"nothing is installed in {store.root}", hint="run: edgewright flash BUNDLE URL")
    release = store.read(name)
    if digest not in ("", release.digest):
        raise BundleError(
            f"the bundle here is {digest[:12]}, version {version}; "
            f"active on the board is {name}, version {release.version}",
            hint="run: edgewright flash BUNDLE URL; or give - as the bundle for whatever is active there",
        )
    return name


def _placed(word: str, places: dict[str, str]) -> str:
    """A word in which a place at the beginning, or right behind an option's `=`, has been filled in."""
    for name, path in places.items():
        for before in ("", word.partition("=")[0] + "="):
            if word.startswith(before + name):
                return before + path + word[len(before + name) :]
    return word


def _run(argv: list[str], folder: str, request: Visit) -> Visited:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                cwd=folder,
                env=environment(argv),
            )
        except OSError as error:
            hint = "name the board's Python with --python"
            raise DeviceError(f"the board cannot run {argv[0]}: {error.strerror}", hint=hint) from error
        try:
            code = _wait(child, time.monotonic() + request.timeout_s)
        finally:
            if child.returncode is None:
                end_all(child.pid)
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        out.seek(0)
        err.seek(max(0, err.tell() - _MAX_WORDS_BYTES))
        files = {"": out.read(), **{name: _read(f"{folder}/{check_path(name)}") for name in request.takes}}
        packed = {name: zlib.compress(data) for name, data in files.items()}
        size = sum(4 * -(-len(data) // 3) for data in packed.values())  # as base64, in which they travel
        if size > _MAX_PACKED_BYTES:
            what = f"the answer has {size} bytes packed, at most {_MAX_PACKED_BYTES} travel at once"
            raise DeviceError(what, hint="split the input")
        return Visited(code, packed, err.read().decode(errors="replace"))


def _wait(child: subprocess.Popen[bytes], until_s: float) -> int:
    """The exit code. An empty line now and then shows whether the host still listens: else the work ends."""
    while time.monotonic() < until_s:
        try:
            return child.wait(_BEAT_S)
        except subprocess.TimeoutExpired:
            sys.stdout.buffer.write(b"\n")
            sys.stdout.buffer.flush()
    raise DeviceError(f"{one_line(' '.join(map(str, child.args)), 120)} took too long and was ended")  # type: ignore[arg-type]


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except FileNotFoundError:
        return b""
