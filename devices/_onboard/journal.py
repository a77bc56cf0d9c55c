"""What happened on a board and why: one JSON object a line, bounded, and never a reason to fail.

    ROOT/journal.jsonl   {"n": 7, "after": HASH OF LINE 6, "what": "installed", "why": "...", "at_s": 1764430000}
    ROOT/journal.head    7 HASH OF LINE 7

Each line names the one before it by its SHA-256, and the head names the last one, so that a line that was altered or
taken out is seen. Where the oldest lines go because there are too many, a line says so. There is no secret in it: who
may write both files can write another story.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from edgewright.contracts.board_answers import Chain, Event
from edgewright.devices._onboard.files import fill, get, put
from edgewright.errors import one_line
from edgewright.system.untrusted import json_or_none

if TYPE_CHECKING:
    from edgewright.devices._onboard.disk import Disk

__all__ = ["Journal"]

_MAX_BYTES = 2**16
"""A choice: the last hundreds of events, on a card that is small and wears out."""
_MAX_HEAD_BYTES = 2**8
"""A number and a hash."""
_FORGOT = "forgot"
"""What the line says that stands for those that went."""


class _Line(NamedTuple):
    """A line of the chain: its number, the hash of the one before it, its own, and what it says."""

    number: int
    after: str
    hash: str
    event: Event


class Journal:
    """The journal of the store at `root`."""

    def __init__(self, disk: Disk, root: str) -> None:
        self.disk, self.path, self.head = disk, f"{root}/journal.jsonl", f"{root}/journal.head"

    def note(self, what: str, why: str) -> None:
        """Note what happened. A full disk must not stop a way back, so that no note is made where it cannot be."""
        try:
            data = get(self.disk, self.path, 2 * _MAX_BYTES) if self.disk.stat(self.path) else b""
            last = self._last(data)
            if len(data) > _MAX_BYTES:
                last = self._forget(data, last)
            self._append(last, what, why)
        except OSError:
            pass

    def _append(self, last: tuple[int, str], what: str, why: str) -> tuple[int, str]:
        """Write a line behind the last one; its number and hash."""
        record = {
            "n": last[0] + 1,
            "after": last[1],
            "what": what,
            "why": one_line(why),
            "at_s": int(self.disk.now_s()),
        }
        line = json.dumps(record).encode()
        fill(self.disk, self.path, b"\n" + line, how="append")  # ends a torn line before it
        head = last[0] + 1, _hash(line)
        put(self.disk, self.head, f"{head[0]} {head[1]}\n".encode())
        return head

    def _forget(self, data: bytes, last: tuple[int, str]) -> tuple[int, str]:
        """Let the older half go, once a line says which those are; that line's number and hash."""
        kept = data[-_MAX_BYTES // 2 :].partition(b"\n")[2]
        first = next((line.number for line in _lines(kept)), last[0] + 1)
        said = self._append(last, _FORGOT, str(first))
        put(self.disk, self.path, kept + get(self.disk, self.path, 3 * _MAX_BYTES)[len(data) :])
        return said

    def last(self, most: int) -> list[Event]:
        """The last notes, oldest first; torn lines and others are left out."""
        try:
            data = get(self.disk, self.path, 2 * _MAX_BYTES)
        except OSError:
            return []
        events = [event for line in data.splitlines()[-2 * most :] if (event := _event(line))]
        return [event for event in events if event.what != _FORGOT][-most:]

    def chain(self) -> Chain:
        """Whether every line is there and as it was written; those of an older edgewright are not looked at."""
        head = self._head()
        try:
            data = get(self.disk, self.path, 2 * _MAX_BYTES) if self.disk.stat(self.path) else b""
        except OSError as error:
            return Chain(*(head or (0, "")), f"it cannot be read: {error.strerror}")
        lines = _lines(data)
        last = lines[-1] if lines else None
        if head is None:
            problem = "" if last is None or (last.number == 1 and len(lines) == 1) else "its head is missing"
            return Chain(last.number if last else 0, last.hash if last else "", problem)
        return Chain(*max(head, (last.number, last.hash) if last else (0, "")), _problem(lines, head))

    def _last(self, data: bytes) -> tuple[int, str]:
        """The number and hash of the line that the next one follows: what is missing is not written over."""
        lines = _lines(data)
        tail = (lines[-1].number, lines[-1].hash) if lines else (0, "")
        head = self._head()
        return head if head and head[0] >= tail[0] else tail

    def _head(self) -> tuple[int, str] | None:
        try:
            number, digest = get(self.disk, self.head, _MAX_HEAD_BYTES).decode("ascii").split()
            return int(number), digest
        except (OSError, ValueError):
            return None


def _problem(lines: list[_Line], head: tuple[int, str]) -> str:
    """What is wrong with lines that end with a head, in words. Others may follow, where no head could be written."""
    if not lines:
        return f"all of its {head[0]} lines are missing"
    at_head = next((line for line in lines if line.number == head[0]), None)
    if broken := _broken(lines):
        return broken
    if at_head is None:
        return f"it ends with line {lines[-1].number}, line {head[0]} was written"
    return f"line {head[0]} was altered" if at_head.hash != head[1] else ""


def _broken(lines: list[_Line]) -> str:
    """Where lines do not follow one another, in words."""
    for before, line in zip(lines, lines[1:]):  # noqa: B905, RUF007 - from Python 3.10 on
        if line.number != before.number + 1:
            return f"lines are missing or altered between {before.number} and {line.number}"
        if line.after != before.hash:
            return f"line {before.number} was altered"
    forgot = [int(line.event.why) for line in lines if line.event.what == _FORGOT and line.event.why.isdigit()]
    if lines[0].number > max(forgot, default=1):
        return f"the lines before {lines[0].number} are missing"
    return ""


def _lines(data: bytes) -> list[_Line]:
    """The lines of the chain; what is torn, or older than chains, is none."""
    found = []
    for line in data.splitlines():
        event = _event(line)
        tree = json_or_none(line) if event else {}
        number, after = tree.get("n"), tree.get("after")
        if event and type(number) is int and isinstance(after, str):
            found.append(_Line(number, after, _hash(line), event))
    return found


def _event(line: bytes) -> Event | None:
    tree = json_or_none(line)
    try:
        return Event(str(tree["what"]), str(tree["why"]), int(tree.get("at_s", 0)))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
