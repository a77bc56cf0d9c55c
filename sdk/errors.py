"""Every error that edgewright raises on purpose, and the exit code each one ends a command with.

    EdgewrightError            70   our bug, when nothing narrower fits
    ├── UsageError              2   a call that cannot be meant
    ├── InputError              3   something that came in is bad
    │   ├── SourceError             the model directory, hub id or module
    │   ├── BundleError             the bundle: names, sizes, hashes, manifest
    │   ├── TokenizerError          tokenizer.json, or a text that it cannot take
    │   ├── DataError               labelled data or input lines
    │   ├── UnsupportedConversion   known not to work; said before work starts
    │   ├── ConversionFailed        the converter's library gave up
    │   ├── EngineError             the engine cannot open or run an artifact
    │   ├── ChildFailed             a child process crashed, hung or took too much memory
    │   ├── StorageError            the disk: full, read-only, already taken
    │   └── HubError                a model hub: not reached, not allowed, nothing under that name
    ├── GateFailed              4   an artifact does not give the right answers
    ├── DeviceError             5   the device or the way to it
    │   └── ConnectionLost          the way broke; what ran on the device may have gone on
    └── MissingExtra            6   an optional package is not installed

The text of an error is one line: what, the object, both numbers, and what to do next.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Any

__all__ = [
    "BundleError",
    "ChildFailed",
    "ConnectionLost",
    "ConversionFailed",
    "DataError",
    "DeviceError",
    "EdgewrightError",
    "EngineError",
    "GateFailed",
    "HubError",
    "InputError",
    "MissingExtra",
    "SourceError",
    "StorageError",
    "TokenizerError",
    "UnsupportedConversion",
    "UsageError",
    "did_you_mean",
    "from_record",
    "one_line",
    "quoted",
    "stands_for",
]

_given: dict[str, str] = {}
"""What a user gave, by the directory that was made of it for this process and is gone after it."""


def stands_for(made: Path, given: str | Path) -> None:
    """Let every error from now on name what the user gave where it would name the directory that was made of it."""
    _given[str(made)] = _as_given(str(given))


class EdgewrightError(Exception):
    """Base of all. `message` says what is wrong, `hint` what to do next; `code` is stable and meant for machines."""

    exit_code = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = one_line(_as_given(message))
        self.hint = one_line(_as_given(hint))

    def __reduce__(self) -> tuple[Callable[[dict[str, str]], EdgewrightError], tuple[dict[str, str]]]:
        return from_record, (self.record(),)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    @property
    def code(self) -> str:
        """The class name in kebab case: `GateFailed` -> `gate-failed`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", type(self).__name__).lower()

    def record(self) -> dict[str, str]:
        """The error as a JSON object; `from_record(e.record())` is the same error."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


def _as_given(text: str) -> str:
    for made, given in _given.items():
        text = text.replace(made, given)
    return text


class UsageError(EdgewrightError):
    """The arguments contradict each other or name something that does not exist."""

    exit_code = 2


class InputError(EdgewrightError):
    """Base of everything that is wrong with what came in."""

    exit_code = 3


class SourceError(InputError):
    """The model to convert is missing, incomplete, corrupt or of a kind that is not taken."""


class BundleError(InputError):
    """The bundle is not what its manifest says."""


class TokenizerError(InputError):
    """The tokenizer does not load, does not fit the model, or refuses a text."""


class DataError(InputError):
    """A data file has no rows, or rows that cannot be read."""


class UnsupportedConversion(InputError):
    """This format, precision and architecture are known not to go together."""


class ConversionFailed(InputError):
    """A converter's library failed; its own words are the cause."""


class EngineError(InputError):
    """An engine cannot open an artifact or failed while it ran."""


class ChildFailed(InputError):
    """A child process ended without an answer."""


class StorageError(InputError):
    """The disk is full, read-only, or holds something that must not be overwritten."""


class HubError(InputError):
    """A model hub cannot be reached, refuses, or has nothing, or something else, under a name."""


class GateFailed(EdgewrightError):
    """An artifact differs from the eager model by more than its precision may."""

    exit_code = 4


class DeviceError(EdgewrightError):
    """A device or the transport to it failed."""

    exit_code = 5


class ConnectionLost(DeviceError):
    """The way to a device broke in the middle, or cannot be had now; a step that may be repeated can be tried again."""


class MissingExtra(EdgewrightError):
    """An optional package is needed; the hint is the pip line that installs it."""

    exit_code = 6


def one_line(text: str, limit: int = 600) -> str:
    """`text` with every run of white space and control characters made one space, cut at `limit` characters."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    flat = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`, did you mean X?` for the known name that is nearest, or nothing."""
    import difflib

    near = difflib.get_close_matches(name, list(known), 1)
    return f", did you mean {near[0]}?" if near else ""


def quoted(text: str, limit: int = 40) -> str:
    """The beginning of a text in quotation marks, with an ellipsis where it was cut."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def from_record(record: Any, unknown: type[EdgewrightError] | None = None) -> EdgewrightError:
    """Rebuild an error that crossed a process boundary.

    Args:
        record: what came; it need not be a record.
        unknown: what an error becomes that has no code of ours or names our own bug, by default `EdgewrightError`:
            another machine's is not a bug here.
    """
    kinds = {kind("").code: kind for kind in _tree(EdgewrightError)}
    said = {name: str(value) for name, value in record.items()} if isinstance(record, dict) else {}
    kind = kinds.get(said.get("code", ""), EdgewrightError)
    if kind is EdgewrightError and unknown:
        kind = unknown
    return kind(said.get("message", "no message"), hint=said.get("hint", ""))


def _tree(kind: type[EdgewrightError]) -> list[type[EdgewrightError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _tree(child))]
