"""The seams between the rooms: what a format, an engine and a transport implement. A name is imported with its use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewright.contracts.converter import ConversionSpec, Converter
    from edgewright.contracts.engine import Footprint, Runtime, Session
    from edgewright.contracts.operators import Operator, Trace
    from edgewright.contracts.transport import Completed, Tally, Transport

__all__ = [
    "Completed",
    "ConversionSpec",
    "Converter",
    "Footprint",
    "Operator",
    "Runtime",
    "Session",
    "Tally",
    "Trace",
    "Transport",
]

_HOMES = {
    "Completed": "transport",
    "ConversionSpec": "converter",
    "Converter": "converter",
    "Footprint": "engine",
    "Operator": "operators",
    "Runtime": "engine",
    "Session": "engine",
    "Tally": "transport",
    "Trace": "operators",
    "Transport": "transport",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgewright.contracts' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"edgewright.contracts.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
