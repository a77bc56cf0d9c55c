"""How long a process has been there."""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["alive_ms"]


def alive_ms() -> float:
    """Since this process was started, as the kernel has it (proc(5), field 22 of stat): the interpreter's start too."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return (time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1e3
