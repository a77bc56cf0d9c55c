"""Programs of others that a command starts: none outlives it or its time, and none fills the memory by talking."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Ended", "run_to_end"]

_KEPT = 2**20
"""A choice: bytes of what it says that are kept, the first ones: compilers begin with the first mistake."""


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code, and what it said on both of its outputs, line by line without empty ones."""

    code: int
    lines: tuple[str, ...]


def run_to_end(argv: Sequence[str], *, timeout_s: float, cwd: Path | None = None) -> Ended:
    """Run a program, which reads nothing, in a process group of its own that ends with it.

    Raises:
        OSError: it cannot be started.
        TimeoutError: it took longer, and was ended with all that it started.
    """
    late = threading.Event()
    with subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        start_new_session=True,
    ) as child:

        def end() -> None:
            late.set()
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

        timer = threading.Timer(timeout_s, end)
        timer.start()
        try:
            assert child.stdout  # noqa: S101 - asked for above
            said = child.stdout.read(_KEPT)
            while child.stdout.read(_KEPT):
                pass
            child.wait()
        finally:
            timer.cancel()
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    if late.is_set():
        raise TimeoutError(f"{argv[0]} took longer than {timeout_s:g} s and was ended")
    lines = (line.strip() for line in said.decode(errors="replace").splitlines())
    return Ended(child.returncode, tuple(line for line in lines if line))
