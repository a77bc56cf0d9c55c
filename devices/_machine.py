"""What is asked of a board beside its disk: programs, memory, what it is, the identity of this boot, signatures."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgewright.errors import DeviceError
from edgewright.machine import identity
from edgewright.moment import moment
from edgewright.sshsig import who_signed

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Machine", "Ran", "RealMachine"]

_MAX_OUTPUT_BYTES = 2**20


class Ran(NamedTuple):
    """A program that ended: exit code (negative: the signal), and the beginning of what it printed."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Machine(ABC):
    """A board, but for its disk."""

    @abstractmethod
    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """Run a program. Raises DeviceError: it cannot be started, or took longer and was ended."""

    @abstractmethod
    def ram_bytes(self) -> int:
        """Memory that programs can still take; -1 where the system does not say."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What `edgewright.machine.identity` and `edgewright.moment.moment` tell."""

    @abstractmethod
    def boot(self) -> str:
        """A name of this boot, another one after a restart; "" where the system does not say."""

    @abstractmethod
    def who_signed(self, manifest: bytes, signature: bytes, signers: str, revoked: str | None) -> str:
        """As `edgewright.sshsig.who_signed`."""


class RealMachine(Machine):
    """The machine that this process runs on."""

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                child = subprocess.Popen(
                    list(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
                )
            except OSError as error:
                raise DeviceError(f"the board cannot run {argv[0]}: {error.strerror}") from error
            try:
                code = child.wait(timeout_s)
            except subprocess.TimeoutExpired as error:
                raise DeviceError(f"{_short(argv)} took longer than {timeout_s:g} s and was ended") from error
            finally:
                if child.returncode is None:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
            out.seek(0)
            err.seek(0)
            return Ran(code, out.read(_MAX_OUTPUT_BYTES), err.read(_MAX_OUTPUT_BYTES))

    def ram_bytes(self) -> int:
        try:
            lines = Path("/proc/meminfo").read_text().splitlines()
        except OSError:
            return -1
        found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), "")
        return int(found) * 1024 if found.isdigit() else -1

    def facts(self) -> dict[str, Any]:
        return {**identity(), **moment()}

    def boot(self) -> str:
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return ""

    def who_signed(self, manifest: bytes, signature: bytes, signers: str, revoked: str | None) -> str:
        return who_signed(manifest, signature, signers, revoked)


def _short(argv: Sequence[str]) -> str:
    return " ".join(argv)[:120]
