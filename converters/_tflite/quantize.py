"""A float TFLite file -> fp16, int8 and int4 by AI Edge Quantizer, all signatures over one set of weights."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

from edgewright.converters._tflite import file
from edgewright.converters._tflite.half import half
from edgewright.converters._tflite.int4 import keep_grids, on_grids, outputs_at_8_bits
from edgewright.converters._tflite.static import quantize_static

if TYPE_CHECKING:
    from ai_edge_quantizer.recipe_manager import RecipeManager

    from edgewright.contracts.converter import ConversionSpec

__all__ = ["at_4_bits", "quantize"]

_POSITIONS = 4096
"""Float constants of as many numbers are tables of positions; biases have fewer, and XNNPACK wants them as they are."""


def quantize(data: bytes, spec: ConversionSpec) -> bytes:
    """The file at the precision of `spec`.

    fp16 is how the weights are stored, the engine makes them float32 when it opens the file. int8 multiplies in
    integers: weights with a scale for each output channel, activations on the fly. int4 does too, and is described in
    `_tflite_int4`, int8-static in `_tflite_static`.
    """
    if spec.precision == "fp16":
        return half(data)
    if spec.precision == "int8-static":
        return quantize_static(data, spec.keep_float, spec.calibration)
    if spec.precision == "int4":
        if spec.task == "text-generation":  # its weights were put there, and its tables of positions keep 8 bits
            return at_4_bits(data)
        data = on_grids(data, spec.calibration)
        return half(_run(data, _int4(data, of_decoder=False)), _POSITIONS)
    return _run(data, _int8())


def at_4_bits(data: bytes) -> bytes:
    """A float file whose weights were put on grids at 4 bits where they lie on them, else at 8."""
    return _run(data, _int4(data, of_decoder=True))


def _run(data: bytes, recipe: RecipeManager) -> bytes:
    from ai_edge_quantizer import quantizer

    work = quantizer.Quantizer(bytearray(data))
    work.load_quantization_recipe(recipe.get_quantization_recipe())
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result = work.quantize(enable_progress_bar=False, enable_progress_report=False)
    return file.write(file.read(bytes(result.quantized_model)))


def _int8() -> RecipeManager:
    from ai_edge_quantizer import recipe_manager

    recipe = recipe_manager.RecipeManager()
    for operation in _operations("*"):
        recipe.add_dynamic_config(".*", operation, 8)
    return recipe


def _int4(data: bytes, *, of_decoder: bool) -> RecipeManager:
    """A scale for each block that it finds; per row instead, the embedding alone would cost 4 dB."""
    keep_grids()
    from ai_edge_quantizer import qtyping

    recipe, blocks = _int8(), qtyping.QuantGranularity.BLOCKWISE_32
    for operation in _operations("FULLY_CONNECTED", "EMBEDDING_LOOKUP"):
        recipe.add_dynamic_config(".+", operation, 4, blocks)
    for operation in _operations("*"):
        recipe.add_dynamic_config(file.scope_of(outputs_at_8_bits(data, of_decoder=of_decoder)), operation, 8)
    return recipe


def _operations(*names: str) -> list[Any]:
    from ai_edge_quantizer import qtyping

    return [qtyping.TFLOperationName(name) for name in names]
