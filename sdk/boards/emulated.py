"""A board that is emulated on this machine, made ready."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgewright import registry
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.contracts.transport import Transport

__all__ = ["emulate"]


def emulate(
    cpu: str, *, mirror: str = "", wheel: str | Path | None = None, progress: Callable[[str], None] = silent
) -> Transport:
    """Prepare an emulated aarch64 board, `qemu://CPU`, and give the way to it.

    Args:
        cpu: such as cortex-a72.
        mirror: a mirror of Debian; by default the one that this machine's apt uses.
        wheel: a wheel of edgewright for the board; by default a copy of the edgewright that runs here.
        progress: called with a short phrase at each stage.

    Raises:
        UsageError: no such CPU, or that is no wheel of edgewright.
        DeviceError: a program is missing, a download failed, or an engine does not start.
        StorageError: the disk is full or read-only.
    """
    given = Path(wheel) if wheel else None
    board: Transport = registry.load("devices", "qemu").prepare(cpu, mirror=mirror, wheel=given, progress=progress)
    return board
