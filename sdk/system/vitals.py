"""What Linux tells of the machine at this moment: heat, clock, memory, other processes' work, the energy meter.

Standard library alone, for Python 3.9 on: a probe sends it to boards that have nothing installed.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from edgewright.system.limits import allowed

__all__ = ["Here", "Watch", "busy_s", "energy_uj", "machine_state", "peak_rss_mib"]

_CPUS = "/sys/devices/system/cpu"
_ASK_S = 5.0
"""A choice: the firmware answers in milliseconds."""
_TICKS = os.sysconf("SC_CLK_TCK")


class Here:
    """This machine's kernel; a machine elsewhere has the same methods."""

    def text(self, path: str) -> str | None:
        """What a file of the kernel's says, None where it is not there or not for us."""
        try:
            return Path(path).read_text().strip()
        except OSError:
            return None

    def names(self, folder: str) -> list[str]:
        """The names in a directory of the kernel's."""
        try:
            return os.listdir(folder)  # noqa: PTH208 - strings, as for a machine elsewhere
        except OSError:
            return []


_HERE = Here()


def machine_state(place: Here = _HERE) -> dict[str, Any]:
    """The fields of `edgewright.measure.rows.MachineState`."""
    zones = [name for name in place.names("/sys/class/thermal") if name.startswith("thermal_zone")]
    heats = [_number(place.text(f"/sys/class/thermal/{name}/temp")) for name in zones]
    memory = _pairs(place.text("/proc/meminfo"))
    swapped = _pairs(place.text("/proc/vmstat"))
    return {
        "temperature_c": max((heat / 1000 for heat in heats if heat is not None), default=None),
        "clock_mhz": _clock_mhz(place),
        "governor": place.text(f"{_CPUS}/cpu0/cpufreq/scaling_governor") or None,
        "load": _decimal((place.text("/proc/loadavg") or "").split()[:1]),
        "free_ram_mib": memory.get("MemAvailable", 0) / 1024 or None,
        "swapped_pages": swapped.get("pswpin", 0) + swapped.get("pswpout", 0),
        "throttled": _throttled() if place is _HERE else None,
        "stopped_periods": allowed().throttled if place is _HERE else None,
    }


class Watch:
    """The part of the machine's time that others take, from now on."""

    def __init__(self) -> None:
        self._cores = allowed().own_cores
        self._busy, self._own, self._begin = self._busy_s(), time.process_time(), time.monotonic()

    def others(self) -> float:
        """0 for a machine that is ours alone, 1 where others keep busy every core of those that we may use."""
        elapsed = time.monotonic() - self._begin
        busy = self._busy_s() - self._busy - (time.process_time() - self._own)
        return max(0.0, busy / elapsed / len(self._cores))

    def _busy_s(self) -> float:
        return busy_s() if len(self._cores) == os.cpu_count() else sum(busy_s(core=core) for core in self._cores)


def energy_uj() -> int | None:
    """The processor's own meter (RAPL, in the kernel's powercap), in microjoules, where it can be read."""
    paths = Path("/sys/class/powercap").glob("intel-rapl:?/energy_uj")
    found = [_number(_HERE.text(str(path))) for path in paths]
    read = [int(value) for value in found if value is not None]
    return sum(read) if read else None


def peak_rss_mib() -> float:
    """The high-water mark of this process's resident memory; a parent's own does not count (proc(5), VmHWM)."""
    said = _pairs(_HERE.text("/proc/self/status")).get("VmHWM")
    return (said or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024  # some sandboxes do not say


def busy_s(place: Here = _HERE, *, core: int | None = None) -> float:
    """Seconds that all cores together worked since the start, or that a hypervisor kept them from working; or one."""
    name = "cpu" if core is None else f"cpu{core}"
    lines = [line.split() for line in (place.text("/proc/stat") or "").splitlines()]
    words = next((line[1:9] for line in lines if line[:1] == [name] and len(line) > 8), ["0"] * 8)
    user, nice, system, _, _, irq, softirq, steal = (int(word) if word.isdecimal() else 0 for word in words)
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _clock_mhz(place: Here) -> float | None:
    """The fastest core's clock."""
    cores = [name for name in place.names(_CPUS) if name[:3] == "cpu" and name[3:].isdigit()]
    found = [_number(place.text(f"{_CPUS}/{name}/cpufreq/scaling_cur_freq")) for name in cores]
    said = [value / 1000 for value in found if value is not None]
    return max(said, default=None) or max(_cpuinfo_mhz(place), default=None)


def _cpuinfo_mhz(place: Here) -> list[float]:
    lines = (place.text("/proc/cpuinfo") or "").splitlines()
    found = [_decimal([line.partition(":")[2]]) for line in lines if line.startswith("cpu MHz")]
    return [value for value in found if value is not None]


def _throttled() -> int | None:
    """The Raspberry Pi's firmware on heat and voltage."""
    if not shutil.which("vcgencmd"):
        return None
    try:
        done = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, check=False, timeout=_ASK_S)
    except (OSError, subprocess.TimeoutExpired):  # it hangs where the firmware does
        return None
    word = done.stdout.decode(errors="replace").strip().rpartition("=")[2]
    return int(word, 16) if re.fullmatch("0x[0-9a-fA-F]{1,8}", word) else None


def _pairs(text: str | None) -> dict[str, int]:
    """Lines such as `MemAvailable:  123 kB` or `pswpin 0`."""
    lines = [line.replace(":", " ").split() for line in (text or "").splitlines()]
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdigit()}


def _decimal(words: list[str]) -> float | None:
    try:
        return float(words[0])
    except (IndexError, ValueError):
        return None


def _number(text: str | None) -> float | None:
    return float(text) if text and text.lstrip("-").isdigit() else None
