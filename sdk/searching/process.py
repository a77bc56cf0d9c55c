"""Which process is at a trial, and whether it lives: on this machine that is known at once, without a heartbeat."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_dead", "this_process"]


def this_process() -> str:
    """What tells a process from all others, here and elsewhere: boot, namespace, number, time of its start."""
    return " ".join((*_here(), str(os.getpid()), _started(os.getpid())))


def _here() -> tuple[str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id")
    return (boot.read_text().strip(), str(Path("/proc/self/ns/pid").readlink())) if boot.is_file() else ("", "")


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def is_dead(by: str) -> bool:
    """Whether a process was one of this machine's, and is no more."""
    boot, _, rest = by.partition(" ")
    if not boot or (boot, rest.partition(" ")[0]) != _here():
        return False
    pid, _, started = rest.partition(" ")[2].partition(" ")
    return _started(int(pid)) != started
