"""The seams between the rooms. A new format, engine or transport implements one underscored method of one class here.

The public method of each class checks, calls the underscored one, and narrows whatever it raises to an error of
`edgewright.errors`, so that no caller ever sees a library's own exception.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from edgewright import registry
from edgewright.errors import ConversionFailed, DeviceError, EdgewrightError, EngineError, StorageError, UsageError
from edgewright.inference.footprint import Footprint
from edgewright.system.threads import check_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.boards.instructions import Tally
    from edgewright.bundle.manifest import Settings, TensorSpec
    from edgewright.contracts.operators import Trace

__all__ = ["Completed", "ConversionSpec", "Converter", "Runtime", "Session", "Transport"]


@dataclass(frozen=True)
class ConversionSpec:
    """What to make of a model: one precision, for one task.

    Attributes:
        precision: fp32, fp16, int8, int8-static or int4.
        inputs: names of the model's inputs, each int64 (batch, length).
        outputs: names of its outputs, in the order in which the model returns them.
        example: one real batch for each input, at least 2 rows and an odd length, for exporters that trace.
        task: the key of the task that the model answers.
        settings: what the task knows of the model, such as its labels and its largest length in tokens.
        tokenizer: the directory of the model's tokenizer, for formats that carry its vocabulary.
        calibration: real texts, each a batch of one row without padding, for precisions that measure ranges.
        keep_float: the rung of the converter's ladder to build, see `Converter.ladder`.
        progress: called with a short phrase whenever a stage begins.
    """

    precision: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    example: Mapping[str, NDArray[Any]]
    task: str
    settings: Settings
    tokenizer: Path
    calibration: Sequence[Mapping[str, NDArray[Any]]] = ()
    keep_float: tuple[str, ...] = ()
    progress: Callable[[str], None] = field(default=lambda _: None)


class Converter(ABC):
    """Makes artifacts of one format. One instance serves all precisions of a model, so it may keep what they share.

    Attributes:
        made_there: whether an artifact runs on no other machine than the one that made it.
    """

    made_there: ClassVar[bool] = False
    format: ClassVar[str]
    precisions: ClassVar[tuple[str, ...]]
    extra: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]

    @staticmethod
    @abstractmethod
    def path(precision: str) -> str:
        """Where an artifact lies in a bundle, such as `onnx/model_quantized.onnx`."""

    @staticmethod
    def ladder(precision: str) -> tuple[tuple[str, ...], ...]:
        """Kinds of operators to leave in float, from none to many: a build takes the first rung that passes its gates.

        The names are the converter's own, and the manifest records those of the rung that passed.
        """
        del precision
        return ((),)

    def convert(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        """Write the artifact of `model`, an eval-mode `torch.nn.Module` that takes `spec.inputs` in order, to `out`.

        Raises:
            ConversionFailed: the format's library failed; its exception is the cause.
            StorageError: the disk is full or read-only.
        """
        try:
            self._convert(model, spec, out)
        except EdgewrightError:
            raise
        except OSError as error:
            raise StorageError(f"cannot write {out.name}: {error.strerror or error}", hint="free some space") from error
        except Exception as error:
            root = _root(error)
            raise ConversionFailed(f"{self.format} {spec.precision}: {type(root).__name__}: {root}") from error

    @abstractmethod
    def _convert(self, model: Any, spec: ConversionSpec, out: Path) -> None: ...


def _root(error: BaseException) -> BaseException:
    """Where a chain of exceptions began: exporters wrap the reason in pages of advice."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error


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

    def begin(self, prove: Callable[[Session], None]) -> None:  # noqa: B027 - most have nothing to begin
        """Begin what makes this session faster while it serves: `prove` raises where the faster one is wrong."""

    @property
    def beside(self) -> str:
        """What has come of that, in words; "" where there is nothing to begin."""
        return ""


