"""What the process that measures is asked, and what it answers: JSON, which other versions understand too.

A board may have an older edgewright, or a newer one. So keys that are not known are left alone, also inside of what a
file of rows is strict about, and what an older version did not say has a default. `runtimes/_measuring/` is the other
end.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Generic, Literal, TypeVar, cast

import msgspec
from msgspec import Struct

from edgewright.bundle.manifest import Manifest  # noqa: TC001 - msgspec reads annotations
from edgewright.errors import DeviceError, from_record
from edgewright.measure.roofline import Roofline
from edgewright.measure.rows import Machine, MachineState, Parts
from edgewright.system.untrusted import encodable

__all__ = [
    "AboutAnswer",
    "Apart",
    "AskAbout",
    "AskCount",
    "AskMemory",
    "AskPeaks",
    "AskTimes",
    "CountAnswer",
    "Given",
    "Measure",
    "MemoryAnswer",
    "Request",
    "Series",
    "TheirMachine",
    "TheirParts",
    "TheirState",
    "TimesAnswer",
    "answered",
    "known",
]

Given = TypeVar("Given")
_Kept = TypeVar("_Kept", bound=Struct)


class TheirMachine(Machine, frozen=True, forbid_unknown_fields=False):
    """A machine, as the edgewright there describes it."""


class TheirState(MachineState, frozen=True, forbid_unknown_fields=False):
    """The state of a machine, as the edgewright there describes it."""


class TheirParts(Parts, frozen=True, forbid_unknown_fields=False):
    """The parts of an answer's time, as the edgewright there tells them apart."""


def known(theirs: Struct, kind: type[_Kept]) -> _Kept:
    """What another edgewright described, as the `kind` that a file of rows holds, whose fields are the same."""
    return kind(*msgspec.structs.astuple(theirs))


class AboutAnswer(Struct, frozen=True):
    """The machine, and of the bundle there the formats that an engine opens, its manifest, and config.json."""

    machine: TheirMachine
    formats: tuple[str, ...]
    manifest: Manifest
    config: dict[str, Any] | None = None


class Apart(Struct, frozen=True):
    """The steps of loading, one after the other; see `edgewright.measure.rows.Startup`."""

    read_ms: float
    tokenizer_ms: float
    open_ms: float


class MemoryAnswer(Struct, frozen=True):
    """The peak of a process's resident memory, the steps of loading, and which engine it was."""

    peak_rss_mib: float
    apart: Apart
    engine: str
    version: str


class Series(Struct, frozen=True, kw_only=True):
    """The timed runs of one row; see `edgewright.measure.rows.Row`.

    Attributes:
        tokens: the length, or the median length of the texts.
        lengths: the number of tokens of each of the texts.
        others: the part of the machine's time that other processes took.
        cpu_ms: the processor's time of an inference, of all threads, those that wait awake too; the mean over the runs.
    """

    tokens: int
    lengths: tuple[int, ...]
    samples_ms: tuple[float, ...]
    others: float
    before: TheirState
    after: TheirState
    cpu_ms: float | None = None
    energy_mj: float | None = None
    energy_meter: str | None = None
    sustained_ms: tuple[float, ...] = ()
    parts: TheirParts | None = None


class TimesAnswer(Struct, frozen=True):
    """The way to the first answer, see `edgewright.measure.rows.Startup`, and a series for each row."""

    import_ms: float
    modules: int
    load_ms: float
    first_ms: float
    series: tuple[Series, ...]


class CountAnswer(Struct, frozen=True):
    """Which engine ran between the marks."""

    engine: str
    version: str


class Request(Struct, Generic[Given], frozen=True, kw_only=True):
    """A request that is answered by `Given`, the struct `answer`; the bundle is named by whoever sends it."""

    answer: ClassVar[Any]
    bundle: str = ""

    def packed(self) -> bytes:
        """As JSON. By Python's, as a bundle's directory need not be UTF-8."""
        return json.dumps(msgspec.to_builtins(self)).encode()


class AskAbout(Request[AboutAnswer], frozen=True, kw_only=True):
    """What machine and bundle are there?"""

    answer = AboutAnswer
    about: Literal[True] = True


class AskPeaks(Request[Roofline], frozen=True, kw_only=True):
    """What does the machine give with so many threads?"""

    answer = Roofline
    peaks: int


class Measure(Request[Given], Generic[Given], frozen=True, kw_only=True):
    """An artifact, and how to run it; see `edgewright.measure.plan.Plan`. Texts are items as the task takes them."""

    format: str
    precision: str
    threads: int
    tokens: tuple[int, ...]
    texts: tuple[Any, ...]
    runs: int
    warmup_runs: int = 0
    warmup_ms: float = 0.0
    buckets: tuple[int, ...] = ()
    batch: int = 1
    least_ms: float = 0.0
    sustained_s: float = 0.0


class AskMemory(Measure[MemoryAnswer], frozen=True, kw_only=True):
    """How much memory does it take?"""

    answer = MemoryAnswer
    peak: Literal[True] = True


class AskTimes(Measure[TimesAnswer], frozen=True, kw_only=True):
    """How long does it take?"""

    answer = TimesAnswer
    peak: Literal[False] = False


class AskCount(Request[CountAnswer], frozen=True, kw_only=True):
    """Run an artifact at each length once, between two marks that an emulator counts the instructions of."""

    answer = CountAnswer
    format: str
    precision: str
    tokens: tuple[int, ...]


def answered(request: Request[Given], printed: bytes) -> Given:
    """The answer that a process printed.

    Raises:
        DeviceError: it is no JSON, or not what was asked for.
        EdgewrightError: the one that it names.
    """
    try:
        record = json.loads(printed)
    except (ValueError, RecursionError) as error:
        raise DeviceError(f"the measuring process printed no JSON: {error}") from error
    if not isinstance(record, dict) or not encodable(record):
        raise DeviceError("the measuring process printed JSON that is no object of plain texts")
    if "error" in record:
        raise from_record(record["error"], DeviceError)
    try:
        return cast("Given", msgspec.convert(record, request.answer, strict=True))
    except msgspec.ValidationError as error:
        hint = "is the edgewright there as new as here?"
        raise DeviceError(f"the measuring process gave no {request.answer.__name__}: {error}", hint=hint) from error
