"""A board in memory, for tests of what flashes boards: nothing is installed, nothing leaves the process.

    from edgewright.boards.flash import flash, rollback
    from edgewright.testing import fake_board, fault

    def test_a_board_that_loses_its_power_keeps_its_model():
        board = fake_board()
        first = flash("sentiment-1", board)
        board.disk.fault = fault(board.disk.count + 40, "crash")
        with pytest.raises(DeviceError):
            flash("sentiment-2", board)
        board.reboot()
        board.disk.fault = None
        assert status(board).active == first.release

It is a real implementation: what a board does of a flash runs on its disk as it is. No engine runs: a check of a bundle
passes where every file has the hash that the manifest names, or ends as `board.verdicts` say.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

__all__ = ["fake_board", "fault"]


def fake_board(capacity_bytes: int = 2**30) -> Any:
    """A board in memory, to be given wherever a board is taken: `edgewright.boards.board.Board`.

    Beside that it has `disk`, `verdicts`, `rows`, `probed`, `bare`, `ram_free_bytes`, `broken`, `runs`, and `reboot()`:
    see `devices/_fake/board.py`.
    """
    return importlib.import_module("edgewright.devices._fake.board").Fake(capacity_bytes)


def fault(at: int, kind: Literal["crash", "error", "nospace", "short"], *, lasts: bool = False) -> Any:
    """What goes wrong on the disk at its operation number `at`, for `board.disk.fault`; `board.disk.count` were done.

    `crash` is a plug that is pulled, `error` a bad block, `nospace` a full disk, and `short` a write that takes half.
    With `lasts` every later operation meets it too.
    """
    return importlib.import_module("edgewright.devices._fake.disk").Fault(at, kind, lasts=lasts)
