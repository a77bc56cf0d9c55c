"""An emulated aarch64 board on this machine (qemu's user mode): real wheels and real kernels, on a chosen CPU.

Answers and instruction counts are the board's; time and memory are not, and are never given as if they were. It is not
a place to hold strangers' programs: they see this machine's files.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import IO, TYPE_CHECKING

from edgewright.devices._emulation import prepare as _prepare
from edgewright.devices._emulation.boards import emulated
from edgewright.devices._emulation.counter import counted
from edgewright.devices._native.talking import Talking
from edgewright.devices._ways.programs import find_program, run_program
from edgewright.errors import DeviceError
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgewright.contracts.transport import Completed, Tally

__all__ = ["Qemu"]

_AARCH64 = b"\x7fELF\x02\x01\x01", b"\xb7\x00"


class Qemu(Talking):
    """The transport `qemu://CPU`. Paths that are not absolute are below the board's home directory."""

    emulated = True

    def __init__(self, cpu: str) -> None:
        """Open a board that `prepare` made. Raises UsageError: no such CPU; DeviceError: not prepared."""
        self._spot = emulated(cpu)
        self._spot.require()
        find_program("qemu-aarch64", "on Debian or Ubuntu run: apt install qemu-user")
        self.python = str(self._spot.python)

    @classmethod
    def at(cls, rest: str) -> Qemu:
        """The board with the CPU that the URL names."""
        return cls(rest)

    @classmethod
    def prepare(
        cls,
        cpu: str,
        *,
        mirror: str = "",
        wheel: Path | None = None,
        progress: Callable[[str], None] = silent,
    ) -> Qemu:
        """Make the board ready: once, 270 MB on the disk; after that edgewright alone is brought up to date.

        Args:
            cpu: such as cortex-a72.
            mirror: a mirror of Debian; by default the one that this machine's apt uses.
            wheel: a wheel of edgewright for the board; by default a copy of the edgewright that runs here.
            progress: called with a short phrase at each stage.

        Raises:
            UsageError: no such CPU, or that is no wheel of edgewright.
            DeviceError: a program is missing, a download failed, or an engine does not start.
            StorageError: the disk is full or read-only.
        """
        _prepare.prepare(cpu, mirror=mirror, wheel=wheel, progress=progress)
        return cls(cpu)

    @property
    def home(self) -> Path:
        """The board's home directory, on this machine."""
        return self._spot.home

    def _run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> Completed:
        line, env = self._line(argv), self._spot.environment()
        return run_program(line, timeout_s=timeout_s, stdin=stdin, env=env, cwd=self.home, name=argv[0])

    def talk(self, argv: Sequence[str], *, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program of the board, see `Talking.talk`."""
        line, pipe = self._line(argv), subprocess.PIPE
        return subprocess.Popen(
            line, stdin=pipe, stdout=pipe, stderr=stderr, env=self._spot.environment(), cwd=self.home
        )

    def _line(self, argv: Sequence[str]) -> list[str]:
        """The command line on this machine: only programs of the board are started, by name or by path."""
        name, rest = argv[0], list(argv[1:])
        if name in (self.python, "python3", "python"):
            return [self.python, *rest]
        places = [self._spot.root / folder / name for folder in ("usr/bin", "bin", "usr/sbin", "sbin")]
        paths = [self.home / name] if "/" in name else places
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise DeviceError(f"the emulated board has no {name}", hint="it has Python and the core utilities")
        with path.open("rb") as file:
            head = file.read(20)
        if head.startswith(_AARCH64[0]) and head.endswith(_AARCH64[1]):
            return [*self._spot.emulator("-0", name), str(path), *rest]
        return [str(path), *rest]

    def _push(self, here: Path, there: str) -> None:
        shutil.copyfile(here, self.home / there)

    def _pull(self, there: str, here: Path) -> None:
        shutil.copyfile(self.home / there, here)

    def count(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> tuple[Completed, tuple[Tally, ...]]:
        """Run the board's Python and count the instructions between its marks; see `edgewright.boards.instructions`."""
        return counted(self._spot, argv[1:], timeout_s=timeout_s, stdin=stdin)
