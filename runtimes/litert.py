"""LiteRT on the CPU (ai.google.dev/edge/litert), the successor of TensorFlow Lite."""

from __future__ import annotations

import importlib
import importlib.util
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.contracts.engine import Footprint, Runtime, Session
from edgewright.errors import UsageError
from edgewright.runtimes._arm import lacks_atomics
from edgewright.runtimes._quiet import quiet
from edgewright.runtimes._tflite import Graph, Tensor, TfliteSession, check_magic, chosen, graphs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgewright.contracts.decoder import Decoder
    from edgewright.contracts.encoder_decoder import EncoderDecoder
    from edgewright.contracts.operators import Trace

__all__ = ["Litert"]

_IN_MEMORY = ":memory"
"""XNNPACK's name for a cache of packed weights that lies in memory, see xnnpack_delegate.h."""


class Litert(Runtime):
    """Opens `.tflite` files.

    An interpreter packs the weights of each signature anew, whichever of them is used: MiniLM's five lengths take
    five times their memory. LiteRT's compiled model has a cache for them, so files with several signatures run there.

    Not on a Cortex-A53 or A72, the CPUs of Raspberry Pi 3 and 4: a compiled model loads the GPU library of the wheel,
    asked or not, and that of 2.3.0 is compiled for Armv8.1 and ends the process. There it is the interpreter.
    """

    engine = "litert"
    has_buckets = True
    formats = ("tflite",)
    extra = "litert"
    module = "ai_edge_litert"
    package = "ai-edge-litert"
    footprint = Footprint(base_mib=25.0, copies=1.6, mapped=True, measured=True)

    def _open(self, path: Path, *, threads: int) -> Session:
        interpreter = self._interpreter(path, threads)
        with quiet():
            graphs = graphs_of(interpreter)
            if len(graphs) > 1 and _compiles():
                held = _compiled(path, threads)
                keys = list(interpreter.get_signature_list())
                graphs = [_CompiledGraph(held, key, graph) for key, graph in zip(keys, graphs, strict=True)]
        return TfliteSession(graphs, self.buckets)

    def _open_decoder(self, path: Path, *, threads: int, context: int) -> Decoder:
        from edgewright.runtimes._decoding.litert import CompiledSteps, InterpreterSteps, LitertDecoder
        from edgewright.system.huge_pages import fresh_pages

        interpreter = self._interpreter(path, threads)
        with quiet(), fresh_pages(path.stat().st_size):
            signatures = _signatures(interpreter)
            if not _compiles():
                return LitertDecoder(signatures, context, partial(InterpreterSteps, interpreter))
            return LitertDecoder(signatures, context, partial(CompiledSteps, _compiled(path, threads)))

    def _open_encoder_decoder(self, path: Path, *, threads: int, context: int) -> EncoderDecoder:
        from edgewright.runtimes._decoding.litert_translator import CompiledCalls, InterpreterCalls, LitertTranslator
        from edgewright.system.huge_pages import fresh_pages

        interpreter = self._interpreter(path, threads)
        with quiet(), fresh_pages(path.stat().st_size):
            signatures = _signatures(interpreter)
            if not _compiles():
                return LitertTranslator(signatures, context, lambda _: InterpreterCalls(interpreter))
            return LitertTranslator(signatures, context, partial(CompiledCalls, _compiled(path, threads)))

    def _interpreter(self, path: Path, threads: int) -> Any:
        check_magic(path)
        self.import_engine()
        with quiet():
            return importlib.import_module("ai_edge_litert.interpreter").Interpreter(str(path), num_threads=threads)

    def _profile(self, path: Path, feeds: Mapping[str, NDArray[Any]], *, threads: int, runs: int) -> Trace:
        from edgewright.runtimes._profilers.litert import Compiled, trace
        from edgewright.runtimes._profilers.tflite_graph import ops_of

        library = Path(self.import_engine().__file__).parent / "libLiteRt.so"
        if not library.is_file():
            raise UsageError("this LiteRT has no libLiteRt.so to profile with", hint="take ai-edge-litert 2.3")
        check_magic(path)
        session = self._open(path, threads=threads)
        with quiet():
            interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(str(path))
            graphs = graphs_of(interpreter)
            at, given = chosen(graphs, feeds)
            key = (list(interpreter.get_signature_list()) or [""])[at]
            compiled = Compiled(library, path, key, threads)
        compiled.write(given)
        return trace(compiled, lambda: session.run(feeds), ops_of(path, key), runs)


def _signatures(interpreter: Any) -> dict[str, dict[str, tuple[int, ...]]]:
    """The shapes of outputs and inputs by their names, for each signature."""
    return {
        key: {tensor.name: tensor.shape for tensor in (*graph.outputs, *graph.inputs)}
        for key, graph in zip(interpreter.get_signature_list(), graphs_of(interpreter), strict=True)
    }


def _compiles() -> bool:
    """Whether this LiteRT has compiled models with options, and this CPU stands the libraries that they load."""
    return importlib.util.find_spec("ai_edge_litert.cpu_options") is not None and not lacks_atomics()


def _compiled(path: Path, threads: int) -> _Held:
    options, cpu, model, accelerator = (
        importlib.import_module(f"ai_edge_litert.{name}")
        for name in ("options", "cpu_options", "compiled_model", "hardware_accelerator")
    )
    chosen = options.Options(
        hardware_accelerators=accelerator.HardwareAccelerator.CPU,
        cpu_options=cpu.CpuOptions(num_threads=threads, xnnpack_weight_cache_path=_IN_MEMORY),
    )
    compiled = model.CompiledModel.from_file(str(path), options=chosen)
    held = _Held(compiled)
    del compiled
    return held


class _Held:
    """What the engine's C++ owns, let go quietly: it prints a line for every accelerator that it closes."""

    def __init__(self, model: Any) -> None:
        self.objects: dict[str, Any] = {"": model}
        weakref.finalize(self, _let_go, self.objects)


def _let_go(objects: dict[str, Any]) -> None:
    with quiet():
        objects.clear()


class _CompiledGraph(Graph):
    """A signature of a compiled model; its buffers are made when it first runs."""

    def __init__(self, held: _Held, key: str, declared: Graph) -> None:
        self.inputs, self.outputs = declared.inputs, declared.outputs
        self._held, self._key = held, key

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Graph.run`."""
        given, found = self._buffers()
        for name, array in feeds.items():
            given[name].write(array)
        self._held.objects[""].run_by_name(self._key, given, found)
        return {t.name: _read(found[t.name], t) for t in self.outputs}

    def _buffers(self) -> tuple[dict[str, Any], dict[str, Any]]:
        objects = self._held.objects
        if self._key not in objects:
            model = objects[""]
            with quiet():
                given = {t.name: model.create_input_buffer_by_name(self._key, t.name) for t in self.inputs}
                found = {t.name: model.create_output_buffer_by_name(self._key, t.name) for t in self.outputs}
                for t in self.inputs:
                    given[t.name].write(np.zeros(t.shape, t.dtype))
            objects[self._key] = given, found
        buffers: tuple[dict[str, Any], dict[str, Any]] = objects[self._key]
        return buffers


def _read(buffer: Any, tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = buffer.read(int(np.prod(tensor.shape)), tensor.dtype.type).reshape(tensor.shape)
    return array
