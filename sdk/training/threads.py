"""How many threads torch takes, and how it is imported."""

from __future__ import annotations

import signal

__all__ = ["limit"]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a command, see `edgewright.cli`."""


def limit(threads: int) -> None:
    """Let torch take so many threads on a CPU from here on; 0 leaves the choice to it.

    A process that takes more cores than were left to it waits at the end of every product for a core that is elsewhere.
    """
    held = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:  # an interrupt in the middle of its start would be an exception in C++, where it aborts
        import torch
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    if threads:
        torch.set_num_threads(threads)
