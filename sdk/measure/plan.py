"""What is measured, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.system.shown import brief

if TYPE_CHECKING:
    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact
    from edgewright.measure.place import Place

__all__ = ["Plan", "Target"]


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        tokens: fixed lengths, each a row of its own; cut from real text.
        texts: real texts, or pairs of them, run in turn at their own lengths, as one more row; a run is of one window.
        data: the name of the file that the texts came from.
        threads: numbers of engine threads, each a row of its own.
        buckets: sets of lengths to pad to, each a row of its own, for engines that have them; () is all of a file's.
        batch: texts in one run.
        processes: fresh processes per artifact.
        runs: least number of timed runs per process and length.
        least_ms: least time that these take together, so that a disturbance of an instant does not fill a process; at
            most 1000 runs.
        warmup_runs: least number of untimed runs before them.
        warmup_ms: least time that these take together.
        sustained_s: after the timed runs, seconds of running without a pause, to show what heat does.
        roofline: measure the machine's peaks too, and say what part of them each row reaches.
    """

    tokens: tuple[int, ...] = (16, 128)  # a short sentence, a paragraph: the lengths of docs/formats.md
    texts: tuple[Any, ...] = ()
    data: str = "texts"
    threads: tuple[int, ...] = (1,)
    buckets: tuple[tuple[int, ...], ...] = ((),)
    batch: int = 1
    processes: int = 5  # what grade A wants
    runs: int = 50  # p90 needs 29, and five processes together carry p95
    least_ms: float = 250.0  # a choice: longer than a time slice of another process, many times over
    warmup_runs: int = 5  # a choice: engines lay out their memory in the first runs
    warmup_ms: float = 300.0  # a choice: long enough for the clock to rise, short beside the rest
    sustained_s: float = 0.0
    roofline: bool = False


@dataclass(frozen=True)
class Target:
    """What a process measures: an artifact of a bundle at a place, with threads and buckets; () is all buckets."""

    bundle: Bundle
    place: Place
    artifact: Artifact
    threads: int
    buckets: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return brief(self, *self.facts, f"on {self.place.name}")

    @property
    def facts(self) -> tuple[str, ...]:
        """The artifact, the threads and the buckets, in words."""
        padded = f"padded to {'+'.join(map(str, self.buckets))}" if self.buckets else ""
        return self.artifact.key, f"{self.threads} thread{'s' * (self.threads > 1)}", padded
