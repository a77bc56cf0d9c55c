"""A row of a measurement, from the records that the measuring processes of a target gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.contracts.precision import by_integers
from edgewright.measure.grading import grade, spread
from edgewright.measure.process import known
from edgewright.measure.roofline import encoder_macs
from edgewright.measure.rows import MachineState, Parts, Row, Startup
from edgewright.statistics.latency import median, summarize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.measure.plan import Plan, Target
    from edgewright.measure.process import Apart, MemoryAnswer, TheirParts, TimesAnswer

__all__ = ["row_of"]


def row_of(target: Target, plan: Plan, records: Sequence[TimesAnswer], at: int, memory: MemoryAnswer) -> Row:
    """The row of the series `at` of every timing record, and of the record of the memory."""
    series, lost = [record.series[at] for record in records], plan.processes - len(records)
    samples = tuple(one.samples_ms for one in series)
    latency = summarize([sample for process in samples for sample in process])
    states = [{"before": known(one.before, MachineState), "after": known(one.after, MachineState)} for one in series]
    mark, reasons = grade(samples, latency, states, [one.others for one in series])
    energy = [one.energy_mj for one in series if one.energy_mj is not None]
    tokens, lengths = series[0].tokens, series[0].lengths
    texts = bool(plan.texts) and at == 0
    return Row(
        **_facts(target, plan, memory),
        tokens=tokens,
        data=plan.data if texts else None,
        lengths=lengths if texts else (),
        latency_ms=latency,
        samples_ms=samples,
        cpu_ms=tuple(one.cpu_ms for one in series if one.cpu_ms is not None),
        tokens_per_s=plan.batch * sum(lengths) / len(lengths) / latency.median * 1e3,
        parts=_parts([one.parts for one in series]),
        sustained_ms=series[0].sustained_ms,
        startup=_startup(records, memory.apart),
        peak_rss_mib=memory.peak_rss_mib,
        energy_mj=_middle(energy) if energy else "unmeasured",
        energies_mj=tuple(energy),
        energy_meter=series[0].energy_meter,
        bound_share=_bound_share(target, tokens, latency.median) if plan.roofline and not texts else None,
        noise=spread(samples),
        before=states[0]["before"],
        after=states[-1]["after"],
        grade="void" if lost else mark,
        reasons=(*reasons, *([f"{lost} of {plan.processes} processes were lost"] if lost else [])),
    )


def _facts(target: Target, plan: Plan, memory: MemoryAnswer) -> dict[str, Any]:
    """What a row says of that which was measured."""
    return {
        "artifact": target.artifact,
        "bundle": str(target.bundle.directory),
        "task": target.bundle.manifest.task,
        "engine": memory.engine,
        "version": memory.version,
        "threads": target.threads,
        "buckets": target.buckets,
        "batch": plan.batch,
    }


def _startup(records: Sequence[TimesAnswer], apart: Apart) -> Startup:
    return Startup(
        import_ms=_middle([record.import_ms for record in records]),
        modules=records[0].modules,
        load_ms=_middle([record.load_ms for record in records]),
        read_ms=apart.read_ms,
        tokenizer_ms=apart.tokenizer_ms,
        open_ms=apart.open_ms,
        first_ms=_middle([record.first_ms for record in records]),
    )


def _parts(found: Sequence[TheirParts | None]) -> Parts | None:
    kept = [parts for parts in found if parts]
    if not kept:
        return None
    return Parts(**{name: _middle([getattr(parts, name) for parts in kept]) for name in Parts.__struct_fields__})


def _bound_share(target: Target, tokens: int, median_ms: float) -> float | None:
    config = target.place.about.config
    work = encoder_macs(config, tokens) if config else None
    if work is None:
        return None
    layers, scores = work
    integer = by_integers(target.artifact.precision)
    bound = target.place.peaks(target.threads).bound_ms(layers=layers, scores=scores, weight_bytes=0, integer=integer)
    return bound / median_ms


def _middle(values: Sequence[float]) -> float:
    return median(sorted(values))
