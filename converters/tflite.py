"""TFLite, for LiteRT 2.1 or newer and for whatever runs `.tflite` files: phones, MediaPipe, the older tflite-runtime.

A file holds a signature for each bucket of lengths (`edgewright.text.buckets`), all over the same weights: a text of 10
tokens costs what 16 tokens cost. The longest comes first, for clients that know of no signatures. A Keras source goes
through TensorFlow's own converter instead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgewright.contracts.converter import ConversionSpec, Converter
from edgewright.contracts.precision import PRECISIONS, by_integers, suffix
from edgewright.converters._decoder.source import DecoderSource
from edgewright.converters._translator.source import TranslatorSource
from edgewright.text.buckets import buckets

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgewright.contracts.precision import Precision

__all__ = ["TfliteConverter"]


class TfliteConverter(Converter):
    """Writes `.tflite` files: inputs int32 (1, length), outputs float32."""

    format = "tflite"
    precisions = PRECISIONS
    extra = "host"
    requires = ("torch", "transformers", "litert_torch", "ai_edge_litert", "ai_edge_quantizer", "flatbuffers")
    preload = ("litert_torch", "torch.export._trace")

    @staticmethod
    def path(precision: Precision) -> str:
        """tflite/model.tflite, tflite/model_int8_static.tflite and so on."""
        return f"tflite/model{suffix(precision)}.tflite"

    @staticmethod
    def ladder(precision: Precision) -> tuple[tuple[str, ...], ...]:
        """For int8-static, whose kinds `_tflite_static` describes; with less in float no model tried passed a gate."""
        if precision != "int8-static":
            return ((),)
        lowest = ("layer norm", "softmax", "feed-forward output", "residual add")
        return lowest, (*lowest, "gelu", "attention")

    def __init__(self) -> None:
        self._float: bytes = b""
        self._decoders, self._translators = DecoderSource(), TranslatorSource()

    def _convert(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        from edgewright.converters._model.keras import Keras
        from edgewright.converters._tflite.file import described
        from edgewright.converters._tflite.quantize import quantize

        if isinstance(model, Keras):
            from edgewright.converters._tflite import keras

            keras.convert(model, spec, out)
            return
        if spec.task == "text-generation":
            data = self._decoder(model, spec)
        else:
            export = self._translator if spec.task == "translation" else self._export
            data = self._float = self._float or export(model, spec)
        if spec.precision != "fp32":
            spec.progress("quantize")
            data = quantize(data, spec)
        out.write_bytes(described(data, {**spec.about, "precision": spec.precision}))

    def _decoder(self, model: Any, spec: ConversionSpec) -> bytes:
        from edgewright.converters._decoder.smoothing import smoothed
        from edgewright.converters._tflite.decoder import CONTEXT, export_decoder
        from edgewright.converters._tflite.int4 import decoder_on_grids

        decoder, integers = self._decoders.decoder(model, spec), by_integers(spec.precision)
        shifts: dict[str, NDArray[np.float32]] = {}
        if spec.precision == "int4":
            decoder, shifts = decoder_on_grids(decoder, self._decoders.moments(model, spec).factor)
        elif integers:
            decoder = smoothed(decoder, self._decoders.moments(model, spec))
        if integers or not self._float:
            spec.progress("export one token and a chunk")
            made = export_decoder(replace(decoder, context=min(decoder.context, CONTEXT)), fine=integers, shifts=shifts)
            if integers:
                return made
            self._float = made
        return self._float

    def _translator(self, model: Any, spec: ConversionSpec) -> bytes:
        from edgewright.converters._tflite.translator import export_translator

        whole = self._translators.translator(model, spec)
        spec.progress("export sources and steps")
        return export_translator(whole)

    def _export(self, model: Any, spec: ConversionSpec) -> bytes:
        from edgewright.converters._tflite.export import export

        lengths = buckets(spec.settings.max_length)
        spec.progress(f"export {len(lengths)} lengths")
        return export(model, lengths, spec.inputs, spec.outputs)
