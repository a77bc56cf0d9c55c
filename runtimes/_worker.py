"""The measuring process: reads a request as JSON on standard input, prints one JSON record.

It runs on the device, so that no clock is ever compared with another machine's.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any

from edgewright.errors import EdgewrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.pipeline import Pipeline

    Feeds = Mapping[str, NDArray[Any]]

__all__ = ["measure"]

_FILLER = "The river had risen in the night, and by morning the lower path was gone. "


def measure(request: Mapping[str, Any]) -> dict[str, Any]:
    """Load, first run, then one series per length: milliseconds of each timed run."""
    from edgewright.engines import engine_for
    from edgewright.pipeline import load

    engine_for(request["format"]).import_engine()
    begin = time.perf_counter_ns()
    pipeline = load(
        request["bundle"], format=request["format"], precision=request["precision"], threads=request["threads"]
    )
    load_ms = _since(begin)
    series = _series(pipeline, request)
    begin = time.perf_counter_ns()
    pipeline.session.run(series[0][1][0])
    first_ms = _since(begin)
    if request["peak"]:
        for _, feeds in series:
            pipeline.session.run(feeds[-1])
        return {"peak_rss_mib": _peak_rss_mib()}
    timed = [{"tokens": tokens, "samples_ms": _time(pipeline.session.run, feeds, request)} for tokens, feeds in series]
    return {"load_ms": load_ms, "first_ms": first_ms, "series": timed}


def _series(pipeline: Pipeline, request: Mapping[str, Any]) -> list[tuple[int, list[Feeds]]]:
    """What to time: per row its number of tokens and the arrays to run in turn."""
    fixed: list[tuple[int, list[Feeds]]] = [(tokens, [_exactly(pipeline, tokens)]) for tokens in request["tokens"]]
    texts = [pipeline.task.encode(pipeline.tokenizer, [text]) for text in request["texts"]]
    runs: list[Feeds] = [batch for encoding in texts for batch in encoding.batches]
    lengths = [int(length) for encoding in texts for length in encoding.lengths]
    return ([(median_low(lengths), runs)] if runs else []) + fixed


def _exactly(pipeline: Pipeline, tokens: int) -> Feeds:
    """Real text of `tokens` tokens, batch 1: cut between the special tokens, as the tokenizer would cut it."""
    pipeline.tokenizer.limit(tokens)
    item = pipeline.task.item(_FILLER * (tokens // 8 + 1), pipeline.tokenizer)
    feeds = pipeline.task.encode(pipeline.tokenizer, [item]).batches[0]
    pipeline.tokenizer.limit(pipeline.tokenizer.max_length)
    return feeds


def _time(run: Callable[[Feeds], Any], feeds: Sequence[Feeds], request: Mapping[str, Any]) -> list[float]:
    begin, done = time.perf_counter_ns(), 0
    while done < request["warmup_runs"] or _since(begin) < request["warmup_ms"]:
        run(feeds[done % len(feeds)])
        done += 1
    return [_once(run, feeds[at % len(feeds)]) for at in range(max(request["runs"], len(feeds)))]


def _once(run: Callable[[Feeds], Any], feeds: Feeds) -> float:
    begin = time.perf_counter_ns()
    run(feeds)
    return _since(begin)


def _since(begin: int) -> float:
    return (time.perf_counter_ns() - begin) / 1e6


def _peak_rss_mib() -> float:
    """The high-water mark of this process's resident memory; a parent's own does not count (proc(5), VmHWM)."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _main() -> None:
    try:
        answer = measure(json.load(sys.stdin))
    except EdgewrightError as error:
        answer = {"error": error.record()}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    _main()
