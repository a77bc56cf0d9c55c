"""A board as a place to measure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.boards.connect import board_behind, connect
from edgewright.boards.remote import ACTIVE, Remote
from edgewright.bundle.bundle import Bundle
from edgewright.errors import UsageError
from edgewright.measure.place import Place
from edgewright.measure.process import answered

if TYPE_CHECKING:
    from edgewright.boards.native.place import NativePlace
    from edgewright.measure.process import Given, Request
    from edgewright.measure.roofline import Roofline

__all__ = ["There", "place_at", "refuse_emulated"]

_WORKER = "edgewright.runtimes._worker"
"""The name that the measuring process has in every version of edgewright: a board may have another one."""


class There(Place):
    """A board, and on it the release that is active: a bundle here must be that one, `-` stands for it.

    Raises:
        UsageError: the board is emulated.
    """

    def __init__(self, remote: Remote, bundle: str | Path) -> None:
        refuse_emulated(remote.url)
        self.name, self._remote, self._bundle = remote.url, remote, bundle
        self._peaks: dict[int, Roofline] = {}

    def opened(self) -> Bundle:
        """The bundle here, or what the board says of its own. Raises what `Bundle.open` and `ask` raise."""
        if str(self._bundle) != ACTIVE:
            return Bundle.open(self._bundle)
        return Bundle(Path(ACTIVE), self.about.manifest)

    def peaks(self, threads: int) -> Roofline:
        """See `Place.peaks`."""
        if threads not in self._peaks:
            self._peaks[threads] = super().peaks(threads)
        return self._peaks[threads]

    def ask(self, request: Request[Given], timeout_s: float) -> Given:
        """See `Place.ask`."""
        files = {"request.json": request.packed()}
        words = ["{files}/request.json", "{bundle}"]
        found = self._remote.visit(self._bundle, words, files=files, timeout_s=timeout_s, module=_WORKER)
        return answered(request, found.get("", b""))


def place_at(url: str, bundle: str | Path, *, root: str = "", python: str = "") -> There | NativePlace:
    """The device at a URL as a place to measure, with a Python or without; `bundle` is as `There` takes it.

    Raises:
        UsageError: it is emulated.
        DeviceError: of a kind that may lack a Python, it has none, and no runner.
    """
    way = connect(url)
    refuse_emulated(url)
    board = board_behind(way, root=root, python=python)
    if board.native:
        from edgewright.boards.native.place import NativePlace

        return NativePlace(url, board, bundle)
    return There(Remote(url, root, python), bundle)


def refuse_emulated(url: str) -> None:
    """Raise UsageError where the board at a URL is emulated: its time is not a board's."""
    if connect(url).emulated:
        hint = "measure on a real board; `edgewright bench` counts instructions here"
        raise UsageError(f"{url} is emulated: milliseconds there say nothing of a board", hint=hint)
