"""The way to a device, by its URL."""

from __future__ import annotations

import importlib
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from edgewright import registry
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from edgewright.contracts.transport import Transport

__all__ = ["connect", "disconnect", "equip"]

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9-]{0,30})://(?P<rest>[A-Za-z0-9_\[][A-Za-z0-9._:@%+=,/\[\]-]{0,254})")
"""What may stand in a URL at all: nothing that a shell, a terminal or an option parser would read otherwise."""

_opened: list[Transport] = []


def connect(url: str) -> Transport:
    """The transport to a device: `local` is this machine, `SCHEME://REST` one that `devices/SCHEME.py` reaches.

    Nothing is asked of the device yet.

    Raises:
        UsageError: no such transport, or no address that it takes.
    """
    if url == "local":
        local: Transport = registry.load("devices", "local")()
        return local
    found = _URL.fullmatch(url)
    if found is None:
        raise UsageError(f"{url!r} is no device", hint="give local, or a URL such as ssh://user@host")
    transport: Transport = registry.load("devices", found["scheme"]).at(found["rest"])
    _opened.append(transport)
    return transport


def equip(way: Transport, *, root: str = "", python: str = "", runner: str = "", engine: str = "") -> Transport:
    """The way to a device, with a runner there where it has no Python: see `devices/_native/transport.py`.

    Raises:
        UsageError: this way takes no runner, or a Python is named too.
        DeviceError: the device has neither.
    """
    native = importlib.import_module("edgewright.devices._native.transport")
    equipped: Transport = native.Bare.over(way, root=root, python=python, runner=runner, engine=engine)
    if equipped is not way:
        _opened.append(equipped)
    return equipped


def disconnect() -> None:
    """Close every transport that `connect` gave: a command does so at its end."""
    while _opened:
        with suppress(Exception):  # the command's own end counts
            _opened.pop().close()
