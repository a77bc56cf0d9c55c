"""A service on a board in memory: what its unit says, when it is refused, what becomes of it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onboard import active, model_of, tiny

from edgewright.boards.flash import flash, rollback, status, uninstall
from edgewright.contracts.board_answers import Serving
from edgewright.devices._fake.board import Fake
from edgewright.devices._fake.systemd import MANAGER
from edgewright.devices._onboard.unit import NAME, Unit
from edgewright.errors import DeviceError, GateFailed
from edgewright.system.interpreter import started, there

PATH = f"{MANAGER.units}/{NAME}"
words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=9)


@pytest.fixture
def bundles(tmp_path):
    return {n: tiny(tmp_path / f"v{n}", n) for n in (1, 2)}


@pytest.fixture
def board(bundles):
    found = Fake()
    assert flash(bundles[1], found, service=True).socket == MANAGER.socket
    return found


def write(board, text):
    handle = board.disk.open(PATH, "write")
    board.disk.write(handle, text.encode())
    board.disk.close(handle)


@given(words, st.lists(words, min_size=1, max_size=4))
def test_a_unit_can_be_read_again(root, argv):
    unit = Unit(f"/{root}", tuple(argv), "000001-0123456789ab", 9)
    assert Unit.read(str(unit)) == Unit(f"/{root}", tuple(argv), "000001-0123456789ab")
    assert Unit.read("[Service]\n") is None


def test_a_crash_loop_is_counted_and_given_up():
    lines = str(Unit("/x", ("py",), "r")).splitlines()
    assert {"Restart=on-failure", "StartLimitIntervalSec=300", "StartLimitBurst=5"} <= set(lines)
    assert lines.index("StartLimitBurst=5") < lines.index("[Service]"), "systemd reads it in [Unit] alone"


def test_words_reach_systemd_as_they_are():
    unit = Unit("/x", ("py", 'a b "c" \\d $e 100%'), "r")
    assert 'ExecStart="py" "a b \\"c\\" \\\\d $$e 100%%"\n' in str(unit)


def test_a_server_runs_no_file_of_its_working_directory(board, bundles):
    argv = Unit.read(board.disk.peek(PATH).decode()).argv
    assert started(argv) == ("edgewright", ["serve", f"{board.root}/current", "--socket", MANAGER.socket])
    assert argv[1:3] == tuple(there("", "")[1:3])
    assert "\nEnvironment=PYTHONSAFEPATH=1\n" in board.disk.peek(PATH).decode()
    older = (argv[0], "-m", *argv[3:])  # as edgewright wrote it before
    write(board, str(replace(Unit.read(board.disk.peek(PATH).decode()), argv=older)))
    flash(bundles[2], board)
    assert Unit.read(board.disk.peek(PATH).decode()).argv == argv


def test_what_is_hidden_is_never_where_the_store_or_its_python_lie():
    def lines(root, *needs, **more):
        return str(Unit(root, ("/usr/bin/python3",), "r", needs=needs, dynamic=True, **more)).splitlines()

    assert {"ProtectHome=yes", "PrivateTmp=yes", "DynamicUser=yes"} <= set(lines("/opt/x", "/usr"))
    assert "ProtectHome=read-only" in lines("/home/pi/x")
    assert "ProtectHome=read-only" in lines("/opt/x", "/root/.pyenv")
    assert not {"PrivateTmp=yes", "DynamicUser=yes"} & set(lines("/tmp/x"))  # noqa: S108
    assert not {"DynamicUser=yes", "CapabilityBoundingSet="} & set(lines("/opt/x", user=True))
    assert "MemoryMax=infinity" in lines("/opt/x", gpu=True)


def test_the_limit_is_twice_the_memory_sum(board):
    limit = 2 * (64 * 2**20 + 2 * len(model_of(1)))
    assert f"MemoryMax={limit}\n" in board.disk.peek(PATH).decode()


def test_each_release_is_served_and_the_status_says_so(board, bundles):
    flash(bundles[2], board)
    assert board.systemd.serves == status(board).active
    assert status(board).service == Serving(MANAGER.socket, "active")
    rollback(board)
    assert (active(board), board.systemd.serves) == (1, status(board).active)
    flash(bundles[1], board, service=False)
    assert (status(board).service, board.systemd.serves) == (None, "")


def test_a_service_that_serves_another_release_takes_the_new_one_back(board, bundles, monkeypatch):
    monkeypatch.setattr(board.systemd, "_restart", lambda *_: board.systemd.run(board.disk, "is-active", ()))
    with pytest.raises(GateFailed, match=r"it serves 000001-\w+, not 000002-\w+; the board went back to 000001-"):
        flash(bundles[2], board)
    assert active(board) == 1


def test_a_first_service_that_does_not_start_leaves_nothing(bundles):
    board = Fake()
    board.broken = [1]
    with pytest.raises(
        DeviceError, match=r"systemd did not restart the service: Job for .* failed.*look at journalctl -u"
    ):
        flash(bundles[1], board, service=True)
    assert active(board) is None
    assert PATH not in board.disk.tree()
    board.broken = []
    flash(bundles[1], board)
    board.broken = [1]
    with pytest.raises(DeviceError, match="systemd did not restart the service"):
        flash(bundles[1], board, service=True)
    assert active(board) == 1
    assert PATH not in board.disk.tree()


def test_a_unit_of_someone_else_stays(board, bundles):
    write(board, "[Service]\nExecStart=/bin/true\n")
    with pytest.raises(DeviceError, match=r"edgewright\.service was not written by edgewright; remove it first"):
        flash(bundles[2], board, service=True)
    assert active(board) == 1
    assert flash(bundles[2], board).socket == ""
    uninstall(board)
    assert board.disk.peek(PATH) == b"[Service]\nExecStart=/bin/true\n"
