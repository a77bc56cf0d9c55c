"""The seam of an engine: opens artifacts of its formats, and runs them. An engine is a file in `runtimes/`.

It writes two classes: a `Runtime`, whose `_open` is called by the public `open`, which checks and narrows whatever it
raises to an error of `edgewright.errors`, and its `Session`. The engine's module is imported when an artifact is
opened, never before. One that looks words up in a table and takes their mean, with numpy alone:

    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec
    from edgewright.contracts.engine import Footprint, Runtime, Session

    __all__ = ["BagRuntime"]


    class BagRuntime(Runtime):
        engine = "bag"
        formats = ("bag",)
        extra = "convert"
        module = package = "numpy"
        footprint = Footprint(base_mib=0.0, copies=1.0)

        def _open(self, path: Path, *, threads: int) -> Session:
            del threads  # numpy looks up with one
            with self.import_engine().load(path, allow_pickle=False) as arrays:
                return _Table(arrays["table"])


    class _Table(Session):
        inputs = (TensorSpec("input_ids", "int64", ("batch", "length")),)

        def __init__(self, table: NDArray[Any]) -> None:
            self._table = table
            self.outputs = (TensorSpec("logits", "float32", ("batch", table.shape[1])),)

        def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            return {"logits": self._table[feeds["input_ids"]].mean(1, dtype="float32")}
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct

from edgewright import registry
from edgewright.errors import EdgewrightError, EngineError, UsageError
from edgewright.system.limits import check_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec
    from edgewright.contracts.decoder import Decoder
    from edgewright.contracts.encoder_decoder import EncoderDecoder
    from edgewright.contracts.operators import Trace

__all__ = ["Footprint", "Runtime", "Session", "check_outputs", "held"]

_NUMBERS = "fiu"
"""NumPy's kinds of real numbers: floats, and integers that a quantized output may have."""


class Footprint(Struct, frozen=True):
    """Memory that an engine takes: its own, and so many times an artifact's weights, at the peak.

    Attributes:
        base_mib: the defaults, where nobody measured an engine, lie above the two that are measured: ONNX Runtime's 26
            and 1.5, LiteRT's 25 and 1.6.
        mapped: whether the embedding table stays in the file, of which only the rows that are looked up are read.
        measured: False for a guess.
    """

    base_mib: float = 27.0
    copies: float = 2.0
    mapped: bool = False
    measured: bool = False


class Session(ABC):
    """An opened artifact."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @abstractmethod
    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One inference: int64 (batch, length) arrays by input name -> arrays by output name.

        Names that the artifact does not take are left out; integer widths, padding to a bucket and the choice of a
        signature are the engine's business.

        Raises:
            EngineError: the engine failed.
        """

    def close(self) -> None:  # noqa: B027 - most give everything back when they are let go
        """Give back what outlives the object, such as a process; nobody calls `run` after it."""

    def begin(self, prove: Callable[[Session], object]) -> None:  # noqa: B027 - most have nothing to begin
        """Begin what makes this session faster while it serves: `prove` raises where the faster one is wrong."""

    @property
    def beside(self) -> str:
        """What has come of that, in words; "" where there is nothing to begin."""
        return ""


