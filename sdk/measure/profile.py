"""Where an inference spends its time: by operator, by kind of operator, by layer of the source model."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct

from edgewright.bundle import manifest
from edgewright.bundle.bundle import Bundle
from edgewright.bundle.manifest import Artifact  # noqa: TC001 - msgspec reads the annotations of a profile's file
from edgewright.contracts.operators import Operator, Trace, layer_of
from edgewright.contracts.precision import by_integers
from edgewright.errors import DataError, EdgewrightError, UsageError
from edgewright.inference.engines import engine_for, runnable
from edgewright.measure.roofline import Roofline, roofline
from edgewright.system.child import Child, call
from edgewright.system.files import read_capped, write_whole
from edgewright.system.machine import model, require_clock
from edgewright.system.shown import Results, brief, table_of
from edgewright.system.untrusted import MAX_JSON_BYTES
from edgewright.system.words import counted
from edgewright.tasks import check_at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "PROFILE",
    "Fallbacks",
    "Kept",
    "Profile",
    "ProfileRequest",
    "Share",
    "chrome_trace",
    "fallbacks",
    "in_child",
    "profile",
    "read",
    "shares",
    "write",
]

_FILLER = "The river had risen in the night, and by morning the lower path was gone. "
_FAR = 0.1
"""Of a peak: below it something else holds a part back, such as the cost of a call."""
_INTEGER_KINDS = ("Integer", "Quant", "QC8W", "QC4W", "QB4W", "QS8")
"""What the names of ONNX Runtime's and XNNPACK's integer products have in them."""


@dataclass(frozen=True)
class Profile:
    """The operators of one artifact at one length, beside the machine's measured peaks, and the machine's model.

    Attributes:
        tokens: of the text; of a decoder those that it has read, after which it `writes` one more.
    """

    artifact: Artifact
    engine: str
    tokens: int
    trace: Trace
    peaks: Roofline
    machine: str = ""
    writes: bool = False

    @property
    def title(self) -> str:
        """Which artifact, where, and how long."""
        what = f"a token after {self.tokens}" if self.writes else f"{self.tokens} tokens"
        return f"{self.artifact.key} on {self.engine}, {what}: {self.trace.plain_ms:.3g} ms"

    def __repr__(self) -> str:
        return brief(self, self.title, counted(len(self.trace.operators), "operator"), self.machine)

    def _repr_html_(self) -> str:
        from edgewright.system.markup import tag

        return tag("p", self.title) + table_of([share.cells() for share in shares(self)])


@dataclass(frozen=True)
class Share:
    """A part of an inference.

    Attributes:
        what: an operator, a kind or a layer; `between operators` is what none of them accounts for.
        calls: operators in it.
        time_ms: what they took together.
        share: of the session's time.
        gmac_s: 10^9 multiply-accumulates per second, None where it has none.
        gb_s: 10^9 bytes moved per second.
        of_peak: the larger of both as a part of the machine's measured peak.
        bound: which of the two it is nearer to, `compute` or `memory`; `cache` where more is moved than memory gives,
            None where it is near neither.
        ran_by: the delegates or providers that ran it, `engine` for its own kernels; None where there is no delegate.
    """

    what: str
    calls: int
    time_ms: float
    share: float
    gmac_s: float | None = None
    gb_s: float | None = None
    of_peak: float | None = None
    bound: str | None = None
    ran_by: str | None = None

    def __repr__(self) -> str:
        return brief(self, f"{self.time_ms:.3g} ms", f"{self.share:.1%}", counted(self.calls, "call"), self.what)

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        return asdict(self)


@dataclass(frozen=True)
class Fallbacks:
    """What ran outside of the delegate or provider that was to run everything, and what it cost.

    Attributes:
        delegate: its name.
        operators: how many ran outside, `of` how many.
        time_ms: what they took.
        share: of the session's time.
        kinds: how many of each kind, the dearest first.
    """

    delegate: str
    operators: int
    of: int
    time_ms: float
    share: float
    kinds: dict[str, int]

    def __str__(self) -> str:
        """In a line: `outside XNNPACK: 6 of 120 operators, 0.03 ms, 4.5 % (EMBEDDING_LOOKUP 2, CAST 2)`."""
        if not self.operators:
            return f"all {self.of} operators ran in {self.delegate}"
        took = f"{self.time_ms:.3g} ms, {100 * self.share:.1f} %"
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.kinds.items())
        return f"outside {self.delegate}: {self.operators} of {self.of} operators, {took} ({kinds})"


def fallbacks(found: Profile) -> Fallbacks | None:
    """Counted and priced; None for an engine that has no delegate."""
    trace = found.trace
    if not trace.delegate:
        return None
    outside = [operator for operator in trace.operators if operator.ran_by != trace.delegate]
    kinds: dict[str, list[float]] = {}
    for operator in outside:
        kinds.setdefault(operator.kind, []).append(operator.time_ms)
    time_ms = sum(operator.time_ms for operator in outside)
    dearest = sorted(kinds.items(), key=lambda item: -sum(item[1]))
    counts = {kind: len(times) for kind, times in dearest}
    return Fallbacks(trace.delegate, len(outside), len(trace.operators), time_ms, time_ms / trace.run_ms, counts)


def profile(
    bundle: Bundle | str | Path,
    *,
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    tokens: int = 128,
    threads: int = 1,
    runs: int = 50,
) -> Profile:
    """Profile an artifact, by default the smallest, in a child process: of a decoder, one token after `tokens` others.

    Raises:
        BundleError: the bundle is bad or has no such artifact.
        UsageError: a length over the model's, no such number of threads, an engine whose profiler is not read, or an
            emulated machine.
        EngineError: the engine failed.
    """
    require_clock()
    opened, task = Bundle.of(bundle), Bundle.of(bundle).task()
    if task.reads_source:
        check_at_once(task, "profiled")
    longest = opened.manifest.settings.max_length - task.generates
    if not 1 <= tokens <= longest or runs < 1:
        raise UsageError(f"{tokens} tokens and {runs} runs were asked, the model takes 1 to {longest} tokens")
    artifact = opened.choose(format=format, precision=precision, among=() if format else runnable(opened))
    for path in opened.parts(artifact):
        opened.checked(path)
    trace = call(PROFILE, ProfileRequest(opened.directory, artifact.path, tokens, threads, runs))
    engine, peaks = engine_for(artifact.format).engine, roofline(threads)
    return Profile(artifact, engine, tokens, trace, peaks, model(), writes=task.generates)


class ProfileRequest(Struct, frozen=True):
    """An artifact of a bundle, by its path, to profile at a length."""

    bundle: Path
    path: str
    tokens: int
    threads: int
    runs: int


PROFILE = Child("edgewright.measure.profile:in_child", ProfileRequest, Trace)


def in_child(request: ProfileRequest, progress: Callable[[str], None]) -> Trace:
    """The child's side of `profile`."""
    del progress
    bundle = Bundle.open(request.bundle)
    artifact = next(a for a in bundle.manifest.artifacts if a.path == request.path)
    task = bundle.task()
    tokenizer = bundle.tokenizer()
    path, engine = bundle.directory / artifact.path, engine_for(artifact.format)
    text = _FILLER * (request.tokens // 8 + 1)
    if task.generates:
        ids = tokenizer.ids(text)[: request.tokens]
        return engine.profile_token(path, ids, threads=request.threads, runs=request.runs)
    tokenizer.limit(request.tokens)
    feeds = task.encode(tokenizer, [task.item(text, tokenizer)]).batches[0]
    return engine.profile(path, feeds, threads=request.threads, runs=request.runs)


def shares(found: Profile, by: str = "kind") -> Results[Share]:
    """The parts of an inference, the longest first, and the rest: by `operator`, `kind`, or `layer`."""
    parts: dict[str, list[Operator]] = {}
    for operator in found.trace.operators:
        names = {"operator": operator.name, "kind": operator.kind, "layer": layer_of(operator.layer) or "no layer"}
        parts.setdefault(names[by], []).append(operator)
    rows = sorted((_share(what, part, found) for what, part in parts.items()), key=lambda row: -row.time_ms)
    rest = found.trace.rest_ms
    return Results([*rows, Share("between operators", 0, rest, rest / found.trace.run_ms)])


def _share(what: str, part: Sequence[Operator], found: Profile) -> Share:
    time_ms = sum(operator.time_ms for operator in part)
    share = time_ms / found.trace.run_ms
    ran_by = ", ".join(dict.fromkeys(o.ran_by or "engine" for o in part)) if found.trace.delegate else None
    if not time_ms:
        return Share(what, len(part), 0.0, 0.0, ran_by=ran_by)
    gmac_s = sum(operator.macs for operator in part) / time_ms / 1e6
    gb_s = sum(operator.moved_bytes for operator in part) / time_ms / 1e6
    integer = by_integers(found.artifact.precision) and any(word in o.kind for o in part for word in _INTEGER_KINDS)
    peak = found.peaks.int8_gmac_s if integer else found.peaks.fp32_gmac_s
    computing, moving = gmac_s / peak, gb_s / found.peaks.read_gb_s
    nearer = "compute" if computing >= moving else "memory" if moving <= 1 else "cache"
    bound = None if max(computing, moving) < _FAR else nearer
    speeds = gmac_s or None, gb_s or None, max(computing, moving) or None
    return Share(what, len(part), time_ms, share, *speeds, bound, ran_by)


def chrome_trace(found: Profile) -> dict[str, Any]:
    """One run in the Trace Event Format, which Perfetto and Chrome open: operators below their layers.

    Slices of a track follow each other: Perfetto takes two that overlap, where neither holds the other, for an error.
    """
    names = {"process_name": (1, found.title), "thread_name": (1, "layers"), "thread_name ": (2, "operators")}
    events: list[dict[str, Any]] = [
        {"name": what.strip(), "ph": "M", "pid": 1, "tid": track, "args": {"name": words}}
        for what, (track, words) in names.items()
    ]
    slices = _slices(found)
    for operator, at, took in slices:
        facts = {"layer": operator.layer, "macs": operator.macs, "bytes": operator.moved_bytes, "by": operator.ran_by}
        events.append(_event(operator.kind, operator.name, at, took, 2) | {"args": facts})
    for layer, inside in itertools.groupby(slices, lambda one: layer_of(one[0].layer)):
        (_, first, _), *_ = spans = list(inside)
        if layer:
            events.append(_event(layer, "layer", first, spans[-1][1] + spans[-1][2] - first, 1))
    return {"traceEvents": events, "displayTimeUnit": "ns"}


def _event(name: str, category: str, at: float, took: float, track: int) -> dict[str, Any]:
    return {"name": name, "cat": category, "ph": "X", "ts": at, "dur": took, "pid": 1, "tid": track}


def _slices(found: Profile) -> list[tuple[Operator, float, float]]:
    """Each operator with its beginning and length in microseconds.

    One begins where it did in the last run, or, as lengths are means over all, where the one before ends.
    """
    slices, free = [], 0.0
    for operator in sorted(found.trace.operators, key=lambda o: o.start_ms):
        at, took = max(operator.start_ms * 1e3, free), operator.time_ms * 1e3
        slices.append((operator, at, took))
        free = at + took
    return slices


_LONGEST_MS, _SLOWEST = 1e12, 1e-6
"""Beyond 30 years of milliseconds, and below a thousand operations a second, a file says what cannot be."""


class Kept(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root object of the file."""

    schema: Annotated[int, Meta(ge=1)] = manifest.SCHEMA
    kind: Literal["edgewright profile"] = "edgewright profile"
    profile: Profile


def write(found: Profile, path: Path) -> None:
    """Write the file, whole or not at all. Raises StorageError."""
    write_whole(path, manifest.encode(Kept(profile=found)))


def read(path: str | Path) -> Profile:
    """Read such a file.

    Raises:
        DataError: it is not there, too large, half written, of another version, or no profile.
    """
    hint = "give a file that `edgewright profile --out` wrote"
    try:
        kept: Kept = manifest.decode(read_capped(Path(path), MAX_JSON_BYTES), Kept, Path(path).name)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", hint=hint) from error
    except EdgewrightError as error:
        raise DataError(error.message, hint=error.hint or hint) from error
    trace, peaks = kept.profile.trace, kept.profile.peaks
    if not trace.operators or trace.run_ms <= 0:
        raise DataError(f"{Path(path).name} has no operators", hint=hint)
    times = [time for one in trace.operators for time in (one.time_ms, one.start_ms)]
    speeds = (peaks.fp32_gmac_s, peaks.int8_gmac_s, peaks.read_gb_s)
    if not all(0 <= time < _LONGEST_MS for time in (*times, trace.run_ms)) or min(speeds) < _SLOWEST:
        raise DataError(f"{Path(path).name} has times or peaks that no machine has", hint=hint)
    return kept.profile
