"""The way to a device, by its URL, and the board behind it."""

from __future__ import annotations

import importlib
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from edgewright import registry
from edgewright.boards.agent import PythonBoard
from edgewright.boards.board import Board
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from edgewright.contracts.transport import Transport

__all__ = ["board_behind", "board_of", "connect", "disconnect"]

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9-]{0,30})://(?P<rest>[A-Za-z0-9_\[][A-Za-z0-9._:@%+=,/\[\]-]{0,254})")
"""What may stand in a URL at all: nothing that a shell, a terminal or an option parser would read otherwise."""
_SERIAL = re.compile(r"(?P<scheme>adb)://(?P<rest>[A-Za-z0-9_(][A-Za-z0-9._:@%+=,/ ()\[\]-]{0,254})")
"""A serial number as adb lists it, which may have blanks: `adb-R5CT (2)._adb-tls-connect._tcp`; no shell reads it."""
_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*@)?[a-z0-9_][a-z0-9_.-]{0,252}(?::[0-9]{1,5})?")
"""A host as people give it to ssh, without a scheme; in small letters, so that no `Local` is looked for."""

_opened: list[Transport | Board] = []


def connect(url: str) -> Transport:
    """The transport to a device: `local` is this machine, `SCHEME://REST` one that `devices/SCHEME.py` reaches.

    What ssh takes as a host, such as `pi4`, `pi@pi4.local` or a name of `~/.ssh/config`, is `ssh://` with that.

    Nothing is asked of the device yet.

    Raises:
        UsageError: no such transport, or no address that it takes.
    """
    if url == "local":
        local: Transport = registry.load("devices", "local")()
        return local
    found = _URL.fullmatch(f"ssh://{url}" if _HOST.fullmatch(url) else url) or _SERIAL.fullmatch(url)
    if found is None:
        raise UsageError(f"{url!r} is no device", hint="give local, or a URL such as ssh://user@host")
    transport: Transport = registry.load("devices", found["scheme"]).at(found["rest"])
    _opened.append(transport)
    return transport


def board_of(way: Transport | Board, root: str = "", python: str = "") -> Board:
    """The board itself, or one with a Python behind a way; nothing is asked of the device yet.

    Raises:
        UsageError: a board is given, and a `root` or `python` beside its own; or a URL, to which nothing is open.
    """
    if isinstance(way, str):
        raise UsageError(f"{way!r} is no way to a board yet", hint=f"give edgewright.connect({way!r})")
    if not isinstance(way, Board):
        return PythonBoard(way, root, python)
    if root or python:
        raise UsageError(f"{root or python} was given with a board, which has its own", hint="give the way to it")
    return way


def board_behind(way: Transport, *, root: str = "", python: str = "", runner: str = "", engine: str = "") -> Board:
    """The board behind a way: of a kind that may lack a Python, the device is looked at for one.

    Args:
        way: the way to the device.
        root: where its releases are; by default `~/.local/share/edgewright` there.
        python: its Python, if that shall be used.
        runner: a runner here, to be placed on a device without Python; by default the one that is there.
        engine: a libLiteRt.so here for that device.

    Raises:
        UsageError: this way takes no runner, or a Python is named too.
        DeviceError: the device has neither.
    """
    natives = importlib.import_module("edgewright.devices._native.board")
    native: Board | None = natives.NativeBoard.over(way, root=root, python=python, runner=runner, engine=engine)
    if native is None:
        return PythonBoard(way, root, python)
    _opened.append(native)
    return native


def disconnect() -> None:
    """Close every way and board that was opened: a command does so at its end."""
    while _opened:
        with suppress(Exception):  # the command's own end counts
            _opened.pop().close()
