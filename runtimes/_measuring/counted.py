"""The counted process: reads a request as JSON on standard input, runs one inference per length between two marks.

The marks are system calls that no kernel knows, `prctl(0x45444745, k)`; a plugin of the emulator sees them.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from typing import TYPE_CHECKING, Any

from edgewright.errors import EdgewrightError
from edgewright.runtimes._measuring.worker import series

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["main", "run_marked"]

_MARK = 0x45444745
_BEFORE = 2


def run_marked(request: Mapping[str, Any]) -> dict[str, Any]:
    """One inference per length of `tokens`, the k-th between the marks 0 and k; each after two more.

    The request: `bundle`, `format`, `precision`, `tokens`. The answer: the engine and its version.
    """
    from edgewright.inference.engines import engine_for
    from edgewright.inference.pipeline import load

    engine = engine_for(request["format"])
    pipeline = load(request["bundle"], format=request["format"], precision=request["precision"], threads=1)
    mark, run = ctypes.CDLL(None).prctl, pipeline.session.run
    wanted = list(series(pipeline, {**request, "texts": ()}))
    gc.disable()
    for number, (_, feeds, _) in enumerate(wanted, 1):
        feed = feeds[0]
        for _ in range(_BEFORE):
            run(feed)
        mark(_MARK, 0, 0, 0, 0)
        run(feed)
        mark(_MARK, number, 0, 0, 0)
    return {"engine": engine.engine, "version": engine.version()}


def main() -> None:
    """Answer one request: standard input to standard output."""
    try:
        answer = run_marked(json.load(sys.stdin))
    except EdgewrightError as error:
        answer = {"error": error.record()}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
