"""Who is told how work goes on, where nobody asked: one object, so that a signature says `progress=silent`."""

from __future__ import annotations

from typing import Final

__all__ = ["silent"]


class _Silent:
    """Takes whatever it is told, and does nothing."""

    def __call__(self, *_: object) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return "silent"

    def __reduce__(self) -> str:
        return "silent"  # a copy, here or in another process, is the same object


silent: Final = _Silent()
