"""What of a machine this process may use: a container, a service or `taskset` often gives it less than there is.

Cores by affinity (which a cpuset sets), by the quota of a control group and of those above it, memory by their limits:
cgroups(7), of the kernel's first and second version. Standard library alone, for Python 3.9 on: a probe sends it to
boards.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from edgewright.errors import UsageError

__all__ = ["Limits", "allowed", "check_threads"]

_UNLIMITED = 2**60
"""The first version says "no limit" by a number near 2^63, of whole pages."""


class Limits:
    """The limits of this process, as the kernel tells them.

    Attributes:
        own_cores: the numbers of the cores that it may run on.
        cores: how many it may keep busy at a time, as a quota has it; may be a fraction.
        memory_bytes: the most that it may take, None without a limit.
        memory_used_bytes: what its group takes now, None without a limit.
        throttled: in how many periods a quota has stopped its group so far, None without a quota.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = root.rstrip("/")
        try:
            self.own_cores = sorted(os.sched_getaffinity(0))
        except (AttributeError, OSError):  # another system
            self.own_cores = list(range(os.cpu_count() or 1))
        groups = self._groups()
        quotas = [quota for folder in groups if (quota := self._quota(folder)) is not None]
        self.cores = min([float(len(self.own_cores)), *quotas])
        limits = [(limit, folder) for folder in groups if (limit := self._memory(folder)) is not None]
        tightest = min(limits, default=None)
        self.memory_bytes = tightest[0] if tightest else None
        used = ("memory.current", "memory.usage_in_bytes")
        self.memory_used_bytes = self._number(tightest[1], *used) if tightest else None
        stopped = [count for folder in groups if quotas and (count := self._throttled(folder)) is not None]
        self.throttled = sum(stopped) if stopped else None

    @property
    def threads(self) -> int:
        """The most threads that compute at once without waiting for each other."""
        return max(1, math.floor(self.cores))

    def _text(self, path: str) -> str:
        try:
            return Path(f"{self._root}{path}").read_text(errors="replace")
        except OSError:
            return ""

    def _groups(self) -> list[str]:
        """The directories of the groups of this process and of those above them.

        In a container the path may be one that only the host has: the mount's own directory then is the group.
        """
        found: dict[str, None] = {}
        for line in self._text("/proc/self/cgroup").splitlines():
            _, kinds, path = [*line.split(":", 2), "", ""][:3]
            for kind in kinds.split(","):
                top = f"/sys/fs/cgroup/{kind}".rstrip("/")
                parts = [part for part in path.split("/") if part]
                for depth in range(len(parts) + 1):
                    found["/".join([top, *parts[:depth]])] = None
        return list(found)

    def _quota(self, folder: str) -> float | None:
        """Cores that a group may keep busy; None without a quota."""
        words = self._text(f"{folder}/cpu.max").split() or [
            self._text(f"{folder}/cpu.cfs_quota_us").strip(),
            self._text(f"{folder}/cpu.cfs_period_us").strip(),
        ]
        if len(words) != 2 or not all(word.isdigit() for word in words) or not int(words[1]):
            return None
        return int(words[0]) / int(words[1])

    def _memory(self, folder: str) -> int | None:
        found = self._number(folder, "memory.max", "memory.limit_in_bytes")
        return found if found is not None and found < _UNLIMITED else None

    def _throttled(self, folder: str) -> int | None:
        lines = [line.split() for line in self._text(f"{folder}/cpu.stat").splitlines()]
        return next((int(words[1]) for words in lines if words[:1] == ["nr_throttled"] and words[1].isdigit()), None)

    def _number(self, folder: str, *names: str) -> int | None:
        words = [self._text(f"{folder}/{name}").strip() for name in names]
        return next((int(word) for word in words if word.isdigit()), None)


def allowed() -> Limits:
    """The limits of this process now."""
    return Limits()


def check_threads(threads: int) -> None:
    """Raise UsageError where this process may use fewer cores, or fewer than one thread is asked."""
    cores = allowed().threads
    if not 1 <= threads <= cores:
        what = f"{threads} threads were asked, this process may use {cores} core{'s' * (cores > 1)}"
        raise UsageError(what, hint=f"give {f'1 to {cores}' if cores > 1 else '1'}")
