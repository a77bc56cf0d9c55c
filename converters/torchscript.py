"""TorchScript for PyTorch's lite interpreter: `.ptl` files, fp32 and int8.

The lite interpreter is in maintenance and ExecuTorch follows it; this format is for the apps that have it. A file needs
PyTorch Mobile 2.0 or newer, for `scaled_dot_product_attention`, and no operator of another library. It holds bytecode
alone, so `torch.jit.load` does not take it. One int8 file serves every processor: it holds plain int8 weights, which
the loading side packs for its own kernels (FBGEMM or oneDNN on x86, QNNPACK on ARM).

Loading such a file executes TorchScript. edgewright loads one from a bundle whose hashes were checked, or in a child.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.contracts.converter import ConversionSpec, Converter
from edgewright.contracts.precision import suffix
from edgewright.converters._decoder.source import DecoderSource
from edgewright.converters._translator.source import TranslatorSource

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.contracts.precision import Precision

__all__ = ["TorchScriptConverter"]

_MOST_TEXTS = 64
"""To find the channels to smooth."""


class TorchScriptConverter(Converter):
    """Writes `.ptl` files with dynamic batch and length, which carry the names of their inputs and outputs."""

    format = "torchscript"
    precisions = ("fp32", "int8")
    extra = "convert"
    requires = ("torch", "transformers")

    @staticmethod
    def path(precision: Precision) -> str:
        """torchscript/model.ptl and torchscript/model_int8.ptl."""
        return f"torchscript/model{suffix(precision)}.ptl"

    def __init__(self) -> None:
        self._decoders, self._translators = DecoderSource(), TranslatorSource()

    def _convert(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        makers = {"text-generation": self._decoder, "translation": self._translator}
        makers.get(spec.task, self._encoder)(model, spec, out)

    def _decoder(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        from edgewright.converters._decoder.smoothing import smoothed
        from edgewright.converters._torchscript.decoder import CachedModule, example, signature, traced
        from edgewright.converters._torchscript.file import save
        from edgewright.converters._torchscript.int8 import Int8, measured

        decoder = self._decoders.decoder(model, spec)
        given = example(decoder)
        if spec.precision == "int8":
            even = smoothed(decoder, self._decoders.moments(model, spec))
            root = measured(CachedModule(even, fine=True), [given])
            with Int8(root):
                frozen = traced(root, given)
        else:
            frozen = traced(CachedModule(decoder), given)
        save(frozen, signature(decoder, spec), out)

    def _translator(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        from edgewright.converters._torchscript.file import save
        from edgewright.converters._torchscript.translator import signature, traced

        whole = self._translators.translator(model, spec)
        spec.progress("trace")
        save(traced(whole, int8=spec.precision == "int8"), signature(whole, spec), out)

    def _encoder(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        import torch

        from edgewright.converters._torchscript.file import save, signature
        from edgewright.converters._torchscript.int8 import Int8, measured
        from edgewright.converters._torchscript.trace import trace

        example = [torch.from_numpy(spec.example[name]) for name in spec.inputs]
        spec.progress("trace")
        if spec.precision == "int8":
            texts = [[torch.from_numpy(text[name]) for name in spec.inputs] for text in spec.calibration[:_MOST_TEXTS]]
            root = measured(model, [*texts, example])
            with Int8(root):
                frozen = trace(root, model.model, example)
        else:
            frozen = trace(model, model.model, example)
        save(frozen, signature(frozen, spec, example), out)
