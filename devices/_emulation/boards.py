"""Emulated boards: which CPUs there are, and where on this machine each has its files.

    emulated/USERLAND/root      Debian's aarch64 packages, unpacked; shared by all boards
    emulated/USERLAND/wheels    the engines' aarch64 wheels, unpacked; shared by all boards
    emulated/CPU/bin/python3    starts the Python of `root` under qemu as that CPU
    emulated/CPU/root           `root` as links, with the /proc/cpuinfo of that CPU
    emulated/CPU/home           the home directory on the board
    emulated/CPU/prepared.json  written last: what the board was made of

The board is a virtual environment: its `pyvenv.cfg` names the Python of `root` as home. So `sys.executable` is
`bin/python3`, and what a Python starts with it is emulated too. No root rights are needed, and nothing changes here.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.boards.catalogue import named
from edgewright.errors import DeviceError, UsageError
from edgewright.system.files import home

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CPUS", "PYTHON", "Cpu", "Emulated", "cache_dir", "emulated"]

PYTHON = "python3.11"


@dataclass(frozen=True)
class Cpu:
    """A CPU as Linux shows it in /proc/cpuinfo, and a board that has it.

    The part and features are those of the board's own kernel; the engines choose their kernels by them.
    """

    board: str
    part: str
    variant: str
    revision: int
    features: str

    def cpuinfo(self, name: str, cores: int) -> str:
        """The text of /proc/cpuinfo. Engines crash where it is another machine's: they read its kind of core there."""
        core = (
            f"BogoMIPS\t: 108.00\nFeatures\t: {self.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
            f"CPU variant\t: {self.variant}\nCPU part\t: {self.part}\nCPU revision\t: {self.revision}\n\n"
        )
        each = "".join(f"processor\t: {number}\n{core}" for number in range(cores))
        return f"{each}Hardware\t: emulated {name}\n"


_V8_0 = "fp asimd evtstrm crc32 cpuid"
_V8_2 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"

CPUS = {
    "cortex-a53": Cpu("Raspberry Pi 3 and Zero 2 W", "0xd03", "0x0", 4, _V8_0),
    "cortex-a72": Cpu("Raspberry Pi 4", "0xd08", "0x0", 3, _V8_0),
    "cortex-a76": Cpu("Raspberry Pi 5", "0xd0b", "0x4", 1, _V8_2),
}
"""The part, variant and revision of MIDR_EL1 (Arm's manuals of the cores): r0p4, r0p3 and r4p1."""


@dataclass(frozen=True)
class Emulated:
    """The places of an emulated board."""

    cpu: str
    cache: Path

    @property
    def board(self) -> Path:
        """Everything that is this board's own."""
        return self.cache / self.cpu

    @property
    def python(self) -> Path:
        """The program that runs Python as this CPU."""
        return self.board / "bin" / "python3"

    @property
    def root(self) -> Path:
        """Where the board finds its system's files first."""
        return self.board / "root"

    @property
    def home(self) -> Path:
        """The board's home directory."""
        return self.board / "home"

    @property
    def mark(self) -> Path:
        """What the board was made of, once it is complete."""
        return self.board / "prepared.json"

    def made_of(self) -> dict[str, Any]:
        """What `mark` says; empty where the board is not prepared."""
        try:
            tree = json.loads(self.mark.read_text())
        except (OSError, ValueError):
            return {}
        return tree if isinstance(tree, dict) else {}

    def environment(self) -> dict[str, str]:
        """The variables of a program on the board: none of this machine's, which may speak of its CPU or its paths."""
        programs = [self.board / "bin", "/usr/local/bin", "/usr/bin", "/bin"]
        return {
            "PATH": os.pathsep.join(map(str, programs)),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONNOUSERSITE": "1",
        }

    def emulator(self, *options: str) -> list[str]:
        """The beginning of a command line that runs an aarch64 program as this CPU."""
        return ["qemu-aarch64", "-cpu", self.cpu, "-L", str(self.root), *options]

    def interpreter(self, *options: str) -> list[str]:
        """The beginning of a command line of Python, which takes `bin/python3` for its own name."""
        return [*self.emulator("-0", str(self.python), *options), str(self.root / "usr" / "bin" / PYTHON)]

    def require(self) -> None:
        """Raise DeviceError where the board is not prepared."""
        if not self.made_of():
            hint = f"run: edgewright devices emulate {self.cpu}"
            raise DeviceError(f"no emulated {self.cpu} is prepared in {self.cache}", hint=hint)


def cache_dir() -> Path:
    """Where emulated boards live: `$XDG_CACHE_HOME/edgewright/emulated`, by default below `~/.cache`."""
    return home("XDG_CACHE_HOME", ".cache") / "edgewright" / "emulated"


def emulated(name: str) -> Emulated:
    """The places of the board with the CPU of that name, prepared or not, or with that of a profile such as `pi5`.

    Raises:
        UsageError: it is no such CPU, and no board that has one.
    """
    return Emulated(name if name in CPUS else _cpu_of(name), cache_dir())


def _cpu_of(board: str) -> str:
    known = ", ".join(CPUS)
    try:
        cores = [cluster.core.lower() for cluster in named(board).cpu.clusters]
    except UsageError:
        cores = []
    if not cores:
        hint = f"choose from {known}, or name a board that has one, such as pi5"
        raise UsageError(f"no CPU {board!r} can be emulated", hint=hint)
    if len(cores) > 1 or cores[0] not in CPUS:
        raise UsageError(f"the {' and '.join(cores)} of {board} cannot be emulated", hint=f"choose from {known}")
    return cores[0]
