"""TensorRT on NVIDIA GPUs, such as a Jetson's.

A `.onnx` file is run by ONNX Runtime's TensorRT provider. A child process builds an engine for this GPU, which takes
minutes the first time, into a cache: see `_tensorrt_cache.py`. Until it is there, and has given the right answers to
the golden cases, ONNX Runtime serves the file on the CPU. A `.engine` file is opened by TensorRT itself.

Written against ONNX Runtime 1.31 and TensorRT 10 and not run on a GPU so far: what is tested is the options, the child,
the proof and the swap from one session to the other, and what is said where there is no TensorRT.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.contracts.engine import Runtime, Session
from edgewright.errors import EngineError, MissingExtra
from edgewright.runtimes._swap import Swapping
from edgewright.runtimes._tensorrt_cache import BUILD, PROVIDER, BuildRequest, cache_dir, fits, opened
from edgewright.system.child import Limits, call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["TensorRt"]

_DEVICES = ("/dev/nvidiactl", "/dev/nvmap")
_LIMITS = Limits(timeout_s=3600.0)
"""A choice: TensorRT tries kernels for minutes on a server's GPU, for many more on a Jetson."""


class TensorRt(Runtime):
    """Opens `.engine` files, and `.onnx` files where it is asked for by name."""

    has_workers = False  # one run fills the GPU
    engine = "tensorrt"
    formats = ("tensorrt", "onnx")
    extra = "tensorrt"
    module = "tensorrt"
    package = "tensorrt"

    def _open(self, path: Path, *, threads: int) -> Session:
        if path.suffix == ".onnx":
            return self._swapping(path, threads)
        from edgewright.runtimes._tensorrt_engine import EngineSession

        return EngineSession(self.import_engine(), path)

    def _swapping(self, path: Path, threads: int) -> Session:
        onnx = registry.load("runtimes", "onnxruntime")()
        onnxruntime = onnx.import_engine()
        if PROVIDER not in onnxruntime.get_available_providers():
            hint = "install NVIDIA's wheel for this JetPack, or onnxruntime-gpu"
            raise MissingExtra(f"onnxruntime {onnxruntime.__version__} here has no {PROVIDER}", hint=hint)
        return _behind(onnx.open(path, threads=threads), path)

    def serves(self) -> bool:
        """Whether this machine has a GPU, and an ONNX Runtime for it: asked before `edgewright serve` chooses."""
        if not any(Path(name).exists() for name in _DEVICES):
            return False
        onnx = registry.load("runtimes", "onnxruntime")()
        return onnx.installed() and PROVIDER in onnx.import_engine().get_available_providers()


def _behind(first: Session, path: Path) -> Session:
    """A session that serves by `first` until a child has built the engine."""
    names = [spec.name for spec in first.inputs]

    def make() -> Session:
        cache = cache_dir(path)
        call(BUILD, BuildRequest(path, cache, tuple(names)), limits=_LIMITS)
        return _Provided(opened(path, cache, names), first)

    return Swapping(first, make, fits)


class _Provided(Session):
    """ONNX Runtime's session on the GPU, with the signature of the one on the CPU."""

    def __init__(self, inner: Any, like: Session) -> None:
        self.inputs, self.outputs, self._inner = like.inputs, like.outputs, inner

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        names = [spec.name for spec in self.outputs]
        try:
            given = self._inner.run(names, {spec.name: feeds[spec.name] for spec in self.inputs})
        except Exception as error:
            raise EngineError(f"tensorrt failed: {type(error).__name__}: {error}") from error
        return dict(zip(names, given, strict=True))
