"""What is not supported, in one table: format x precision x architecture x task. It is asked before any work starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgewright.contracts.precision import PRECISIONS, by_integers

if TYPE_CHECKING:
    from edgewright.contracts.precision import Precision

__all__ = ["GAPS", "Gap", "gap"]


@dataclass(frozen=True)
class Gap:
    """A part of the matrix that cannot be made, why, and what works instead; an empty field means any."""

    reason: str
    instead: str
    format: str = ""
    precision: Precision | Literal[""] = ""
    model_type: str = ""
    task: str = ""


_PADDED = "it reads each token's neighbours without a mask, so padding a text to a bucket changes its answer"
_ANY_LENGTH = "onnx takes every length as it is"

GAPS: tuple[Gap, ...] = (
    Gap(reason=_PADDED, instead=_ANY_LENGTH, format="tflite", model_type="mobilebert"),
    Gap(reason=_PADDED, instead=_ANY_LENGTH, format="tflite", model_type="convbert"),
    Gap("its convolutions are wrong in XNNPACK where the length is free", _ANY_LENGTH, "executorch", "", "convbert"),
    Gap(
        "XNNPACK refuses its grouped convolutions between static scales",
        "int8, whose activations are quantized on the fly",
        "executorch",
        "int8-static",
        "squeezebert",
    ),
    Gap(
        reason="its optimizer turns float16 weights into float32 and they would be stored as float32",
        instead="build the format onnx at fp16, or ort at int8",
        format="ort",
        precision="fp16",
    ),
    Gap(
        "PyTorch Mobile, whose last release is 2.1, has no half-precision linear layer on the CPU",
        "int8 is smaller still; onnx and tflite have fp16",
        format="torchscript",
        precision="fp16",
    ),
    Gap(
        "its int8 operators take one input scale for a whole layer and give no speed over int8",
        "int8, whose activations are quantized on the fly",
        format="torchscript",
        precision="int8-static",
    ),
    Gap(
        "PyTorch Mobile has no int4 kernels",
        "int8; executorch and tflite have int4",
        format="torchscript",
        precision="int4",
    ),
    *(
        Gap(
            "TensorRT takes integers from a model's Q/DQ pairs alone, and none are written for it",
            "fp16; or onnx at int8 on the CPU",
            format="tensorrt",
            precision=precision,
        )
        for precision in PRECISIONS
        if by_integers(precision)
    ),
    *(
        Gap(
            "decoders with a cache are made for ONNX, TFLite, ExecuTorch and TorchScript alone",
            "--format onnx",
            format=name,
            task="text-generation",
        )
        for name in ("ort", "tensorrt")
    ),
    *(
        Gap(
            "a decoder's activations are quantized on the fly alone",
            "int8",
            format=name,
            precision="int8-static",
            task="text-generation",
        )
        for name in ("onnx", "tflite", "executorch", "torchscript")
    ),
    *(
        Gap(
            "encoder-decoders are made for ONNX, TFLite, ExecuTorch and TorchScript alone",
            "--format onnx",
            format=name,
            task="translation",
        )
        for name in ("ort", "tensorrt")
    ),
    *(
        Gap(
            "its caches hold keys and values, and have no place for the state of a short convolution",
            "--format onnx",
            format=name,
            model_type="lfm2",
            task="text-generation",
        )
        for name in ("tflite", "executorch", "torchscript")
    ),
    *(
        Gap("encoder-decoders have fp32 and int8 there", "int8", format=name, precision=precision, task="translation")
        for name in ("executorch", "tflite", "torchscript")
        for precision in PRECISIONS
        if precision not in ("fp32", "int8")
    ),
    *(
        Gap("encoder-decoders have fp32, int8 and int4", "int8", format="onnx", precision=precision, task="translation")
        for precision in PRECISIONS
        if precision in ("fp16", "int8-static")
    ),
    Gap(
        "TensorFlow's converter has no int4",
        "int8 or int8-static",
        format="tflite",
        precision="int4",
        model_type="keras",
    ),
)


def gap(format: str, precision: Precision, *, model_type: str = "", task: str = "") -> Gap | None:  # noqa: A002
    """The first gap that covers a cell of the matrix, or None where it is supported."""
    cell = {"format": format, "precision": precision, "model_type": model_type, "task": task}
    return next((g for g in GAPS if all(getattr(g, key) in ("", value) for key, value in cell.items())), None)
