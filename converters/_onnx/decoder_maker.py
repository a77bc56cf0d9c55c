"""The ONNX models of one decoder, by precision.

int8: MatMulNBits with blocks of 128 where they fit, to the nearest. int4: blocks of 32, each weight rounded so that it
makes up for the ones before it (GPTQ, arXiv 2210.17323), on pieces of text; what a rung of the ladder names has 8 bits
instead. For a CPU without dot products of bytes int8 is `Rows`. A model whose weights are rounded to 8 bits here is
smoothed before: its states are rounded too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.contracts.precision import by_integers
from edgewright.converters._decoder.gguf import read_grids
from edgewright.converters._decoder.smoothing import smoothed
from edgewright.converters._decoder.source import DecoderSource
from edgewright.converters._onnx.carried import Carried, carries
from edgewright.converters._onnx.products import Blocks, Plain, Products, nearest_int8, pairs
from edgewright.converters._onnx.rows import Rows

if TYPE_CHECKING:
    import onnx

    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._decoder.parts import Decoder, Linear
    from edgewright.converters._onnx.products import Rounded

__all__ = ["DecoderMaker"]

_BLOCK8 = 128
"""The most inputs that share a scale at 8 bits. SmolLM2-135M, smoothed, is nearer to the eager model so (0.0062 nats)
than by blocks of 64 without (0.0078), and a quarter faster; unsmoothed it fails its gate (0.0122)."""
_BLOCK4 = 32
"""At 4 bits: the block of llama.cpp's q4_0."""


class DecoderMaker:
    """Writes a graph of a decoder's parts for each precision."""

    def __init__(self) -> None:
        self._source = DecoderSource()

    def make(self, model: Any, spec: ConversionSpec) -> onnx.ModelProto:
        """The model at `spec.precision`, on the rung `spec.keep_float`."""
        from edgewright.converters._onnx.decoder import decoder_model
        from edgewright.converters._onnx.fp16 import halve

        decoder, products = self._source.decoder(model, spec), self._products(model, spec)
        if spec.precision == "int8" and not isinstance(products, Carried):
            decoder = smoothed(decoder, self._source.moments(model, spec))
        small = spec.int8_cache and by_integers(spec.precision)
        peaks = self._source.cache_peaks(model, spec) if small else ()
        spec.progress("write the graph")
        made = decoder_model(decoder, products, peaks)
        return halve(made) if spec.precision == "fp16" else made

    def _products(self, model: Any, spec: ConversionSpec) -> Products:
        if spec.precision in ("fp32", "fp16"):
            return Plain()
        if spec.precision == "int8" and not spec.byte_dots:
            return Rows()
        bits = 8 if spec.precision == "int8" else 4
        grids = read_grids(spec.tokenizer)
        weights = _weights(self._source.decoder(model, spec))
        if not spec.keep_float and carries(grids, weights, bits):
            spec.progress("take over the source's own codes")
            return Carried(grids, _rounded_int8())
        if spec.precision == "int8":
            return _rounded_int8()
        return self._four_bits(model, spec)

    def _four_bits(self, model: Any, spec: ConversionSpec) -> Products:
        from edgewright.converters._rounding.gptq import round_blocks

        found = self._source.moments(model, spec)

        def rounded(linear: Linear, block: int) -> Rounded:
            codes, scales, zeros = round_blocks(linear.weight.T, found.factor(linear.source), block)
            return pairs(codes), scales, pairs(zeros)

        wide = "embedding" in spec.keep_float
        return Blocks(
            4,
            _BLOCK4,
            rounded,
            table_bits=8 if wide else 4,
            table_block=_BLOCK8 if wide else _BLOCK4,
            wide=spec.keep_float,
        )


def _rounded_int8() -> Products:
    """8 bits to the nearest, the table as well."""
    return Blocks(8, _BLOCK8, lambda linear, block: nearest_int8(linear.weight, block), table_block=_BLOCK8)


def _weights(decoder: Decoder) -> list[str]:
    """The names of the weights of all layers."""
    found = []
    for block in decoder.blocks:
        mixer, part = block.mixer, block.feed_forward
        linears = [*mixer.reads, mixer.output, part.up, part.down, *([part.gate] if part.gate else [])]
        found += [linear.name for linear in linears]
    return found
