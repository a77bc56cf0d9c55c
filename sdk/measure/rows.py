"""What a measurement leaves behind: rows, and the file that holds them.

Law: `decode(encode(run)) == run`. A file is read with the distrust that bundles get: no unknown field, no newer schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from edgewright.bundle import manifest
from edgewright.errors import DataError, EdgewrightError
from edgewright.statistics.latency import Summary  # noqa: TC001 - msgspec reads annotations
from edgewright.system.files import read_capped, write_whole
from edgewright.system.shown import brief, table_of
from edgewright.system.untrusted import MAX_JSON_BYTES
from edgewright.system.words import counted

__all__ = ["MOST_WORDS", "SCHEMA", "Machine", "MachineState", "Parts", "Row", "Run", "Startup", "read", "write"]

SCHEMA = 1
"""The first one; it goes up when an older reader would misread rows."""
_MAX_BYTES = MAX_JSON_BYTES
_LONGEST_MS = 1e12
"""Thirty years: a file that says more was not written by a clock."""
_MOST_MJ = 1e12
"""A gigajoule, a wind turbine's hour: a file that says more was not written by a meter."""

MOST_WORDS = 1000
"""Characters of a field of words: a line for people, which a file of rows does not grow by."""

_Words = Annotated[str, Meta(max_length=MOST_WORDS)]


class MachineState(Struct, frozen=True, forbid_unknown_fields=True):
    """The state of a machine at one moment; None is what it does not tell.

    Attributes:
        temperature_c: of its hottest thermal zone.
        clock_mhz: of its fastest core.
        governor: that decides on the clock, such as `performance`.
        load: processes that ran or waited, averaged over a minute.
        free_ram_mib: memory that a new process could have.
        swapped_pages: moved to or from the swap since the machine's start.
        throttled: the Raspberry Pi's bits of `vcgencmd get_throttled`.
        stopped_periods: in how many periods a quota of the control group has stopped the process so far.
    """

    temperature_c: float | None = None
    clock_mhz: float | None = None
    governor: _Words | None = None
    load: float | None = None
    free_ram_mib: float | None = None
    swapped_pages: int | None = None
    throttled: int | None = None
    stopped_periods: int | None = None


