"""ExecuTorch for its XNNPACK backend: fp32, fp16, int8, int8-static and int4."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgewright.bundle.manifest import TensorSpec
from edgewright.contracts.converter import ConversionSpec, Converter
from edgewright.contracts.precision import PRECISIONS, suffix
from edgewright.converters._decoder.source import DecoderSource
from edgewright.converters._translator.source import TranslatorSource

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.contracts.precision import Precision

__all__ = ["ExecutorchConverter"]


class ExecutorchConverter(Converter):
    """Writes `.pte` files that take one text, int64 (1, length), of any length up to the model's largest.

    A file needs ExecuTorch's portable operators and its XNNPACK backend, which every published runtime has, and no
    other library. Methods beside `forward` tell an app what a `.pte` does not keep: `get_signature()` gives a JSON text
    with the names, types and shapes of inputs and outputs in their order, `get_max_seq_len()` the most tokens,
    `get_about()` task, labels, source and licence as a JSON text.
    """

    format = "executorch"
    precisions = PRECISIONS
    extra = "host"
    requires = ("torch", "transformers", "executorch")
    preload = ("executorch.exir", "executorch.backends.xnnpack.partition.xnnpack_partitioner", "torch.export._trace")

    @staticmethod
    def path(precision: Precision) -> str:
        """executorch/model.pte, executorch/model_int8.pte and so on."""
        return f"executorch/model{suffix(precision)}.pte"

    @staticmethod
    def ladder(precision: Precision) -> tuple[tuple[str, ...], ...]:
        """For int8-static, see `_executorch_static.LADDER`; for int4, `embedding` makes large tables int8."""
        from edgewright.converters._executorch.static import LADDER

        ladders: dict[Precision, tuple[tuple[str, ...], ...]] = {"int8-static": LADDER, "int4": ((), ("embedding",))}
        return ladders.get(precision, ((),))

    def __init__(self) -> None:
        self._program: Any = None
        self._decoders, self._translators = DecoderSource(), TranslatorSource()

    def _convert(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        makers = {"text-generation": self._decoder, "translation": self._translator}
        out.write_bytes(makers.get(spec.task, self._encoder)(model, spec))

    def _encoder(self, model: Any, spec: ConversionSpec) -> bytes:
        from edgewright.converters._executorch import export
        from edgewright.converters._executorch.lower import lower
        from edgewright.converters._executorch.rewrite import rewrite

        spec.progress("export")
        if spec.precision == "fp16":
            exported = export.export(copy.deepcopy(model).half(), spec)
        else:
            exported = self._program = self._program or export.export(model, spec)
        program = export.trace(rewrite(exported.module(check_guards=False), spec), spec)
        spec.progress("lower to XNNPACK")
        inputs = [TensorSpec(name, "int64", (1, "length")) for name in spec.inputs]
        return lower(program, spec, inputs, {"get_max_seq_len": spec.settings.max_length})

    def _decoder(self, model: Any, spec: ConversionSpec) -> bytes:
        from edgewright.converters._decoder.smoothing import smoothed
        from edgewright.converters._executorch import decoder as decoders
        from edgewright.converters._executorch.lower import lower

        decoder, factor = self._decoders.decoder(model, spec), None
        decoder = replace(decoder, context=min(decoder.context, decoders.CONTEXT))
        if spec.precision == "int8":
            decoder = smoothed(decoder, self._decoders.moments(model, spec))
        if spec.precision == "int4":
            factor = self._decoders.moments(model, spec).factor
        spec.progress("export")
        program = decoders.program(decoder, spec, factor)
        spec.progress("lower to XNNPACK")
        inputs = [TensorSpec("input_ids", "int64", (1, "length")), TensorSpec("start", "int64", (1,))]
        return lower(program, spec, inputs, decoders.methods(decoder, spec))

    def _translator(self, model: Any, spec: ConversionSpec) -> bytes:
        from edgewright.converters._executorch import translator as translators
        from edgewright.converters._executorch.lower import lower

        whole = self._translators.translator(model, spec)
        spec.progress("export sources and steps")
        made = translators.programs(whole, spec)
        spec.progress("lower to XNNPACK")
        return lower(made.pop("forward"), spec, translators.inputs(whole), translators.methods(whole), made)
