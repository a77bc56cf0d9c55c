"""How a board's answer is told from whatever else a login prints: one marked line.

Standard library alone, for Python 3.9 on: both ends are this module. Law: `unframe(banner + frame(t)) == t`.
"""

from __future__ import annotations

import json
from typing import Any

from edgewright.errors import DeviceError

__all__ = ["frame", "unframe"]

_MARK = b"edgewright-answer: "
_MAX_BYTES = 2**22


def frame(tree: dict[str, Any]) -> bytes:
    """A JSON object as a marked line of ASCII."""
    return b"\n" + _MARK + json.dumps(tree).encode() + b"\n"


def unframe(printed: bytes) -> dict[str, Any] | None:
    """The JSON object of the last marked line; None where no line is marked.

    Raises:
        DeviceError: the line is too long, torn or no object.
    """
    lines = [line for line in printed.splitlines() if line.startswith(_MARK)]
    if not lines:
        return None
    if len(lines[-1]) > _MAX_BYTES:
        raise DeviceError(f"the board's answer has {len(lines[-1])} bytes, at most {_MAX_BYTES} are read")
    try:
        tree = json.loads(lines[-1][len(_MARK) :])
    except (ValueError, RecursionError) as error:
        raise DeviceError(f"the board's answer is not JSON: {error}", hint="the connection broke; try again") from error
    if not isinstance(tree, dict):
        raise DeviceError("the board's answer is no JSON object")
    return tree
