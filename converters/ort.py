"""ORT format, the only one that ONNX Runtime Mobile and other minimal builds load: a flatbuffer, optimized beforehand.

onnxruntime.ai/docs/performance/model-optimizations/ort-format-models.html. Its optimizations are those that every CPU
shares ("extended"); what would bake this machine's memory layouts into the file is left out. A file is for the version
of ONNX Runtime that made it, or a newer one: version 1.23 opens those of 1.31 at fp32 and int8, and not at int4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.contracts.converter import ConversionSpec, Converter
from edgewright.contracts.precision import suffix
from edgewright.converters._onnx.described import described
from edgewright.converters._onnx.make import PRELOAD, Maker, ladder
from edgewright.errors import UnsupportedConversion

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.contracts.precision import Precision

__all__ = ["OrtConverter"]

_LARGEST = 2**31 - 2**20
"""Bytes that a flatbuffer can hold."""


class OrtConverter(Converter):
    """Writes `.ort` files of the same models as the format `onnx`."""

    format = "ort"
    precisions = ("fp32", "int8", "int8-static", "int4")
    extra = "convert"
    requires = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")
    preload = PRELOAD

    @staticmethod
    def path(precision: Precision) -> str:
        """ort/model.ort, and ort/model_int8.ort and so on."""
        return f"ort/model{suffix(precision)}.ort"

    @staticmethod
    def ladder(precision: Precision) -> tuple[tuple[str, ...], ...]:
        """The same as that of the format `onnx`."""
        return ladder(precision)

    def __init__(self) -> None:
        self._maker = Maker()

    def _convert(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        import onnxruntime

        made = described(self._maker.make(model, spec), spec)
        if made.ByteSize() > _LARGEST:
            hint = "build the format onnx"
            raise UnsupportedConversion(f"{out.name} has {made.ByteSize()} bytes, at most {_LARGEST} fit", hint=hint)
        spec.progress("optimize")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(out)
        options.log_severity_level = 3
        options.add_session_config_entry("session.save_model_format", "ORT")
        onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
