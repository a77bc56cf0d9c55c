"""ExecuTorch on the CPU (docs.pytorch.org/executorch): what an Android app runs, here on a workstation.

Importing it imports torch, whose libraries its bindings are linked with; a board does better with another engine.
"""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edgewright.bundle.manifest import TensorSpec
from edgewright.contracts.engine import Runtime, Session
from edgewright.errors import EngineError
from edgewright.runtimes._quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from edgewright.contracts.decoder import Decoder
    from edgewright.contracts.encoder_decoder import EncoderDecoder
    from edgewright.contracts.operators import Trace

__all__ = ["ExecutorchRuntime"]

_IDENTIFIER = b"ET12"


class ExecutorchRuntime(Runtime):
    """Opens `.pte` files that say their signature, as edgewright's do.

    ExecuTorch has one pool of threads in a process: sessions that are open at the same time share its size.
    """

    engine = "executorch"
    formats = ("executorch",)
    extra = "executorch"
    module = "executorch"
    package = "executorch"
    preload = ("torch",)

    _open_sessions: ClassVar[weakref.WeakSet[Session | Decoder | EncoderDecoder]] = weakref.WeakSet()

    def import_engine(self) -> Any:
        """The bindings, which find torch's libraries only after torch.

        Not by `executorch.extension.pybindings.portable_lib`: it brings the exporter along and takes 4 times as long.
        """
        super().import_engine()
        import torch  # noqa: F401
        from executorch.extension.pybindings import _portable_lib

        return _portable_lib

    def _open(self, path: Path, *, threads: int) -> _Session:
        session = _Session(self._program(path, threads), path.name)
        self._open_sessions.add(session)
        return session

    def _open_decoder(self, path: Path, *, threads: int, context: int) -> Decoder:
        from edgewright.runtimes._decoding.executorch import ExecutorchDecoder
        from edgewright.system.huge_pages import fresh_pages

        self.import_engine()
        _register_attention()
        program = self._program(path, threads)
        with quiet(), fresh_pages(path.stat().st_size):  # it says that it plans no memory for what is temporary
            decoder = ExecutorchDecoder(program, path.name, context, *_signature(program, path.name))
        self._open_sessions.add(decoder)
        return decoder

    def _open_encoder_decoder(self, path: Path, *, threads: int, context: int) -> EncoderDecoder:
        from edgewright.runtimes._decoding.executorch_translator import ExecutorchTranslator
        from edgewright.system.huge_pages import fresh_pages

        program = self._program(path, threads)
        with quiet(), fresh_pages(path.stat().st_size):
            translator = ExecutorchTranslator(program, path.name, context, *_signature(program, path.name))
        self._open_sessions.add(translator)
        return translator

    def _program(self, path: Path, threads: int) -> Any:
        library = self.import_engine()
        _check_identifier(path)
        with quiet():  # it says which files of the CPU's description this machine has not
            self._size_pool(library, threads)
        try:
            return library._load_program(str(path), program_verification=library.Verification.InternalConsistency)  # noqa: SLF001 - the bindings' own name
        except RuntimeError as error:
            raise EngineError(f"executorch refuses {path.name}: {error}", hint="is the file whole?") from error

    def _profile(self, path: Path, feeds: Mapping[str, NDArray[Any]], *, threads: int, runs: int) -> Trace:
        from edgewright.runtimes._profilers.executorch import trace

        def opened(cut: Path) -> Callable[[], object]:
            session = self._open(cut, threads=threads)
            return session.bare(feeds)

        session = self._open(path, threads=threads)
        return trace(path, opened, lambda: session.run(feeds), runs)

    def _size_pool(self, library: Any, threads: int) -> None:
        """Resizing frees the pool, and an open session would go on using it."""
        size = library._threadpool_get_thread_count()  # noqa: SLF001
        if size == threads:
            return
        if self._open_sessions:
            raise EngineError(
                f"executorch has a session with {size} threads open, {threads} were asked",
                hint="its threads belong to the whole process: drop that session first, or take a new process",
            )
        library._unsafe_reset_threadpool(threads)  # noqa: SLF001


