"""What a container, a service or taskset leaves of a machine, as the kernel's files tell it, and as it is here."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from measured import STEADY, samples

from edgewright.errors import UsageError
from edgewright.measure.grading import grade
from edgewright.measure.rows import MachineState
from edgewright.statistics.latency import summarize
from edgewright.system import limits as module
from edgewright.system.limits import Limits, allowed, check_threads
from edgewright.system.machine import machine
from edgewright.system.vitals import Watch, busy_s


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A kernel's files, for a process that may run on eight cores."""

    def make(files):
        for path, text in files.items():
            place = tmp_path / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return Limits(str(tmp_path))

    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: set(range(8)))
    return make


def test_nothing_is_said_and_nothing_is_limited(kernel):
    found = kernel({})
    assert (found.cores, found.threads, found.memory_bytes, found.throttled) == (8.0, 8, None, None)


def test_the_second_version_of_groups(kernel):
    group = "sys/fs/cgroup/system.slice/model.service"
    found = kernel(
        {
            "proc/self/cgroup": "0::/system.slice/model.service\n",
            f"{group}/cpu.max": "150000 100000\n",
            f"{group}/cpu.stat": "usage_usec 5\nnr_periods 200\nnr_throttled 119\nthrottled_usec 7\n",
            f"{group}/memory.max": "max\n",
            "sys/fs/cgroup/system.slice/memory.max": f"{300 * 2**20}\n",
            "sys/fs/cgroup/system.slice/memory.current": f"{100 * 2**20}\n",
        }
    )
    assert (found.cores, found.threads, found.throttled) == (1.5, 1, 119)
    assert (found.memory_bytes, found.memory_used_bytes) == (300 * 2**20, 100 * 2**20)


def test_the_first_version_of_groups_in_a_container(kernel):
    found = kernel(
        {
            "proc/self/cgroup": "4:memory:/docker/1f0c\n2:cpu,cpuacct:/docker/1f0c\n0::/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1048576\n",
        }
    )
    assert (found.cores, found.memory_bytes, found.memory_used_bytes) == (3.0, 2**29, 2**20)


@pytest.mark.parametrize("text", ["-1\n", "max 100000\n", "", "0 0\n", "x y\n", "\udcff\n"])
def test_no_quota_is_no_limit(kernel, text):
    words = {"cpu.cfs_quota_us": text, "cpu.cfs_period_us": "100000\n"} if text == "-1\n" else {"cpu.max": text}
    files = {f"sys/fs/cgroup/{name}": line.encode("utf-8", "replace").decode() for name, line in words.items()}
    assert kernel({"proc/self/cgroup": "0::/\n", **files}).cores == 8.0


def test_no_limit_of_the_first_version_is_a_large_number(kernel):
    files = {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}
    assert kernel({"proc/self/cgroup": "4:memory:/\n", **files}).memory_bytes is None


ON_ONE = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"


def on_one_core(code):
    return subprocess.run([sys.executable, "-c", ON_ONE + code], capture_output=True, check=False, text=True)


def test_two_threads_on_one_core_are_refused():
    code = "from edgewright.system.limits import check_threads; check_threads(1); check_threads(2)"
    said = on_one_core(code).stderr
    assert "UsageError: 2 threads were asked, this process may use 1 core; give 1" in said


def test_the_machine_is_what_this_process_may_use():
    assert on_one_core("from edgewright.system.machine import machine; print(machine()['cores'])").stdout == "1\n"
    assert machine()["cores"] == allowed().threads


def test_no_core_is_asked_for_by_nobody():
    with pytest.raises(UsageError, match="0 threads were asked"):
        check_threads(0)


@pytest.mark.slow
def test_the_cores_of_others_are_none_of_ours():
    code = (
        "import subprocess, sys, time\nfrom edgewright.system.vitals import Watch\n"
        "busy = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
        "time.sleep(0.3); watch = Watch(); time.sleep(1.5)\nprint(watch.others()); busy.kill(); busy.wait()"
    )
    assert float(on_one_core(code).stdout) > 0.5


def test_each_core_has_its_own_seconds():
    together = sum(busy_s(core=core) for core in range(os.cpu_count()))
    assert together == pytest.approx(busy_s(), rel=0.05)
    assert busy_s(core=10_000) == 0.0


@pytest.fixture
def group():
    """A control group of our own that may keep a fifth of a core busy."""
    top = Path("/sys/fs/cgroup")
    place = (top / "cpu" if (top / "cpu").is_dir() else top) / f"edgewright-test-{os.getpid()}"
    try:
        place.mkdir()
        if (place / "cpu.cfs_quota_us").exists():
            (place / "cpu.cfs_quota_us").write_text("20000")
        else:
            (place / "cpu.max").write_text("20000 100000")
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield place
    for _ in range(100):
        try:
            place.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return


@pytest.mark.slow
def test_a_quota_of_the_kernel_that_runs_this_is_seen(group):
    code = (
        "import os, sys, time\nfrom pathlib import Path\n"
        "Path(sys.argv[1], 'cgroup.procs').write_text(str(os.getpid()))\n"
        "from edgewright.system.limits import allowed\nfrom edgewright.system.vitals import machine_state\n"
        "before, end = machine_state(), time.monotonic() + 1\n"
        "while time.monotonic() < end: pass\n"
        "print(allowed().cores, allowed().threads, machine_state()['stopped_periods'] - before['stopped_periods'])"
    )
    done = subprocess.run([sys.executable, "-c", code, group], capture_output=True, check=False, text=True)
    cores, threads, stopped = done.stdout.split() or pytest.fail(done.stderr)
    assert (float(cores), threads) == (0.2, "1")
    assert int(stopped) >= 5


def test_a_row_of_a_process_that_was_stopped_is_void():
    runs = samples(1.0)
    moments = [{"before": MachineState(stopped_periods=3), "after": MachineState(stopped_periods=122)}]
    mark, reasons = grade(runs, summarize([one for run in runs for one in run]), moments, [0.0])
    assert (mark, reasons) == ("void", ("a quota of the control group stopped the process in 119 periods (cpu.stat)",))
    assert grade(runs, summarize([one for run in runs for one in run]), [STEADY], [0.0])[0] == "A"


def test_watching_takes_no_core_that_is_not_there():
    assert 0.0 <= Watch().others() < 1e9
