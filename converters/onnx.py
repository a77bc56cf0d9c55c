"""ONNX, for ONNX Runtime 1.23 or newer: fp32, and int8 with dynamic activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.contracts import ConversionSpec, Converter

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["OnnxConverter"]

_MOST_IN_ONE_FILE = 2**31 - 2**20


class OnnxConverter(Converter):
    """Writes `.onnx` files, with dynamic batch and length, under the names that transformers.js looks for."""

    format = "onnx"
    precisions = ("fp32", "int8")
    extra = "convert"
    requires = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")

    @staticmethod
    def path(precision: str) -> str:
        """onnx/model.onnx and onnx/model_quantized.onnx."""
        return {"fp32": "onnx/model.onnx", "int8": "onnx/model_quantized.onnx"}[precision]

    def __init__(self) -> None:
        self._float: Any = None

    def _convert(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        from edgewright.converters._onnx_int8 import quantize_int8

        self._float = self._float or self._export(model, spec)
        if spec.precision == "int8":
            spec.progress("quantize")
            _save(quantize_int8(self._float), out)
        else:
            _save(self._float, out)

    def _export(self, model: Any, spec: ConversionSpec) -> Any:
        import torch

        from edgewright.converters._onnx_export import export

        spec.progress("export")
        return export(model, [torch.from_numpy(spec.example[name]) for name in spec.inputs], spec.inputs, spec.outputs)


def _save(model: Any, out: Path) -> None:
    """One file; protobuf's limit of 2 GiB makes the weights of larger models a file of their own beside it."""
    import onnx

    large = model.ByteSize() > _MOST_IN_ONE_FILE
    onnx.save(model, str(out), save_as_external_data=large, location=f"{out.name}.data" if large else None)
