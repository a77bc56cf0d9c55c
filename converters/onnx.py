"""ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.contracts import ConversionSpec, Converter

if TYPE_CHECKING:
    from pathlib import Path
__all__ = ["OnnxConverter"]


class OnnxConverter(Converter):
    format = "onnx"
    precisions = ("fp32", "int8")
    extra = "convert"
    requires = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")

    @staticmethod
    def path(precision: str) -> str:
        return {"fp32": "onnx/model.onnx", "int8": "onnx/model_quantized.onnx"}[precision]

    _float: Any = None

    def _convert(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        import onnx
        import torch

        if self._float is None:
            kw = [torch.from_numpy(spec.example[k]) for k in spec.inputs]
            D = torch.export.Dim
            shapes = tuple({0: D.DYNAMIC, 1: D.DYNAMIC} for k in kw)
            prog = torch.onnx.export(
                model,
                tuple(kw),
                dynamo=True,
                dynamic_shapes={"arrays": shapes},
                input_names=list(spec.inputs),
                output_names=list(spec.outputs),
                verbose=False,
            )
            self._float = prog.model_proto
        if spec.precision == "fp32":
            onnx.save(self._float, str(out))
            return
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(self._float, str(out), per_channel=True, weight_type=QuantType.QInt8)
