"""What the measuring process says of where it runs: the machine, its peaks, and the bundle that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgewright.measure.process import AboutAnswer, AskAbout, AskPeaks
    from edgewright.measure.roofline import Roofline

__all__ = ["about", "peaks"]


def about(request: AskAbout) -> AboutAnswer:
    """The machine, and the bundle on it. Raises UsageError: this machine is emulated."""
    from edgewright.bundle.bundle import Bundle
    from edgewright.inference.engines import runnable
    from edgewright.inference.footprint import model_config
    from edgewright.measure.process import AboutAnswer, TheirMachine
    from edgewright.system.machine import machine, require_clock

    require_clock()
    bundle = Bundle.open(request.bundle)
    config = model_config(bundle.directory) or None
    return AboutAnswer(TheirMachine(**machine()), tuple(runnable(bundle)), bundle.manifest, config)


def peaks(request: AskPeaks) -> Roofline:
    """The machine's peaks, measured now."""
    from edgewright.measure.roofline import roofline

    return roofline(request.peaks)
