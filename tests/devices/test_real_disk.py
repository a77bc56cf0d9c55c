"""What a board's real disk and service manager refuse, and how that is said."""

import errno
import fcntl
import os

import pytest

from edgewright.devices._fake.board import Fake, _Programs
from edgewright.devices._onboard import disk as module
from edgewright.devices._onboard.disk import RealDisk
from edgewright.devices._onboard.machine import Manager, Ran
from edgewright.devices._onboard.service import Service
from edgewright.devices._onboard.store import Store
from edgewright.errors import DeviceError


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match=r"the file system there, \w+, has no locks") as caught:
        RealDisk().lock(str(tmp_path / "lock"))
    assert caught.value.errno == errno.ENOLCK


def test_a_lock_that_another_one_has_is_no_lack_of_locks(tmp_path):
    held = RealDisk().lock(str(tmp_path / "lock"))
    with pytest.raises(BlockingIOError):
        RealDisk().lock(str(tmp_path / "lock"))
    os.close(held)


def test_the_file_system_is_that_of_the_longest_mount():
    assert module._file_system("/proc/self/status") == "proc"
    assert module._file_system("/sys/kernel/x") == "sysfs"


class Refusing(_Programs):
    """A machine whose manager is a user's own, and whose login manager keeps no one."""

    def manager(self):
        return Manager(("systemctl",), "/home/u/.config/systemd/user", "default.target", "/run/user/5/socket")

    def run(self, argv, timeout_s):
        if argv[0] == "loginctl":
            return self.ends()
        return super().run(argv, timeout_s)

    def ends(self):
        return Ran(1, b"", b"Could not enable linger: Access denied\n")


class Lacking(Refusing):
    def ends(self):
        raise DeviceError("the board cannot run loginctl: No such file or directory")


@pytest.mark.parametrize(("kind", "why"), [(Refusing, "Access denied"), (Lacking, "cannot run loginctl")])
def test_a_service_that_will_not_outlive_its_user_says_so(kind, why):
    board = Fake()
    service = Service(board.disk, kind(board), Store(board.disk, board.root))
    words = service._linger()
    assert words.startswith("the service ends with its user's last session: ")
    assert why in words
