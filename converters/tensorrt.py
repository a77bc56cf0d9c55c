"""TensorRT engines, for NVIDIA GPUs such as a Jetson's: fp32 and fp16.

An engine file is bound to the GPU model and to the TensorRT version that built it: build on the device that runs it.
The ONNX format with the engine `tensorrt` needs no such file (see `edgewright.runtimes.tensorrt`).

Written against TensorRT 10's API and not run on a GPU so far: the shapes and argument vectors are tested, the builder
is not. The gates of a build judge every engine file all the same.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.contracts.converter import ConversionSpec, Converter
from edgewright.contracts.precision import suffix
from edgewright.converters._onnx.make import PRELOAD

if TYPE_CHECKING:
    from edgewright.contracts.precision import Precision

__all__ = ["TensorrtConverter"]


class TensorrtConverter(Converter):
    """Writes `.engine` files with one optimisation profile from one token to the model's length."""

    format = "tensorrt"
    made_there = True
    precisions = ("fp32", "fp16")
    extra = "convert,tensorrt"
    requires = ("torch", "transformers", "onnx", "onnxscript", *(() if shutil.which("trtexec") else ("tensorrt",)))
    preload = PRELOAD

    @staticmethod
    def path(precision: Precision) -> str:
        """tensorrt/model.engine and tensorrt/model_fp16.engine."""
        return f"tensorrt/model{suffix(precision)}.engine"

    def _convert(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        import torch

        from edgewright.converters._onnx.export import export
        from edgewright.converters._tensorrt.build import build, check_builder, profile

        check_builder()
        spec.progress("export")
        example = [torch.from_numpy(spec.example[name]) for name in spec.inputs]
        proto = export(model, example, spec.inputs, spec.outputs)
        with tempfile.TemporaryDirectory() as scratch:
            onnx = Path(scratch, "model.onnx")
            onnx.write_bytes(_without_attention(proto).SerializeToString())
            spec.progress("build the engine")
            build(onnx, out, spec.precision, profile(spec))


def _without_attention(proto: Any) -> Any:
    """The model with ONNX's `Attention` said as matrix products, which every parser knows."""
    import onnx.inliner

    return onnx.inliner.inline_selected_functions(proto, [("", "Attention")], inline_schema_functions=True)
