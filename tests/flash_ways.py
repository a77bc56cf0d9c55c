"""The ways of `flash_world.py`: this machine, a real sshd, a real adbd; and bundles in three versions."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from adb_world import ADBD
from debian import need, unpacked
from flash_world import Way
from loopback import Sshd, serve

from edgewright.bundle import manifest

TESTS = Path(__file__).parent


def three(bundle, out):
    """A bundle as the versions 1, 2 and 3, by their numbers."""
    found = {number: out / f"version-{number}" for number in (1, 2, 3)}
    for number, place in found.items():
        shutil.copytree(bundle, place)
        tree = json.loads((place / "manifest.json").read_text())
        record = manifest.decode(json.dumps({**tree, "version": number}).encode(), manifest.Manifest, "manifest.json")
        (place / "manifest.json").write_bytes(manifest.encode(record))
    return found


@contextmanager
def on_this_machine(folder):
    """`local`."""
    (folder / "local").mkdir()
    yield Way("local", "local")


@contextmanager
def of_ssh(folder):
    """OpenSSH's server on the loopback; what is named sshd is a connection."""
    home = folder / "ssh"
    home.mkdir()
    server = serve(Sshd, home)
    try:
        yield Way("ssh", server.url, {"PATH": server.path}, server.process.pid, ("sshd",))
    finally:
        server.stop()


@contextmanager
def of_adb(folder):
    """Debian's adbd in a network of its own."""
    home = folder / "adb"
    home.mkdir()
    world = start_adb(home)
    try:
        socket = {"ADB_SERVER_SOCKET": f"localfilesystem:{home}/socket"}
        yield Way("adb", f"adb://127.0.0.1:{ADBD}", socket, world.pid, ("adb", "ld-linux"))
    finally:
        os.killpg(world.pid, signal.SIGKILL)
        world.wait()


def adbd_argv():
    """The command line of Debian 13's adbd, which runs on any Debian by its own loader."""
    need("adb", "adb")
    root = unpacked("trixie", "adbd")
    (loader,) = [path for path in root.glob("usr/lib*/ld-linux-*") if path.is_file()]
    libraries = [str(path) for path in (*root.glob("usr/lib/*-linux-gnu"), *root.glob("usr/lib/*-linux-gnu/android"))]
    program = root / "usr/lib/android-sdk/platform-tools/adbd"
    return [str(loader), "--library-path", ":".join(libraries), str(program)]


def start_adb(home):
    """A running adbd and adb server, see `adb_world.py`."""
    argv = ["unshare", "--net", sys.executable, str(TESTS / "adb_world.py"), str(home), *adbd_argv()]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    began = home / "adbd.log"
    while not ((home / "socket").exists() and began.exists() and "adbd started" in began.read_text()):
        if process.poll() is not None:
            raise RuntimeError((home / "log").read_text())
        time.sleep(0.05)
    return process
