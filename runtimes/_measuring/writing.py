"""The process that measures a decoder: prompts read, tokens written, each timed by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from edgewright.inference.engines import engine_for
from edgewright.inference.pipeline import load
from edgewright.measure.process import TheirState
from edgewright.measure.writing import Timed, WritingAnswer
from edgewright.runtimes._measuring.alive import alive_ms
from edgewright.system.vitals import Watch, machine_state, peak_rss_mib

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.generation.session import CacheSession
    from edgewright.measure.writing import WritingRequest
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["filler", "write"]

_FILLER = "The river had risen in the night, and by morning the lower path was gone. "


def write(request: WritingRequest, progress: Callable[[str], None]) -> WritingAnswer:
    """Open the artifact, and measure each length of a prompt in turn."""
    del progress
    begin = time.perf_counter()
    generator = load(request.bundle, format=request.format, precision=request.precision, threads=request.threads)
    load_ms = _since(begin)
    longest = max(request.prompts)
    text = filler(generator.tokenizer, longest)
    session: CacheSession = generator.session
    session.prompt(text[: min(request.prompts)]).argmax()
    first_ms = alive_ms()
    timed = tuple(_timed(session, text[:count], request) for count in request.prompts)
    engine = engine_for(request.format)
    return WritingAnswer(
        first_ms=first_ms,
        load_ms=load_ms,
        peak_rss_mib=peak_rss_mib(),
        engine=engine.engine,
        version=engine.version(),
        timed=timed,
    )


def filler(tokenizer: Tokenizer, tokens: int) -> list[int]:
    """So many tokens of a text."""
    return tokenizer.ids(_FILLER * (tokens // 8 + 2))[:tokens]


def _timed(session: CacheSession, ids: list[int], request: WritingRequest) -> Timed:
    read_ms, token_ms = [], []
    before, watch = _state(), Watch()
    for _ in range(request.readings):
        session.rewind(0)
        begin = time.perf_counter()
        token = int(session.prompt(ids).argmax())
        read_ms.append(_since(begin))
    for _ in range(request.written):
        begin = time.perf_counter()
        token = int(session.step(token).argmax())
        token_ms.append(_since(begin))
    return Timed(read_ms=tuple(read_ms), token_ms=tuple(token_ms), before=before, after=_state(), others=watch.others())


def _since(begin: float) -> float:
    return (time.perf_counter() - begin) * 1e3


def _state() -> TheirState:
    return msgspec.convert(machine_state(), TheirState)
