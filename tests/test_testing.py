"""`edgewright.testing`, as a user's own tests have it."""

import subprocess
import sys

import pytest
from onboard import tiny

from edgewright.boards.board import Board
from edgewright.boards.flash import flash, status
from edgewright.errors import DeviceError, GateFailed
from edgewright.testing import fake_board, fault


def test_a_board_that_loses_its_power_keeps_its_model(tmp_path):
    board = fake_board()
    assert isinstance(board, Board)
    first = flash(tiny(tmp_path / "1", 1), board)
    board.disk.fault = fault(board.disk.count + 40, "crash")
    with pytest.raises(DeviceError, match="is it still powered"):
        flash(tiny(tmp_path / "2", 2), board)
    board.reboot()
    board.disk.fault = None
    assert status(board).active == first.release


def test_a_check_ends_as_the_test_says(tmp_path):
    board = fake_board()
    board.verdicts[1, "self-test"] = (4, "edgewright: gate-failed: other answers")
    with pytest.raises(GateFailed, match="other answers"):
        flash(tiny(tmp_path / "1", 1), board)


def test_a_small_disk_is_full(tmp_path):
    with pytest.raises(DeviceError, match=r"0\.1 MB are free"):
        flash(tiny(tmp_path / "1", 1), fake_board(100_000))


def test_nothing_of_it_is_loaded_before_it_is_asked_for():
    code = "import sys, edgewright.testing; print([m for m in sys.modules if m.startswith('edgewright.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['edgewright._version', 'edgewright.testing']"
