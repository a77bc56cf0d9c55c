"""What happened on a board and why: one JSON object a line, bounded, and never a reason to fail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edgewright.devices._onboard.files import fill, get, put
from edgewright.errors import one_line

if TYPE_CHECKING:
    from edgewright.devices._onboard.disk import Disk

__all__ = ["Journal"]

_MAX_BYTES = 2**16
"""A choice: the last hundreds of events, on a card that is small and wears out."""


class Journal:
    """The journal of the store at `root`."""

    def __init__(self, disk: Disk, root: str) -> None:
        self.disk, self.path = disk, f"{root}/journal.jsonl"

    def note(self, what: str, why: str) -> None:
        """Note what happened. A full disk must not stop a way back, so that no note is made where it cannot be."""
        record = {"what": what, "why": one_line(why), "at_s": int(self.disk.now_s())}
        try:
            facts = self.disk.stat(self.path)
            if facts and facts.size_bytes > _MAX_BYTES:
                newer = get(self.disk, self.path, 2 * _MAX_BYTES)[-_MAX_BYTES // 2 :]
                put(self.disk, self.path, newer.partition(b"\n")[2])
            fill(self.disk, self.path, b"\n" + json.dumps(record).encode(), how="append")  # ends a torn line before it
        except OSError:
            pass

    def last(self, most: int) -> list[dict[str, Any]]:
        """The last notes, oldest first; torn lines are left out."""
        try:
            lines = get(self.disk, self.path, 2 * _MAX_BYTES).splitlines()
        except OSError:
            return []
        found = []
        for line in lines[-2 * most :]:
            try:
                found.append(dict(json.loads(line)))
            except (ValueError, TypeError):
                continue
        return found[-most:]
