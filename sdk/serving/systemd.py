"""What a service says to systemd and gets from it, by the plain protocols: a datagram, and inherited sockets.

See sd_notify(3) and sd_listen_fds(3). Without systemd nothing is said, and nothing is there.
"""

from __future__ import annotations

import os
import socket

__all__ = ["inherited", "notify", "watchdog_s"]

_FIRST_FD = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""


def notify(*words: str) -> None:
    """Send assignments such as `READY=1` to the manager of this service, if there is one."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
        way.sendto("\n".join(words).encode(), address)


def watchdog_s() -> float:
    """In how many seconds `WATCHDOG=1` is due again; 0 where no one waits for it."""
    pid, usec = os.environ.get("WATCHDOG_PID", ""), os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isdigit() and pid in ("", str(os.getpid())) else 0.0


def inherited() -> socket.socket | None:
    """The listening socket that this process was started with, or None."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=_FIRST_FD)
