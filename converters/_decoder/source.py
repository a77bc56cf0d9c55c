"""A decoder as it comes in: its parts, and what meets its weights, each found once for all precisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._decoder.parts import CachePeaks, Decoder
    from edgewright.converters._rounding.gptq import Moments

__all__ = ["DecoderSource"]


class DecoderSource:
    """Reads the parts of one eager model."""

    def __init__(self) -> None:
        self._decoder: Decoder | None = None
        self._moments: Moments | None = None
        self._peaks: list[CachePeaks] | None = None

    def decoder(self, model: Any, spec: ConversionSpec) -> Decoder:
        """The parts. Raises UnsupportedConversion."""
        from edgewright.converters._decoder.families import read

        if self._decoder is None:
            spec.progress("read the parts")
            self._decoder = read(model.model, spec.settings.max_length)
        return self._decoder

    def moments(self, model: Any, spec: ConversionSpec) -> Moments:
        """What meets the weights of the layers, on the pieces of text of the calibration."""
        from edgewright.converters._decoder.observe import moments

        if self._moments is None:
            spec.progress("measure activations")
            self._moments = moments(model.model, spec.calibration)
        return self._moments

    def cache_peaks(self, model: Any, spec: ConversionSpec) -> list[CachePeaks]:
        """How large the keys and values of each layer become there."""
        from edgewright.converters._decoder.observe import cache_peaks

        if self._peaks is None:
            spec.progress("measure keys and values")
            self._peaks = cache_peaks(model.model, self.decoder(model, spec), spec.calibration)
        return self._peaks
