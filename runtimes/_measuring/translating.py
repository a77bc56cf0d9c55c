"""The process that measures a translator: texts translated round after round, each timed by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from edgewright.inference.engines import engine_for
from edgewright.inference.pipeline import load
from edgewright.measure.process import TheirState
from edgewright.measure.translating import TranslatingAnswer
from edgewright.runtimes._measuring.alive import alive_ms
from edgewright.system.vitals import Watch, machine_state, peak_rss_mib

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.generation.translator import Translator
    from edgewright.measure.translating import TranslatingRequest

__all__ = ["translate"]


def translate(request: TranslatingRequest, progress: Callable[[str], None]) -> TranslatingAnswer:
    """Open the artifact, and translate the texts."""
    del progress
    begin = time.perf_counter()
    translator: Translator = load(
        request.bundle, format=request.format, precision=request.precision, threads=request.threads
    )
    load_ms = _since(begin)
    translator(request.texts[0])
    first_ms = alive_ms()
    read, written = _counted(translator, request.texts)
    before, watch = _state(), Watch()
    text_ms = [_timed(translator, text) for _ in range(request.rounds) for text in request.texts]
    return TranslatingAnswer(
        first_ms=first_ms,
        load_ms=load_ms,
        peak_rss_mib=peak_rss_mib(),
        version=engine_for(request.format).version(),
        beams=translator.defaults.search.num_beams,
        read=read,
        written=written,
        text_ms=tuple(text_ms),
        before=before,
        after=_state(),
        others=watch.others(),
    )


def _counted(translator: Translator, texts: tuple[str, ...]) -> tuple[int, int]:
    """Tokens read and written of all texts: the round that is not timed."""
    sources = [source for text in texts for source in translator.sources(text)]
    return sum(map(len, sources)), sum(len(one.tokens) for one in translator.write(sources, translator.defaults))


def _timed(translator: Translator, text: str) -> float:
    begin = time.perf_counter()
    translator(text)
    return _since(begin)


def _since(begin: float) -> float:
    return (time.perf_counter() - begin) * 1e3


def _state() -> TheirState:
    return msgspec.convert(machine_state(), TheirState)
