"""The way over ssh to a real server on the loopback: what comes back, what is told, what is resumed."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from loopback import Dropbear, Sshd, free_port, key, serve

from edgewright.boards.connect import connect
from edgewright.devices._ways import ssh_master
from edgewright.devices._ways.ssh_words import failure
from edgewright.devices.ssh import Ssh
from edgewright.errors import ConnectionLost, DeviceError, UsageError

pytestmark = pytest.mark.slow

HOSTILE = [
    "a b",
    "$(id)",
    "`id`",
    "'",
    '"',
    "*",
    "~",
    "-x",
    ";",
    "&&",
    "a\\b",
    "\\'",
    "#",
    "!",
    "",
    "\t",
    "ü",
    "a\nb",
    "%s",
]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    found = serve(Sshd, tmp_path_factory.mktemp("sshd"))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def dropbear(tmp_path_factory):
    found = serve(Dropbear, tmp_path_factory.mktemp("dropbear"))
    yield found
    found.stop()


@pytest.fixture(scope="module", autouse=True)
def _path(sshd):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", sshd.path)
        yield


@pytest.fixture(scope="module")
def way(sshd):
    """One that is open already."""
    found = connect(sshd.url)
    run(found, "true")
    yield found
    found.close()


@pytest.fixture
def new(sshd):
    found = connect(sshd.url)
    yield found
    found.close()


@pytest.fixture
def config(sshd):
    """The user's configuration and known hosts, put back after the test."""
    kept = sshd.config.read_text(), sshd.known_hosts.read_text()
    yield sshd.config
    sshd.config.write_text(kept[0])
    sshd.known_hosts.write_text(kept[1])


def run(way, *argv, stdin=b"", timeout_s=30.0):
    return way.run(argv, timeout_s=timeout_s, stdin=stdin)


@pytest.mark.parametrize(
    ("rest", "host", "user", "port"),
    [
        ("pi", "pi", "", 0),
        ("me@pi.local", "pi.local", "me", 0),
        ("pi:2222", "pi", "", 2222),
        ("me@[fe80::1%eth0]:22", "fe80::1%eth0", "me", 22),
        ("[fe80::1%br-lan]", "fe80::1%br-lan", "", 0),
        ("user@corp.example@host", "host", "user@corp.example", 0),
    ],
)
def test_an_address(rest, host, user, port):
    way = Ssh.at(rest)
    assert (way.host, way.user, way.port) == (host, user, port)


@pytest.mark.parametrize(
    "rest", ["me@", "@pi", "-pi", "me@-pi", "pi:", "pi:0", "pi:99999", "pi/x", "[::1", "p i", "pi\n"]
)
def test_an_address_that_cannot_be(rest):
    with pytest.raises(UsageError, match="is no address; give ssh://host, or ssh://user@host:port"):
        Ssh.at(rest)


def test_words_arrive_as_they_are(way):
    done = run(way, "printf", "%s\\0", *HOSTILE)
    assert done.stdout.decode().split("\0")[:-1] == HOSTILE


def test_output_and_input_are_bytes(way):
    data = random.Random(0).randbytes(300_000)
    done = run(way, "sh", "-c", "tee /dev/stderr", stdin=data)
    assert (done.exit_code, done.stdout, done.stderr) == (0, data, data)


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_the_commands_exit_code_is_its_own(way, code):
    assert run(way, "sh", "-c", f"exit {code}").exit_code == code


def test_a_signal_is_told_as_a_shell_does(way):
    assert run(way, "sh", "-c", "kill -9 $$").exit_code == 137
    done = run(way, "no-such-program")
    assert (done.exit_code, b"not found" in done.stderr) == (127, True)


def test_one_connection_serves_all_and_ends(way, sshd):
    for _ in range(3):
        run(way, "true")
    folder = way._master.folder
    assert (folder.stat().st_mode & 0o777, len(folder.as_posix()) < 80) == (0o700, True)
    log = (sshd.home / "log").read_text()
    way.close()
    assert not folder.exists()
    assert run(way, "echo", "again").stdout == b"again\n"
    assert (sshd.home / "log").read_text().count("Accepted publickey") == log.count("Accepted publickey") + 1


