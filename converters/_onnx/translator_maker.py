"""The ONNX models of one encoder-decoder, by precision: weights to the nearest, with the blocks of decoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.converters._onnx.products import Blocks, Plain, Products, nearest_int4, nearest_int8, pairs
from edgewright.converters._onnx.rows import Rows
from edgewright.converters._translator.source import TranslatorSource

if TYPE_CHECKING:
    import onnx

    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._decoder.parts import Linear
    from edgewright.converters._onnx.products import Rounded

__all__ = ["TranslatorMaker"]

_BLOCK8 = 64
"""Inputs that share a scale at 8 bits, as for decoders: OPUS-MT's 512 divide by it."""
_BLOCK4 = 32
"""At 4 bits: the block of llama.cpp's q4_0."""


class TranslatorMaker:
    """Reads the parts of an encoder-decoder once, and writes the two graphs of them for each precision."""

    def __init__(self) -> None:
        self._source = TranslatorSource()

    def make(self, model: Any, spec: ConversionSpec) -> tuple[onnx.ModelProto, onnx.ModelProto]:
        """Encoder and decoder at `spec.precision`."""
        from edgewright.converters._onnx.translator import translator_models

        parts = self._source.translator(model, spec)
        spec.progress("write the graphs")
        return translator_models(parts, _products(spec))

    def candidates(self, model: Any, spec: ConversionSpec) -> tuple[onnx.ModelProto, onnx.ModelProto]:
        """What a shortlist needs beside them: see `edgewright.converters._onnx.translator`."""
        from edgewright.converters._onnx.translator import candidate_models

        return candidate_models(self._source.translator(model, spec), _products(spec))


def _products(spec: ConversionSpec) -> Products:
    if spec.precision == "fp32":
        return Plain()
    if spec.precision == "int8":
        return Blocks(8, _BLOCK8, _nearest, table_block=_BLOCK8) if spec.byte_dots else Rows()
    return Blocks(4, _BLOCK4, _nearest_pairs, table_bits=8, table_block=_BLOCK8)


def _nearest(linear: Linear, block: int) -> Rounded:
    return nearest_int8(linear.weight, block)


def _nearest_pairs(linear: Linear, block: int) -> Rounded:
    codes, scales, zeros = nearest_int4(linear.weight, block)
    return pairs(codes), scales, zeros
