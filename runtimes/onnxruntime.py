"""ONNX Runtime on the CPU (onnxruntime.ai)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.bundle.external_data import candidates_of, encoder_of, narrow_of, weights_of
from edgewright.bundle.manifest import TensorSpec
from edgewright.contracts.engine import Footprint, Runtime, Session
from edgewright.errors import EngineError
from edgewright.runtimes._x86 import products_saturate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.contracts.decoder import Decoder
    from edgewright.contracts.encoder_decoder import EncoderDecoder
    from edgewright.contracts.operators import Trace

__all__ = ["OnnxRuntime"]

_DTYPES = {
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
}


class OnnxRuntime(Runtime):
    """Opens `.onnx` and `.ort` files."""

    has_plain = True
    reentrant = True  # a session's Run is, by its C interface
    engine = "onnxruntime"
    formats = ("onnx", "ort")
    extra = "onnx"
    module = "onnxruntime"
    package = "onnxruntime"
    footprint = Footprint(base_mib=26.0, copies=1.5, measured=True)

    def import_engine(self) -> Any:
        """Import it with telemetry off: a call after the import is too late, the home directory has been written to."""
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        return super().import_engine()

    def _open(self, path: Path, *, threads: int) -> Session:
        from edgewright.system.huge_pages import fresh_pages

        with fresh_pages(_stored_bytes(path)):
            return _Session(self._session(path, threads))

    def _open_decoder(self, path: Path, *, threads: int, context: int) -> Decoder:
        from edgewright.system.huge_pages import huge_pages, let_go

        with huge_pages(_stored_bytes(path)):
            session = self._session(path, threads, writes=True)
        let_go(path.with_name(weights_of(path.name)), self._code())
        return self._decoder(session, context)

    def _code(self) -> Path:
        """The engine's library, most of whose pages are needed while a model is opened and never again."""
        return Path(self.import_engine().capi.onnxruntime_pybind11_state.__file__)

    def _decoder(self, session: Any, context: int) -> Decoder:
        from edgewright.runtimes._decoding.onnx import OnnxDecoder, OnnxGraph

        value_of = self.import_engine().OrtValue.ortvalue_from_numpy
        return OnnxDecoder(OnnxGraph(session, value_of, *_signature(session)), context)

    def _open_encoder_decoder(self, path: Path, *, threads: int, context: int) -> EncoderDecoder:
        from edgewright.runtimes._decoding.onnx_translator import OnnxTranslator

        encoder, decoder = self._with_weights(path, threads, encoder_of(path.name), path.name)
        value_of = self.import_engine().OrtValue.ortvalue_from_numpy
        return OnnxTranslator(encoder, decoder, value_of, context, *_signature(decoder))

    def _open_narrow(self, path: Path, *, threads: int, context: int) -> EncoderDecoder:
        from edgewright.runtimes._decoding.onnx_translator import NarrowTranslator

        names = (encoder_of(path.name), narrow_of(path.name), candidates_of(path.name))
        encoder, narrow, candidates = self._with_weights(path, threads, *names)
        value_of = self.import_engine().OrtValue.ortvalue_from_numpy

        def whole() -> Any:
            (found,) = self._with_weights(path, threads, path.name)
            return found

        return NarrowTranslator(encoder, whole, (narrow, candidates), value_of, context, _signature(narrow))

    def _with_weights(self, path: Path, threads: int, *names: str) -> list[Any]:
        """Sessions of graphs that share the weights of the artifact at `path`."""
        from edgewright.system.huge_pages import huge_pages, let_go

        with huge_pages(_stored_bytes(path)):
            found = [self._session(path.with_name(name), threads) for name in names]
        let_go(path.with_name(weights_of(path.name)), self._code())
        return found

    def _profile(self, path: Path, feeds: Mapping[str, NDArray[Any]], *, threads: int, runs: int) -> Trace:
        from tempfile import TemporaryDirectory

        from edgewright.runtimes._profilers.onnx import layers, parameter_bytes, trace

        plain = self._open(path, threads=threads)
        given = {spec.name: feeds[spec.name] for spec in plain.inputs}
        with TemporaryDirectory() as scratch:
            unpacked = self._session(path, threads, profile=f"{scratch}/weights", packs=False)
            unpacked.run(None, given)
            weights = parameter_bytes(unpacked)
            del unpacked
            bare = self._session(path, threads)
            profiled = self._session(path, threads, profile=f"{scratch}/profile")
            layer, run = layers(path, bare.get_modelmeta().custom_metadata_map), (None, given)
            return trace(lambda: bare.run(*run), lambda: profiled.run(*run), profiled, runs, layer, weights)

    def _profile_token(self, path: Path, ids: Sequence[int], *, threads: int, runs: int) -> Trace:
        from tempfile import TemporaryDirectory

        from edgewright.runtimes._profilers.onnx import layers, parameter_bytes, trace
        from edgewright.system.huge_pages import huge_pages

        with TemporaryDirectory() as scratch, huge_pages(3 * _stored_bytes(path)):
            unpacked = self._session(path, threads, profile=f"{scratch}/weights", packs=False)
            self._decoder(unpacked, len(ids)).read(ids[:1])
            weights = parameter_bytes(unpacked)
            del unpacked
            bare = self._session(path, threads)
            profiled = self._session(path, threads, profile=f"{scratch}/profile")
            layer = layers(path, bare.get_modelmeta().custom_metadata_map)
            # A cache of no other length: the profiler counts what a buffer holds, not how much of it was read
            plain, slowed = (_writing(self._decoder(session, len(ids) + 1), ids) for session in (bare, profiled))
            return trace(plain, slowed, profiled, runs, layer, weights)

    def _session(self, path: Path, threads: int, *, writes: bool = False, profile: str = "", packs: bool = True) -> Any:
        """A session whose int8 products do not saturate; of a decoder that `writes`, opened in less memory.

        The option for it is set where it is needed alone: it makes int8 slower, and with VNNI it is exact anyway.
        """
        *others, own = self._ways(path, writes=writes)
        for form, exact in others:
            with suppress(Exception):
                options = self._options(threads, profile=profile, packs=packs)
                options.log_severity_level = 4  # what it refuses is none of the user's business
                folder = "session.model_external_initializers_file_folder_path"
                options.add_session_config_entry(folder, str(path.parent))
                if exact:
                    options.add_session_config_entry("session.x64quantprecision", "1")
                return self._opened(form(), options)
        return self._opened(own[0](), self._options(threads, profile=profile, packs=packs))

    def _ways(self, path: Path, *, writes: bool) -> list[tuple[Callable[[], str | bytes], bool]]:
        """A model's forms, and whether its products shall be exact: the best first, the file as it is last."""
        from edgewright.bundle.head_first import head_first
        from edgewright.runtimes._unshared import unshared

        forms: list[Callable[[], str | bytes]] = [lambda: str(path)]
        if writes and path.with_name(weights_of(path.name)).is_file():
            forms.insert(0, lambda: head_first(path.read_bytes()))
        ways = [(form, False) for form in forms]
        if products_saturate():
            # ONNX Runtime 1.31 refuses the exact form for a model whose layers share a weight, as ALBERT's do
            ways = [(form, True) for form in (*forms, lambda: unshared(path.read_bytes()))] + ways
        return ways

    def _opened(self, model: str | bytes, options: Any) -> Any:
        return self.import_engine().InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def _options(self, threads: int, *, profile: str, packs: bool) -> Any:
        onnxruntime = self.import_engine()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_mem_pattern = False  # it would keep a plan for every length it meets, and nothing gets faster
        if not self.spins:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not packs:
            options.add_session_config_entry("session.disable_prepacking", "1")
        if profile:
            options.enable_profiling = True
            options.profile_file_prefix = profile
        if self.plain:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return options


