"""TensorRT on NVIDIA GPUs, such as a Jetson's.

A `.onnx` file is run by ONNX Runtime's TensorRT provider, which builds an engine for this GPU and keeps it in a
cache in the user's directory. That takes minutes the first time; until then ONNX Runtime serves the file on the CPU. A
`.engine` file is opened by TensorRT itself.

Written against ONNX Runtime 1.31 and TensorRT 10 and not run on a GPU so far: what is tested is the options, the swap
from one session to the other, and what is said where there is no TensorRT.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.contracts import Runtime, Session
from edgewright.errors import EngineError, MissingExtra
from edgewright.files import sha256
from edgewright.runtimes._swap import Swapping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["TensorRt"]

_PROVIDER = "TensorrtExecutionProvider"
_MOST_ROWS, _USUAL_LENGTH, _LONGEST = 8, 64, 512


class TensorRt(Runtime):
    """Opens `.engine` files, and `.onnx` files where it is asked for by name."""

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
        if _PROVIDER not in onnxruntime.get_available_providers():
            hint = "install NVIDIA's wheel for this JetPack, or onnxruntime-gpu"
            raise MissingExtra(f"onnxruntime {onnxruntime.__version__} here has no {_PROVIDER}", hint=hint)
        first = onnx.open(path, threads=threads)

        def make() -> Session:
            chosen = _providers(path, [spec.name for spec in first.inputs])
            return _Provided(onnxruntime.InferenceSession(str(path), providers=chosen), first)

        return Swapping(first, make, _fits)


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


def _providers(path: Path, inputs: Sequence[str]) -> list[Any]:
    """TensorRT with its cache and shapes, then CUDA, then the CPU for what neither takes.

    Half precision is the file's own choice: an fp32 artifact was proven as fp32. The cache lies apart from the bundle,
    which may hold no file that its manifest does not list, in a directory for each file's content.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = home / "edgewright" / "tensorrt" / sha256(path)[:16]
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
        "trt_fp16_enable": "1" if "fp16" in path.stem else "0",
    }
    sides = {"min": (1, 1), "opt": (1, _USUAL_LENGTH), "max": (_MOST_ROWS, _LONGEST)}
    for side, (rows, length) in sides.items():
        options[f"trt_profile_{side}_shapes"] = ",".join(f"{name}:{rows}x{length}" for name in inputs)
    return [(_PROVIDER, options), "CUDAExecutionProvider", "CPUExecutionProvider"]


def _fits(feeds: Mapping[str, NDArray[Any]]) -> bool:
    rows, length = next(iter(feeds.values())).shape
    return bool(rows <= _MOST_ROWS and length <= _LONGEST)
