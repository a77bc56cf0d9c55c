"""A real ssh server on the loopback, with a key of its own, and the user's side of it in a directory of the test."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from debian import need, unpacked

from edgewright.devices._emulation.boards import CPUS


def program(name):
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text().split()


class Server:
    """A server for this user, and a `ssh` for PATH that reads this directory's configuration alone."""

    def __init__(self, home):
        self.home, self.port, self.user = home, free_port(), getpass.getuser()
        self.url = f"ssh://{self.user}@127.0.0.1:{self.port}"
        self.process = None
        key(home / "key")
        (home / "authorized_keys").write_text((home / "key.pub").read_text())
        self.known_hosts, self.config = home / "known_hosts", home / "config"
        lines = (f"IdentityFile {home}/key", "IdentitiesOnly yes", f"UserKnownHostsFile {self.known_hosts}")
        self.config.write_text("\n".join(("Host *", *lines, "GlobalKnownHostsFile none", "")))
        (home / "bin").mkdir()
        ssh = home / "bin" / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec {program("ssh")} -F {self.config} "$@"\n')
        ssh.chmod(0o755)
        self.path = f"{ssh.parent}:{os.environ['PATH']}"
        self.seen = home / "environment"
        self.seen.mkdir()

    def start(self):
        for _ in range(3):  # another process may have taken the port
            self.process = subprocess.Popen(
                self.argv(), stdout=subprocess.DEVNULL, stderr=(self.home / "log").open("ab")
            )
            if self._listens():
                return self
            self.stop()
        pytest.fail(f"the server did not start: {(self.home / 'log').read_text()[-500:]}")

    slow_start_s = 30.0

    def _listens(self):
        until = time.monotonic() + self.slow_start_s
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.05)
        return False

    def know(self):
        """Put the server's key into known_hosts."""
        kind, data, *_ = self.key
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {data}\n")

    def sessions(self):
        """Everything that runs for connections now: `{pid: name}`."""
        parents, names = {}, {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
                parents[int(folder.name)], names[int(folder.name)] = int(rest.split()[1]), name
        mine, size = {self.process.pid}, 0
        while len(mine) > size:
            size = len(mine)
            mine |= {pid for pid, parent in parents.items() if parent in mine}
        return {pid: names[pid] for pid in mine - {self.process.pid}}

    def kill(self, *, connections):
        """End every connection, or else every command that runs on one, by signal 9."""
        for pid, name in self.sessions().items():
            if name.startswith(self.name) is connections:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def once_it_runs(self, name, act):
        """A thread, begun, that acts as soon as a command of that name runs for a connection."""

        def wait():
            until = time.monotonic() + self.slow_command_s
            while name not in self.sessions().values() and time.monotonic() < until:
                time.sleep(0.02)
            act()

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    slow_command_s = 60.0

    def stop(self):
        self.kill(connections=True)
        self.process.kill()
        self.process.wait()


class Sshd(Server):
    """OpenSSH's."""

    name, package = "sshd", "openssh-server"

    def __init__(self, home):
        super().__init__(home)
        self.key = key(home / "host_key")
        (home / "login").mkdir()  # logins read no shell set-up of this user: some take locks, and tests kill them
        kept = [f"{name}={os.environ[name]}" for name in ("PYTHONPATH", "HF_HUB_OFFLINE") if name in os.environ]
        kept.append(f"HOME={home}/login")
        self.lines = [
            *(f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {home}/host_key", "PidFile none"),
            *(f"AuthorizedKeysFile {home}/authorized_keys", "StrictModes no", "UsePAM no", "PermitRootLogin yes"),
            *("PasswordAuthentication no", "KbdInteractiveAuthentication no", "MaxStartups 100", "PrintMotd no"),
            f"SetEnv {' '.join(kept)}",
        ]
        self.know()

    def argv(self):
        (self.home / "sshd_config").write_text("\n".join((*self.lines, "")))
        return [program("sshd"), "-D", "-e", "-f", str(self.home / "sshd_config")]


class EmulatedSshd(Sshd):
    """OpenSSH's, as an aarch64 program in an aarch64 user-land, `home/root`: its logins see nothing else."""

    cpu = "cortex-a72"
    slow_start_s = 60.0

    def __init__(self, home):
        packages = ("openssh-server", "dash", "coreutils", "python3-minimal", "libpython3.11-stdlib", "libstdc++6")
        made = unpacked("bookworm", *packages, architecture="arm64")
        self.qemu = unpacked("bookworm", "qemu-user-static") / "usr/bin/qemu-aarch64-static"
        super().__init__(home)
        root = home / "root"
        if subprocess.run(
            ["cp", "-al", made, root], check=False, capture_output=True
        ).returncode:  # another file system
            shutil.rmtree(root, ignore_errors=True)
            subprocess.run(["cp", "-a", made, root], check=True)
        for name, text in {
            "etc/passwd": "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n",
            "etc/group": "root:x:0:\nnogroup:x:65534:\n",
            "etc/ssh/key": (home / "host_key").read_text(),
            "etc/ssh/authorized_keys": (home / "authorized_keys").read_text(),
            "etc/ssh/sshd_config": "\n".join(self._lines()),
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).unlink(missing_ok=True)
            (root / name).write_text(text)
        (root / "etc/ssh/key").chmod(0o600)
        for name in ("run/sshd", "root", "proc", "dev", "tmp"):
            (root / name).mkdir(mode=0o755, parents=True, exist_ok=True)
        if not (root / "bin/sh").exists():
            (root / "bin/sh").symlink_to("dash")
        (home / "cpuinfo").write_text(CPUS[self.cpu].cpuinfo(self.cpu, os.cpu_count() or 1))

    def _lines(self):
        lines = [line for line in self.lines if not line.startswith(("Port", "HostKey", "Authorized", "SetEnv"))]
        keys = ("HostKey /etc/ssh/key", "AuthorizedKeysFile /etc/ssh/authorized_keys")
        return [*lines, f"Port {self.port}", *keys, f"SetEnv QEMU_CPU={self.cpu}", ""]

    def argv(self):
        world = [sys.executable, str(Path(__file__).with_name("emulated_world.py"))]
        place = [str(self.home / "root"), str(self.qemu), self.cpu, str(self.home / "cpuinfo")]
        return [*world, *place, "/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config"]


class Dropbear(Server):
    """Dropbear's, the small one of routers and minimal boards; it sees `home/login` where this user's home is."""

    name, package = "dropbear", "dropbear-bin"

    def __init__(self, home):
        super().__init__(home)
        done = subprocess.run(
            [program("dropbearkey"), "-t", "ed25519", "-f", str(home / "host_key")], check=True, capture_output=True
        )
        self.key = next(line.split() for line in done.stdout.decode().splitlines() if line.startswith("ssh-"))
        (home / "login" / ".ssh").mkdir(mode=0o700, parents=True)
        (home / "login" / ".ssh" / "authorized_keys").write_text((home / "authorized_keys").read_text())
        self.know()

    def argv(self):
        """It reads the keys in the user's home alone: another one is laid over it, for this process."""
        over = 'mount --bind "$0" "$1" && shift && exec "$@"'
        words = ["-F", "-E", "-s", "-r", str(self.home / "host_key"), "-p", f"127.0.0.1:{self.port}", "-P", ""]
        home = str(Path(f"~{self.user}").expanduser())
        return ["unshare", "--mount", "sh", "-c", over, f"{self.home}/login", home, program("dropbear"), *words]


def serve(kind, home):
    """A server that listens; skips where it, or the user's right to it, is missing."""
    for name, package in ((kind.name, kind.package), ("ssh", "openssh-client")):
        if program(name) is None:
            need(name, package)
    if kind is Dropbear and subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("dropbear reads the keys in the user's home, and no other can be laid over it: run this as root")
    if kind is EmulatedSshd:
        _need_formats()
    if kind is Sshd and os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return kind(home).start()


def _need_formats():
    """Skip where this user cannot tell a namespace of its own what aarch64 programs are."""
    tell = "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && test -w /proc/sys/fs/binfmt_misc/register"
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", tell]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if os.getuid() != 0 or done.returncode:
        why = done.stderr.strip() or "it needs root"
        pytest.skip(f"no user-land of another architecture can be started here: {why}; Linux 6.7 or newer, as root")
