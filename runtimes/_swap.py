"""A session that serves at once and becomes a faster one when that is ready."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from edgewright.contracts.engine import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

__all__ = ["Swapping"]


class Swapping(Session):
    """Runs `first` until a thread has made the faster session and proven it, and for what that does not take.

    Args:
        first: serves from the beginning; its inputs and outputs are this session's.
        make: makes the faster session, in minutes.
        takes: whether the faster session takes these arrays.

    Attributes:
        failure: what `make` or the proof raised, or None; then `first` goes on serving.
    """

    def __init__(
        self, first: Session, make: Callable[[], Session], takes: Callable[[Mapping[str, NDArray[Any]]], bool]
    ) -> None:
        self.inputs, self.outputs = first.inputs, first.outputs
        self.failure: Exception | None = None
        self._first, self._faster, self._make, self._takes = first, first, make, takes
        self._thread: threading.Thread | None = None

    def begin(self, prove: Callable[[Session], object]) -> None:
        """See `Session.begin`."""
        self._thread = threading.Thread(target=self._swap, args=(prove,), daemon=True)
        self._thread.start()

    def _swap(self, prove: Callable[[Session], object]) -> None:
        try:
            faster = self._make()
            prove(faster)
            self._faster = faster
        except Exception as error:  # noqa: BLE001 - whatever it is, the first session goes on
            self.failure = error

    @property
    def beside(self) -> str:
        """See `Session.beside`."""
        if self._faster is not self._first:
            return "the faster session serves"
        return f"no faster session: {self.failure}" if self.failure else "a faster session is being made"

    def close(self) -> None:
        """See `Session.close`."""
        for session in {self._first, self._faster}:
            session.close()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the faster session; whether it serves now."""
        if self._thread:
            self._thread.join(timeout_s)
        return self._faster is not self._first

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        return (self._faster if self._takes(feeds) else self._first).run(feeds)