class Runtime(ABC):
    """An engine: opens artifacts of its formats.

    Attributes:
        has_plain: whether the engine can leave out its own graph optimisations and delegates.
        has_buckets: whether it pads a text to one of the lengths that a file was made for.
        buckets: those of the lengths that it may take; () is all.
        no_profiler: why its operators cannot be timed, for an engine without `_profile`.
        plain: whether it shall, to tell a wrong artifact from a wrong engine.
        footprint: the memory that it takes.
    """

    has_plain: ClassVar[bool] = False
    has_buckets: ClassVar[bool] = False
    no_profiler: ClassVar[str] = "edgewright does not read its profiler"
    plain: bool = False
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
        # Slow to import, and the way to a first answer does not need it.
        from importlib import metadata

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

    def profile(self, path: Path, feeds: Mapping[str, NDArray[Any]], *, threads: int, runs: int) -> Trace:
        """Time the operators of an artifact over `runs` inferences of int64 (batch, length) arrays, after as many more.

        Raises:
            UsageError: no such number of threads, or this engine's profiler is not read.
            EngineError: the engine failed.
        """
        check_threads(threads)
        try:
            return self._profile(path, feeds, threads=threads, runs=runs)
        except EdgewrightError:
            raise
        except Exception as error:
            raise EngineError(f"{self.engine} cannot profile {path.name}: {type(error).__name__}: {error}") from error

    def _profile(self, path: Path, feeds: Mapping[str, NDArray[Any]], *, threads: int, runs: int) -> Trace:
        del path, feeds, threads, runs
        raise UsageError(
            f"{self.engine} is not profiled: {self.no_profiler}", hint="onnx, tflite, executorch and torchscript are"
        )


@dataclass(frozen=True)
class Completed:
    """A command that ended on a device: its exit code and what it printed, as bytes."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Transport(ABC):
    """The way to a device: run an argument vector there, and copy files. Never a shell line.

    Attributes:
        python: the Python to ask for on the device.
        emulated: whether its time is not a device's: `edgewright.boards.instructions` are counted instead.
    """

    python: str = "python3"
    emulated: bool = False

    @classmethod
    def at(cls, rest: str) -> Transport:
        """The device that a URL names: `rest` follows `SCHEME://`, checked by `edgewright.boards.connect.connect`.

        Nothing need be asked of the device yet.

        Raises:
            UsageError: it is no address of this kind.
        """
        raise UsageError(f"a {cls.__name__.lower()} device has no address, {rest!r} was given")

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what the way holds on this machine, such as a connection; the next step opens it again."""

    def run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b"") -> Completed:
        """Run a program and wait for it.

        Raises:
            DeviceError: it could not be started, or ran longer than `timeout_s` seconds and was given up.
            ConnectionLost: the way broke; what was started may have gone on.
        """
        done: Completed = self._narrow(lambda: self._run(argv, timeout_s=timeout_s, stdin=stdin), f"run {argv[0]}")
        return done

    def push(self, here: Path, there: str) -> None:
        """Copy a file to the device. Raises DeviceError."""
        self._narrow(lambda: self._push(here, there), f"push {here.name}")

    def pull(self, there: str, here: Path) -> None:
        """Copy a file from the device. Raises DeviceError."""
        self._narrow(lambda: self._pull(there, here), f"pull {there}")

    @staticmethod
    def _narrow(step: Callable[[], Any], what: str) -> Any:
        try:
            return step()
        except EdgewrightError:
            raise
        except Exception as error:
            raise DeviceError(f"could not {what}: {type(error).__name__}: {error}") from error

    @abstractmethod
    def _run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> Completed: ...

    @abstractmethod
    def _push(self, here: Path, there: str) -> None: ...

    @abstractmethod
    def _pull(self, there: str, here: Path) -> None: ...

    def count(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> tuple[Completed, tuple[Tally, ...]]:
        """Run the device's Python as `run` does, and count the instructions between its marks, where it is emulated."""
        del argv, timeout_s, stdin
        raise UsageError("instructions are counted on an emulated board alone", hint="give one, as qemu://cortex-a72")