class Machine(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a run was made: what `edgewright doctor` says of the machine."""

    edgewright: _Words
    python: _Words
    system: _Words
    model: _Words
    cores: int
    ram_mib: int
    cpu: _Words


class Startup(Struct, frozen=True, forbid_unknown_fields=True):
    """The way to the first answer, medians over processes, in milliseconds.

    Attributes:
        import_ms: importing edgewright, numpy, the tokenizer's library and the engine.
        modules: how many modules were imported.
        load_ms: `edgewright.load`, which does what follows at the same time where it can.
        read_ms: checking the hashes of the artifact and of the tokenizer, apart.
        tokenizer_ms: building the tokenizer, apart.
        open_ms: the engine's opening of the artifact, apart.
        first_ms: the first inference.
    """

    import_ms: float
    modules: int
    load_ms: float
    read_ms: float
    tokenizer_ms: float
    open_ms: float
    first_ms: float


class Parts(Struct, frozen=True, forbid_unknown_fields=True):
    """Text in to answer out, medians in milliseconds: the whole, and what it is made of."""

    tokenize_ms: float
    run_ms: float
    decode_ms: float
    whole_ms: float


class Row(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One artifact at one length, batch and number of threads.

    Attributes:
        artifact: its record in the bundle, with hash, size, parity and score.
        bundle: the name of the bundle's directory.
        buckets: the lengths that texts were padded to; () is all that the artifact has, or none where it needs none.
        tokens: the length, or the median length of the texts.
        data: the file that the texts came from, None for a fixed length.
        lengths: the number of tokens of each of the texts.
        latency_ms: of `Session.run`, over all processes.
        samples_ms: every timed run, a list for each process, in the order in which they ran.
        cpu_ms: the processor's time of an inference, by all threads, those that wait awake too: the mean of each
            process; empty where what measured does not tell it.
        tokens_per_s: real tokens of the batch over the median.
        parts: None where the batch is not one text.
        sustained_ms: the median of each second of a sustained run.
        peak_rss_mib: high-water mark of resident memory in a process of its own; mapped weights count.
        energy_mj: for each inference, by the machine's own meter, or `unmeasured`; what else the machine took is in it.
        energies_mj: the same of each process, whose middle it is; empty where there is no meter.
        energy_meter: what was metered, such as the processor or a board's input.
        bound_share: how much of the bound that the machine's peaks set is reached, 1 being all, None if not measured.
        noise: half of the range of the processes' medians, as a part of the median.
        before: the machine before the first process.
        after: and after the last.
        grade: A to C for how much the row can be trusted; void if not at all.
        reasons: why it is not A.
    """

    artifact: manifest.Artifact
    bundle: _Words
    task: _Words
    engine: _Words
    version: _Words
    threads: int
    buckets: tuple[int, ...] = ()
    batch: int = 1
    tokens: int
    data: _Words | None = None
    lengths: tuple[int, ...] = ()
    latency_ms: Summary
    samples_ms: tuple[tuple[float, ...], ...]
    cpu_ms: tuple[float, ...] = ()
    tokens_per_s: float
    parts: Parts | None = None
    sustained_ms: tuple[float, ...] = ()
    startup: Startup
    peak_rss_mib: float
    energy_mj: float | Literal["unmeasured"] = "unmeasured"
    energies_mj: tuple[float, ...] = ()
    energy_meter: _Words | None = None
    bound_share: float | None = None
    noise: float
    before: MachineState
    after: MachineState
    grade: Literal["A", "B", "C", "void"]
    reasons: tuple[_Words, ...] = ()

    @property
    def inputs(self) -> str:
        """What was run: `128 tokens`, or the texts of a file."""
        return f"texts of {self.data}" if self.data else f"{self.tokens} tokens"

    @property
    def key(self) -> str:
        """What is compared with what: `onnx/int8, 128 tokens, 1 thread`."""
        batch = f", batch {self.batch}" if self.batch > 1 else ""
        padded = f", padded to {'+'.join(map(str, self.buckets))}" if self.buckets else ""
        return f"{self.artifact.key}, {self.inputs}{padded}{batch}, {self.threads} thread{'s' * (self.threads > 1)}"

    def __repr__(self) -> str:
        took = "void" if self.void else f"{self.latency_ms.median:.3g} ms"
        return brief(self, took, f"grade {self.grade}", self.key)

    @property
    def void(self) -> bool:
        """Whether its times say nothing: they are kept, and are never a result."""
        return self.grade == "void"

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        took, score = self.latency_ms, self.artifact.score
        return {
            "artifact": self.artifact.key,
            "engine": f"{self.engine} {self.version}",
            "threads": self.threads,
            "input": self.inputs,
            "median, ms": took.median,
            "95 % interval": None if took.low is None else f"{took.low:.4g} to {took.high:.4g}",
            "p99, ms": took.p99,
            "load, ms": self.startup.load_ms,
            "peak, MiB": f"{self.peak_rss_mib:.0f}",
            "score": f"{score.value:.2f} {score.metric}" if score else None,
            "grade": self.grade,
            "reasons": "; ".join(self.reasons) or None,
        }


class Run(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root object of a file of rows.

    `source` is the SHA-256 over the files of the model that was measured; `cut_short` says why the run ended before its
    plan did, if so.
    """

    schema: Annotated[int, Meta(ge=1)] = SCHEMA
    kind: Literal["edgewright rows"] = "edgewright rows"
    device: _Words
    machine: Machine
    source: _Words
    began: _Words
    command: _Words = ""
    rows: tuple[Row, ...]
    problems: tuple[_Words, ...] = ()
    cut_short: _Words = ""

    def __repr__(self) -> str:
        tasks = ", ".join(dict.fromkeys(f"{row.bundle}: {row.task}" for row in self.rows))
        wrong = f"{len(self.problems)} problems" if self.problems else ""
        return brief(
            self, f"{counted(len(self.rows), 'row')} on {self.device}", wrong, tasks, self.machine.model, self.began
        )

    def _repr_html_(self) -> str:
        from edgewright.system.markup import tag

        words = [f"{self.machine.model}, {self.began}", self.cut_short, *self.problems]
        rows = table_of([row.cells() for row in self.rows]) if self.rows else ""
        return "".join(tag("p", line) for line in words if line) + rows


def write(run: Run, path: Path) -> None:
    """Write a file of rows, whole or not at all. Raises StorageError."""
    write_whole(path, manifest.encode(run))


def read(path: str | Path) -> Run:
    """Read a file of rows.

    Raises:
        DataError: it is not there, too large, half written, of another version, or not what `bench --out` writes.
    """
    hint = "give a file that `edgewright bench --out` wrote"
    try:
        run: Run = manifest.decode(read_capped(Path(path), _MAX_BYTES), Run, Path(path).name)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", hint=hint) from error
    except EdgewrightError as error:
        raise DataError(error.message, hint=error.hint or hint) from error
    for at, row in enumerate(run.rows):
        problem = _problem(row)
        if problem:
            raise DataError(f"{Path(path).name}: {problem} - at `$.rows[{at}]`", hint=hint)
    return run


def _problem(row: Row) -> str:
    """What a row says that cannot be, in words; "" where it may be true."""
    times = [time for process in row.samples_ms for time in process]
    took = row.latency_ms
    if not all(row.samples_ms) or not times:
        return "a process without a sample"
    said = [time for time in (took.minimum, took.median, took.low, took.high, took.maximum) if time is not None]
    if not all(0 < time < _LONGEST_MS for time in (*times, *said, *row.sustained_ms)):
        return "a time that no run takes"
    if not all(0 <= time < _LONGEST_MS for time in row.cpu_ms):
        return "a processor's time that no run takes"
    if not all(0 <= energy < _MOST_MJ for energy in row.energies_mj):
        return "an energy that no run takes"
    if (took.low is None) != (took.high is None):
        return "an interval with one end"
    return ""
