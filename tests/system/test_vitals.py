"""The state of a machine, read from the kernel's files: here by hand, and of this machine."""

import os
import time

from edgewright.measure.rows import MachineState
from edgewright.system.vitals import Here, Watch, busy_s, machine_state, peak_rss_mib

FILES = {
    "/sys/class/thermal/thermal_zone0/temp": "41000",
    "/sys/class/thermal/thermal_zone1/temp": "52500",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000",
    "/sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq": "1800000",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand",
    "/proc/meminfo": "MemTotal:  4000000 kB\nMemAvailable:  2048 kB",
    "/proc/vmstat": "pswpin 3\npswpout 4\npgfault 9",
    "/proc/loadavg": "0.25 0.1 0.1 1/100 4711",
    "/proc/stat": "cpu  100 20 30 4000 500 6 7 8 0 0\ncpu0 1 2 3",
}


class Board(Here):
    """A machine of which these files are known."""

    def text(self, path):
        return FILES.get(path)

    def names(self, folder):
        return sorted({path.removeprefix(f"{folder}/").split("/")[0] for path in FILES if path.startswith(folder)})


def test_the_hottest_zone_the_fastest_core_and_what_was_swapped():
    found = machine_state(Board())
    assert MachineState(**found) == MachineState(
        temperature_c=52.5, clock_mhz=1800.0, governor="ondemand", load=0.25, free_ram_mib=2.0, swapped_pages=7
    )
    assert busy_s(Board()) == (100 + 20 + 30 + 6 + 7 + 8) / os.sysconf("SC_CLK_TCK")


def test_a_machine_that_tells_nothing_is_none_of_it():
    class Silent(Here):
        text = staticmethod({}.get)
        names = staticmethod(lambda _: [])

    assert MachineState(**machine_state(Silent())) == MachineState(load=None, swapped_pages=0)


def test_this_machine_has_worked_and_this_process_has_memory():
    watch, busy = Watch(), busy_s()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert busy_s() >= busy + 0.1
    assert 0 <= watch.others() <= 1
    assert peak_rss_mib() > 10
