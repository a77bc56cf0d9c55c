"""What an Arm CPU lacks that an engine's wheel takes for granted."""

from __future__ import annotations

import ctypes
import platform

__all__ = ["lacks_atomics"]

_AT_HWCAP, _HWCAP_ATOMICS = 16, 1 << 8
"""After Linux: include/uapi/linux/auxvec.h, and arch/arm64/include/uapi/asm/hwcap.h."""


def lacks_atomics() -> bool:
    """Whether this is an aarch64 CPU without the atomic instructions of Armv8.1, as Cortex-A53 and A72 are."""
    if platform.machine() != "aarch64":
        return False
    getauxval = ctypes.CDLL(None).getauxval
    getauxval.argtypes, getauxval.restype = [ctypes.c_ulong], ctypes.c_ulong
    return not getauxval(_AT_HWCAP) & _HWCAP_ATOMICS
