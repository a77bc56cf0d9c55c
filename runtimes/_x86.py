"""What engines must know of an x86 processor."""

from __future__ import annotations

import platform
from pathlib import Path

__all__ = ["products_saturate"]


def products_saturate() -> bool:
    """Whether this CPU adds pairs of u8 x s8 products in 16 bits, where they can saturate: x86 without VNNI."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    try:
        info = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return True
    return not {"avx512_vnni", "avx_vnni"} & set(info.partition("flags")[2].partition("\n")[0].split())
