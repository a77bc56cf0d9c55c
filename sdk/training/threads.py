"""How many threads torch takes."""

from __future__ import annotations

__all__ = ["limit"]


def limit(threads: int) -> None:
    """Let torch take so many threads on a CPU from here on; 0 leaves the choice to it.

    A process that takes more cores than were left to it waits at the end of every product for a core that is elsewhere.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
