"""All artifacts of a bundle against each other on a machine, until one is the fastest within the limits.

Successive halving (Jamieson and Talwalkar 2016): everyone runs a little, the slower half leaves, and the rest run
longer. Nobody leaves who is within the noise of the best, and the finalists are measured in full, in turn, and compared
over processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from edgewright.bundle.bundle import MANIFEST, SIGNATURE, Bundle
from edgewright.bundle.manifest import MOST_INPUTS, Choice, Manifest, decode, encode
from edgewright.errors import ConnectionLost, GateFailed, UsageError, one_line
from edgewright.measure.bench import measured, targets_of
from edgewright.measure.place import Here
from edgewright.measure.plan import Plan
from edgewright.statistics.latency import compare, geometric, middle
from edgewright.system.files import write_whole
from edgewright.system.progress import silent
from edgewright.system.shown import Results, brief
from edgewright.system.words import counted, human

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgewright.bundle.manifest import Artifact
    from edgewright.measure.place import Place
    from edgewright.measure.plan import Target
    from edgewright.measure.rows import Row

__all__ = [
    "HOPELESS",
    "Entrant",
    "Rules",
    "check_unsigned",
    "choose",
    "decide",
    "limit_memory",
    "race",
    "still_in",
    "why_out",
]

_NOISE = 1.1
"""Within so many times the best, a short run tells nothing."""
HOPELESS = 2.0
"""A choice: no second process has been expected to halve a time."""
_FINALISTS = 3
"""Few enough to measure at length, enough that one format's bad day does not decide."""
_LEAST = 1e-6
"""A nanosecond or a nanojoule, where a clock or a meter saw nothing: what has a quotient."""
_By = Literal["latency", "cpu", "energy"]
"""What decides a race."""
_LACKS = {
    "cpu": ("does not tell the processor's time", "flash with --install, for its edgewright is older"),
    "energy": ("has no meter of energy that is read", "race by cpu there"),
}
"""Of a machine, what it does not tell, and what to do."""
_FINAL = Plan(tokens=(64,))
"""A choice: a sentence or two, in the middle of the usual lengths."""


@dataclass(frozen=True)
class Rules:
    """What a winner may cost: points of the task's metric lost, MiB of peak memory, bytes of file; None is no limit.

    `by` is what decides: the time of an inference, what it takes of the processor, or its joules where a meter is.
    """

    max_loss: float | None = None
    max_ram_mib: float | None = None
    max_size_bytes: int | None = None
    by: _By = "latency"


@dataclass
class Entrant:
    """An artifact with a number of threads and a set of buckets, and how far it came.

    Attributes:
        rows: of the last round that it ran, one for each length.
        processes: how many processes it was measured in by then.
        lost: why it lost; empty for the winner.
        by: see `Rules`.
    """

    target: Target
    rows: list[Row]
    processes: int = 0
    lost: str = ""
    by: _By = "latency"

    @property
    def median_ms(self) -> float:
        """The geometric mean of its rows' medians."""
        return geometric([row.latency_ms.median for row in self.rows])

    @property
    def cpu_ms(self) -> list[float]:
        """The processor's time of each process: with several lengths, the geometric mean over them."""
        return _over_lengths([row.cpu_ms for row in self.rows])

    @property
    def energies_mj(self) -> list[float]:
        """The energy of an inference by each process, the same way; none where there is no meter."""
        return _over_lengths([row.energies_mj for row in self.rows])

    @property
    def taken(self) -> float:
        """What decides: its median, the processor's time, or its energy."""
        if self.by == "latency":
            return self.median_ms
        taken = middle(self.cpu_ms if self.by == "cpu" else self.energies_mj)
        return math.inf if taken is None else taken

    @property
    def samples(self) -> list[list[float]]:
        """What decides, of each process: the runs, of several lengths their geometric mean, or its one number."""
        if self.by != "latency":
            return [[one] for one in (self.cpu_ms if self.by == "cpu" else self.energies_mj)]
        each = [zip(*(row.samples_ms[at] for row in self.rows), strict=False) for at in range(self.processes)]
        return [[math.prod(runs) ** (1 / len(runs)) for runs in process] for process in each]

    def __repr__(self) -> str:
        took = f"{self.median_ms:.3g} ms" if self.rows else ""
        return brief(self, *self.target.facts, took, self.lost or "the winner")

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        score = self.target.artifact.score
        return {
            "artifact": self.target.artifact.key,
            "size": f"{self.target.artifact.total_bytes / 1e6:.3g} MB",
            "threads": self.target.threads,
            "buckets": "+".join(map(str, self.target.buckets)) or None,
            "score": f"{score.value:.2f} {score.metric}" if score else None,
            "processes": self.processes or None,
            "median, ms": self.median_ms if self.rows else None,
            "CPU, ms": middle(self.cpu_ms),
            "energy, mJ": middle(self.energies_mj),
            "peak, MiB": f"{max(row.peak_rss_mib for row in self.rows):.0f}" if self.rows else None,
            "grade": self.rows[0].grade if self.rows else None,
            "verdict": self.lost or "the winner",
        }


