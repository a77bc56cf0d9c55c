"""adb against a real adbd on TCP, and against devices that are absent, offline or do not trust this computer."""

import os
import subprocess
import sys

import pytest
from adb_world import ADBD, SILENT, STRICT

from edgewright.boards.connect import connect
from edgewright.boards.flash import releases
from edgewright.devices.adb import Adb
from edgewright.errors import ConnectionLost, DeviceError, UsageError

pytestmark = pytest.mark.slow
URL = f"127.0.0.1:{ADBD}"


def adb(*words):
    subprocess.run(["adb", *words], capture_output=True, check=True)


@pytest.fixture
def device(adb_world):
    del adb_world
    found = Adb(URL)
    found.run(["true"], timeout_s=9)
    yield found
    adb("disconnect")


def test_a_program_s_exit_code_and_both_its_streams_come_back(device):
    done = device.run(["sh", "-c", 'cat; echo "$1" >&2; exit 7', "sh", 'it\'s "$HOME"'], timeout_s=9, stdin=b"\0\xff\n")
    assert (done.exit_code, done.stdout, done.stderr) == (7, b"\0\xff\n", b'it\'s "$HOME"\n')


@pytest.mark.parametrize("words", [["a b"], ["$(id)", "`id`", ";id"], ["", "*", "\\", "\n"], ["Grüße", "'\"'"]])
def test_words_arrive_as_they_are(device, words):
    done = device.run(["printf", "%s|", *words], timeout_s=9)
    assert done.stdout.decode() == "|".join(words) + "|"


def test_a_program_that_prints_our_mark_does_not_set_the_exit_code(device):
    done = device.run(["sh", "-c", "echo edgewright-exit:0 >&2; exit 3"], timeout_s=9)
    assert (done.exit_code, done.stderr) == (3, b"edgewright-exit:0\n")


def test_a_program_that_is_not_there_is_named(device):
    with pytest.raises(DeviceError, match=r"the device has no program nonesuch"):
        device.run(["nonesuch"], timeout_s=9)
    assert device.run(["sh", "-c", "exit 127"], timeout_s=9).exit_code == 127


def test_a_program_that_takes_too_long_is_ended(device):
    with pytest.raises(DeviceError, match=r"sleep took longer than 0.5 s and was ended"):
        device.run(["sleep", "60"], timeout_s=0.5)


def test_files_go_there_and_back_whole(device, tmp_path):
    here, back, there = tmp_path / "it's a file", tmp_path / "back", tmp_path / "far" / "a b"
    here.write_bytes(os.urandom(300_000))
    there.parent.mkdir()
    device.push(here, str(there))
    assert there.read_bytes() == here.read_bytes()
    device.pull(str(there), back)
    assert back.read_bytes() == here.read_bytes()


class Flipping(Adb):
    """A way on which a bit of a file is flipped, the first few times."""

    def __init__(self, serial, there, times):
        super().__init__(serial)
        self.there, self.times = there, times

    def _ask(self, argv, timeout_s=30):
        done = super()._ask(argv, timeout_s)
        if "push" in argv and self.times:
            self.times -= 1
            data = self.there.read_bytes()
            self.there.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        return done


