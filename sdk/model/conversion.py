"""Conversion in a child: what it is asked to make of a source, and what comes of each artifact."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads annotations

from msgspec import Struct

from edgewright.contracts.precision import Precision  # noqa: TC001 - msgspec reads annotations
from edgewright.model.source import SourceJob  # noqa: TC001 - msgspec reads annotations
from edgewright.system.child import Child

__all__ = ["CONVERT", "Conversion", "ConversionAnswer", "Wanted"]


class Wanted(Struct, frozen=True):
    """An artifact to make: its precision, where it shall lie, and the rung of the converter's ladder."""

    precision: Precision
    path: Path
    keep_float: tuple[str, ...] = ()


class Conversion(Struct, frozen=True, kw_only=True):
    """Artifacts of one format, from one loading of the model.

    Attributes:
        texts: the file of real batches: the example that an exporter traces, then those to measure ranges on.
        threads: of torch.
        byte_dots: see `edgewright.contracts.converter.ConversionSpec`, as for `int8_cache` and `shortlist`.
        about: what the artifacts shall say of themselves, see there too.
    """

    source: SourceJob
    format: str
    artifacts: tuple[Wanted, ...]
    texts: Path
    threads: int
    byte_dots: bool = True
    int8_cache: bool = False
    shortlist: bool = False
    about: dict[str, str] = {}


class ConversionAnswer(Struct, frozen=True):
    """For each artifact None, or the record of the error that there is instead of it."""

    errors: tuple[dict[str, str] | None, ...]


CONVERT = Child("edgewright.converters._model.jobs:convert", Conversion, ConversionAnswer)
