"""What kind of machine this is: its model, cores and memory, and its instruction sets.

Standard library alone, for Python 3.9 on: a probe sends it to boards that have nothing installed.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

from edgewright._version import __version__
from edgewright.errors import UsageError
from edgewright.system.limits import allowed

__all__ = ["emulator", "identity", "machine", "model", "require_clock"]

_KIN = ({"x86_64", "i386", "i486", "i586", "i686"}, {"aarch64", "armv8l", "armv7l", "armv6l", "arm"})
"""Programs that a kernel runs without an emulator."""

_CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimdhp", "asimddp", "i8mm", "sve")
"""Those that decide about int8."""

_INSTRUCTIONS = {
    "asimd": "neon",
    "asimdhp": "fp16",
    "asimddp": "dotprod",
    "sse4_2": "sse4.2",
    **{name: name for name in ("crc32", "i8mm", "bf16", "sve", "sve2", "avx", "avx2", "fma", "f16c")},
}
"""Linux's names of instruction sets, and those of `edgewright.boards.catalogue`."""

_ASK_S = 5.0
"""A choice: a property is read in milliseconds."""
_CPUS = "/sys/devices/system/cpu"


def machine() -> dict[str, Any]:
    """This machine in a few lines: versions, system, model, cores and memory that we may use, instruction sets."""
    may = allowed()
    return {
        "edgewright": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "model": model(),
        "cores": may.threads,
        "ram_mib": min(_ram_mib(), (may.memory_bytes or sys.maxsize) // 2**20),
        "cpu": ", ".join(_cpu_flags()) or "no known int8 instructions",
    }


def model() -> str:
    """The board's name as its device tree gives it, such as `Raspberry Pi 4 Model B Rev 1.4`, or the processor's."""
    board = _text("/proc/device-tree/model").rstrip("\0")
    lines = [line.partition(":") for line in _text("/proc/cpuinfo").splitlines()]
    names = [value.strip() for key, _, value in lines if key.strip() in ("model name", "Hardware")]
    return board or next(iter(names), "") or platform.machine()


def identity() -> dict[str, Any]:
    """What a board is, of what does not change while it runs; "" and none is what it does not tell."""
    words = set(_text("/proc/cpuinfo").split())
    return {
        "model": model(),
        "product": _android("ro.product.model"),
        "architecture": platform.machine(),
        "cores": _cores(),
        "instructions": [name for flag, name in _INSTRUCTIONS.items() if flag in words],
        "ram_mib": _ram_mib(),
        "os": _system(),
        "kernel": f"{platform.system()} {platform.release()}",
    }


def _cores() -> list[dict[str, Any]]:
    """The kinds of cores: on Arm by implementer and part (`0x41:0xd08`), else by name, with their numbers."""
    kinds: dict[str, list[int]] = {}
    for block in _text("/proc/cpuinfo").split("\n\n"):
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}
        if facts.get("processor", "").isdigit():
            part = f"{facts.get('CPU implementer', '')}:{facts['CPU part']}" if "CPU part" in facts else ""
            kinds.setdefault(part or facts.get("model name", ""), []).append(int(facts["processor"]))
    return [{"kind": kind, "numbers": numbers, "clock_mhz": _max_mhz(numbers[0])} for kind, numbers in kinds.items()]


def _max_mhz(core: int) -> float | None:
    text = _text(f"{_CPUS}/cpu{core}/cpufreq/cpuinfo_max_freq").strip()
    return int(text) / 1000 if text.isdigit() else None


def _system() -> str:
    """The operating system as it calls itself."""
    release = _android("ro.build.version.release")
    if release:
        return f"Android {release}"
    lines = [line.partition("=") for line in _text("/etc/os-release").splitlines()]
    return next((value.strip('"') for key, _, value in lines if key == "PRETTY_NAME"), "")


def _android(name: str) -> str:
    """A property of Android, "" elsewhere."""
    import shutil
    import subprocess

    if not shutil.which("getprop"):
        return ""

    try:
        done = subprocess.run(["getprop", name], capture_output=True, check=False, timeout=_ASK_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip()


def _ram_mib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def emulator() -> str:
    """What emulates the CPU for this process, such as qemu-aarch64; "" where the kernel says nothing of the kind.

    In a user-land that is emulated the kernel is the machine's own: it names its architecture, and the program that it
    really runs. An emulator of a whole machine, kernel and all, cannot be told by this.
    """
    try:
        program = Path("/proc/thread-self/exe").readlink().name
    except OSError:
        program = ""
    kernel, ours = _text("/proc/sys/kernel/arch").strip(), platform.machine()
    if program.startswith("qemu-"):
        return program
    strange = kernel and not any({kernel, ours} <= kin for kin in (*_KIN, {kernel}))
    return f"a {kernel} kernel that runs {ours}" if strange else ""


def require_clock() -> None:
    """Raise UsageError on an emulated machine, where a time says nothing."""
    found = emulator()
    if found:
        what = f"this machine is emulated ({found}): its times would mean nothing, and none is given"
        raise UsageError(what, hint="instructions are counted by: edgewright bench BUNDLE --device qemu://CPU")


def _cpu_flags() -> list[str]:
    words = set(_text("/proc/cpuinfo").split())
    return [flag for flag in _CPU_FLAGS if flag in words]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