def _over_lengths(rows: Sequence[Sequence[float]]) -> list[float]:
    """Numbers of processes, a sequence for each length: the geometric mean over them."""
    return [geometric([max(one, _LEAST) for one in each]) for each in zip(*rows, strict=False)]


_Entrant = TypeVar("_Entrant", bound=Entrant)


def race(
    bundle: Bundle | str | Path,
    plan: Plan = _FINAL,
    rules: Rules = Rules(),
    *,
    place: Place | None = None,
    progress: Callable[[str], None] = silent,
) -> Results[Entrant]:
    """Find the fastest artifact, threads and buckets for the lengths of `plan`, which is the finalists' one.

    At a place, this machine by default. The fastest is the one that takes least of what `rules` decide by.

    Returns:
        All entrants, the winner first, the others by how far they came.

    Raises:
        UsageError: a limit on the loss, and the bundle has no score; or the machine does not tell the processor's time
            or the energy that shall decide.
        GateFailed: none is within the limits.
        ConnectionLost: the way to the board broke before it was decided.
        EdgewrightError: as `edgewright.measure.bench.bench` does.
    """
    opened = Bundle.of(bundle)
    place = place or Here(opened)
    entrants = [Entrant(target, [], by=rules.by) for target in targets_of(opened, plan, None, None, place)]
    able = place.about.formats
    for entrant in entrants:
        entrant.lost = why_out(entrant.target.artifact, able, rules)
    running = still_in(entrants)
    running = _heat(running, replace(plan, processes=1, runs=min(plan.runs, 20)), rules, progress)
    if len(running) > _FINALISTS:
        running = _heat(running, replace(plan, processes=min(plan.processes, 2)), rules, progress)
    _run(running, plan, progress)
    decide(running, rules)
    still_in(entrants)
    return Results(sorted(entrants, key=lambda e: (bool(e.lost), -e.processes, e.taken)))


def still_in(entrants: Sequence[_Entrant]) -> list[_Entrant]:
    """Who is still in. Raises GateFailed where nobody is."""
    running = [entrant for entrant in entrants if not entrant.lost]
    if not running:
        reasons = dict.fromkeys(f"{e.target.artifact.key}: {e.lost}" for e in entrants)
        raise GateFailed("no artifact is within the limits", hint="; ".join(reasons))
    return running


def why_out(artifact: Artifact, able: Sequence[str], rules: Rules) -> str:
    """Why an artifact does not even start."""
    score, size = artifact.score, artifact.total_bytes
    if artifact.format not in able:
        return "no engine for it is installed where the race is run"
    if artifact.parity.diverged:
        return f"it failed its gate: {artifact.parity.diverged}"
    if rules.max_size_bytes is not None and size > rules.max_size_bytes:
        return f"{human(size)}, at most {human(rules.max_size_bytes)} are allowed"
    if rules.max_loss is None:
        return ""
    if score is None or score.reference is None:
        raise UsageError("the bundle has no score to limit the loss of", hint="build it with --data")
    lost = score.reference - score.value
    return f"it loses {lost:.2f} points of {score.metric}, at most {rules.max_loss:g}" if lost > rules.max_loss else ""


def _heat(running: list[Entrant], plan: Plan, rules: Rules, progress: Callable[[str], None]) -> list[Entrant]:
    """Run everyone a little; the slower half leaves, unless it is as good as the best for all that can be told."""
    if len(running) == 1:
        return running
    _run(running, plan, progress)
    limit_memory(running, rules)
    ranked = sorted(still_in(running), key=lambda e: e.taken)
    best, half = ranked[0].taken, max(math.ceil(len(ranked) / 2), _FINALISTS)
    for place, entrant in enumerate(ranked):
        times = entrant.taken / best
        if times > HOPELESS or (place >= half and times > _NOISE):
            ran = f"{entrant.processes} process{'es' * (entrant.processes > 1)}"
            entrant.lost = f"{times:.2f} times the best after {ran}"
    return still_in(ranked)


