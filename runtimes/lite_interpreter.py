"""PyTorch's lite interpreter, as apps on Android and iOS have it, in the PyTorch of this machine."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.bundle.manifest import TensorSpec
from edgewright.contracts.engine import Runtime, Session
from edgewright.errors import EngineError
from edgewright.runtimes._quiet import quiet
from edgewright.runtimes._x86 import products_saturate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.contracts.decoder import Decoder
    from edgewright.contracts.encoder_decoder import EncoderDecoder
    from edgewright.contracts.operators import Trace

__all__ = ["LiteInterpreter"]

_SIGNATURE = "edgewright.json"
_LARGEST_SIGNATURE = 2**20
"""A choice: names of inputs and outputs are some hundred bytes; the limit keeps a zip bomb out."""


class LiteInterpreter(Runtime):
    """Opens `.ptl` files that edgewright made. Loading one executes TorchScript: check its hash first, or use a child.

    The number of threads is the process's: PyTorch has one pool, and the session that was opened last sets its size. So
    are the int8 kernels, which PyTorch picks by the processor.
    """

    engine = "lite-interpreter"
    formats = ("torchscript",)
    extra = "torch"
    module = "torch"
    package = "torch"
    preload = ("torch",)

    def _open(self, path: Path, *, threads: int) -> Session:
        signature = _signature(path)
        return _Session(self.import_engine(), self._module(path, threads), signature)

    def _open_decoder(self, path: Path, *, threads: int, context: int) -> Decoder:
        from edgewright.runtimes._decoding.lite_interpreter import LiteDecoder

        inputs, outputs = _specs(_signature(path))
        return LiteDecoder(self.import_engine(), self._module(path, threads), context, inputs, outputs)

    def _open_encoder_decoder(self, path: Path, *, threads: int, context: int) -> EncoderDecoder:
        from edgewright.runtimes._decoding.lite_translator import LiteTranslator

        inputs, outputs = _specs(_signature(path))
        return LiteTranslator(self.import_engine(), self._module(path, threads), context, inputs, outputs)

    def _module(self, path: Path, threads: int) -> Any:
        torch = self.import_engine()
        torch.set_num_threads(threads)
        if products_saturate():
            torch.backends.quantized.engine = "qnnpack"  # as on ARM, exact and slow: FBGEMM would saturate here
        mobile = importlib.import_module("torch.jit.mobile")
        try:
            with quiet():  # it warns of quantized tensors' deprecation
                return mobile._load_for_lite_interpreter(str(path))  # noqa: SLF001 - its only name
        except RuntimeError as error:
            hint = f"damaged, or made by a PyTorch newer than the {torch.__version__} here; build the bundle again"
            raise EngineError(f"{path.name} does not load: {str(error).splitlines()[0]}", hint=hint) from error

    def _profile(self, path: Path, feeds: Mapping[str, NDArray[Any]], *, threads: int, runs: int) -> Trace:
        from edgewright.runtimes._profilers.lite_interpreter import trace

        session = self._open(path, threads=threads)
        return trace(self.import_engine(), lambda: session.run(feeds), runs)


class _Session(Session):
    def __init__(self, torch: Any, module: Any, signature: Mapping[str, Any]) -> None:
        self.inputs, self.outputs = _specs(signature)
        self._torch, self._module = torch, module

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        missing = [spec.name for spec in self.inputs if spec.name not in feeds]
        if missing:
            raise EngineError(f"lite-interpreter wants {missing[0]}, which it was not given", hint="give every input")
        arrays = [np.ascontiguousarray(feeds[spec.name], dtype=spec.dtype) for spec in self.inputs]
        try:
            with self._torch.inference_mode():
                given = self._module(*map(self._torch.from_numpy, arrays))
        except RuntimeError as error:
            raise EngineError(f"lite-interpreter failed: {str(error).splitlines()[0]}") from error
        return {spec.name: out.numpy() for spec, out in zip(self.outputs, given, strict=True)}


def _specs(signature: Mapping[str, Any]) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs."""
    inputs, outputs = (
        tuple(TensorSpec(spec["name"], spec["dtype"], tuple(spec["shape"])) for spec in signature[side])
        for side in ("inputs", "outputs")
    )
    return inputs, outputs


def _signature(path: Path) -> dict[str, Any]:
    """What the archive says of its inputs and outputs. Raises EngineError: not such an archive."""
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            parts = {name.partition("/")[2]: info for name, info in archive.NameToInfo.items()}
            if "bytecode.pkl" not in parts:
                hint = "save it with _save_for_lite_interpreter, or build it with edgewright"
                raise EngineError(f"{path.name} is TorchScript without the lite interpreter's bytecode", hint=hint)
            entry = parts.get(f"extra/{_SIGNATURE}")
            if entry is None or entry.file_size > _LARGEST_SIGNATURE:
                hint = "build it with edgewright, which writes it"
                raise EngineError(f"{path.name} does not name its inputs and outputs ({_SIGNATURE})", hint=hint)
            signature: dict[str, Any] = json.loads(archive.read(entry))
    except (BadZipFile, ValueError, OSError) as error:
        raise EngineError(f"{path.name} is no .ptl file, or a damaged one: {error}", hint="copy it again") from error
    return signature
