"""The ONNX models of one source, by precision: what the formats `onnx` and `ort` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewright.contracts.converter import ConversionSpec
    from edgewright.contracts.precision import Precision

__all__ = ["PRELOAD", "Maker", "ladder"]

PRELOAD = ("torch.export._trace", "onnxscript.optimizer", "onnxscript.function_libs.torch_lib.ops")
"""What `torch.export` and `torch.onnx` import too: the first brings networkx, a third of a second, the last reads the
source of its 557 operators, half of one."""

_BETWEEN = ("Add", "Attention", "Gelu", "LayerNormalization")
_LADDERS: dict[Precision, tuple[tuple[str, ...], ...]] = {
    "int8-static": (
        _BETWEEN,
        (*_BETWEEN, "feed-forward output"),
        (*_BETWEEN, "feed-forward output", "attention output"),
    ),
    "int4": ((), ("embedding",), ("embedding", "feed-forward output")),
}


def ladder(precision: Precision) -> tuple[tuple[str, ...], ...]:
    """What a precision leaves in float, rung by rung.

    int8-static never quantizes the operators between the matrix products: ONNX Runtime's CPU has few kernels for them.
    Of int4 the rung `embedding` means a table at 8 bits instead of 4.
    """
    return _LADDERS.get(precision, ((),))


class Maker:
    """Exports a model once and makes its other precisions out of that."""

    def __init__(self) -> None:
        self._float: Any = None

    def make(self, model: Any, spec: ConversionSpec) -> Any:
        """The `onnx.ModelProto` of `model` at `spec.precision`, on the rung `spec.keep_float`."""
        self._float = self._float or self._export(model, spec)
        if spec.precision == "fp32":
            return self._float
        spec.progress("store as float16" if spec.precision == "fp16" else "quantize")
        return self._lowered(spec)

    def _lowered(self, spec: ConversionSpec) -> Any:
        from edgewright.converters._onnx.fp16 import halve
        from edgewright.converters._onnx.int4 import quantize_int4
        from edgewright.converters._onnx.int8 import quantize_int8
        from edgewright.converters._onnx.static import quantize_static

        if spec.precision == "fp16":
            return halve(self._float)
        if spec.precision == "int8":
            return quantize_int8(self._float)
        calibrated = quantize_static if spec.precision == "int8-static" else quantize_int4
        return calibrated(self._float, spec.calibration, spec.keep_float)

    def _export(self, model: Any, spec: ConversionSpec) -> Any:
        import torch

        from edgewright.converters._onnx.export import export

        spec.progress("export")
        return export(model, [torch.from_numpy(spec.example[name]) for name in spec.inputs], spec.inputs, spec.outputs)
