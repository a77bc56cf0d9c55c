"""LiteRT on the CPU (ai.google.dev/edge/litert), the successor of TensorFlow Lite."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.contracts import Runtime, Session
from edgewright.runtimes._tflite import Graph, Tensor, TfliteSession, check_magic, graphs_of, quiet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Litert"]

_IN_MEMORY = ":memory"
"""XNNPACK's name for a cache of packed weights that lies in memory, see xnnpack_delegate.h."""


class Litert(Runtime):
    """Opens `.tflite` files.

    An interpreter packs the weights of each signature anew, whichever of them is used: MiniLM's five lengths take
    five times their memory. LiteRT's compiled model has a cache for them, so files with several signatures run there.
    """

    engine = "litert"
    formats = ("tflite",)
    extra = "litert"
    module = "ai_edge_litert"
    package = "ai-edge-litert"

    def _open(self, path: Path, *, threads: int) -> Session:
        check_magic(path)
        self.import_engine()
        with quiet():
            interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(
                str(path), num_threads=threads
            )
            graphs = graphs_of(interpreter)
            if len(graphs) > 1 and importlib.util.find_spec("ai_edge_litert.cpu_options"):
                graphs = _compiled(path, threads, list(interpreter.get_signature_list()), graphs)
        return TfliteSession(graphs)


def _compiled(path: Path, threads: int, keys: list[str], declared: list[Graph]) -> list[Graph]:
    options, cpu, model, accelerator = (
        importlib.import_module(f"ai_edge_litert.{name}")
        for name in ("options", "cpu_options", "compiled_model", "hardware_accelerator")
    )
    chosen = options.Options(
        hardware_accelerators=accelerator.HardwareAccelerator.CPU,
        cpu_options=cpu.CpuOptions(num_threads=threads, xnnpack_weight_cache_path=_IN_MEMORY),
    )
    compiled = model.CompiledModel.from_file(str(path), options=chosen)
    return [_CompiledGraph(compiled, key, graph) for key, graph in zip(keys, declared, strict=True)]


class _CompiledGraph(Graph):
    """A signature of a compiled model; its buffers are made when it first runs."""

    def __init__(self, model: Any, key: str, declared: Graph) -> None:
        self.inputs, self.outputs = declared.inputs, declared.outputs
        self._model, self._key = model, key
        self._given: dict[str, Any] = {}
        self._found: dict[str, Any] = {}

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Graph.run`."""
        if not self._given:
            with quiet():
                self._given = {t.name: self._model.create_input_buffer_by_name(self._key, t.name) for t in self.inputs}
                self._found = {
                    t.name: self._model.create_output_buffer_by_name(self._key, t.name) for t in self.outputs
                }
        for name, array in feeds.items():
            self._given[name].write(array)
        self._model.run_by_name(self._key, self._given, self._found)
        return {t.name: self._read(t) for t in self.outputs}

    def _read(self, tensor: Tensor) -> NDArray[Any]:
        count = int(np.prod(tensor.shape))
        array: NDArray[Any] = self._found[tensor.name].read(count, tensor.dtype.type).reshape(tensor.shape)
        return array