@pytest.mark.usefixtures("device")
def test_a_file_that_arrives_with_other_bytes_is_sent_again_and_then_refused(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.write_bytes(b"a file")
    Flipping(URL, there, 2).push(here, str(there))
    assert there.read_bytes() == b"a file"
    with pytest.raises(DeviceError, match=r"adb cannot push .*there, 3 times: .*there is not what was sent"):
        Flipping(URL, there, 3).push(here, str(there))


def test_a_path_that_is_not_absolute_begins_at_home(device, tmp_path, monkeypatch):
    (tmp_path / "here").write_bytes(b"a file")
    home = device.run(["sh", "-c", "echo $HOME; pwd"], timeout_s=9).stdout.decode().split()
    assert home[0] == home[1]
    monkeypatch.chdir(tmp_path)
    name = f"edgewright-{os.getpid()}"
    device.push(tmp_path / "here", name)
    device.pull(name, tmp_path / "back")
    device.run(["rm", f"{home[0]}/{name}"], timeout_s=9)
    assert (tmp_path / "back").read_bytes() == b"a file"


def test_a_file_that_is_not_there_cannot_be_pulled(device, tmp_path):
    with pytest.raises(DeviceError, match=r"the device has no file /nonesuch"):
        device.pull("/nonesuch", tmp_path / "x")


def test_shared_storage_is_refused(device, tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(DeviceError, match=r"/sdcard/x is shared storage, where nothing may execute"):
        device.push(tmp_path / "x", "/sdcard/x")


def test_the_board_s_part_answers_over_adb(device, tmp_path):
    assert releases(device, root=str(tmp_path / "board"), python=sys.executable) == ()


@pytest.mark.usefixtures("device")
def test_the_only_device_needs_no_name():
    assert Adb("").run(["true"], timeout_s=9).exit_code == 0


@pytest.mark.usefixtures("adb_world")
def test_without_a_device_it_is_said_what_to_do():
    adb("disconnect")
    with pytest.raises(DeviceError, match=r"adb sees no device; plug it in, with USB debugging on"):
        Adb("").run(["true"], timeout_s=9)


@pytest.mark.usefixtures("adb_world")
def test_a_port_where_nobody_listens_is_named():
    with pytest.raises(DeviceError, match=r"adb sees no device 127.0.0.1:1: failed to connect"):
        Adb("127.0.0.1:1").run(["true"], timeout_s=9)


@pytest.mark.usefixtures("device")
def test_of_several_devices_one_must_be_named():
    adb("connect", f"127.0.0.1:{STRICT}")
    with pytest.raises(DeviceError, match=rf"adb sees 2 devices; name one: .*adb://{URL}") as caught:
        Adb("").run(["true"], timeout_s=9)
    assert f"adb://127.0.0.1:{STRICT} (unauthorized)" in str(caught.value)
    with pytest.raises(DeviceError, match=r"adb sees no device ABC123; it sees adb://"):
        Adb("ABC123").run(["true"], timeout_s=9)


@pytest.mark.usefixtures("adb_world")
def test_a_device_that_does_not_trust_this_computer():
    with pytest.raises(DeviceError, match=rf"device 127.0.0.1:{STRICT} is unauthorized; unlock its screen"):
        Adb(f"127.0.0.1:{STRICT}").run(["true"], timeout_s=9)


@pytest.mark.usefixtures("adb_world")
def test_a_device_that_does_not_answer():
    with pytest.raises(DeviceError, match=rf"device 127.0.0.1:{SILENT} is offline; plug it in again"):
        Adb(f"127.0.0.1:{SILENT}").run(["true"], timeout_s=9)


def test_a_connection_that_breaks_is_told_from_a_program_that_fails(device):
    adb("disconnect")
    with pytest.raises(
        ConnectionLost, match=rf"the connection to device {URL} broke: .*not found; it may still run there"
    ):
        device.run(["true"], timeout_s=9)
    assert device.run(["false"], timeout_s=9).exit_code == 1


def test_a_copy_goes_on_after_the_connection_broke(device, tmp_path):
    (tmp_path / "here").write_bytes(b"a file")
    adb("disconnect")
    device.push(tmp_path / "here", str(tmp_path / "there"))
    assert (tmp_path / "there").read_bytes() == b"a file"


@pytest.mark.parametrize("serial", ["-s", "a\tb", "a\nb"])
def test_what_is_no_serial_number_is_refused(serial):
    with pytest.raises(UsageError, match="is no serial number"):
        Adb(serial)


def test_without_adb_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match=r"adb is not installed; on Debian or Ubuntu run: apt install adb"):
        Adb("ABC")


@pytest.mark.usefixtures("device")
def test_the_url_names_the_device():
    for url in (f"adb://{URL}", "adb://any"):
        assert connect(url).run(["echo", "here"], timeout_s=9).stdout == b"here\n"
