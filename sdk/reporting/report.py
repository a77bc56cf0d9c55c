"""A report: a run, what it is compared with and where its time goes, or several runs beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgewright.errors import DataError, EdgewrightError, UsageError
from edgewright.measure import profile as profiles_of
from edgewright.measure import rows
from edgewright.measure.profile import Profile
from edgewright.measure.rows import Run
from edgewright.reporting import page
from edgewright.reporting.history import History
from edgewright.system.files import read_capped
from edgewright.system.markup import tag
from edgewright.system.shown import brief
from edgewright.system.untrusted import MAX_JSON_BYTES
from edgewright.system.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Report", "report", "report_files", "report_history"]


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
    found = _with_rows(run)
    before = baseline if isinstance(baseline, Run | None) else rows.read(baseline)
    timed = tuple(one if isinstance(one, Profile) else profiles_of.read(one) for one in profiles)
    return Report(found, before, timed)


def report_history(runs: Sequence[Run | str | Path]) -> History:
    """Put runs beside each other, the oldest first.

    Args:
        runs: what `bench` gave, or files of `edgewright bench --out`; of any models and machines.

    Raises:
        DataError: a file is not what it should be, or a run has no rows.
    """
    return History.of([_with_rows(run) for run in runs])


def report_files(files: Sequence[str | Path], baseline: str | Path | None = None) -> Report | History:
    """The report of files of `bench --out` and `profile --out`, in any order: of one run, or of several.

    Raises:
        UsageError: none is of a run, or a profile or a baseline goes with several.
        DataError: a file is not what it should be.
    """
    timed = [file for file in files if _kind(Path(file)) == "edgewright profile"]
    runs = [file for file in files if file not in timed]
    if not runs:
        raise UsageError("a report is of a run, and no file is of one", hint="give what `edgewright bench --out` wrote")
    if len(runs) == 1:
        return report(runs[0], timed, baseline=baseline)
    if timed or baseline:
        what = f"{counted(len(runs), 'run')} stand beside each other without {'a baseline' if baseline else 'profiles'}"
        raise UsageError(what, hint="give one run for those")
    return report_history(runs)


def _with_rows(run: Run | str | Path) -> Run:
    found = run if isinstance(run, Run) else rows.read(run)
    if not found.rows:
        whose = "the run" if isinstance(run, Run) else run
        raise DataError(f"{whose} has no rows", hint="; ".join(found.problems) or "measure again")
    return found


class _Kind(msgspec.Struct):
    kind: str = ""


def _kind(path: Path) -> str:
    """What a file says that it is; nothing where it cannot be read, which its reader says better."""
    try:
        return msgspec.json.decode(read_capped(path, MAX_JSON_BYTES), type=_Kind).kind
    except (OSError, EdgewrightError, msgspec.DecodeError, RecursionError):
        return ""