def test_the_connection_ends_with_a_process_that_is_killed(sshd):
    code = f"from edgewright.boards.connect import connect; w = connect({sshd.url!r}); w.run(['true'], timeout_s=30)\n"
    code += "print(w._master._child.pid, w._master.folder, flush=True); import time; time.sleep(60)"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PATH": sshd.path}
    )
    pid, folder = child.stdout.readline().decode().split()
    child.kill()
    child.wait()
    for _ in range(100):
        if not os.path.exists(f"{folder}/way"):  # noqa: PTH110
            break
        time.sleep(0.05)
    assert not os.path.exists(f"{folder}/way"), pid  # noqa: PTH110
    shutil.rmtree(folder)


def test_a_connection_of_the_users_own_is_used(new, config, sshd):
    with config.open("a") as file:
        file.write(f"ControlPath {sshd.home}/own\nControlMaster auto\nControlPersist 5\n")
    assert run(new, "echo", "hello").stdout == b"hello\n"
    assert (new._master, (sshd.home / "own").exists()) == (None, True)
    subprocess.run(
        ["ssh", "-O", "exit", "-p", str(sshd.port), "127.0.0.1", "-l", sshd.user], check=True, capture_output=True
    )


def test_what_a_login_prints_does_no_harm(sshd, new, tmp_path):
    before = (sshd.home / "authorized_keys").read_text()
    noise = 'command="echo Welcome; echo Careful >&2; eval \\"$SSH_ORIGINAL_COMMAND\\"" '
    try:
        (sshd.home / "authorized_keys").write_text(noise + before)
        done = run(new, "sh", "-c", "echo out; echo err >&2; exit 7")
        assert (done.exit_code, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
        data = random.Random(1).randbytes(400_000)
        (tmp_path / "here").write_bytes(data)
        new.push(tmp_path / "here", str(tmp_path / "there"))
        new.pull(str(tmp_path / "there"), tmp_path / "back")
        assert (tmp_path / "there").read_bytes() == (tmp_path / "back").read_bytes() == data
    finally:
        (sshd.home / "authorized_keys").write_text(before)


# what is told


def test_an_unknown_host_key_is_refused_and_shown(sshd, new, config):
    del config
    sshd.known_hosts.write_text("")
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(sshd.home / "host_key.pub")], capture_output=True, text=True, check=True
    )
    with pytest.raises(
        DeviceError, match=r"is not known here: it shows ssh-ed25519 SHA256:.*; compare it .*: ssh -p"
    ) as caught:
        run(new, "true")
    assert shown.stdout.split()[1] in caught.value.message
    assert sshd.known_hosts.read_text() == ""


def test_a_changed_host_key_is_refused_and_shown(sshd, new, config, tmp_path):
    del config
    kind, data, *_ = key(tmp_path / "other")
    sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {kind} {data}\n")
    words = (
        rf"has another host key than the one in known_hosts \({sshd.known_hosts}, line 1\): it shows ssh-ed25519 SHA"
    )
    with pytest.raises(DeviceError, match=words) as caught:
        run(new, "true")
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in caught.value.hint


def test_a_wrong_key_is_refused_without_a_question(new, config, sshd, tmp_path):
    key(tmp_path / "stranger")
    config.write_text(config.read_text().replace(f"{sshd.home}/key", str(tmp_path / "stranger")))
    began = time.monotonic()
    with pytest.raises(DeviceError, match=r"refuses every key .*\(it takes publickey\).*; run: ssh-copy-id .*ssh-add"):
        run(new, "true")
    assert time.monotonic() - began < 30


def test_a_locked_key_is_not_asked_for(new, config, sshd, tmp_path):
    shutil.copy(sshd.home / "key", tmp_path / "locked")
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(tmp_path / "locked")], check=True)
    config.write_text(config.read_text().replace(f"{sshd.home}/key", str(tmp_path / "locked")))
    with pytest.raises(DeviceError, match="unlock your agent with ssh-add"):
        run(new, "true")


def test_nobody_listens_and_no_such_host():
    with pytest.raises(DeviceError, match=r"port .* refuses connections: no ssh server is listening; enable ssh there"):
        run(connect(f"ssh://127.0.0.1:{free_port()}"), "true")
    with pytest.raises(DeviceError, match=r"there is no host called nowhere.invalid"):
        run(connect("ssh://nowhere.invalid"), "true")


def test_a_bad_configuration_is_said(new, config):
    config.write_text("Host *\nNoSuchOption 3\n")
    with pytest.raises(DeviceError, match=r"ssh does not take its configuration here: .*terminating, 1 bad"):
        run(new, "true")


def test_no_ssh_here(sshd, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="there is no ssh on this machine; install OpenSSH's client"):
        run(connect(sshd.url), "true")


