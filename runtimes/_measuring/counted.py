"""The counted process: reads a request as JSON on standard input, runs one inference per length between two marks.

The marks are system calls that no kernel knows, `prctl(0x45444745, k)`; a plugin of the emulator sees them.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys

import msgspec

from edgewright.errors import EdgewrightError
from edgewright.measure.process import AskCount, CountAnswer
from edgewright.runtimes._measuring.worker import series

__all__ = ["main", "run_marked"]

_MARK = 0x45444745
"""EDGE, as the emulator's plugin knows it; no option of prctl(2) has this number."""
_BEFORE = 2
"""The first run of a shape makes its buffers; the second one is a choice, to be sure."""


def run_marked(request: AskCount) -> CountAnswer:
    """One inference per length of `tokens`, the k-th between the marks 0 and k; each after two more."""
    from edgewright.inference.engines import engine_for
    from edgewright.inference.pipeline import load

    engine = engine_for(request.format)
    pipeline = load(request.bundle, format=request.format, precision=request.precision, threads=1)
    mark, run = ctypes.CDLL(None).prctl, pipeline.session.run
    wanted = list(series(pipeline, request.tokens))
    gc.disable()
    for number, (_, feeds, _) in enumerate(wanted, 1):
        feed = feeds[0]
        for _ in range(_BEFORE):
            run(feed)
        mark(_MARK, 0, 0, 0, 0)
        run(feed)
        mark(_MARK, number, 0, 0, 0)
    return CountAnswer(engine.engine, engine.version())


def main() -> None:
    """Answer one request: standard input to standard output."""
    try:
        answer = msgspec.to_builtins(run_marked(msgspec.convert(json.load(sys.stdin), AskCount)))
    except EdgewrightError as error:
        answer = {"error": error.record()}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
