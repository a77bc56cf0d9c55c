"""The artifacts of a decoder's bundle against each other, until one answers first within the limits.

What decides is the time to read a prompt and to write the tokens after it. Everyone answers in one process, whoever
takes twice the best leaves, and the others are measured in full, in turn, and compared over processes, as in
`edgewright.measure.race`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgewright.bundle.bundle import Bundle
from edgewright.errors import UsageError
from edgewright.measure.place import Here
from edgewright.measure.plan import Target
from edgewright.measure.race import HOPELESS, Entrant, Rules, decide, limit_memory, still_in, why_out
from edgewright.measure.writing import WritingPlan, check_writing, measured_writing
from edgewright.statistics.latency import geometric, middle
from edgewright.system.progress import silent
from edgewright.system.shown import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgewright.measure.writing import WritingRow

__all__ = ["Writer", "race_writing"]


_PLAN, _RULES = WritingPlan(), Rules()
"""What is measured where nobody says otherwise, and no limits."""


@dataclass(repr=False)
class Writer(Entrant):
    """An artifact with a number of threads, and how far it came.

    Attributes:
        rows: of the last round that it ran, one for each length of a prompt.
    """

    rows: list[WritingRow] = field(default_factory=list)  # type: ignore[assignment]  # what is read of a row both have

    @property
    def median_ms(self) -> float:
        """The geometric mean over prompts of the median answer, reading and writing."""
        return geometric([middle(row.answers_ms) or 0.0 for row in self.rows])

    @property
    def cpu_ms(self) -> list[float]:
        """Nobody asked for it."""
        return []

    @property
    def energies_mj(self) -> list[float]:
        """Nobody asked for it."""
        return []

    @property
    def samples(self) -> list[list[float]]:
        """The answer of each process: with several prompts their geometric mean."""
        return [[geometric(times)] for times in zip(*(row.answers_ms for row in self.rows), strict=True)]

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        return {
            "artifact": self.target.artifact.key,
            "threads": self.target.threads,
            "answer, ms": self.median_ms if self.rows else None,
            "written, tok/s": min(row.written_per_s for row in self.rows) if self.rows else None,
            "peak, MiB": f"{max(row.peak_rss_mib for row in self.rows):.0f}" if self.rows else None,
            "grade": self.rows[0].grade if self.rows else None,
            "verdict": self.lost or "the winner",
        }


def race_writing(
    bundle: Bundle | str | Path,
    plan: WritingPlan = _PLAN,
    rules: Rules = _RULES,
    *,
    progress: Callable[[str], None] = silent,
) -> Results[Writer]:
    """Find the artifact and the threads with which a decoder answers first on this machine.

    Returns:
        All entrants, the winner first, the others by how far they came.

    Raises:
        UsageError: it is no decoder's bundle; prompt and answer are longer than its context; or a rule that is none
            here.
        GateFailed: none is within the limits.
        EdgewrightError: as `edgewright.measure.writing.bench_writing` does.
    """
    opened = Bundle.of(bundle)
    if rules.by != "latency" or rules.max_loss is not None:
        hint = "its gate holds its perplexity; verify and bench tell it"
        raise UsageError("a decoder is raced by the time of its answers, within memory and size", hint=hint)
    check_writing(opened, plan)
    place = Here(opened)
    targets = [Target(opened, place, one, threads) for one in opened.artifacts() for threads in plan.threads]
    entrants = [Writer(target) for target in targets]
    for entrant in entrants:
        entrant.lost = why_out(entrant.target.artifact, place.about.formats, rules)
    running = still_in(entrants)
    if len(running) > 1 and plan.processes > 1:
        _run(running, replace(plan, processes=1), progress)
        limit_memory(running, rules)
        running = still_in(running)
        best = min(entrant.taken for entrant in running)
        for entrant in running:
            if entrant.taken > HOPELESS * best:
                entrant.lost = f"{entrant.taken / best:.2f} times the best after 1 process"
        running = still_in(running)
    _run(running, plan, progress)
    decide(running, rules)
    still_in(entrants)
    return Results(sorted(entrants, key=lambda e: (bool(e.lost), -e.processes, e.taken)))


def _run(running: Sequence[Writer], plan: WritingPlan, progress: Callable[[str], None]) -> None:
    targets = [(entrant.target.artifact, entrant.target.threads) for entrant in running]
    bundle = running[0].target.bundle
    for entrant, rows in zip(running, measured_writing(bundle, targets, plan, progress), strict=True):
        entrant.rows, entrant.processes = rows, plan.processes
