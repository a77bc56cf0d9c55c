"""A report: a run, what it is compared with and where its time goes, as a page, as Markdown, or in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgewright.errors import DataError
from edgewright.measure import profile as profiles_of
from edgewright.measure import rows
from edgewright.measure.profile import Profile
from edgewright.measure.rows import Run
from edgewright.reporting import page
from edgewright.system.markup import tag
from edgewright.system.shown import brief
from edgewright.system.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Report", "report"]


@dataclass(frozen=True)
class Report:
    """What a report is made of; both forms raise DataError for a baseline of another model or a profile of no row's."""

    run: Run
    baseline: Run | None = None
    profiles: tuple[Profile, ...] = ()

    def html(self) -> str:
        """One page that needs nothing else."""
        return page.html(self.run, self.baseline, self.profiles)

    def markdown(self) -> str:
        """The same for a pull request."""
        return page.markdown(self.run, self.baseline, self.profiles)

    def __repr__(self) -> str:
        beside = f"{len(self.profiles)} profiles" if self.profiles else ""
        against = f"against {self.baseline.began}" if self.baseline else ""
        return brief(
            self, f"{counted(len(self.run.rows), 'row')} on {self.run.device}", beside, against, self.run.machine.model
        )

    def _repr_html_(self) -> str:
        # in a frame, the page's style stays its own
        return tag("iframe", srcdoc=self.html(), style="width: 100%; height: 40em; border: 0")


def report(
    run: Run | str | Path,
    profiles: Sequence[Profile | str | Path] = (),
    *,
    baseline: Run | str | Path | None = None,
) -> Report:
    """Put a report together.

    Args:
        run: what `bench` gave, or the file of `edgewright bench --out`.
        profiles: what `profile` gave of artifacts of the run, or files of `edgewright profile --out`.
        baseline: an earlier run to compare with.

    Raises:
        DataError: a file is not what it should be, or the run has no rows.
    """
    found = run if isinstance(run, Run) else rows.read(run)
    before = baseline if isinstance(baseline, Run | None) else rows.read(baseline)
    if not found.rows:
        whose = "the run" if isinstance(run, Run) else run
        raise DataError(f"{whose} has no rows", hint="; ".join(found.problems) or "measure again")
    timed = tuple(one if isinstance(one, Profile) else profiles_of.read(one) for one in profiles)
    return Report(found, before, timed)
