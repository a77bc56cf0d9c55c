"""The demo model on boards that are tight: 512 MiB of memory, a root that is read-only, disks that refuse."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import edgewright, second
from debian import need

TEXT = "a charming and often affecting journey"
LIMIT_MIB = 512
"""What a Raspberry Pi Zero 2 W has."""


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def board(python, root):
    """A model is flashed, runs and is served, all by one Python; what it answers at the socket."""
    there = ("local", "--root", root, "--python", python, "-q")
    flashed = json.loads(edgewright("flash", root.parent / "bundle", *there, "--json"))
    assert {row["golden"] for row in flashed["rows"]} == {"7 of 7"}

    def on_board(*words):
        argv = [str(python), "-m", "edgewright", *map(str, words)]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout

    assert json.loads(on_board("run", root / "current", TEXT))["answer"][0]["label"] == "positive"
    socket = root.parent / "run" / "socket"
    socket.parent.mkdir(mode=0o700)
    argv = [str(python), "-m", "edgewright", "serve", str(root / "current"), "--socket", str(socket)]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        answer = asked(socket, server)
    finally:
        server.terminate()
    assert (server.wait(30), server.stderr.read()) == (0, "")
    status = json.loads(edgewright("status", *there, "--json"))
    assert [(row["role"], row["problem"]) for row in status["rows"]] == [("active", None)]
    return answer[0]["label"]


def asked(socket, server):
    """The answer to the text, as soon as the model is open."""
    until = time.monotonic() + 60
    while True:
        argv = [sys.executable, "-m", "edgewright", "ask", str(socket), TEXT, "--json"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return json.loads(done.stdout)["rows"][0]["answer"]
        assert server.poll() is None, server.stderr.read()
        assert time.monotonic() < until, done.stderr


@pytest.fixture
def bundle(demo_bundle, tmp_path):
    (tmp_path / "bundle").symlink_to(demo_bundle, target_is_directory=True)
    return tmp_path


class Group:
    """A control group of this kernel with a limit of memory, of the first version or the second."""

    def __init__(self, limit_bytes):
        first = Path("/sys/fs/cgroup/memory")
        self.old = (first / "memory.limit_in_bytes").exists()
        self.place = (first if self.old else Path("/sys/fs/cgroup")) / f"edgewright-{os.getpid()}"
        self.place.mkdir()
        (self.place / ("memory.limit_in_bytes" if self.old else "memory.max")).write_text(str(limit_bytes))

    @property
    def enter(self):
        return f"echo $$ > {self.place}/cgroup.procs"

    def peak_mib(self):
        return int((self.place / ("memory.max_usage_in_bytes" if self.old else "memory.peak")).read_text()) / 2**20

    def killed(self):
        name = "memory.oom_control" if self.old else "memory.events"
        words = (self.place / name).read_text().split()
        return int(words[words.index("oom_kill") + 1])


@pytest.fixture
def group():
    try:
        found = Group(LIMIT_MIB * 2**20)
    except OSError as error:
        pytest.skip(f"no control group with a limit of memory can be made here: {error}")
    yield found
    found.place.rmdir()


def test_a_board_of_512_mib(bundle, group, capfd):
    """All that runs there, and what the kernel keeps of files for it, within the limit of a control group."""
    python = script(bundle / "python", f'{group.enter}\nexec {sys.executable} "$@"')
    assert board(python, bundle / "board") == "positive"
    assert group.killed() == 0
    with capfd.disabled():
        print(f"\n{group.peak_mib():.0f} of {LIMIT_MIB} MiB at most", end="")
    assert 20 < group.peak_mib() <= LIMIT_MIB


def test_a_root_that_is_read_only(bundle):
    """No place can be written but the store, the socket's directory and memory: no temporary one, no home, no cache."""
    (bundle / "board").mkdir(mode=0o755)
    lines = [
        "set -e",
        *(f"test ! -d {place} || mount --bind {place} {place}" for place in (bundle / "board", bundle / "run")),
        "mount -o remount,bind,ro /",
        f"! touch /tmp/planted 2>/dev/null && ! touch $HOME/planted {bundle}/planted 2>/dev/null",
        f'exec {sys.executable} "$@"',
    ]
    inner = script(bundle / "inside", "\n".join(lines))
    python = script(bundle / "python", f'exec unshare --mount {inner} "$@"')
    done = subprocess.run([python, "-c", "print(1)"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no root can be made read-only here: {done.stderr.strip()[-200:]}")
    assert board(python, bundle / "board") == "positive"


@pytest.fixture
def mounted(tmp_path):
    """A file system of a kind that a test asks for."""
    made = []

    def mount(name, options):
        place = tmp_path / name
        place.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount a file system: {done.stderr.strip()}")
        made.append(place)
        return place

    yield mount
    for place in made:
        subprocess.run(["umount", str(place)], check=True)


def test_a_store_from_which_nothing_may_execute_holds_a_model_all_the_same(bundle, mounted):
    """A model is read, not executed; what is executed is elsewhere."""
    place = mounted("noexec", "noexec,size=64m")
    (place / "bundle").symlink_to(bundle / "bundle")
    assert board(sys.executable, place / "board") == "positive"


def test_an_environment_where_nothing_may_execute_is_not_used(bundle, mounted):
    """What is installed is tried before it is used: a Python without edgewright gets wheels that it may not start."""
    root = mounted("noexec", "noexec,size=600m") / "board"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bundle / "bare")], check=True)
    there = ("local", "--root", root, "--python", bundle / "bare/bin/python", "-q")
    line = edgewright("flash", bundle / "bundle", *there, "--install", check=5)
    assert "Permission denied" in line, line
    assert json.loads(edgewright("status", *there, "--json"))["active"] == ""
    assert not (root / "env/bin/python").exists()


