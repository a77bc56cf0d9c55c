"""What an artifact needs of a board, and the least time that the board's arithmetic allows it: before it is there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.boards.catalogue import Profile, named
from edgewright.bundle.bundle import Bundle
from edgewright.contracts.precision import activations, by_integers, weight_bits
from edgewright.errors import UsageError
from edgewright.inference.footprint import engine_of, memory_mib, model_config, table_share
from edgewright.measure.roofline import Roofline, encoder_macs
from edgewright.system.shown import Results, brief

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgewright.bundle.manifest import Artifact, Manifest

__all__ = ["Estimate", "estimate", "peaks"]

_DENSE = ("bert", "electra", "roberta", "xlm-roberta", "camembert", "distilbert", "albert", "mpnet")
"""Kinds of models whose layers are four square matrices and two of the feed-forward part."""

_CACHES_BYTES = 32 * 2**20
"""More than the caches of any board with a profile: what is smaller need not come from memory each time."""

_INT8_TIMES = {"i8mm": 8, "dotprod": 4, "avx2": 4}
"""int8 products for one in float32, by instruction set: 32, 16 and 16 in an instruction of 128 bits against 4 (Arm's
A-profile architecture: SMMLA, SDOT), or 32 in one of 256 against 8 (VPMADDUBSW). Without one of them SMLAL has 8."""


@dataclass(frozen=True)
class Estimate:
    """One artifact on a board.

    Attributes:
        engine: that would run it there.
        measured: whether the engine's own memory was measured, or is a guess.
        parts_mib: the parts of its peak memory.
        fits_mib: the smallest memory of the board that holds the sum; None where none does, or no size is known.
        threads: of the bound.
        bound_ms: no inference can take less time, by the profile's peaks (roofline); None where they are not known. It
            is a bound, not a prediction.
    """

    artifact: Artifact
    engine: str
    measured: bool
    parts_mib: Mapping[str, float]
    fits_mib: int | None
    threads: int
    bound_ms: float | None

    def __repr__(self) -> str:
        bound = f"no less than {self.bound_ms:.3g} ms" if self.bound_ms else ""
        return brief(self, f"{self.artifact.key} on {self.engine}", f"{self.sum_mib:.0f} MiB", bound)

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        return {
            "artifact": self.artifact.key,
            "engine": self.engine,
            **{f"{name}, MiB": f"{size:.1f}" for name, size in self.parts_mib.items()},
            "sum, MiB": f"{self.sum_mib:.1f}",
            "fits, MiB": self.fits_mib,
            "bound, ms": self.bound_ms,
        }

    @property
    def sum_mib(self) -> float:
        """The peak memory."""
        return sum(self.parts_mib.values())


def estimate(
    bundle: Bundle | str | Path, profile: Profile | str, *, tokens: int = 128, threads: int | None = None
) -> Results[Estimate]:
    """An estimate for each artifact of a bundle, for one text of `tokens` tokens, on a board with this profile.

    Raises:
        UsageError: a length over the model's, more threads than cores, or no such profile.
    """
    opened = Bundle.of(bundle)
    board = profile if isinstance(profile, Profile) else named(profile)
    longest, cores = opened.manifest.settings.max_length, sum(one.count for one in board.cpu.clusters)
    if not 1 <= tokens <= longest:
        raise UsageError(f"{tokens} tokens were asked, the model takes 1 to {longest}")
    wanted = board.run.threads if threads is None else threads
    if wanted < 1 or wanted > (cores or wanted):
        raise UsageError(f"{wanted} threads were asked, the board has {cores or 'any number of'} cores")
    config = model_config(opened.directory)
    return Results(_of(opened.manifest, one, config, board, tokens, wanted) for one in opened.manifest.artifacts)


def _of(
    manifest: Manifest, artifact: Artifact, config: Mapping[str, Any], profile: Profile, tokens: int, threads: int
) -> Estimate:
    engine = engine_of(artifact, [one.name for one in profile.engines])
    app = profile.recognized.generic == "android" or bool(profile.recognized.products)
    parts = memory_mib(manifest, artifact, config, tokens, engine, python=not app)
    total = sum(parts.values())
    fits = min((size for size in profile.memory.ram_mib if size >= total), default=None)
    work = encoder_macs(config, tokens) if _dense(config) and artifact.format != "tensorrt" else None
    peak = peaks(profile, threads, half=weight_bits(artifact.precision) == 16)
    read = artifact.total_bytes * (1 - table_share(config, manifest.source.parameters)) - _CACHES_BYTES
    bound = _bound_ms(peak, work, artifact.precision, max(0.0, read)) if peak and work else None
    return Estimate(artifact, engine.engine, engine.footprint.measured, parts, fits, threads, bound)


def _bound_ms(peak: Roofline, work: tuple[float, float], precision: str, read: float) -> float:
    layers, scores = work
    if activations(precision) == "static":  # its attention may be in integers too
        layers, scores = layers + scores, 0.0
    return peak.bound_ms(layers=layers, scores=scores, weight_bytes=read, integer=by_integers(precision))


def _dense(config: Mapping[str, Any]) -> bool:
    return config.get("model_type") in _DENSE and not config.get("edgewright_pruned")


def peaks(profile: Profile, threads: int, *, half: bool = False) -> Roofline | None:
    """The peaks of a board's fastest cores, one for each thread, by pipes and clocks; None where not all are known.

    With `half`, products in float are of float16 where the board has such instructions.
    """
    cores = [one for one in profile.cpu.clusters for _ in range(one.count)]
    if not cores or any(not one.clock_mhz for one in cores):
        return None
    chosen = sorted(cores, key=lambda one: -(one.clock_mhz or 0))[:threads]
    rates = [(one.clock_mhz or 0) * (one.fp32_macs_per_cycle or 0) / 1e3 for one in chosen]
    if not all(rates):
        return None
    times = max((_INT8_TIMES[name] for name in profile.cpu.instructions if name in _INT8_TIMES), default=2)
    fp32 = sum(rates) * (2 if half and "fp16" in profile.cpu.instructions else 1)
    return Roofline(threads, fp32, sum(rates) * times, profile.memory.read_gb_s or math.inf)
