"""What kind of machine this is: its model, cores and memory, and the instruction sets that decide about int8."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from edgewright._version import __version__

__all__ = ["machine", "model"]

_CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimdhp", "asimddp", "i8mm", "sve")


def machine() -> dict[str, Any]:
    """This machine in a few lines: versions, system, model, cores, memory, instruction sets."""
    return {
        "edgewright": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "model": model(),
        "cores": os.cpu_count() or 1,
        "ram_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "cpu": ", ".join(_cpu_flags()) or "no known int8 instructions",
    }


def model() -> str:
    """The board's name as its device tree gives it, such as `Raspberry Pi 4 Model B Rev 1.4`, or the processor's."""
    board = _text("/proc/device-tree/model").rstrip("\0")
    lines = [line.partition(":") for line in _text("/proc/cpuinfo").splitlines()]
    names = [value.strip() for key, _, value in lines if key.strip() in ("model name", "Hardware")]
    return board or next(iter(names), "") or platform.machine()


def _cpu_flags() -> list[str]:
    words = set(_text("/proc/cpuinfo").split())
    return [flag for flag in _CPU_FLAGS if flag in words]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