def test_inodes_that_run_out_are_said_and_what_was_stays(bundle, mounted):
    """A real file system counts them: none is left for a release when it is sent, nor in the middle."""
    place = mounted("inodes", "nr_inodes=120,size=64m")
    root = place / "board"
    there = ("local", "--root", root, "--python", sys.executable, "-q")
    edgewright("flash", bundle / "bundle", *there)
    before = json.loads(edgewright("status", *there, "--json"))["active"]
    made = 0
    try:
        while made < 200:
            (place / f"other{made}").touch()
            made += 1
    except OSError:
        pass
    assert 0 < made < 200
    other = bundle / "second"
    line = edgewright("flash", second(bundle / "bundle", other), *there, check=5)
    assert "inodes" in line or "No space left" in line, line
    assert json.loads(edgewright("status", *there, "--json"))["active"] == before
    for number in range(made):
        (place / f"other{number}").unlink()
    edgewright("flash", other, *there)
    assert json.loads(edgewright("status", *there, "--json"))["active"] != before


@pytest.fixture
def limited(tmp_path):
    """A store on btrfs whose quota can be set, as a real kernel counts it, and what sets it."""
    need("mkfs.btrfs", "btrfs-progs")
    image, place = tmp_path / "image", tmp_path / "btrfs"
    with image.open("wb") as file:
        file.truncate(256 * 2**20)
    place.mkdir()
    subprocess.run(["mkfs.btrfs", "-q", str(image)], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", str(image), str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"btrfs cannot be mounted here: {done.stderr.strip().splitlines()[0]}")

    def btrfs(*words):
        subprocess.run(["btrfs", *map(str, words)], check=True, capture_output=True)

    btrfs("quota", "enable", place)
    btrfs("subvolume", "create", place / "store")
    # 256 is the first subvolume's number; through its own directory a quota that is used up could not be raised
    yield place / "store", lambda most: btrfs("qgroup", "limit", most, "0/256", place)
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.heavy
def test_a_quota_that_is_used_up_is_said_and_what_was_stays(bundle, limited):
    """A real file system counts it: statvfs tells of room, and a write is refused."""
    place, limit = limited
    root, other = place / "board", bundle / "second"
    there = ("local", "--root", root, "--python", sys.executable, "-q")
    edgewright("flash", bundle / "bundle", *there)
    before = json.loads(edgewright("status", *there, "--json"))["active"]
    os.sync()
    limit(2**20)
    line = edgewright("flash", second(bundle / "bundle", other), *there, check=5)
    assert "quota" in line.lower(), line
    assert json.loads(edgewright("status", *there, "--json"))["active"] == before
    limit(2**30)
    edgewright("flash", other, *there)
    assert json.loads(edgewright("status", *there, "--json"))["active"] != before
