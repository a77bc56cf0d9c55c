"""The demo model as a service of a real systemd: flashed, upgraded, killed, hung, broken, removed."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import only, second
from debian import need

from edgewright.boards.flash import flash, rollback, status, uninstall
from edgewright.bundle.signing import sign
from edgewright.contracts.board_commands import Checks
from edgewright.devices._onboard.unit import Unit
from edgewright.devices.local import Local
from edgewright.errors import BundleError, DeviceError

ROOT, SOCKET = "/srv/board", "/run/edgewright/socket"
QUICK = (sys.executable, "-m", "edgewright", "verify", "{bundle}", "--json", "--quiet", "--quick")
CHECKS = Checks.programs((), QUICK, QUICK)
WORLD = Path(__file__).parents[1] / "systemd_world.py"


def _is(path, inside):
    """Whether a process is the server that has the number `inside` in its own namespace."""
    try:
        numbers = re.search(r"^NSpid:(.*)$", path.read_text(), re.MULTILINE)[1].split()
        return len(numbers) > 1 and numbers[-1] == inside and "edgewright" in (path.parent / "cmdline").read_text()
    except OSError:
        return False


class World(Local):
    """The way into the namespaces of a systemd."""

    def __init__(self, pid):
        self.enter = ["nsenter", "--target", str(pid), "--mount", "--pid", "--cgroup", "--"]

    def _run(self, argv, *, timeout_s, stdin):
        return super()._run([*self.enter, *argv], timeout_s=timeout_s, stdin=stdin)

    def _push(self, here, there):
        self.tell("cp", here, there)

    def tell(self, *argv, check=True):
        done = subprocess.run([*self.enter, *map(str, argv)], capture_output=True, text=True, check=False, timeout=120)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def main_pid(self):
        """The server's number outside of the namespaces."""
        inside = self.tell("systemctl", "show", "--property=MainPID", "--value", "edgewright").strip()
        (found,) = [path for path in Path("/proc").glob("[0-9]*/status") if _is(path, inside)]
        return int(found.parent.name)

    def health(self):
        return json.loads(self.tell(sys.executable, "-m", "edgewright", "ask", SOCKET, "--health"))

    def healthy_again(self, timeout_s=60.0):
        """The health of the service, as soon as it has one."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            with contextlib.suppress(AssertionError):
                return self.health()
            time.sleep(0.1)
        raise AssertionError(self.tell("systemctl", "status", "edgewright", check=False))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    need("systemctl", "systemd")
    folder = tmp_path_factory.mktemp("world")
    (folder / "srv").mkdir()
    spaces = ["--mount", "--pid", "--cgroup", "--fork", "--mount-proc", "--kill-child"]
    argv = ["unshare", *spaces, sys.executable, WORLD, folder]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*map(str, argv)], stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 30
    while True:
        inner = subprocess.run(
            ["pgrep", "--parent", str(process.pid)], capture_output=True, text=True, check=False
        ).stdout
        found = World(inner.strip()) if inner.strip() else None
        state = found.tell("systemctl", "is-system-running", check=False).strip() if found else ""
        if state == "running":
            break
        if process.poll() is not None or time.monotonic() > until:
            pytest.skip(f"no systemd starts in namespaces here: {state} {(folder / 'log').read_text().strip()[-200:]}")
        time.sleep(0.1)
    yield found
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def bundles(demo_bundle, tmp_path_factory):
    """The demo bundle at int8, as version 0 and as version 2."""
    root = tmp_path_factory.mktemp("versions")
    first = only(demo_bundle, root / "0", "int8")
    return {0: first, 2: second(first, root / "2")}


@pytest.fixture
def served(world, bundles):
    """The first release as a service."""
    done = flash(bundles[0], world, root=ROOT, service=True, checks=CHECKS)
    assert done.socket == SOCKET
    yield done
    uninstall(world, root=ROOT)


def test_a_service_from_first_to_last(world, served, bundles):
    assert world.health()["release"] == served.release
    assert flash(bundles[2], world, root=ROOT, checks=CHECKS).socket == SOCKET
    assert (world.health()["version"], status(world, root=ROOT).service.state) == (2, "active")
    os.kill(world.main_pid(), signal.SIGKILL)
    assert world.healthy_again()["answered"] == 0
    rollback(world, root=ROOT, checks=CHECKS)
    assert world.health()["release"] == served.release
    assert flash(bundles[0], world, root=ROOT, service=False, checks=CHECKS).socket == ""
    assert "not-found" in world.tell("systemctl", "show", "--property=LoadState", "edgewright")
    assert status(world, root=ROOT).service is None
    assert flash(bundles[0], world, root=ROOT, service=True, checks=CHECKS).socket == SOCKET
    assert world.health()["version"] == 0


def test_a_release_that_does_not_come_up_is_taken_back(world, bundles):
    """Its checks pass, and its server does not start: the Python of this service refuses version 2."""
    refuses = (
        f'#!/bin/sh\ncase "$*" in *serve*) grep -q \'"version": 2\' {ROOT}/current/manifest.json && exit 9;; esac\n'
    )
    world.tell(
        "sh", "-c", f"cat > /srv/python << 'END'\n{refuses}exec {sys.executable} \"$@\"\nEND\nchmod 755 /srv/python"
    )
    first = flash(bundles[0], world, root=ROOT, service=True, python="/srv/python", checks=CHECKS)
    with pytest.raises(DeviceError, match=r"systemd did not restart the service: Job for edgewright.service failed"):
        flash(bundles[2], world, root=ROOT, python="/srv/python", checks=CHECKS)
    assert world.health()["release"] == first.release
    assert status(world, root=ROOT).active == first.release
    with pytest.raises(DeviceError, match=rf"edgewright.service serves {ROOT}; remove it first"):
        flash(bundles[2], world, root="/srv/other", service=True, checks=CHECKS)
    assert uninstall(world, root=ROOT) == (first.release,)
    assert not world.tell("ls", "/srv/board", "/srv/other", check=False)


@pytest.mark.heavy
def test_a_release_of_a_revoked_key_is_not_started(world, served, bundles, tmp_path):
    """The owner's word is asked at each start: by the server, inside of what systemd lets it see."""
    keygen = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key"))
    subprocess.run(keygen, check=True)
    public, upgrade = (tmp_path / "key.pub").read_text(), shutil.copytree(bundles[2], tmp_path / "signed")
    world.tell("sh", "-c", f"mkdir -p {ROOT}/keys && echo 'owner@example.org {public}' > {ROOT}/keys/allowed_signers")
    with pytest.raises(BundleError, match="the bundle is not signed, and a signature is required"):
        flash(bundles[0], world, root=ROOT, service=True, checks=CHECKS)
    sign(upgrade, tmp_path / "key")
    done = flash(upgrade, world, root=ROOT, checks=CHECKS)
    assert (done.signer, world.health()["release"]) == ("owner@example.org", done.release)
    world.tell("systemctl", "restart", "edgewright")
    assert world.healthy_again()["release"] == done.release
    world.tell("sh", "-c", f"echo '{public}' > {ROOT}/keys/revoked")
    assert world.healthy_again()["release"] == done.release, "what runs goes on"
    world.tell("systemctl", "restart", "edgewright", check=False)
    assert world.tell("systemctl", "is-active", "edgewright", check=False).strip() != "active"
    world.tell("sh", "-c", f"rm -r {ROOT}/keys")
    world.tell("systemctl", "restart", "edgewright")
    assert world.healthy_again()["release"] == done.release
    assert served.release != done.release


