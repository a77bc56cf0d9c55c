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
from edgewright.system.vitals import Watch, energy_uj, machine_state, peak_rss_mib  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.inference.pipeline import Pipeline
    from edgewright.measure.process import Apart, AskMemory, AskTimes, MemoryAnswer, Series, TheirParts, TimesAnswer

    Asked = AskMemory | AskTimes

    Feeds = Mapping[str, NDArray[Any]]

__all__ = ["main", "measure", "sample", "series", "timed"]

_FILLER = "The river had risen in the night, and by morning the lower path was gone. "
_MOST_RUNS = 1000
"""A choice: an engine that takes microseconds is not run for the whole of its time."""
_MOST_ANSWERED = 50
"""A choice: enough for a median of the parts around the engine, which are timed apart."""
_METERED_S = 1.0
"""A choice: RAPL's counters move each millisecond, a board's meter is read 20 times."""


def measure(asked: Mapping[str, Any]) -> MemoryAnswer | TimesAnswer:
    """Load, first run, then one series per length: milliseconds of each timed run; or the peak of memory.

    What is asked becomes a typed request when the imports have been timed: no answer needs what that imports.
    """
    from edgewright.inference.engines import engine_for
    from edgewright.inference.pipeline import load

    engine = engine_for(asked["format"])
    engine.import_engine()
    import_ms, modules = _since(_BEGIN), len(sys.modules)
    request = _typed(asked)
    begin = time.perf_counter_ns()
    chosen: dict[str, Any] = {name: getattr(request, name) for name in ("format", "precision", "threads", "buckets")}
    pipeline = load(request.bundle, **chosen)
    load_ms = _since(begin)
    rows = list(series(pipeline, request.tokens, request.texts, request.batch))
    begin = time.perf_counter_ns()
    pipeline.run(rows[0][1][0])
    first_ms = _since(begin)
    from edgewright.measure.process import MemoryAnswer, TimesAnswer

    if request.peak:
        for _, feeds, _ in rows:
            pipeline.session.run(feeds[-1])
        version = engine.version()
        return MemoryAnswer(peak_rss_mib(), _apart(request), engine.engine, version)
    found = tuple(timed(pipeline, request, *one) for one in rows)
    return TimesAnswer(import_ms, modules, load_ms, first_ms, found)


def _typed(asked: Mapping[str, Any]) -> Asked:
    from msgspec import convert

    from edgewright.measure.process import AskMemory, AskTimes

    kind: type[Asked] = AskMemory if asked["peak"] else AskTimes
    return convert(asked, kind)