def test_an_account_without_commands(sshd, new):
    before = (sshd.home / "authorized_keys").read_text()
    try:
        (sshd.home / "authorized_keys").write_text(
            'command="echo This account is not available. >&2; exit 1" ' + before
        )
        with pytest.raises(
            DeviceError, match=r"ended the session before the command could begin: This account is not av.*"
        ):
            run(new, "true")
    finally:
        (sshd.home / "authorized_keys").write_text(before)


def test_a_command_that_takes_too_long(way):
    with pytest.raises(
        DeviceError, match=r"sleep on .*127.0.0.1 took longer than 0.5 s and was ended; it may go on there"
    ):
        run(way, "sleep", "5", timeout_s=0.5)
    assert run(way, "echo", "on").stdout == b"on\n"


def test_a_command_that_prints_without_end(way):
    with pytest.raises(DeviceError, match=r"yes on .* printed more than 67108864 bytes and was ended"):
        run(way, "yes")


def test_a_connection_that_is_cut_in_the_middle(way, sshd):
    run(way, "true")
    killing = sshd.once_it_runs("sleep", lambda: sshd.kill(connections=True))
    with pytest.raises(ConnectionLost, match=r"the connection to .* broke: .*; try again; is the board still powered"):
        run(way, "sleep", "300")
    killing.join()
    assert run(way, "echo", "on").stdout == b"on\n"


def test_a_server_that_freezes_is_given_up(new, sshd, monkeypatch):
    monkeypatch.setattr(ssh_master, "_ALIVE_S", 1)
    run(new, "true")
    freezing = sshd.once_it_runs("sleep", lambda: freeze(sshd, signal.SIGSTOP))
    try:
        with pytest.raises(ConnectionLost, match=r"does not answer any more; is it powered, and in the same network\?"):
            run(new, "sleep", "300")
    finally:
        freezing.join()
        freeze(sshd, signal.SIGCONT)


def freeze(server, number):
    for pid, name in server.sessions().items():
        if name.startswith(server.name):
            os.kill(pid, number)


@pytest.mark.parametrize(
    ("words", "kind", "started", "reached"),
    [
        ("ssh: connect to host x port 22: Connection refused", DeviceError, False, False),
        ("ssh: connect to host x port 22: Connection refused", ConnectionLost, False, True),
        ("kex_exchange_identification: Connection closed by remote host", ConnectionLost, False, False),
        ("", ConnectionLost, True, False),
        ("", DeviceError, False, False),
    ],
)
def test_what_can_be_tried_again(words, kind, started, reached):
    assert type(failure(words, target="x", port=0, started=started, reached=reached)) is kind


# files


class Cutting:
    """A port in front of a server whose connections break after so many bytes."""

    def __init__(self, port, after_bytes):
        self.after_bytes, self.cuts = after_bytes, 0
        self.server, self.there = socket.create_server(("127.0.0.1", 0)), port
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.there))
            threading.Thread(target=self._pump, args=(far, near, None), daemon=True).start()
            threading.Thread(target=self._pump, args=(near, far, self.after_bytes), daemon=True).start()

    def _pump(self, source, sink, left):
        """Cut: the near end is closed at once, while what was sent before still arrives at the far end."""
        with contextlib.suppress(OSError):
            while (data := source.recv(16384)) and (left is None or left > 0):
                with contextlib.suppress(OSError):
                    sink.sendall(data)
                left = None if left is None else left - len(data)
                time.sleep(0.0 if left is None else 0.05)  # a radio's pace: what was sent has arrived when it is cut
            self.cuts += bool(data)
            sink.shutdown(socket.SHUT_WR)
            if data:
                source.shutdown(socket.SHUT_RDWR)


def test_a_file_goes_on_where_the_connection_broke(sshd, config, tmp_path, monkeypatch):
    cutting = Cutting(sshd.port, 200_000)
    with config.open("a") as file:
        file.write("HostKeyAlias board\n")
    sshd.known_hosts.write_text(f"board {' '.join(sshd.key[:2])}\n")
    monkeypatch.setattr(Ssh, "_has_rsync", False)
    data = random.Random(2).randbytes(450_000)
    (tmp_path / "here").write_bytes(data)
    flaky = connect(f"ssh://{sshd.user}@127.0.0.1:{cutting.port}")
    flaky.push(tmp_path / "here", str(tmp_path / "there"))
    assert (tmp_path / "there").read_bytes() == data
    assert cutting.cuts >= 2
    flaky.close()
    cutting.server.close()


