"""Profiles in a report: bars by kind of operator and by layer, with share and bound, and what fell back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.errors import DataError
from edgewright.measure.profile import fallbacks, shares
from edgewright.reporting.charts import Bar, bars
from edgewright.system.markup import tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.measure.profile import Profile, Share
    from edgewright.measure.rows import Run
    from edgewright.system.markup import Markup

__all__ = ["bar_of", "check", "facts", "timed"]

_MOST_BARS = 12
"""A choice: what fits in a terminal beside the rest; the others stand in one line."""


def check(run: Run, profiles: Sequence[Profile]) -> None:
    """Raise DataError where a profile is of none of the run's artifacts."""
    known = {row.artifact.sha256 for row in run.rows}
    for found in profiles:
        if found.artifact.sha256 not in known:
            what = f"the profile of {found.artifact.key} is of the file {found.artifact.sha256[:12]}…"
            raise DataError(f"{what}, which the run did not measure", hint="profile the bundle that was measured")


def timed(profiles: Sequence[Profile]) -> list[Markup]:
    """What goes below the heading."""
    words = "Width is time, and the words say its share, its speed, and which of the machine's peaks it is near to."
    return [tag("p", words, class_="faint"), *(part for found in profiles for part in _one(found))]


def _one(found: Profile) -> list[Markup]:
    parts = [tag("h3", found.title), tag("p", facts(found), class_="faint")]
    for by in ("kind", "layer"):
        rows = shares(found, by)
        if len(rows) > 2 or by == "kind":
            parts += [tag("p", f"by {by}"), bars([bar_of(share) for share in _few(rows)])]
    return parts


def facts(found: Profile) -> str:
    """With the profiler at work, the peaks, and what fell back, in a line."""
    trace, peaks = found.trace, found.peaks
    fell = str(fallbacks(found) or "no delegate")
    return (
        f"With the profiler at work {trace.run_ms:.3g} ms, {trace.runs} runs; peaks {peaks.fp32_gmac_s:.0f} GMAC/s "
        f"in fp32, {peaks.int8_gmac_s:.0f} in int8, {peaks.read_gb_s:.0f} GB/s; {fell}."
    )


def _few(rows: list[Share]) -> list[Share]:
    """The longest, and the others as one."""
    if len(rows) <= _MOST_BARS:
        return rows
    shown, others = rows[: _MOST_BARS - 2], rows[_MOST_BARS - 2 : -1]
    calls, time_ms, share = (sum(getattr(o, name) for o in others) for name in ("calls", "time_ms", "share"))
    return [*shown, type(rows[0])(f"{len(others)} others", calls, time_ms, share), rows[-1]]


def bar_of(share: Share) -> Bar:
    """A part of an inference as a bar."""
    speed = f", {share.gmac_s:.3g} GMAC/s" if share.gmac_s else ""
    bound = f", {share.bound}-bound" if share.bound in ("compute", "memory") else ""
    return Bar(share.what, (("ms", max(share.time_ms, 0.0)),), f"{100 * share.share:.1f} %{speed}{bound}")
