"""What the measuring process says of where it runs: the machine, its peaks, and the bundle that it is given."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["about", "peaks"]


def about(directory: str) -> dict[str, Any]:
    """The fields of `edgewright.measure.place.About`. Raises UsageError: this machine is emulated."""
    from msgspec import to_builtins

    from edgewright.bundle.bundle import Bundle
    from edgewright.inference.engines import runnable
    from edgewright.system.machine import machine, require_clock

    require_clock()
    bundle = Bundle.open(directory)
    path = bundle.directory / "config.json"
    return {
        "machine": machine(),
        "formats": runnable(bundle),
        "manifest": to_builtins(bundle.manifest),
        "config": json.loads(path.read_text()) if path.is_file() else None,
    }


def peaks(threads: int) -> Any:
    """The fields of `edgewright.measure.roofline.Roofline`, measured now."""
    from msgspec import to_builtins

    from edgewright.measure.roofline import roofline

    return to_builtins(roofline(threads))
