"""Many boards at once, in memory: each for itself, and a reason for each that fails."""

import threading

import pytest
from onboard import active, tiny

from edgewright.boards import many
from edgewright.boards.many import flash_all, read_hosts
from edgewright.devices._fake.board import Fake, _Way
from edgewright.errors import BundleError, DataError, DeviceError, UsageError


@pytest.fixture
def boards(monkeypatch):
    """Boards by URL; one that is not there cannot be reached."""
    found = {name: Fake() for name in ("a", "b", "c")}

    def connect(url):
        if url not in found:
            raise DeviceError(f"{url} does not answer")
        return found[url]

    monkeypatch.setattr(many, "connect", connect)
    return found


def test_each_board_is_flashed_and_one_that_fails_stops_no_other(boards, tmp_path):
    boards["b"].probed = 6
    said = []
    found = flash_all(
        tiny(tmp_path / "v1", 1), ("a", "b", "x", "c"), parallel=2, progress=lambda *row: said.append(row)
    )
    assert [one.url for one in found] == ["a", "b", "x", "c"]
    assert [bool(one.done) for one in found] == [True, False, False, True]
    assert "no engine" in str(found[1].error)
    assert str(found[2].error) == "x does not answer"
    assert [active(boards[name]) for name in "abc"] == [1, None, 1]
    assert ("a", "done") in said
    assert ("x", "x does not answer") in said


@pytest.mark.usefixtures("boards")
def test_so_many_at_once_as_asked(tmp_path, monkeypatch):
    """Two threads meet in the middle of their transfers: neither waits for the other to end."""
    meeting, usual = threading.Barrier(2, timeout=60), _Way._push

    def push(self, here, there):
        if here.name == "config.json":
            meeting.wait()
        usual(self, here, there)

    monkeypatch.setattr(_Way, "_push", push)
    found = flash_all(tiny(tmp_path / "v1", 1), ("a", "b"), parallel=2)
    assert [one.error for one in found] == [None, None]


def test_a_bug_on_one_board_is_its_own(boards, tmp_path, monkeypatch):
    usual = many.flash
    monkeypatch.setattr(many, "flash", lambda *a, **k: 1 // 0 if a[1] is boards["a"] else usual(*a, **k))
    found = flash_all(tiny(tmp_path / "v1", 1), ("a", "b"))
    assert [one.error.exit_code if one.error else 0 for one in found] == [70, 0]


def test_a_bad_bundle_is_said_before_any_board_is_asked(boards, tmp_path):
    with pytest.raises(BundleError, match="does not exist"):
        flash_all(tmp_path / "none", tuple(boards))


def test_a_file_of_hosts(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("# kitchen\nssh://pi@kitchen\n\n  qemu://cortex-a72   # not there\n")
    assert read_hosts(path) == ("ssh://pi@kitchen", "qemu://cortex-a72")
    path.write_text("local\n#\nlocal\n")
    with pytest.raises(UsageError, match="names local twice, in lines 1 and 3; remove one"):
        read_hosts(path)
    path.write_text("# none\n")
    with pytest.raises(DataError, match="names no board; give one URL a line"):
        read_hosts(path)
    with pytest.raises(DataError, match="cannot read"):
        read_hosts(tmp_path / "none")


def test_a_file_of_hosts_that_is_too_large_is_not_cut(tmp_path):
    """Cut after a MiB, the last line would name another board: kitchen-1 for kitchen-12."""
    path, last = tmp_path / "hosts", "ssh://pi@kitchen-12"
    path.write_text("#" * (2**20 - len(last)) + "\n" + last)
    with pytest.raises(DataError, match="hosts has 1048577 bytes, at most 1048576 are read; split it"):
        read_hosts(path)
    path.write_text("#" * (2**20 - len(last) - 1) + "\n" + last)
    assert read_hosts(path) == (last,)
