"""This machine as a device: child processes and file copies."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edgewright.contracts.transport import Completed
from edgewright.devices._native.talking import Talking
from edgewright.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Local"]


class Local(Talking):
    """The transport `local`."""

    python = sys.executable

    def _run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> Completed:
        try:
            done = subprocess.run(list(argv), input=stdin, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise DeviceError(f"{argv[0]} took longer than {timeout_s:g} s and was ended") from error
        return Completed(done.returncode, done.stdout, done.stderr)

    def talk(self, argv: Sequence[str], *, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program, see `Talking.talk`."""
        return subprocess.Popen(list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)

    def _push(self, here: Path, there: str) -> None:
        shutil.copyfile(here, there)

    def _pull(self, there: str, here: Path) -> None:
        shutil.copyfile(Path(there), here)
