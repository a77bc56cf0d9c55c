"""The measuring process: reads a request as JSON on standard input, prints one JSON record.

It runs on the device, so that no clock is ever compared with another machine's.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from statistics import median_low
from typing import TYPE_CHECKING, Any

_BEGIN = time.perf_counter_ns()  # before the imports that `startup` counts

from edgewright.errors import EdgewrightError  # noqa: E402
from edgewright.runtimes._measuring.power import energy  # noqa: E402
from edgewright.system.vitals import Watch, energy_uj, moment, peak_rss_mib  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.inference.pipeline import Pipeline

    Feeds = Mapping[str, NDArray[Any]]

__all__ = ["main", "measure", "sample", "series"]

_FILLER = "The river had risen in the night, and by morning the lower path was gone. "
_MOST_RUNS = 1000
_MOST_ANSWERED = 50
_METERED_S = 1.0


def measure(request: Mapping[str, Any]) -> dict[str, Any]:
    """Load, first run, then one series per length: milliseconds of each timed run.

    The request: `bundle`, `format`, `precision`, `threads`, `tokens`, `texts`, `runs`, `warmup_runs`, `warmup_ms`,
    `peak`, and where wanted `buckets`, `batch` and `sustained_s`; see `edgewright.measure.plan.Plan`.
    """
    from edgewright.inference.engines import engine_for
    from edgewright.inference.pipeline import load

    engine = engine_for(request["format"])
    engine.import_engine()
    startup: dict[str, float] = {"import_ms": _since(_BEGIN), "modules": len(sys.modules)}
    begin = time.perf_counter_ns()
    chosen = {name: request[name] for name in ("format", "precision", "threads")}
    pipeline = load(request["bundle"], **chosen, buckets=tuple(request.get("buckets", ())))
    startup["load_ms"] = _since(begin)
    rows = list(series(pipeline, request))
    begin = time.perf_counter_ns()
    pipeline.session.run(rows[0][1][0])
    startup["first_ms"] = _since(begin)
    if request["peak"]:
        for _, feeds, _ in rows:
            pipeline.session.run(feeds[-1])
        facts = {"engine": engine.engine, "version": engine.version()}
        return {"peak_rss_mib": peak_rss_mib(), "apart": _apart(request), **facts}
    return {**startup, "series": [_timed(pipeline, request, *one) for one in rows]}


def series(pipeline: Pipeline, request: Mapping[str, Any]) -> Iterator[tuple[list[int], Sequence[Feeds], list[Any]]]:
    """What to time: for each row the numbers of tokens, the arrays to run in turn, and the items that these are of."""
    batch = request.get("batch", 1)
    if request["texts"]:
        groups = [request["texts"][at : at + batch] for at in range(0, len(request["texts"]), batch)]
        texts = [pipeline.task.encode(pipeline.tokenizer, group) for group in groups]
        feeds = [feed for encoding in texts for feed in encoding.batches]
        answered = request["texts"] if batch == 1 else []
        yield [int(length) for encoding in texts for length in encoding.lengths], feeds, answered
    for tokens in request["tokens"]:
        pipeline.tokenizer.limit(tokens)
        item = pipeline.task.item(_FILLER * (tokens // 8 + 1), pipeline.tokenizer)
        feeds = pipeline.task.encode(pipeline.tokenizer, [item] * batch).batches[:1]
        pipeline.tokenizer.limit(pipeline.tokenizer.max_length)
        yield [tokens], feeds, [item] * _MOST_ANSWERED if batch == 1 else []


def _timed(
    pipeline: Pipeline, request: Mapping[str, Any], lengths: list[int], feeds: Sequence[Feeds], items: Sequence[Any]
) -> dict[str, Any]:
    """Warm up by count and by time, then run, and say what the machine did meanwhile."""
    run, watch, before = pipeline.session.run, Watch(), moment()
    begin, done = time.perf_counter_ns(), 0
    while done < request["warmup_runs"] or _since(begin) < request["warmup_ms"]:
        run(feeds[done % len(feeds)])
        done += 1
    used = energy_uj()
    samples = _enough(run, feeds, max(request["runs"], len(feeds)), request.get("least_ms", 0))
    spent = energy_uj()
    found = {
        "tokens": median_low(lengths),
        "lengths": lengths,
        "samples_ms": samples,
        **_energy(used, spent, len(samples), run, feeds),
        "sustained_ms": _sustained(run, feeds, request.get("sustained_s", 0)),
        "others": watch.others(),
        "before": before,
        "after": moment(),
    }
    return found | {"parts": _parts(pipeline, items[:_MOST_ANSWERED], max(lengths)) if items else None}


def sample(run: Callable[[Feeds], Any], feeds: Sequence[Feeds], runs: int) -> list[float]:
    """Milliseconds of each of `runs` calls; between the two readings of the clock there is nothing but the call."""
    clock, took = time.perf_counter_ns, []
    collecting = gc.isenabled()
    gc.disable()
    try:
        for at in range(runs):
            feed = feeds[at % len(feeds)]
            begin = clock()
            run(feed)
            took.append(clock() - begin)
    finally:
        if collecting:
            gc.enable()
    return [ns / 1e6 for ns in took]


def _enough(run: Callable[[Feeds], Any], feeds: Sequence[Feeds], runs: int, least_ms: float) -> list[float]:
    """Samples of at least so many runs and milliseconds, and no more than `_MOST_RUNS` for the time's sake."""
    samples = sample(run, feeds, runs)
    while sum(samples) < least_ms and len(samples) + runs <= _MOST_RUNS:
        samples += sample(run, feeds, runs)
    return samples


