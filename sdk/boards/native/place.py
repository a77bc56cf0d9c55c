"""A device without Python as a place to measure: texts become arrays here, a runner there runs and times them."""

from __future__ import annotations

import importlib
import tempfile
import time
from functools import cached_property, partial
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any, TypedDict, cast

import msgspec

from edgewright._version import __version__
from edgewright.boards.native.commands import native_release
from edgewright.boards.native.release import ENGINE, FORMATS
from edgewright.errors import UsageError
from edgewright.inference.footprint import model_config
from edgewright.measure.place import About, Place
from edgewright.measure.process import Apart, Measure, MemoryAnswer, Series, TheirState, TimesAnswer
from edgewright.measure.rows import Machine
from edgewright.measure.writing import Timed, WritingAnswer, check_writing, measured_writing
from edgewright.system import vitals
from edgewright.system.shown import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.bundle.bundle import Bundle
    from edgewright.measure.process import Given, Request
    from edgewright.measure.roofline import Roofline
    from edgewright.measure.writing import WritingPlan, WritingRequest, WritingRow

__all__ = ["NativePlace"]

_VERSION = "by a runner, tokenization not included"
_MOST_RUNS = 1000
"""As in `edgewright.runtimes._measuring.worker`."""


class _Meanwhile(TypedDict):
    """What else a device did while something was measured: the others' share of it, its state before and after."""

    others: float
    before: TheirState
    after: TheirState


class NativePlace(Place):
    """A device behind `devices/_native/`, and the release that is active on it; see `edgewright.boards.place.There`."""

    def __init__(self, url: str, board: Any, bundle: str | Path) -> None:
        self.name, self._board, self._bundle = url, board, bundle
        self._scratch = tempfile.TemporaryDirectory(prefix="edgewright-")

    @cached_property
    def _release(self) -> Any:
        return native_release(self._board, self._bundle, Path(self._scratch.name))[1]

    def opened(self) -> Bundle:
        """The release, but for its artifacts. Raises what `native_release` raises."""
        bundle: Bundle = self._release.bundle
        return bundle

    @cached_property
    def about(self) -> About:
        """See `Place.about`."""
        bundle, facts = self.opened(), self._board.machine().described()
        kind = msgspec.convert({"edgewright": __version__, "python": "none", **facts}, Machine)
        return About(kind, FORMATS, bundle.manifest, model_config(bundle.directory) or None)

    def peaks(self, threads: int) -> Roofline:
        """Not to be had. Raises UsageError."""
        raise UsageError(f"the peaks of {self.name} with {threads} threads cannot be measured", hint="leave --roofline")

    def ask(self, request: Request[Given], timeout_s: float) -> Given:
        """What `runtimes/_measuring/worker.py` would answer there, but for what only a Python does. See `Place.ask`."""
        del timeout_s
        if not isinstance(request, Measure) or request.batch != 1 or request.sustained_s or request.buckets:
            raise UsageError("a runner measures single rows, without --batch, --sustained and --buckets")
        release, series_of = self._release, importlib.import_module("edgewright.runtimes._measuring.worker").series
        (artifact, *_) = release.artifacts(request.format, request.precision)
        with release.start(artifact, request.threads) as talk:
            opened = release.opened(talk)
            series = list(series_of(release.pipeline(artifact, opened.session), request.tokens, request.texts))
            opened.session.run(series[0][1][0])
            if request.answer is MemoryAnswer:
                rss = max(opened.bench(feeds, _runs(request, peak=True)).peak_rss_mib for _, feeds, _ in series)
                return cast("Given", MemoryAnswer(rss, Apart(0.0, 0.0, opened.load_ms), ENGINE, _VERSION))
            found = tuple(self._timed(opened, request, lengths, feeds) for lengths, feeds, _ in series)
        return cast("Given", TimesAnswer(0.0, 0, opened.load_ms, opened.first_ms, found))

    def _timed(self, opened: Any, request: Measure[Any], lengths: list[int], feeds: Sequence[Any]) -> Series:
        """One series, and what the device did meanwhile."""
        measured, meanwhile = self._watched(request.threads, lambda: opened.bench(feeds, _runs(request)))
        samples = tuple(measured.samples_ms)
        return Series(tokens=median_low(lengths), lengths=tuple(lengths), samples_ms=samples, **meanwhile)

    def _watched(self, threads: int, work: Callable[[], Any]) -> tuple[Any, _Meanwhile]:
        """What comes of work there, and what else the device did."""
        place = self._board.machine()
        before, begin, busy = vitals.machine_state(place), time.monotonic(), vitals.busy_s(place)
        done = work()
        # The runner's own share is not told apart from the others': its threads are taken to have worked throughout
        others = (vitals.busy_s(place) - busy) / (time.monotonic() - begin) - threads
        after = vitals.machine_state(place)
        share = max(0.0, others) / place.cores()
        return done, {"others": share, "before": TheirState(**before), "after": TheirState(**after)}

    def writing(
        self,
        plan: WritingPlan,
        *,
        format: str | None,  # noqa: A002
        precision: str | None,
        progress: Callable[[str], None],
    ) -> Results[WritingRow]:
        """As `edgewright.measure.writing.bench_writing`, of the release there.

        Raises what that raises, and what `native_release` raises.
        """
        release, bundle = self._release, self.opened()
        check_writing(bundle, plan)
        targets = [(one, threads) for one in release.artifacts(format, precision) for threads in plan.threads]
        measured = measured_writing(bundle, targets, plan, progress, ask=self._write)
        return Results(row for rows in measured for row in rows)

    def _write(self, request: WritingRequest) -> WritingAnswer:
        """What `runtimes/_measuring/writing.py` would answer there."""
        release, filler = self._release, importlib.import_module("edgewright.runtimes._measuring.writing").filler
        (artifact, *_) = release.artifacts(request.format, request.precision)
        text = filler(release.bundle.tokenizer(), max(request.prompts))
        with release.start(artifact, request.threads) as talk:
            opened = release.opened(talk)
            first = opened.write(text[: min(request.prompts)], 1, 0)
            timed, peaks = [], []
            for count in request.prompts:
                write = partial(opened.write, text[:count], request.readings, request.written)
                wrote, meanwhile = self._watched(request.threads, write)
                timed.append(Timed(read_ms=wrote.read_ms, token_ms=wrote.token_ms, **meanwhile))
                peaks.append(wrote.peak_rss_mib)
            return WritingAnswer(
                first_ms=opened.load_ms + first.read_ms[0],
                load_ms=opened.load_ms,
                peak_rss_mib=max(peaks),
                engine=ENGINE,
                version=_VERSION,
                timed=tuple(timed),
            )


def _runs(request: Measure[Any], *, peak: bool = False) -> Any:
    """How often a runner shall run; for the peak of memory once each, as it is read apart from the times."""
    kind = importlib.import_module("edgewright.runtimes._native").Runs
    if peak:
        return kind(1, 0, 0, 0, _MOST_RUNS)
    least, warm_up = int(request.least_ms), (request.warmup_runs, int(request.warmup_ms))
    return kind(request.runs, *warm_up, least, max(_MOST_RUNS, request.runs))