def test_a_crash_loop_is_given_up(world, served):
    """Five starts in five minutes, and no sixth."""
    for starts in range(5):
        assert world.healthy_again()["release"] == served.release, starts
        os.kill(world.main_pid(), signal.SIGKILL)
    until = time.monotonic() + 60
    while world.tell("systemctl", "is-active", "edgewright", check=False).strip() != "failed":
        assert time.monotonic() < until, world.tell("systemctl", "status", "edgewright", check=False)
        time.sleep(0.1)
    with pytest.raises(AssertionError, match=r"Job for edgewright\.service failed"):
        world.tell("systemctl", "start", "edgewright")
    restarts = world.tell("systemctl", "show", "--property=NRestarts", "--value", "edgewright")
    assert 0 < int(restarts) <= 5
    assert status(world, root=ROOT).service.state == "failed"
    world.tell("systemctl", "reset-failed", "edgewright")


def test_no_systemd_is_said_before_anything_changes(bundles, tmp_path):
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd runs here")
    with pytest.raises(
        DeviceError, match="the board can run no service: systemd does not run there; leave out --service"
    ):
        flash(bundles[0], Local(), root=str(tmp_path / "board"), service=True)
    assert not (tmp_path / "board").exists()


@pytest.mark.parametrize("kind", ["root", "dynamic", "gpu", "user"])
def test_systemd_analyze_finds_nothing_and_little_exposure(tmp_path, kind):
    need("systemd-analyze", "systemd")
    argv = (sys.executable, "-m", "edgewright", "serve", '/opt/a "b" 100%/$HOME/current', "--socket", SOCKET)
    more = {kind: True} if kind != "root" else {}
    unit = Unit('/opt/a "b" 100%/$HOME', argv, "000001-0123456789ab", 2**28, **more)
    file = tmp_path / "edgewright.service"
    file.write_text(str(unit))
    assert Unit.read(str(unit)).argv == argv
    words = ["--user"] if kind == "user" else []
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        ["systemd-analyze", *words, "verify", file], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    argv = ["systemd-analyze", *words, "security", "--offline=true", "--threshold=30", file]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout
    print(kind, done.stdout.strip().splitlines()[-1])