def _energy(
    used: int | None, spent: int | None, count: int, run: Callable[[Feeds], Any], feeds: Sequence[Feeds]
) -> dict[str, Any]:
    """By the processor's counter over the timed runs, else by a board's meter in a second of its own."""
    if used is not None and spent is not None and spent > used:
        return {"energy_mj": (spent - used) / 1e3 / count, "energy_meter": "RAPL: processor"}
    return energy(run, feeds, _METERED_S)


def _sustained(run: Callable[[Feeds], Any], feeds: Sequence[Feeds], seconds: float) -> list[float]:
    """The median of each second of a run of so many seconds."""
    medians, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        took, turn = [], time.monotonic() + 1
        while time.monotonic() < turn:
            took += sample(run, feeds, len(feeds))
        medians.append(sorted(took)[len(took) // 2])
    return medians


def _parts(pipeline: Pipeline, items: Sequence[Any], longest: int) -> dict[str, float]:
    """Text in to answer out, of items cut to `longest` tokens: medians over the items."""
    clock, rows = time.perf_counter_ns, []
    pipeline.tokenizer.limit(longest)
    for item in items:
        begin = clock()
        encoding = pipeline.task.encode(pipeline.tokenizer, [item])
        tokenized = clock()
        outputs = encoding.run(pipeline.session.run)
        ran = clock()
        pipeline.task.decode(outputs, encoding)
        end = clock()
        rows.append((tokenized - begin, ran - tokenized, end - ran, end - begin))
    pipeline.tokenizer.limit(pipeline.tokenizer.max_length)
    names = ("tokenize_ms", "run_ms", "decode_ms", "whole_ms")
    return {name: median_low(column) / 1e6 for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _apart(request: Mapping[str, Any]) -> dict[str, float]:
    """The steps of loading, one after the other."""
    from edgewright.bundle.bundle import Bundle
    from edgewright.inference.engines import engine_for

    begin = time.perf_counter_ns()
    bundle = Bundle.open(request["bundle"])
    artifact = bundle.choose(format=request["format"], precision=request["precision"])
    for path in (*bundle.parts(artifact), *bundle.tokenizer_files()):
        bundle.checked(path)
    read = time.perf_counter_ns()
    bundle.tokenizer()
    built = time.perf_counter_ns()
    engine_for(artifact.format).open(bundle.directory / artifact.path, threads=request["threads"])
    end = time.perf_counter_ns()
    steps = zip(("read_ms", "tokenizer_ms", "open_ms"), ((begin, read), (read, built), (built, end)), strict=True)
    return {name: (last - first) / 1e6 for name, (first, last) in steps}


def _since(begin: int) -> float:
    return (time.perf_counter_ns() - begin) / 1e6


def _asked() -> dict[str, Any]:
    """The request: on standard input, or in a file that the first argument names, with the bundle as the second."""
    if len(sys.argv) < 2:
        request: dict[str, Any] = json.load(sys.stdin)
        return request
    path, bundle = sys.argv[1:]
    with open(path, "rb") as file:  # noqa: PTH123 - `startup` counts imports
        return {**json.load(file), "bundle": bundle}


def _answer(request: Mapping[str, Any]) -> Any:
    if not {"about", "peaks"} & request.keys():
        return measure(request)
    from edgewright.runtimes._measuring import about

    return about.about(request["bundle"]) if "about" in request else about.peaks(request["peaks"])


def main() -> None:
    """Answer one request: standard input to standard output."""
    try:
        answer = _answer(_asked())
    except EdgewrightError as error:
        answer = {"error": error.record()}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
