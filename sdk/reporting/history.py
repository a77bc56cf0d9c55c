"""Several runs beside each other, the oldest first: each row's times in all of them, and what changed since then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.reporting.charts import DISTRIBUTION, distribution, intervals
from edgewright.reporting.markup import document, pipes, section, sortable, wide_table
from edgewright.statistics.latency import compare
from edgewright.system.markup import tag
from edgewright.system.shown import brief
from edgewright.system.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.measure.rows import Row, Run
    from edgewright.reporting.charts import Interval

__all__ = ["History"]


@dataclass(frozen=True)
class History:
    """Runs of the same or of different models and machines, in the order in which they began."""

    runs: tuple[Run, ...]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> History:
        """The runs, the oldest first."""
        return cls(tuple(sorted(runs, key=lambda run: run.began)))

    def html(self) -> str:
        """One page that needs nothing else."""
        charts = [
            section(key, intervals([_drawn(at, row) for at, row in each], "ms")) for key, each in self._rows().items()
        ]
        note = f"{DISTRIBUTION} Last of first: the ratio of medians with its 99 % interval."
        return document(
            f"{counted(len(self.runs), 'run')}, {self.runs[0].began} to {self.runs[-1].began}",
            tag("section", wide_table(self._made())),
            section("What changed", sortable(self._changes())),
            tag("p", note, class_="faint"),
            *charts,
        )

    def markdown(self) -> str:
        """What changed, for a pull request."""
        tables = [*pipes(self._made()), "", *pipes(self._changes())]
        return "\n".join(tables) + "\n"

    def _repr_html_(self) -> str:
        # in a frame, the page's style stays its own
        return tag("iframe", srcdoc=self.html(), style="width: 100%; height: 40em; border: 0")

    def __repr__(self) -> str:
        return brief(self, counted(len(self.runs), "run"), f"{self.runs[0].began} to {self.runs[-1].began}")

    def _rows(self) -> dict[str, list[tuple[int, Row]]]:
        """Each kind of row, with the number of the run that it stands in."""
        found: dict[str, list[tuple[int, Row]]] = {}
        for at, run in enumerate(self.runs, 1):
            for row in run.rows:
                found.setdefault(row.key, []).append((at, row))
        return found

    def _made(self) -> list[dict[str, Any]]:
        return [
            {
                "run": at,
                "began": run.began,
                "bundle": ", ".join(dict.fromkeys(row.bundle for row in run.rows)) or None,
                "model": f"{run.source[:12]}…",
                "machine": run.machine.model,
                "device": run.device,
                "edgewright": run.machine.edgewright,
                "cut short": run.cut_short or None,
            }
            for at, run in enumerate(self.runs, 1)
        ]

    def _changes(self) -> list[dict[str, Any]]:
        """A line for each kind of row: its median in each run, and the last against the first that are sound."""
        lines = []
        for key, each in self._rows().items():
            line: dict[str, Any] = {"row": key} | {f"run {at}, ms": None for at in range(1, len(self.runs) + 1)}
            line |= {f"run {at}, ms": "void" if row.void else row.latency_ms.median for at, row in each}
            sound = [(self.runs[at - 1], row) for at, row in each if not row.void]
            compared = _compared(*sound[0], *sound[-1]) if len(sound) > 1 else (None, None)
            lines.append(line | dict(zip(("last of first", "verdict"), compared, strict=True)))
        return lines


def _compared(before: Run, first: Row, after: Run, last: Row) -> tuple[str, str]:
    """The ratio of two rows' times, and what it shows."""
    ratio = compare(last.samples_ms, first.samples_ms)
    words = ("slower" if ratio.value > 1 else "faster") if ratio.shown else "no difference shown"
    other = "; another model" if before.source != after.source else ""
    return str(ratio), words + other + "; another machine" * (before.machine.model != after.machine.model)


def _drawn(at: int, row: Row) -> Interval:
    return distribution(f"run {at}", row.samples_ms, f"{row.latency_ms.median:.3g} ms" + " void" * row.void)
