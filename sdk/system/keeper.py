"""A small process between a parent and its work, so that nothing which was started lives on.

A process group does not do it: whatever calls setsid(2) leaves it, and PR_SET_PDEATHSIG is for one generation. The
keeper is a fork of the work's own interpreter before it has imported anything. It is the one that orphans below it come
to (PR_SET_CHILD_SUBREAPER of prctl(2)), so that all descendants can be found. When its work ends, or its parent is
gone, or it is told to, it kills them all, and ends as its work did.

On other systems than Linux there is none, and the process group has to do.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["adopt", "descendants", "end_all", "keep", "resident_mib"]

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
"""Of prctl(2)."""
_LOOK_S = 1.0
"""How often it looks whether its parent is still there: whatever it started lives so much longer at most."""
_ENDING_S = 2.0
"""A choice: a process that is killed ends at once, but for one that waits for a disk in the kernel."""
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def keep(parent: int) -> None:
    """Go on as the work, below a keeper that this process becomes.

    Args:
        parent: the number of the process that asked for the work. If it is gone already, so is this one.
    """
    if sys.platform != "linux":
        return
    adopt()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    work = os.fork()
    if work:
        _attend(work, parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt() -> None:
    """Let orphans below this process come to it, so that `end_all` finds them."""
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(what: int, value: int) -> None:
    ctypes.CDLL(None).prctl(what, value)


def _attend(work: int, parent: int) -> None:
    """The keeper's side, which ends here."""
    status = None
    while status is None and os.getppid() == parent:
        told = signal.sigtimedwait(_SIGNALS, _LOOK_S)
        if told and told.si_signo != signal.SIGCHLD:
            break
        status = _reaped(work)
    end_all(os.getpid())
    _end_as(-signal.SIGKILL if status is None else os.waitstatus_to_exitcode(status))


def _reaped(work: int) -> int | None:
    """Take the status of every process that ended, and give that of the work, None while it runs."""
    found = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            found = status if pid == work else found
    return found


def _end_as(code: int) -> None:
    """End with an exit code, a negative one by a signal, for which no core is written a second time."""
    if code >= 0:
        os._exit(code)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # SIGKILL has no handler
        signal.signal(-code, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [-code])
    os.kill(os.getpid(), -code)
    os._exit(128 - code)


def end_all(root: int) -> None:
    """Kill everything that descends from a process but itself, until nothing does, or for two seconds."""
    until_s = time.monotonic() + _ENDING_S
    while (found := descendants(root)) and time.monotonic() < until_s:
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if root == os.getpid():
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
        time.sleep(0.01)


def descendants(root: int) -> list[int]:
    """The processes below one, those that ended and were not waited for left out."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if sys.platform == "linux" else ():  # noqa: PTH208 - a number each
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                state, above = Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    children.setdefault(int(above), []).append(int(name))
    found, left = [], [root]
    while left:
        below = children.pop(left.pop(), [])
        found += below
        left += below
    return found


def resident_mib(pids: list[int], limit_mib: int) -> int:
    """The resident memory of processes together; what they share counts once where it would be too much else."""
    found = sum(_pages_mib(pid) for pid in pids)
    return found if found <= limit_mib or len(pids) == 1 else sum(map(_share_mib, pids))


def _pages_mib(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def _share_mib(pid: int) -> int:
    """A process's part of what it uses (Pss of proc_pid_smaps_rollup(5), Linux 4.14)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return _pages_mib(pid)
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("Pss:")), 0)
