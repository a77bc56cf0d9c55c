"""This machine as a device: what runs there, and what becomes of a program that does not."""

import sys

import pytest

from edgewright.contracts.transport import Completed
from edgewright.devices.local import Local
from edgewright.errors import (
    DeviceError,
)


def python(code):
    return [sys.executable, "-c", code]


def test_a_program_runs_and_its_words_come_back_as_bytes():
    code = "import sys; sys.stdout.write(sys.stdin.read()[::-1]); sys.stderr.write('e'); sys.exit(7)"
    assert Local().run(python(code), timeout_s=20, stdin=b"abc") == Completed(7, b"cba", b"e")


@pytest.mark.parametrize("odd", ["; rm -rf /", "$(id)", "a b", "*", "-n", "\n", "'\""])
def test_arguments_are_never_read_by_a_shell(odd):
    done = Local().run([*python("import sys; print(sys.argv[1:])"), odd], timeout_s=20)
    assert done.stdout.decode().strip() == repr([odd])


def test_a_program_that_takes_too_long_is_ended():
    with pytest.raises(DeviceError, match=r"took longer than 0\.3 s and was ended"):
        Local().run(python("import time; time.sleep(30)"), timeout_s=0.3)


def test_a_program_that_is_not_there_is_a_device_error():
    with pytest.raises(DeviceError, match="could not run no-such-program: FileNotFoundError"):
        Local().run(["no-such-program"], timeout_s=5)


def test_files_go_there_and_back(tmp_path):
    (tmp_path / "a").write_bytes(b"\0data")
    Local().push(tmp_path / "a", str(tmp_path / "b"))
    Local().pull(str(tmp_path / "b"), tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"\0data"


def test_a_file_that_is_not_there_is_a_device_error(tmp_path):
    with pytest.raises(DeviceError, match="could not push gone"):
        Local().push(tmp_path / "gone", str(tmp_path / "b"))
    with pytest.raises(DeviceError, match=r"could not pull .*gone"):
        Local().pull(str(tmp_path / "gone"), tmp_path / "b")
