"""The child's side of `edgewright.system.child`: read a request, run the function, answer on a pipe of its own."""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from edgewright.errors import EdgewrightError
from edgewright.system.files import unwritten
from edgewright.system.keeper import adopt, keep

__all__ = ["work"]

_GARBAGE = 50_000
"""Objects made between two looks for garbage: exporters make millions that live, and at Python's own 700 an export to
ONNX took a sixth longer, for memory that differs by a few MiB."""


def work(target: str, fd: int) -> None:
    """Run `module:function` on the request on standard input, and answer to a descriptor."""
    adopt()
    gc.set_threshold(_GARBAGE)
    pipe = os.fdopen(fd, "w", buffering=1, encoding="utf-8")

    def tell(**message: Any) -> None:
        pipe.write(json.dumps(message) + "\n")

    try:
        asked = json.load(sys.stdin)
        request = msgspec.convert(asked["request"], _named(asked["kind"]), dec_hook=_path)
        answer = _named(target)(request, lambda phrase: tell(progress=phrase))
        tell(result=msgspec.to_builtins(answer))
    except EdgewrightError as error:
        tell(error=error.record())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # The log of a child may lie on that disk, too, and its last words would not
        hint = "set TMPDIR to a directory elsewhere"
        tell(error=unwritten(error.filename or "what a step makes", error, hint=hint).record())


def _named(place: str) -> Any:
    """What lies at `module:name`."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _path(kind: type[Any], value: Any) -> Any:
    """A path: of the types that msgspec does not know by itself, the only one in a request."""
    if kind is not Path:
        raise NotImplementedError(f"a request holds a {kind.__name__}")
    return Path(value)


if __name__ == "__main__":
    keep(int(sys.argv[3]))
    work(sys.argv[1], int(sys.argv[2]))