class Runtime(ABC):
    """An engine: opens artifacts of its formats.

    Attributes:
        has_plain: whether the engine can leave out its own graph optimisations and delegates.
        has_workers: whether several sessions of one artifact may run at once.
        reentrant: whether a session may be run by one thread while it runs in another, over one set of weights.
        has_buckets: whether it pads a text to one of the lengths that a file was made for.
        buckets: those of the lengths that it may take; () is all.
        no_profiler: why its operators cannot be timed, for an engine without `_profile`.
        plain: whether it shall, to tell a wrong artifact from a wrong engine.
        spins: whether its threads may wait awake for the next piece of work, which is quicker and takes the processor.
        footprint: the memory that it takes.
        preload: modules that take long to import, and start no thread: children that open many artifacts share them.
    """

    has_plain: ClassVar[bool] = False
    has_workers: ClassVar[bool] = True
    reentrant: ClassVar[bool] = False
    has_buckets: ClassVar[bool] = False
    no_profiler: ClassVar[str] = "edgewright does not read its profiler"
    preload: ClassVar[tuple[str, ...]] = ()
    plain: bool = False
    spins: bool = True
    buckets: tuple[int, ...] = ()
    footprint: ClassVar[Footprint] = Footprint()
    engine: ClassVar[str]
    formats: ClassVar[tuple[str, ...]]
    extra: ClassVar[str]
    module: ClassVar[str]
    package: ClassVar[str]

    def installed(self) -> bool:
        """Whether the engine's module is there; it is not imported."""
        return importlib.util.find_spec(self.module) is not None

    def version(self) -> str:
        """The installed engine's version."""
        spec = importlib.util.find_spec(self.module)
        named = _versions(self.package, (spec.submodule_search_locations if spec else None) or ())
        if len(named) == 1:
            return named.pop()
        from importlib import metadata  # twenty modules more on the way to a first answer

        return metadata.version(self.package)

    def import_engine(self) -> Any:
        """Import the engine's module. Raises MissingExtra."""
        registry.require((self.module,), self.extra)
        return importlib.import_module(self.module)

    def open(self, path: Path, *, threads: int) -> Session:
        """Open the artifact at `path` for `threads` threads; its hash has been checked, or it is run in a child.

        Raises:
            UsageError: no such number of threads on this machine.
            EngineError: the engine refuses the file.
        """
        check_threads(threads)
        try:
            return self._open(path, threads=threads)
        except EdgewrightError:
            raise
        except Exception as error:
            raise EngineError(f"{self.engine} cannot open {path.name}: {type(error).__name__}: {error}") from error

    @abstractmethod
    def _open(self, path: Path, *, threads: int) -> Session: ...

    def open_decoder(self, path: Path, *, threads: int, context: int) -> Decoder:
        """Open the decoder at `path` with a cache of at most `context` tokens; see `edgewright.contracts.decoder`.

        Raises:
            UsageError: no such number of threads, or this engine does not decode.
            EngineError: the engine refuses the file.
        """
        check_threads(threads)
        try:
            return self._open_decoder(path, threads=threads, context=context)
        except EdgewrightError:
            raise
        except Exception as error:
            raise EngineError(f"{self.engine} cannot open {path.name}: {type(error).__name__}: {error}") from error

    def _open_decoder(self, path: Path, *, threads: int, context: int) -> Decoder:
        del path, threads, context
        raise UsageError(f"{self.engine} does not decode", hint="onnxruntime does")

    def open_encoder_decoder(self, path: Path, *, threads: int, context: int, narrow: bool = False) -> EncoderDecoder:
        """Open the decoder at `path` with its encoder; see `edgewright.contracts.encoder_decoder`.

        With `narrow` it can be held to candidates: the graphs of a shortlist lie beside it.

        Raises:
            UsageError: no such number of threads, or this engine has no encoder-decoders, or no narrow ones.
            EngineError: the engine refuses a file.
        """
        check_threads(threads)
        try:
            if narrow:
                return self._open_narrow(path, threads=threads, context=context)
            return self._open_encoder_decoder(path, threads=threads, context=context)
        except EdgewrightError:
            raise
        except Exception as error:
            raise EngineError(f"{self.engine} cannot open {path.name}: {type(error).__name__}: {error}") from error

    def _open_encoder_decoder(self, path: Path, *, threads: int, context: int) -> EncoderDecoder:
        del path, threads, context
        raise UsageError(f"{self.engine} has no encoder-decoders", hint="onnxruntime has")

    def _open_narrow(self, path: Path, *, threads: int, context: int) -> EncoderDecoder:
        del path, threads, context
        raise UsageError(f"{self.engine} is held to no shortlist", hint="onnxruntime is")

    def profile(self, path: Path, feeds: Mapping[str, NDArray[Any]], *, threads: int, runs: int) -> Trace:
        """Time the operators of an artifact over `runs` inferences of int64 (batch, length) arrays, after as many more.

        Raises:
            UsageError: no such number of threads, or this engine's profiler is not read.
            EngineError: the engine failed.
        """
        return self._profiled(lambda: self._profile(path, feeds, threads=threads, runs=runs), path, threads)

    def profile_token(self, path: Path, ids: Sequence[int], *, threads: int, runs: int) -> Trace:
        """Time the operators of a decoder over `runs` tokens, each written after `ids`, after as many more.

        Raises:
            UsageError: no such number of threads, or this engine's profiler is not read.
            EngineError: the engine failed.
        """
        return self._profiled(lambda: self._profile_token(path, ids, threads=threads, runs=runs), path, threads)

    def _profiled(self, traced: Callable[[], Trace], path: Path, threads: int) -> Trace:
        check_threads(threads)
        try:
            return traced()
        except EdgewrightError:
            raise
        except Exception as error:
            raise EngineError(f"{self.engine} cannot profile {path.name}: {type(error).__name__}: {error}") from error

    def _profile_token(self, path: Path, ids: Sequence[int], *, threads: int, runs: int) -> Trace:
        del path, ids, threads, runs
        raise UsageError(f"{self.engine} does not profile a decoder", hint="onnxruntime does: give --format onnx")

    def _profile(self, path: Path, feeds: Mapping[str, NDArray[Any]], *, threads: int, runs: int) -> Trace:
        del path, feeds, threads, runs
        raise UsageError(
            f"{self.engine} is not profiled: {self.no_profiler}", hint="onnx, tflite, executorch and torchscript are"
        )


