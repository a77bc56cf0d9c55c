"""The counted process: reads a request as JSON on standard input, runs one inference per length between two marks.

Of a model that writes an inference is one token, written after so many others.

The marks are system calls that no kernel knows, `prctl(0x45444745, k)`; a plugin of the emulator sees them.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from edgewright.bundle.bundle import Bundle
from edgewright.errors import EdgewrightError
from edgewright.measure.process import AskCount, CountAnswer
from edgewright.runtimes._measuring.worker import series
from edgewright.runtimes._measuring.writing import filler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edgewright.generation.generator import Generator
    from edgewright.inference.pipeline import Pipeline

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
    mark = ctypes.CDLL(None).prctl
    writes = Bundle.open(request.bundle).task().generates
    runs = (_written if writes else _answered)(pipeline, request.tokens)
    gc.disable()
    for number, (run, again) in enumerate(runs, 1):
        for _ in range(_BEFORE):
            run()
            again()
        mark(_MARK, 0, 0, 0, 0)
        run()
        mark(_MARK, number, 0, 0, 0)
    return CountAnswer(engine.engine, engine.version())


def _answered(pipeline: Pipeline, tokens: Sequence[int]) -> Iterator[tuple[Callable[[], object], Callable[[], object]]]:
    """For each length an inference, and what makes ready for the next one: nothing."""
    for _, feeds, _ in list(series(pipeline, tokens)):
        yield partial(pipeline.session.run, feeds[0]), tuple


def _written(
    generator: Generator, tokens: Sequence[int]
) -> Iterator[tuple[Callable[[], object], Callable[[], object]]]:
    """For each length a token after as many, and the rewinding that makes ready for it once more."""
    text, session = filler(generator.tokenizer, max(tokens)), generator.session
    for length in tokens:
        session.rewind(0)
        token = int(session.prompt(text[:length]).argmax())
        yield partial(session.step, token), partial(session.rewind, length)


def main() -> None:
    """Answer one request: standard input to standard output."""
    try:
        answer = msgspec.to_builtins(run_marked(msgspec.convert(json.load(sys.stdin), AskCount)))
    except EdgewrightError as error:
        answer = {"error": error.record()}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
