"""Addresses as people write them, and what a board's own words are worth."""

from types import SimpleNamespace

import pytest

from edgewright.boards.agent import _no_answer
from edgewright.boards.connect import connect
from edgewright.contracts.transport import Completed
from edgewright.devices._ways.ssh_words import failure
from edgewright.devices.adb import Adb
from edgewright.devices.ssh import Ssh
from edgewright.errors import ConnectionLost, DeviceError, UsageError
from edgewright.measure.bench import _left_out, openable

PAIRED = "adb-R5CT10 (2)._adb-tls-connect._tcp"
STATES = {PAIRED: "device", "127.0.0.1:5555": "offline", "ABC": "no permissions (user in plugdev group)"}
LISTED = "List of devices attached\n" + "".join(f"{serial}\t{state}\n" for serial, state in STATES.items())


@pytest.fixture
def adb(monkeypatch):
    monkeypatch.setattr("edgewright.devices.adb.find_program", lambda *_: "adb")
    monkeypatch.setattr(Adb, "_ask", lambda *_, **__: Completed(0, LISTED.encode(), b""))


@pytest.mark.usefixtures("adb")
def test_a_serial_number_with_a_blank_is_one():
    way = connect(f"adb://{PAIRED}")
    assert way._states() == STATES
    assert way._ready() == PAIRED


@pytest.mark.parametrize(
    "url", ["adb://-s", "adb:// a", "adb://a;b", "adb://a\nb", "adb://$(id)", "ssh://a b", "qemu://a (2)"]
)
def test_what_a_shell_would_read_is_no_address(url):
    with pytest.raises(UsageError, match="is no device"):
        connect(url)


@pytest.mark.parametrize(
    ("rest", "host", "user"),
    [
        ("[fe80::1%br-lan]", "fe80::1%br-lan", ""),
        ("[fe80::1%eth0.2]:22", "fe80::1%eth0.2", ""),
        ("user@corp.example@host", "host", "user@corp.example"),
        ("pi@pi4.local", "pi4.local", "pi"),
    ],
)
def test_zones_and_domains_of_accounts(rest, host, user):
    way = Ssh.at(rest)
    assert (way.host, way.user) == (host, user)


BANNER = (
    "*" * 60
    + """
Unauthorized access is forbidden. Idle sessions are timed out and closed;
after three failures you will be disconnected. Permission denied (to strangers).
Report a broken service to the host's owner. No route to host means: call us.
"""
    + "*" * 60
)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("pi@pi4: Permission denied (publickey,password).", r"refuses every key .* \(it takes publickey,password\)"),
        ("ssh: connect to host pi4 port 22: Connection refused", "refuses connections"),
        ("ssh: Could not resolve hostname pi4: Name or service not known", "there is no host called pi4"),
        ("This account is currently not available.\n.\n.", "ended the session before the command could begin: ."),
    ],
)
def test_a_banner_is_not_the_cause(cause, words):
    error = failure(f"{BANNER}\n{cause}\n", target="pi@pi4", port=0, started=False, reached=False)
    assert type(error) is DeviceError
    assert error.message.startswith("pi@pi4 ") or "no host called" in error.message
    with pytest.raises(DeviceError, match=words):
        raise error


def test_a_broken_way_is_still_one_behind_a_banner():
    words = f"{BANNER}\nclient_loop: send disconnect: Broken pipe\n"
    assert type(failure(words, target="pi4", port=0, started=False, reached=True)) is ConnectionLost


@pytest.mark.parametrize("version", ["3.8", "2.7"])
def test_a_python_that_is_too_old_is_one_true_sentence(version):
    done = Completed(1, b"", f"Python {version} is too old\n".encode())
    what = f"python3 on the board is Python {version}, edgewright runs on 3.10 or newer"
    assert str(_no_answer("python3", done)) == f"{what}; name another one there with --python"


def test_pip_is_not_advised_where_it_finds_nothing(monkeypatch):
    from edgewright.contracts.board_commands import Engines
    from edgewright.devices._onboard import checks

    machine = SimpleNamespace(
        check=lambda *_: SimpleNamespace(exit_code=1, stderr=b"No module named edgewright", stdout=b"")
    )
    monkeypatch.setattr(checks, "argv", lambda *_: ["python3"])
    with pytest.raises(DeviceError, match=r"pip install 'edgewright\[onnx\]'"):
        checks.probe(machine, Engines(("onnx",), version="1"), None, 9)
    monkeypatch.setattr(checks.sys, "version_info", (3, 9, 2))
    with pytest.raises(DeviceError, match=r"its Python is 3\.9, edgewright needs 3\.10 or newer: name another"):
        checks.probe(machine, Engines(("onnx",), version="1"), None, 9)


def test_what_no_engine_here_opens_is_left_out_and_said(make_artifact):
    onnx, tflite = make_artifact(), make_artifact(path="a.tflite", format="tflite")
    here = SimpleNamespace(name="local", about=SimpleNamespace(formats=("onnx",)))
    assert openable([onnx, tflite], here) == ([onnx], ["tflite"])
    assert openable([tflite], here) == ([tflite], [])
    assert _left_out(["tflite"], here) == [
        "tflite is left out: no engine for it here; run: pip install 'edgewright[litert]'"
    ]