def _versions(package: str, folders: Iterable[str]) -> set[str]:
    """The versions in the names of its `.dist-info` directories, which lie beside a package's own."""
    beside = (path.stem for folder in folders for path in Path(folder).parent.glob("*.dist-info"))
    named = (stem.rpartition("-") for stem in beside)
    return {version for name, _, version in named if name.lower().replace("-", "_") == package.replace("-", "_")}


def held(
    run: Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]],
    names: tuple[str, ...],
    artifact: str,
    *,
    per_token: bool,
) -> Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]:
    """The same engine, each of whose answers is looked at, see `check_outputs`."""

    def looked_at(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        outputs = run(feeds)
        check_outputs(names, outputs, feeds, artifact, per_token=per_token)
        return outputs

    return looked_at


def check_outputs(
    names: tuple[str, ...],
    outputs: Mapping[str, NDArray[Any]],
    feeds: Mapping[str, NDArray[Any]],
    artifact: str,
    *,
    per_token: bool,
) -> None:
    """Check that outputs are those that a task reads: a manifest may be right about a file that is not.

    Args:
        names: what the task reads.
        outputs: what the engine gave.
        feeds: what it was given, int64 (n, length).
        artifact: its key, for messages.
        per_token: whether each is (n, length, ...), else (n, ...).

    Raises:
        EngineError: one is missing, holds no numbers, or has another shape.
    """
    rows = feeds["input_ids"].shape if per_token else feeds["input_ids"].shape[:1]
    for wanted in names:
        if wanted not in outputs:
            what = f"{artifact} gives no output {wanted}, it gives {', '.join(outputs) or 'none'}"
            raise EngineError(what, hint="the artifact belongs to another task; build the bundle again")
        found = outputs[wanted]
        if found.dtype.kind not in _NUMBERS or found.shape[: len(rows)] != rows:
            what = f"{artifact} gives {wanted} as {found.dtype} {list(found.shape)}"
            raise EngineError(f"{what}, expected numbers {[*rows, '...']}", hint="build the bundle again")