def test_only_what_lacks_travels(way, tmp_path, monkeypatch):
    monkeypatch.setattr(Ssh, "_has_rsync", False)
    data, sent = random.Random(3).randbytes(900_000), []
    far = way._far

    def watched(argv, *, timeout_s, stdin=b""):
        begin = 0 if isinstance(stdin, bytes) else stdin.tell()
        done = far(argv, timeout_s=timeout_s, stdin=stdin)
        sent.append((0 if isinstance(stdin, bytes) else stdin.tell()) - begin)
        return done

    monkeypatch.setattr(way, "_far", watched)
    (tmp_path / "here").write_bytes(data)
    there = tmp_path / "there"
    for present, travels in ((data[:700_000], 200_000), (data, 0), (b"x" * 700_000, 900_000), (data + b"x", 900_000)):
        there.write_bytes(present)
        sent.clear()
        way.push(tmp_path / "here", str(there))
        assert (there.read_bytes() == data, sum(sent)) == (True, travels)


def test_without_sha256sum_python_hashes(way, tmp_path, monkeypatch):
    from edgewright.devices._ways import copy

    for name in ("_LOOK", "_ADD", "_NEW"):
        monkeypatch.setattr(copy, name, getattr(copy, name).replace("command -v sha256sum", "command -v no-such-sum"))
    (tmp_path / "here").write_bytes(b"some data" * 1000)
    way.push(tmp_path / "here", str(tmp_path / "there"))
    assert (tmp_path / "there").read_bytes() == b"some data" * 1000


def test_a_place_that_cannot_be_written_or_read(way, tmp_path):
    (tmp_path / "here").write_bytes(b"data")
    with pytest.raises(DeviceError, match=r"cannot write /no/such/folder/x: .*[Nn]o"):
        way.push(tmp_path / "here", "/no/such/folder/x")
    with pytest.raises(DeviceError, match=r"cannot read /no/such/file: .*No such file.*; is the path right\?"):
        way.pull("/no/such/file", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_full_disk_is_told(way, tmp_path):
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("this system has no /dev/full")
    (tmp_path / "here").write_bytes(b"data")
    with pytest.raises(
        DeviceError, match=r"cannot write /dev/full: .*No space left on device; free some space on the device"
    ):
        way.push(tmp_path / "here", "/dev/full")


def test_a_file_with_an_odd_name(way, tmp_path):
    data = random.Random(4).randbytes(500_000)
    (tmp_path / "here").write_bytes(data)
    folder = tmp_path / "a b'c $(touch x)"
    folder.mkdir()
    way.push(tmp_path / "here", f"{folder}/-rf *;")
    way.pull(f"{folder}/-rf *;", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


@pytest.mark.parametrize("rsync", [True, False])
def test_dropbear_serves_too(dropbear, monkeypatch, tmp_path, rsync):
    monkeypatch.setenv("PATH", dropbear.path)
    if not rsync:
        monkeypatch.setattr(Ssh, "_has_rsync", False)
    way = connect(dropbear.url)
    done = run(way, "sh", "-c", "cat; echo err >&2; exit 255", stdin=b"in")
    assert (done.exit_code, done.stdout, done.stderr) == (255, b"in", b"err\n")
    data = random.Random(5).randbytes(700_000)
    (tmp_path / "here").write_bytes(data)
    way.push(tmp_path / "here", str(tmp_path / "there"))
    assert (tmp_path / "there").read_bytes() == data
    run(way, "true")
    killing = dropbear.once_it_runs("sleep", lambda: dropbear.kill(connections=True))
    with pytest.raises(ConnectionLost):
        run(way, "sleep", "300")
    killing.join()
    way.close()


def test_dropbears_host_key_is_told_as_any(dropbear, monkeypatch):
    monkeypatch.setenv("PATH", dropbear.path)
    dropbear.known_hosts.write_text("")
    with pytest.raises(DeviceError, match="is not known here: it shows ssh-ed25519 SHA256:"):
        run(connect(dropbear.url), "true")
    dropbear.know()


def test_an_ssh_that_ends_before_it_listens_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    for wait in (0.0, 0.05, 0.3):
        master = ssh_master.Master()
        assert not master.open(["sh", "-c", f"exec <&-; echo refused >&2; sleep {wait}"], 5)
        assert "refused" in master.words()
        master.close()
    assert list(tmp_path.iterdir()) == []