def _stored_bytes(path: Path) -> int:
    """What the weights of a model take in its files, and about what they take in memory."""
    files = (path, path.with_name(weights_of(path.name)))
    return sum(file.stat().st_size for file in files if file.is_file())


def _writing(decoder: Decoder, ids: Sequence[int]) -> Callable[[], object]:
    """One token after `ids`, as often as it is called."""
    decoder.read(ids)

    def write() -> None:
        decoder.rewind(len(ids))
        decoder.read(ids[-1:])

    return write


class _Session(Session):
    def __init__(self, inner: Any) -> None:
        self.inputs = tuple(_spec(value) for value in inner.get_inputs())
        self.outputs = tuple(_spec(value) for value in inner.get_outputs())
        self._run = inner.run
        self._wanted = tuple(spec.name for spec in self.inputs)
        self._names = [spec.name for spec in self.outputs]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        try:
            given = self._run(self._names, {name: feeds[name] for name in self._wanted})
        except Exception as error:
            raise EngineError(f"onnxruntime failed: {type(error).__name__}: {error}") from error
        return dict(zip(self._names, given, strict=True))


def _spec(value: Any) -> TensorSpec:
    shape = tuple(dim if isinstance(dim, int) else dim or "any" for dim in value.shape)
    return TensorSpec(name=value.name, dtype=_DTYPES.get(value.type, value.type), shape=shape)


def _signature(session: Any) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs."""
    return tuple(map(_spec, session.get_inputs())), tuple(map(_spec, session.get_outputs()))
