"""The way to a device, by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright import registry
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from edgewright.contracts import Transport

__all__ = ["connect"]


def connect(url: str) -> Transport:
    """The transport to a device: `local` is this machine.

    Raises:
        UsageError: no such transport.
    """
    if url != "local":
        raise UsageError(f"unknown device {url!r}", hint="give local")
    transport: Transport = registry.load("devices", "local")()
    return transport
