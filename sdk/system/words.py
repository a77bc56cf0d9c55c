"""Numbers as people read them: bytes with a unit, things with their plural."""

from __future__ import annotations

__all__ = ["counted", "human"]

_BYTES = ("B", "kB", "MB", "GB")


def human(size: float) -> str:
    """A number of bytes with three digits and a unit."""
    for unit in _BYTES:
        if size < 1000 or unit == _BYTES[-1]:
            return f"{size:.3g} {unit}" if unit != "B" else f"{size:.0f} B"
        size /= 1000
    raise AssertionError


def counted(number: int, thing: str) -> str:
    """`1 file`, `2 files`, `2 processes`, `2 entries`."""
    if number == 1:
        return f"1 {thing}"
    if thing.endswith(("s", "x", "ch")):
        return f"{number:,} {thing}es"
    return f"{number:,} {thing[:-1]}ies" if thing.endswith("ry") else f"{number:,} {thing}s"
