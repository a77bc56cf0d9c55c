"""Two measurements held against each other: two bundles in one run, or a run against one that was kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.bundle.bundle import Bundle
from edgewright.errors import DataError, DeviceError, GateFailed, UsageError
from edgewright.measure.bench import measured, targets_of
from edgewright.measure.plan import Plan
from edgewright.statistics.latency import Ratio, compare
from edgewright.system.progress import silent
from edgewright.system.shown import Results, brief

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgewright.measure.plan import Target
    from edgewright.measure.rows import Row, Run

__all__ = ["Comparison", "bench_against", "check", "with_baseline"]

_TEN = Plan(processes=10)
"""Processes of each side: the interval of a ratio is drawn over them, and five leave it wide."""


@dataclass(frozen=True)
class Comparison:
    """Two rows of one kind, and how much longer the first takes."""

    row: Row
    other: Row
    ratio: Ratio

    def __repr__(self) -> str:
        return brief(self, "void" if self.void else str(self.ratio), self.row.key)

    @property
    def void(self) -> bool:
        """Whether one of the two says nothing, so that the ratio does not either."""
        return self.row.void or self.other.void

    @property
    def difference(self) -> str:
        """`shown`, `none shown` or `void`."""
        return "void" if self.void else "shown" if self.ratio.shown else "none shown"

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        return {
            "row": self.row.key,
            "median, ms": self.row.latency_ms.median,
            "other, ms": self.other.latency_ms.median,
            "times": f"{self.ratio.value:.3f}",
            "99 % interval": f"{self.ratio.low:.3f} to {self.ratio.high:.3f}",
            "difference": self.difference,
            "grades": f"{self.row.grade}, {self.other.grade}",
        }


def bench_against(
    bundle: Bundle | str | Path,
    other: Bundle | str | Path,
    plan: Plan = _TEN,
    *,
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    progress: Callable[[str], None] = silent,
) -> Results[Comparison]:
    """Measure two bundles in turn, process by process, and compare their rows of one kind.

    The same bundle twice gives the noise floor of this machine.

    Raises:
        BundleError: as `edgewright.measure.bench.bench` does.
        UsageError: the bundles share no kind of artifact, or the plan cannot be.
        DeviceError: an artifact of one of them did not run.
    """
    sides = [Bundle.of(side) for side in (bundle, other)]
    mine, theirs = ({_kind(t): t for t in targets_of(side, plan, format, precision)} for side in sides)
    kinds = [kind for kind in mine if kind in theirs]
    if not kinds:
        raise UsageError(f"{sides[0].directory} and {sides[1].directory} have no format and precision in common")
    found = measured([side[kind] for kind in kinds for side in (mine, theirs)], plan, progress)
    if found.cut_short or not all(found.rows):
        raise DeviceError(found.cut_short or found.problems[-1], hint="both bundles have to run to be compared")
    pairs = zip(found.rows[::2], found.rows[1::2], strict=True)
    return Results(
        Comparison(row, against, compare(row.samples_ms, against.samples_ms))
        for ours, others in pairs
        for row, against in zip(ours, others, strict=True)
    )


def _kind(target: Target) -> tuple[str, int]:
    return target.artifact.key, target.threads


def with_baseline(run: Run, baseline: Run) -> Results[Comparison]:
    """Compare the rows of a run with those of one kind in an earlier run of the same model.

    Raises:
        DataError: the earlier run is of another model, or has no row of one kind.
    """
    if run.source != baseline.source:
        raise DataError(
            f"the baseline is of the model {baseline.source[:12]}…, this bundle is of {run.source[:12]}…",
            hint="make a new baseline with `edgewright bench --out`",
        )
    found = {row.key: row for row in baseline.rows}
    pairs = [(row, found[row.key]) for row in run.rows if row.key in found]
    if not pairs:
        hint = f"it has {'; '.join(found)}"
        raise DataError("the baseline has no row of the artifacts, lengths and threads of this run", hint=hint)
    return Results(Comparison(a, b, compare(a.samples_ms, b.samples_ms)) for a, b in pairs)


def check(comparisons: Sequence[Comparison], fail_over: float) -> None:
    """Raise GateFailed where a row takes more than `fail_over` (0.05 is 5 %) longer, and its whole interval says so.

    A void row shows nothing, and fails nothing.
    """
    slower = [c for c in comparisons if c.ratio.low > 1 + fail_over and not c.void]
    if slower:
        words = "; ".join(f"{c.row.key}: {c.ratio} of the baseline" for c in slower)
        raise GateFailed(f"{words}, at most {1 + fail_over:.2f} is allowed", hint="see what changed, or keep a new one")