def _run(running: Sequence[Entrant], plan: Plan, progress: Callable[[str], None]) -> None:
    found = measured([entrant.target for entrant in running], plan, progress)
    if found.cut_short:
        raise ConnectionLost(found.cut_short, hint="the race is not decided, and the bundle is as it was; race again")
    for entrant, rows in zip(running, found.rows, strict=True):
        entrant.rows = rows
        entrant.processes = len(rows[0].samples_ms) if rows else 0
        entrant.lost = "" if rows else "it did not run to its end"
        told = entrant.cpu_ms if entrant.by == "cpu" else entrant.energies_mj
        if rows and entrant.by != "latency" and len(told) < entrant.processes:
            what, remedy = _LACKS[entrant.by]
            raise UsageError(f"{entrant.target.place.name} {what}", hint=f"race by latency, or {remedy}")


def limit_memory(running: Sequence[Entrant], rules: Rules) -> None:
    """Take out who needs more than is allowed."""
    for entrant in (e for e in running if not e.lost and rules.max_ram_mib is not None):
        peak = max(row.peak_rss_mib for row in entrant.rows)
        if peak > (rules.max_ram_mib or 0):
            entrant.lost = f"{peak:.0f} MiB of memory, at most {rules.max_ram_mib:g} are allowed"


def decide(finalists: Sequence[Entrant], rules: Rules) -> None:
    """Say why each finalist but one lost: it is shown to be slower, or it is as fast and costs more."""
    limit_memory(finalists, rules)
    fastest = min(still_in(finalists), key=lambda e: e.taken)
    ratios = {id(e): compare(e.samples, fastest.samples) for e in finalists if e is not fastest and not e.lost}
    equal = [e for e in finalists if not e.lost and (e is fastest or not ratios[id(e)].shown)]
    winner = min(equal, key=lambda e: (e.taken > _NOISE * fastest.taken, e.target.threads, _cost(e)))
    for entrant in (e for e in finalists if not e.lost and e is not winner):
        if entrant in equal:
            times = entrant.taken / winner.taken
            entrant.lost = f"{times:.2f} times the winner, which is no difference shown, with {_more(entrant, winner)}"
        else:
            what = {"latency": "time", "cpu": "processor's time", "energy": "energy"}[rules.by]
            entrant.lost = f"{ratios[id(entrant)]} of the fastest's {what}"


def _cost(entrant: Entrant) -> tuple[float, int]:
    return max(row.peak_rss_mib for row in entrant.rows), entrant.target.artifact.total_bytes


def _more(loser: Entrant, winner: Entrant) -> str:
    if loser.target.threads > winner.target.threads:
        return f"{counted(loser.target.threads, 'thread')} for {winner.target.threads}"
    if _cost(loser) < _cost(winner):
        return f"a median beyond {_NOISE:g} times the fastest's"
    return f"{_cost(loser)[0]:.0f} MiB for {_cost(winner)[0]:.0f}"


def check_unsigned(bundle: Bundle) -> None:
    """Raise UsageError where the manifest is signed, so that no choice can be written into it."""
    if (bundle.directory / SIGNATURE).exists():
        hint = "race first and sign then, or take --dry-run"
        raise UsageError(f"{bundle.directory} is signed: a choice in its manifest would break the signature", hint=hint)


def choose(bundle: Bundle, *winners: Entrant) -> Bundle:
    """Write winners into the bundle's manifest, so that `load` takes each on machines of the model that it ran on.

    Of several on machines of one model, the first is written.

    Raises:
        UsageError: the manifest is signed.
        BundleError: a manifest with them could not be read again, as where a machine's name is too long.
        StorageError: it cannot be written; the old one stays.
    """
    check_unsigned(bundle)
    chosen = {choice.machine: choice for choice in map(_choice, reversed(winners))}
    others = [old for old in bundle.manifest.choices if old.machine not in chosen]
    manifest = _with_choices(bundle, (*others, *reversed(chosen.values())))
    decode(manifest, Manifest, MANIFEST)
    write_whole(bundle.directory / MANIFEST, manifest, beside=bundle.directory.resolve().parent)
    return Bundle.open(bundle.directory)


def _choice(winner: Entrant) -> Choice:
    inputs, target = one_line("; ".join(row.inputs for row in winner.rows), MOST_INPUTS), winner.target
    machine = target.place.about.machine.model
    return Choice(machine, target.artifact.path, target.threads, winner.median_ms, inputs, target.buckets)


def _with_choices(bundle: Bundle, choices: tuple[Choice, ...]) -> bytes:
    """The bundle's manifest with other choices, as it stands in the file."""
    from msgspec.structs import replace as with_fields

    return encode(with_fields(bundle.manifest, choices=choices))
