"""ONNX, for ONNX Runtime 1.23 or newer: fp32, fp16, int8 with dynamic activations, calibrated int8, int4 weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgewright.bundle.external_data import candidates_of, encoder_of, narrow_of, weights_of
from edgewright.contracts.converter import ConversionSpec, Converter
from edgewright.converters._onnx.decoder_maker import DecoderMaker
from edgewright.converters._onnx.described import described
from edgewright.converters._onnx.make import PRELOAD, Maker, ladder
from edgewright.converters._onnx.storing import save_beside
from edgewright.converters._onnx.translator_maker import TranslatorMaker

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.contracts.precision import Precision

__all__ = ["OnnxConverter"]

_MOST_IN_ONE_FILE = 2**31 - 2**20
"""Protobuf reads less than 2 GiB; a mebibyte is left for what is written around the graph."""
_NAMES: dict[Precision, str] = {
    "fp32": "model",
    "fp16": "model_fp16",
    "int8": "model_quantized",
    "int8-static": "model_int8_static",
    "int4": "model_q4",
}


class OnnxConverter(Converter):
    """Writes `.onnx` files, with dynamic batch and length, under the names that transformers.js looks for."""

    format = "onnx"
    precisions = tuple(_NAMES)
    extra = "convert"
    requires = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")
    preload = PRELOAD

    @staticmethod
    def path(precision: Precision) -> str:
        """onnx/model.onnx, model_fp16.onnx, model_quantized.onnx (int8), model_int8_static.onnx and model_q4.onnx."""
        return f"onnx/{_NAMES[precision]}.onnx"

    @staticmethod
    def ladder(precision: Precision) -> tuple[tuple[str, ...], ...]:
        """Operators by their ONNX names, matrix products by what they read."""
        return ladder(precision)

    def __init__(self) -> None:
        self._maker, self._decoders, self._translators = Maker(), DecoderMaker(), TranslatorMaker()

    def _convert(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        if spec.task == "text-generation":
            made = described(self._decoders.make(model, spec), spec, told=True)
            save_beside({out: made}, out.with_name(weights_of(out.name)))
            return
        if spec.task == "translation":
            encoder, decoder = (described(one, spec) for one in self._translators.make(model, spec))
            files = {out.with_name(encoder_of(out.name)): encoder, out: decoder}
            if spec.shortlist:
                names = (candidates_of(out.name), narrow_of(out.name))
                said = replace(spec, about={**spec.about, "vocabulary": str(_vocabulary(decoder))})
                for name, one in zip(names, self._translators.candidates(model, spec), strict=True):
                    files[out.with_name(name)] = described(one, said)
            save_beside(files, out.with_name(weights_of(out.name)))
            return
        _save(described(self._maker.make(model, spec), spec), out)


def _save(model: Any, out: Path) -> None:
    """One file; protobuf's limit of 2 GiB makes the weights of larger models a file of their own beside it."""
    import onnx

    large = model.ByteSize() > _MOST_IN_ONE_FILE
    onnx.save(model, str(out), save_as_external_data=large, location=f"{out.name}.data" if large else None)


def _vocabulary(decoder: Any) -> int:
    """How many logits a step of the graph gives."""
    logits = next(output for output in decoder.graph.output if output.name == "logits")
    return int(logits.type.tensor_type.shape.dim[-1].dim_value)
