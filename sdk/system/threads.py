"""Numbers of threads that this machine has cores for."""

from __future__ import annotations

import os

from edgewright.errors import UsageError

__all__ = ["check_threads"]


def check_threads(threads: int) -> None:
    """Raise UsageError where this machine has fewer cores, or fewer than one thread is asked."""
    cores = os.cpu_count() or 1
    if not 1 <= threads <= cores:
        raise UsageError(f"{threads} threads were asked, this machine has {cores} cores", hint=f"give 1 to {cores}")
