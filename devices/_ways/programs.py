"""Programs of this machine that a transport starts: no time limit leaves one behind, and none waits for a terminal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.contracts.transport import Completed
from edgewright.errors import DeviceError
from edgewright.system.keeper import end_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["find_program", "last_line", "run_program"]


def run_program(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    name: str = "",
) -> Completed:
    """Run a program, called `name` where it fails, to its end in a process group of its own.

    Raises:
        DeviceError: it cannot be started, or took longer than `timeout_s` seconds and was ended with its group.
    """
    pipe = subprocess.PIPE
    try:
        child = subprocess.Popen(
            list(argv), stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=cwd, start_new_session=True
        )
    except OSError as error:
        raise DeviceError(f"cannot run {argv[0]}: {error.strerror}") from error
    try:
        out, err = child.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"{name or argv[0]} took longer than {timeout_s:g} s and was ended") from error
    finally:
        if child.returncode is None:
            end_all(child.pid)
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream:
                    stream.close()
    return Completed(child.returncode, out, err)


def find_program(name: str, hint: str) -> str:
    """Where a program of this machine is, or of the Python that runs. Raises DeviceError with `hint`: nowhere."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise DeviceError(f"{name} is not installed", hint=hint)
    return found


def last_line(done: Completed) -> str:
    """The last words of a program, errors first."""
    for printed in (done.stderr, done.stdout):
        lines = [line.strip() for line in printed.decode(errors="replace").splitlines() if line.strip()]
        if lines:
            return lines[-1]
    return f"exit code {done.exit_code} and not a word"
