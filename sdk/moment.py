"""What Linux tells of the machine at this moment: heat, clock, memory, other processes' work, the energy meter.

Standard library alone, for Python 3.9 on: a probe sends it to boards that have nothing installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

__all__ = ["Watch", "energy_uj", "moment", "peak_rss_mib"]

_CPUS = Path("/sys/devices/system/cpu")
_TICKS = os.sysconf("SC_CLK_TCK")


def moment() -> dict[str, Any]:
    """The fields of `edgewright.rows.Moment`."""
    heats = [_number(path) for path in Path("/sys/class/thermal").glob("thermal_zone*/temp")]
    memory = _pairs("/proc/meminfo")
    swapped = _pairs("/proc/vmstat")
    return {
        "temperature_c": max((heat / 1000 for heat in heats if heat is not None), default=None),
        "clock_mhz": _clock_mhz(),
        "governor": _text(_CPUS / "cpu0/cpufreq/scaling_governor") or None,
        "load": float((_text(Path("/proc/loadavg")) or "0").split()[0]),
        "free_ram_mib": memory.get("MemAvailable", 0) / 1024 or None,
        "swapped_pages": swapped.get("pswpin", 0) + swapped.get("pswpout", 0),
        "throttled": _throttled(),
    }


class Watch:
    """The part of the machine's time that others take, from now on."""

    def __init__(self) -> None:
        self._busy, self._own, self._begin = _busy_s(), time.process_time(), time.monotonic()

    def others(self) -> float:
        """0 for a machine that is ours alone, 1 for one whose every core others keep busy."""
        elapsed = time.monotonic() - self._begin
        busy = _busy_s() - self._busy - (time.process_time() - self._own)
        return max(0.0, busy / elapsed / (os.cpu_count() or 1))


def energy_uj() -> int | None:
    """The processor's own meter (RAPL, in the kernel's powercap), in microjoules, where it can be read."""
    found = [_number(path) for path in Path("/sys/class/powercap").glob("intel-rapl:?/energy_uj")]
    read = [int(value) for value in found if value is not None]
    return sum(read) if read else None


def peak_rss_mib() -> float:
    """The high-water mark of this process's resident memory; a parent's own does not count (proc(5), VmHWM)."""
    return _pairs("/proc/self/status")["VmHWM"] / 1024


def _busy_s() -> float:
    """Seconds that all cores together worked since the start, or that a hypervisor kept them from working."""
    words = (_text(Path("/proc/stat")) or "cpu 0 0 0 0 0 0 0 0").splitlines()[0].split()[1:9]
    user, nice, system, _, _, irq, softirq, steal = map(int, words)
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _clock_mhz() -> float | None:
    """The fastest core's clock."""
    found = [_number(path) for path in _CPUS.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")]
    said = [value / 1000 for value in found if value is not None]
    return max(said, default=None) or max(_cpuinfo_mhz(), default=None)


def _cpuinfo_mhz() -> list[float]:
    lines = (_text(Path("/proc/cpuinfo")) or "").splitlines()
    return [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]


def _throttled() -> int | None:
    """The Raspberry Pi's firmware on heat and voltage."""
    if not shutil.which("vcgencmd"):
        return None
    done = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, check=False, timeout=5)
    word = done.stdout.strip().rpartition("=")[2]
    return int(word, 16) if word.startswith("0x") else None


def _pairs(path: str) -> dict[str, int]:
    """Lines such as `MemAvailable:  123 kB` or `pswpin 0`."""
    lines = [line.replace(":", " ").split() for line in (_text(Path(path)) or "").splitlines()]
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdigit()}


def _number(path: Path) -> float | None:
    text = _text(path)
    return float(text) if text and text.lstrip("-").isdigit() else None


def _text(path: Path) -> str | None:
    """What a file of the kernel's says, None where it is not there or not for us."""
    try:
        return path.read_text().strip()
    except OSError:
        return None
