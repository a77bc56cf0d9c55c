"""Which artifacts a build shall make, checked before any work begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright import registry
from edgewright.boards.catalogue import wanted
from edgewright.builder.support import gap
from edgewright.contracts.precision import by_integers, known
from edgewright.errors import UnsupportedConversion, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgewright.boards.catalogue import Profile
    from edgewright.builder.artifacts import Plan
    from edgewright.contracts.converter import Converter
    from edgewright.contracts.precision import Precision
    from edgewright.model.source import Source

__all__ = ["check_cache", "check_shortlist", "planned", "supported", "wanted_of"]

_FORMATS = ("onnx",)
_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


def wanted_of(
    formats: Sequence[str] | None, precisions: Sequence[str] | None, device: Profile | None
) -> dict[str, list[Precision]]:
    """Precisions by format, as `build` takes them.

    Raises:
        UsageError: none was given, there is no such precision, or a text stands where names are listed.
    """
    for names in (formats, precisions):
        if isinstance(names, str):  # a Sequence[str] to a type checker, too
            raise UsageError(f"{names!r} is a text, and no list of names", hint=f"give {names.split(',')!r}")
    if () in [tuple(names) for names in (formats, precisions) if names is not None]:
        raise UsageError("no format or no precision was given", hint="for example --format onnx --precision fp32,int8")
    chosen = tuple(known(name) for name in precisions or ())
    if device is not None:
        return wanted(device, tuple(formats or ()), chosen)
    return {name: list(chosen or _PRECISIONS) for name in formats or _FORMATS}


def planned(cells: Mapping[str, Sequence[Precision]], *, leave_gaps: bool) -> Plan:
    """Which converter makes which precisions. What cannot work is refused here, before any work."""
    plan: Plan = []
    for name, precisions in cells.items():
        converter: type[Converter] = registry.load("converters", name)
        for precision in precisions:
            if precision not in converter.precisions and not leave_gaps:
                found = gap(name, precision)
                reason = f": {found.reason}" if found else ""
                hint = found.instead if found else f"{name} has {', '.join(converter.precisions)}"
                raise UnsupportedConversion(f"{name} at precision {precision!r} is not supported{reason}", hint=hint)
        registry.require(converter.requires, converter.extra)
        plan.append((converter, [p for p in dict.fromkeys(precisions) if p in converter.precisions]))
    return plan


def supported(plan: Plan, source: Source, *, leave_gaps: bool) -> Plan:
    """What the table of gaps lets through of this model. Raises UnsupportedConversion, also where nothing is left."""
    kept: Plan = []
    for converter, precisions in plan:
        if source.keras and converter.format != "tflite":
            raise UnsupportedConversion(
                f"a Keras source converts to tflite only, not to {converter.format}", hint="give --format tflite"
            )
        gaps = {p: gap(converter.format, p, model_type=source.model_type, task=source.task) for p in precisions}
        for precision, found in gaps.items():
            if found and (not leave_gaps or (not kept and converter is plan[-1][0] and all(gaps.values()))):
                what = f"{converter.format} at {precision} of {source.architecture} is not supported: {found.reason}"
                raise UnsupportedConversion(what, hint=found.instead)
        left = [precision for precision, found in gaps.items() if not found]
        kept += [(converter, left)] if left else []
    return kept


def check_cache(plan: Plan, source: Source) -> None:
    """Raise UsageError where an int8 cache is wanted, and nothing of the plan would have one."""
    small = any(converter.format == "onnx" and any(map(by_integers, precisions)) for converter, precisions in plan)
    if source.task != "text-generation" or not small:
        found = ", ".join(f"{converter.format} {' '.join(precisions)}" for converter, precisions in plan)
        what = f"nothing of this build has an int8 cache: {source.task} as {found}"
        raise UsageError(what, hint="decoders have it, in ONNX at int8 and int4")


def check_shortlist(plan: Plan, source: Source, pairs: Path, data: Path | None) -> None:
    """Raise UsageError where a shortlist is wanted, and nothing would have one, or nothing would tell what it costs."""
    if source.task != "translation" or not any(converter.format == "onnx" for converter, _ in plan):
        found = ", ".join(converter.format for converter, _ in plan)
        what = f"nothing of this build is held to a shortlist: {source.task} as {found}"
        raise UsageError(what, hint="translators are, in ONNX")
    if data is None:
        what = "nothing tells what a shortlist costs"
        raise UsageError(what, hint="give --data, sentence pairs that --shortlist does not have")
    if pairs.exists() and data.exists() and pairs.samefile(data):
        what = f"{pairs} would tell what a shortlist that was learnt from it costs"
        raise UsageError(what, hint="give --data other pairs")
