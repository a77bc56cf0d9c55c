"""A study in a real PostgreSQL: two processes, each in a network and a process namespace of its own; one is killed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from loopback import free_port
from search_worker import study

pytestmark = pytest.mark.slow
NETWORK = "10.231.{}.{}"
"""Of addresses that are nobody's (RFC 1918)."""


def program(name):
    places = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return shutil.which(name, path=":".join([*places, os.environ["PATH"]]))


def run(*argv):
    subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True)


class Machines:
    """Two networks that see this one by a cable each; nothing of them is left."""

    def __init__(self):
        self.names = [f"ew{os.getpid()}{at}" for at in "ab"]

    def __enter__(self):
        for at, name in enumerate(self.names):
            here, there = NETWORK.format(at, 1), NETWORK.format(at, 2)
            run("ip", "netns", "add", name)
            run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "addr", "add", f"{here}/24", "dev", name)
            run("ip", "link", "set", name, "up")
            run("ip", "-n", name, "addr", "add", f"{there}/24", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def started(self, at, port, *words):
        """The worker on a machine, which sees no process of another one."""
        url = f"postgresql+psycopg://edgewright@{NETWORK.format(at, 1)}:{port}/postgres"
        space = ["ip", "netns", "exec", self.names[at], "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        argv = [*space, sys.executable, Path(__file__).with_name("search_worker.py"), url, *words]
        return subprocess.Popen(list(map(str, argv)), stderr=subprocess.PIPE, text=True)


@pytest.fixture
def server():
    """PostgreSQL's port; it is started by an ordinary user in a directory of its own, for it refuses root."""
    pytest.importorskip("psycopg")
    if program("initdb") is None:
        pytest.skip("there is no initdb: apt install postgresql")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="edgewright-") as data:
        yield from serving(Path(data))


def serving(data):
    user = []
    if os.getuid() == 0:
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(data, 65534, 65534)
    run(*user, program("initdb"), "-D", data, "-A", "trust", "-U", "edgewright", "--no-sync")
    with (data / "pg_hba.conf").open("a") as file:
        file.write(f"host all all {NETWORK.format(0, 0)}/16 trust\n")
    port = free_port()
    given = f"-p {port} -c listen_addresses=* -c unix_socket_directories= -c fsync=off"
    control = [*user, program("pg_ctl"), "-D", data, "-w"]
    run(*control, "-l", data / "log", "-o", given, "start")
    yield port
    run(*control, "-m", "immediate", "stop")


@pytest.fixture
def machines():
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(Machines())
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespaces can be made here: {getattr(error, 'stderr', error)}; it needs root")
        yield found


def test_of_two_machines_one_is_killed_and_the_other_takes_its_trial_over(server, machines, tmp_path):
    log = tmp_path / "log"
    killed = machines.started(0, server, 12, log, 600)
    end = time.monotonic() + 120
    while not log.exists():
        assert time.monotonic() < end, killed.communicate()[1]
        time.sleep(0.1)
    interrupted = log.read_text().partition(" ")[2].strip()
    other = machines.started(1, server, 12, log, 0.02)
    while log.read_text().count("\n") < 3:  # both are at work
        assert time.monotonic() < end
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    _, words = other.communicate(timeout=120)
    assert other.returncode == 0, words
    begun = [line.partition(" ")[2] for line in log.read_text().splitlines()]
    assert begun.count(interrupted) == 2
    assert len(begun) == len(set(begun)) + 1 == 13
    trials = study(f"postgresql+psycopg://edgewright@127.0.0.1:{server}/postgres").trials()
    assert [trial.state for trial in trials] == ["complete"] * 12
    assert interrupted in [str(trial.point) for trial in trials]
