"""Who is sending a release to a board: one at a time, from the first file to the last.

The lock of the store is held by one process on the board, and goes with it. A transfer is many processes, so it leaves
a note with its own token. A note counts as long as something has arrived lately, in the same boot: a sender that died
is so forgotten by itself. Two that were both sure, after a jump of the clock say, do no harm: only the token in the
note may install, and everything that was sent is hashed before.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgewright.devices._onboard.files import get, put
from edgewright.errors import DeviceError
from edgewright.system.untrusted import json_or_none

if TYPE_CHECKING:
    from edgewright.devices._onboard.disk import Disk

__all__ = ["NOTE", "QUIET_S", "Session"]

NOTE = "session.json"
QUIET_S = 30.0
"""A sender from which nothing has come for so long is taken for gone, in seconds."""

_MAX_NOTE_BYTES = 2**12
"""One block of most file systems; a note has a few lines."""


@dataclass(frozen=True)
class Session:
    """One transfer: its token, who sends (user and machine, for people), from which host and process, in which boot."""

    token: str
    who: str
    host: str
    pid: int
    boot: str = ""

    @classmethod
    def of(cls, tree: Any) -> Session | None:
        """The session in a JSON object; None where it is none."""
        wanted = {"token": str, "who": str, "host": str, "pid": int, "boot": str}
        if not isinstance(tree, dict) or any(type(tree.get(name)) is not kind for name, kind in wanted.items()):
            return None
        return cls(**{name: tree[name] for name in wanted})

    @classmethod
    def noted(cls, disk: Disk, incoming: str) -> Session | None:
        """The session of the note in `incoming`; None without one, or with a torn one."""
        try:
            return cls.of(json_or_none(get(disk, f"{incoming}/{NOTE}", _MAX_NOTE_BYTES)))
        except OSError:
            return None

    def note(self, disk: Disk, incoming: str) -> None:
        """Leave the note."""
        put(disk, f"{incoming}/{NOTE}", json.dumps(asdict(self)).encode())

    def quiet_s(self, disk: Disk, incoming: str, boot: str) -> float:
        """For how long nothing has arrived, in seconds; since ever where the board was started anew."""
        if self.boot != boot:
            return float("inf")
        times = [facts.mtime_s for name in disk.list(incoming) if (facts := disk.stat(f"{incoming}/{name}"))]
        return abs(disk.now_s() - max(times, default=0.0))

    def check(self, disk: Disk, incoming: str) -> None:
        """Raise DeviceError where the note is not this session's any more."""
        found = Session.noted(disk, incoming)
        if found is None or found.token != self.token:
            who = found.who if found else "nobody"
            what = f"this transfer was given up, {who} is sending now"
            raise DeviceError(what, hint="run it again when the other one is done")
