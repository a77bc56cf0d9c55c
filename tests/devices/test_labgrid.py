"""A place of a real labgrid: acquired by the first step, released at the end, and whose it is when it is not ours."""

import getpass
import socket

import pytest
from labgrid_world import Lab
from loopback import Sshd, serve

from edgewright.boards.connect import connect, disconnect
from edgewright.devices.labgrid import Labgrid, _services
from edgewright.errors import DeviceError, UsageError

ME = f"{socket.gethostname()}/{getpass.getuser()}"
BOB = "desk/bob"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        sshd = serve(Sshd, tmp_path_factory.mktemp("sshd"))
        patch.setenv("PATH", sshd.path)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        found = Lab(tmp_path_factory.mktemp("lab"), {"pi4": sshd})
        patch.setenv("LG_COORDINATOR", found.address)
        yield found
        disconnect()
        found.stop()
        sshd.stop()


@pytest.mark.slow
def test_it_is_ours_from_the_first_step_to_the_end(lab, tmp_path):
    way = connect("labgrid://pi4")
    assert lab.holders() == {}
    (tmp_path / "here").write_bytes(b"\0sent")
    way.push(tmp_path / "here", str(tmp_path / "there"))
    way.pull(str(tmp_path / "there"), tmp_path / "back")
    done = way.run(["cat", "--", str(tmp_path / "back")], timeout_s=60)
    assert (done.exit_code, done.stdout) == (0, b"\0sent")
    assert connect("labgrid://pi4") is way
    assert lab.holders() == {"pi4": ME}
    with pytest.raises(DeviceError, match="place pi4 is used by another edgewright of yours"):
        Labgrid("pi4").run(["true"], timeout_s=60)
    disconnect()
    assert lab.holders() == {}
    assert way.run(["true"], timeout_s=60).exit_code == 0  # the next step opens it again
    way.close()
    assert lab.holders() == {}


@pytest.mark.slow
def test_who_has_it_is_said_and_keeps_it(lab):
    lab.client(BOB, "-p", "pi4", "acquire")
    with pytest.raises(DeviceError, match=f"Place pi4 is already acquired by {BOB}"):
        connect("labgrid://pi4").run(["true"], timeout_s=60)
    disconnect()
    assert lab.holders() == {"pi4": BOB}
    lab.client(BOB, "-p", "pi4", "release")


@pytest.mark.slow
def test_what_was_acquired_by_hand_stays_ours(lab, caplog):
    lab.client("", "-p", "pi4", "acquire")
    with caplog.at_level("INFO", "edgewright"):
        connect("labgrid://pi4").run(["true"], timeout_s=60)
    disconnect()
    assert caplog.messages == ["place pi4 was yours before, and is not released"]
    assert lab.holders() == {"pi4": ME}
    lab.client("", "-p", "pi4", "release")


@pytest.mark.slow
def test_a_place_without_a_board_is_given_back(lab, monkeypatch):
    lab.client("", "-p", "shelf", "create")
    with pytest.raises(DeviceError, match="place shelf has 0 resources of the kind NetworkService"):
        connect("labgrid://shelf").run(["true"], timeout_s=60)
    assert lab.holders() == {}
    with pytest.raises(DeviceError, match="place pattern attic matches nothing"):
        connect("labgrid://attic").run(["true"], timeout_s=60)
    monkeypatch.setenv("LG_COORDINATOR", "127.0.0.1:9")
    with pytest.raises(DeviceError, match="Could not connect to coordinator; is LG_COORDINATOR"):
        connect("labgrid://pi4").run(["true"], timeout_s=60)


@pytest.mark.parametrize(
    "printed", [b"targets: [", b"[]", b"targets: {a: {resources: [{NetworkService: {address: 5, username: a}}]}}", b""]
)
def test_what_is_no_environment_is_said(printed):
    with pytest.raises(DeviceError, match="labgrid-client env printed no environment"):
        _services(printed)


def test_an_address_is_held_to_what_ssh_takes(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = _services(b"targets: {a: {resources: [{USB: {x: 1}}, {NetworkService: {address: -oX=y, username: a}}]}}")
    assert [(one.address, one.port) for one in found] == [("-oX=y", 22)]
    monkeypatch.setattr("edgewright.devices.labgrid.find_program", lambda *_: "labgrid-client")
    monkeypatch.setattr("edgewright.devices.labgrid._services", lambda _: found)
    monkeypatch.setattr("edgewright.devices.labgrid._ask", lambda *_: type("Done", (), {"exit_code": 0, "stdout": b""}))
    with pytest.raises(UsageError, match=r"ssh://a@-oX=y:22 is no address"):
        Labgrid("evil").run(["true"], timeout_s=1)
