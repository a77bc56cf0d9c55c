"""Which releases are active, previous and on trial, as one small file says it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from edgewright.errors import DeviceError
from edgewright.system.untrusted import json_or_none

__all__ = ["State", "is_release", "sequence_of"]

_SCHEMA = 1
"""The first one; it goes up when an older board would misread the state."""


def is_release(name: str) -> bool:
    """Whether a name is one that `State.next` gives."""
    return bool(re.fullmatch(r"[0-9]{6,12}-[0-9a-f]{12}", name))


def sequence_of(name: str) -> int:
    """The counter in a release's name: boards without a battery do not know the date."""
    return int(name.partition("-")[0])


@dataclass(frozen=True)
class State:
    """Names of releases, "" for none. Law: `State.read(str(s).encode()) == s`.

    Attributes:
        active: what `current` leads to, proven and healthy.
        previous: what was active before it.
        trial: what `current` may lead to already, while its health is being looked at.
        sequence: the largest counter ever given.
    """

    active: str = ""
    previous: str = ""
    trial: str = ""
    sequence: int = 0

    def __str__(self) -> str:
        return json.dumps({"schema": _SCHEMA, **asdict(self)}) + "\n"

    @classmethod
    def read(cls, data: bytes) -> State | None:
        """The state in a file; None where it is empty, torn or not ours.

        Raises:
            DeviceError: a newer edgewright wrote it.
        """
        tree = json_or_none(data)
        if not isinstance(tree, dict) or type(tree.get("schema")) is not int:
            return None
        if tree["schema"] > _SCHEMA:
            what = f"the board's state has schema {tree['schema']}, this edgewright reads up to {_SCHEMA}"
            raise DeviceError(what, hint="upgrade edgewright")
        return cls._checked({name: tree.get(name) for name in ("active", "previous", "trial", "sequence")})

    @classmethod
    def _checked(cls, fields: dict[str, Any]) -> State | None:
        sequence = fields.pop("sequence")
        names = all(isinstance(name, str) and (name == "" or is_release(name)) for name in fields.values())
        return cls(sequence=sequence, **fields) if names and type(sequence) is int and sequence >= 0 else None

    @property
    def named(self) -> set[str]:
        """Every release that the state speaks of."""
        return {self.active, self.previous, self.trial} - {""}

    def next(self, digest: str) -> str:
        """The name of the next release."""
        return f"{self.sequence + 1:06d}-{digest[:12]}"