def series(
    pipeline: Pipeline, tokens: Sequence[int], texts: Sequence[Any] = (), batch: int = 1
) -> Iterator[tuple[list[int], Sequence[Feeds], Sequence[Any]]]:
    """What to time: for each row the numbers of tokens, the arrays to run in turn, and the items that these are of."""
    if texts:
        groups = [texts[at : at + batch] for at in range(0, len(texts), batch)]
        encodings = [pipeline.task.encode(pipeline.tokenizer, group) for group in groups]
        feeds = [feed for encoding in encodings for feed in encoding.batches]
        answered = texts if batch == 1 else []
        yield [int(length) for encoding in encodings for length in encoding.lengths], feeds, answered
    for length in tokens:
        pipeline.tokenizer.limit(length)
        item = pipeline.task.item(_FILLER * (length // 8 + 1), pipeline.tokenizer)
        feeds = pipeline.task.encode(pipeline.tokenizer, [item] * batch).batches[:1]
        pipeline.tokenizer.limit(pipeline.tokenizer.max_length)
        yield [length], feeds, [item] * _MOST_ANSWERED if batch == 1 else []


def timed(
    pipeline: Pipeline, request: Asked, lengths: list[int], feeds: Sequence[Feeds], items: Sequence[Any]
) -> Series:
    """Warm up by count and by time, then run, and say what the machine did meanwhile."""
    from edgewright.measure.process import Series, TheirState

    run, watch, before = pipeline.session.run, Watch(), machine_state()
    begin, done = time.perf_counter_ns(), 0
    while done < request.warmup_runs or _since(begin) < request.warmup_ms:
        run(feeds[done % len(feeds)])
        done += 1
    used, cpu_s = energy_uj(), time.process_time()
    samples = _enough(run, feeds, max(request.runs, len(feeds)), request.least_ms)
    cpu_s, spent = time.process_time() - cpu_s, energy_uj()
    energy, sustained = _energy(used, spent, len(samples), run, feeds), _sustained(run, feeds, request.sustained_s)
    others, after = watch.others(), machine_state()
    return Series(
        tokens=median_low(lengths),
        lengths=tuple(lengths),
        samples_ms=tuple(samples),
        cpu_ms=1e3 * cpu_s / len(samples),
        **energy,
        sustained_ms=tuple(sustained),
        others=others,
        before=TheirState(**before),
        after=TheirState(**after),
        parts=_parts(pipeline, items[:_MOST_ANSWERED], max(lengths)) if items else None,
    )


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


def _parts(pipeline: Pipeline, items: Sequence[Any], longest: int) -> TheirParts:
    """Text in to answer out, of items cut to `longest` tokens: medians over the items."""
    from edgewright.measure.process import TheirParts

    clock, rows = time.perf_counter_ns, []
    pipeline.tokenizer.limit(longest)
    for item in items:
        begin = clock()
        encoding = pipeline.task.encode(pipeline.tokenizer, [item])
        tokenized = clock()
        outputs = encoding.run(pipeline.run)
        ran = clock()
        pipeline.task.decode(outputs, encoding)
        end = clock()
        rows.append((tokenized - begin, ran - tokenized, end - ran, end - begin))
    pipeline.tokenizer.limit(pipeline.tokenizer.max_length)
    return TheirParts(*(median_low(column) / 1e6 for column in zip(*rows, strict=True)))


def _apart(request: Asked) -> Apart:
    """The steps of loading, one after the other."""
    from edgewright.bundle.bundle import Bundle
    from edgewright.inference.engines import engine_for
    from edgewright.measure.process import Apart

    begin = time.perf_counter_ns()
    bundle = Bundle.open(request.bundle)
    artifact = bundle.choose(format=request.format, precision=request.precision)
    for path in (*bundle.parts(artifact), *bundle.tokenizer_files()):
        bundle.checked(path)
    read = time.perf_counter_ns()
    bundle.tokenizer()
    built = time.perf_counter_ns()
    engine_for(artifact.format).open(bundle.directory / artifact.path, threads=request.threads)
    end = time.perf_counter_ns()
    return Apart((read - begin) / 1e6, (built - read) / 1e6, (end - built) / 1e6)


def _since(begin: int) -> float:
    return (time.perf_counter_ns() - begin) / 1e6


def _asked() -> dict[str, Any]:
    """The request: on standard input, or in a file that the first argument names, with the bundle as the second."""
    if len(sys.argv) < 2:
        asked: dict[str, Any] = json.load(sys.stdin)
        return asked
    path, bundle = sys.argv[1:]
    with open(path, "rb") as file:  # noqa: PTH123 - `startup` counts imports
        return {**json.load(file), "bundle": bundle}


def _answer(asked: Mapping[str, Any]) -> Any:
    if not {"about", "peaks"} & asked.keys():
        return measure(asked)
    from msgspec import convert

    from edgewright.measure.process import AskAbout, AskPeaks
    from edgewright.runtimes._measuring import about

    if "about" in asked:
        return about.about(convert(asked, AskAbout))
    return about.peaks(convert(asked, AskPeaks))


def main() -> None:
    """Answer one request: standard input to standard output."""
    try:
        answer = _plain(_answer(_asked()))
    except EdgewrightError as error:
        answer = {"error": error.record()}
    json.dump(answer, sys.stdout)


def _plain(answer: Any) -> Any:
    from msgspec import to_builtins

    return to_builtins(answer)


if __name__ == "__main__":
    main()
