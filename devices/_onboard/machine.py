"""What is asked of a board beside its disk: programs, memory, what it is, the identity of this boot, signatures."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from edgewright.bundle.sshsig import NAMESPACE, Signers, who_signed
from edgewright.devices._onboard.commands import argv
from edgewright.errors import DeviceError, one_line
from edgewright.system.interpreter import environment
from edgewright.system.keeper import end_all
from edgewright.system.limits import allowed
from edgewright.system.machine import identity
from edgewright.system.vitals import machine_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.contracts.board_commands import Command
    from edgewright.devices._onboard.commands import Place

__all__ = ["Machine", "Manager", "Ran", "RealMachine"]

_MAX_OUTPUT_BYTES = 2**20
"""A choice: programs asked here print some kilobytes; a board's memory is small."""
_NARROW = {"aarch64": "armv8l", "x86_64": "i686"}
"""A system of 32 bits on a kernel of 64: what its programs are made for."""


class Ran(NamedTuple):
    """A program that ended: exit code (negative: the signal), and what it printed, of one that failed the end."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Manager(NamedTuple):
    """systemd as a board has it: the system's for root, a user's own for everyone else.

    Attributes:
        argv: how it is told something.
        units: the directory of its owner's units.
        target: what is started when it starts.
        socket: where the served model listens.
        needs: directories without which the Python that runs this does not run.
        problem: why there is none, in words; "" where it runs.
    """

    argv: tuple[str, ...]
    units: str
    target: str
    socket: str
    needs: tuple[str, ...] = ()
    problem: str = ""

    @property
    def user(self) -> bool:
        """Whether it is a user's own."""
        return self.target == "default.target"


class Machine(ABC):
    """A board, but for its disk."""

    @abstractmethod
    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """Run a program.

        Raises:
            DeviceError: it cannot be started, took longer and was ended, or printed more than can be read.
        """

    def check(self, command: Command, place: Place, timeout_s: float) -> Ran:
        """Run what a board is asked to run, by its Python. Raises as `run` does."""
        return self.run(argv(command, place), timeout_s)

    @abstractmethod
    def ram_bytes(self) -> int:
        """Memory that programs can still take; -1 where the system does not say."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What `edgewright.system.machine.identity` and `edgewright.system.vitals.machine_state` tell."""

    @abstractmethod
    def boot(self) -> str:
        """A name of this boot, another one after a restart; "" where the system does not say."""

    @abstractmethod
    def manager(self) -> Manager:
        """The service manager of this user."""

    @abstractmethod
    def platform(self) -> dict[str, str]:
        """What decides which wheels run: python (3.11), implementation, machine (aarch64), glibc (2.36, "" without)."""

    @abstractmethod
    def who_signed(self, data: bytes, signatures: bytes, signers: Signers, namespace: str = NAMESPACE) -> str:
        """As `edgewright.bundle.sshsig.who_signed`."""


class RealMachine(Machine):
    """The machine that this process runs on."""

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                child = subprocess.Popen(
                    list(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                    env=environment(argv),
                )
            except OSError as error:
                raise DeviceError(f"the board cannot run {argv[0]}: {error.strerror}") from error
            try:
                code = child.wait(timeout_s)
            except subprocess.TimeoutExpired as error:
                raise DeviceError(f"{_short(argv)} took longer than {timeout_s:g} s and was ended") from error
            finally:
                if child.returncode is None:
                    end_all(child.pid)
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
            size = out.seek(0, os.SEEK_END)
            if code == 0 and size > _MAX_OUTPUT_BYTES:
                raise DeviceError(f"{_short(argv)} printed {size} bytes, at most {_MAX_OUTPUT_BYTES} are read")
            return Ran(code, _end(out), _end(err))

    def ram_bytes(self) -> int:
        try:
            lines = Path("/proc/meminfo").read_text().splitlines()
        except OSError:
            return -1
        found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), "")
        may = allowed()
        left = [may.memory_bytes - (may.memory_used_bytes or 0)] if may.memory_bytes else []
        return min([int(found) * 1024, *left]) if found.isdigit() else -1

    def facts(self) -> dict[str, Any]:
        return {**identity(), **machine_state()}

    def boot(self) -> str:
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return ""

    def manager(self) -> Manager:
        needs = tuple(dict.fromkeys((sys.prefix, sys.base_prefix, os.path.realpath(sys.executable))))
        if os.geteuid() == 0:
            problem = "" if Path("/run/systemd/system").is_dir() else "systemd does not run there"
            socket = "/run/edgewright/socket"
            return Manager(("systemctl",), "/etc/systemd/system", "multi-user.target", socket, needs, problem)
        run = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - strings
        there = Path(f"{run}/systemd").is_dir()
        problem = "" if there else f"no systemd of this user runs there ({run}/systemd is missing)"
        argv = ("env", f"XDG_RUNTIME_DIR={run}", "systemctl", "--user")
        return Manager(argv, f"{home}/systemd/user", "default.target", f"{run}/edgewright/socket", needs, problem)

    def platform(self) -> dict[str, str]:
        name, wide = os.uname().machine, struct.calcsize("P") == 8
        return {
            "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
            "implementation": sys.implementation.name,
            "machine": name if wide else _NARROW.get(name, name),
            "glibc": _glibc(),
        }

    def who_signed(self, data: bytes, signatures: bytes, signers: Signers, namespace: str = NAMESPACE) -> str:
        return who_signed(data, signatures, signers, namespace)


def _glibc() -> str:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, ValueError, OSError):  # another C library
        return ""
    return version if name == "glibc" else ""


def _end(printed: IO[bytes]) -> bytes:
    """The end of what was printed: why a program failed stands in its last lines."""
    printed.seek(max(0, printed.seek(0, os.SEEK_END) - _MAX_OUTPUT_BYTES))
    return printed.read()


def _short(argv: Sequence[str]) -> str:
    return one_line(" ".join(argv), 120)