class _Session(Session):
    def __init__(self, program: Any, name: str) -> None:
        self.inputs, self.outputs = _signature(program, name)
        self._program, self._forward = program, program.load_method("forward")

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        wanted = {spec.name: feeds[spec.name] for spec in self.inputs}
        found = [self._row(row) for row in _rows(wanted)]
        length = next(iter(wanted.values())).shape[1]
        return {
            spec.name: np.concatenate([_padded(row[at], length, spec) for row in found])
            for at, spec in enumerate(self.outputs)
        }

    def bare(self, feeds: Mapping[str, NDArray[Any]]) -> Callable[[], object]:
        """One inference of the first row of a batch, and nothing around it."""
        given = _tensors(next(_rows({spec.name: feeds[spec.name] for spec in self.inputs})))
        return lambda: self._forward(given)

    def _row(self, row: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        given = _tensors(row)
        try:
            return [tensor.numpy() for tensor in self._forward(given)]
        except Exception as error:
            shape = next(iter(row.values())).shape
            raise EngineError(f"executorch failed on {shape[1]} tokens: {error}") from error


def _register_attention() -> None:
    """Load the library with the operators of decoders; its package would import the exporter."""
    import importlib.util

    import torch

    found = importlib.util.find_spec("executorch.extension.llm.custom_ops")
    places = found.submodule_search_locations if found and found.submodule_search_locations else ()
    libraries = [path for place in places for path in Path(place).glob("libcustom_ops_aot_lib.*")]
    if not libraries:
        raise EngineError("this executorch has no library of operators for decoders", hint="install executorch anew")
    torch.ops.load_library(str(libraries[0]))


def _signature(program: Any, name: str) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs, as the file says them. Raises EngineError."""
    methods = {program.get_method_name(at) for at in range(program.num_methods())}
    if not {"forward", "get_signature"} <= methods:
        raise EngineError(
            f"{name} has the methods {', '.join(sorted(methods))}; forward and get_signature are wanted",
            hint="make it with edgewright build",
        )
    (signature,) = program.load_method("get_signature")([])
    return _specs(signature, "inputs"), _specs(signature, "outputs")


def _tensors(row: Mapping[str, NDArray[Any]]) -> list[Any]:
    import torch

    return [torch.from_numpy(np.ascontiguousarray(array)) for array in row.values()]


def _rows(feeds: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, NDArray[Any]]]:
    """Each row of a batch, arrays (1, length), with one token of padding, which MobileBERT reads without its mask."""
    mask = feeds.get("attention_mask")
    for at in range(len(next(iter(feeds.values())))):
        # Up to the last real token: a mask may have holes
        end = None if mask is None else int(np.flatnonzero(mask[at]).max(initial=0)) + 2
        yield {name: array[at : at + 1, :end] for name, array in feeds.items()}


def _check_identifier(path: Path) -> None:
    """Compare the four letters after a .pte's first word, which change with the format's version."""
    with path.open("rb") as file:
        found = file.read(8)[4:]
    if found != _IDENTIFIER:
        wanted = _IDENTIFIER.decode()
        raise EngineError(
            f"{path.name} has the identifier {found.decode('latin-1')!r}, this executorch reads {wanted!r}",
            hint="is it a .pte, whole, and of this version?",
        )


def _specs(signature: str, side: str) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=spec["name"], dtype=spec["dtype"], shape=tuple(spec["shape"]))
        for spec in json.loads(signature)[side]
    )


def _padded(array: NDArray[Any], length: int, spec: TensorSpec) -> NDArray[Any]:
    """Zeros to the batch's length where an output has a vector for each token."""
    if "length" not in spec.shape:
        return array
    padded = np.zeros((1, length, *array.shape[2:]), array.dtype)
    padded[:, : array.shape[1]] = array
    return padded
