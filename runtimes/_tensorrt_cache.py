"""TensorRT engines that ONNX Runtime builds of a `.onnx` file, kept for each file, TensorRT version and GPU.

The cache lies apart from the bundle, which may hold no file that its manifest does not list: in the service's own cache
directory where systemd gives one, else in the user's.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgewright import registry
from edgewright.errors import EngineError
from edgewright.system.child import Child
from edgewright.system.files import home, sha256
from edgewright.system.machine import model
from edgewright.text.buckets import MOST_ROWS, USUAL_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["BUILD", "PROVIDER", "BuildRequest", "build", "cache_dir", "fits", "opened", "providers"]

PROVIDER = "TensorrtExecutionProvider"
_LONGEST = 512
"""A choice: BERT's context."""
_LIBRARIES = ("libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer.so.8", "libnvinfer.so")
_KEPT = 4
"""A choice: a bundle's precisions on one machine; each engine is as large as its model."""


class BuildRequest(Struct, frozen=True):
    """A `.onnx` file to build an engine of, the directory for it, and the names of the file's inputs."""

    path: Path
    cache: Path
    inputs: tuple[str, ...]


BUILD = Child("edgewright.runtimes._tensorrt_cache:build", BuildRequest, type(None))


def cache_dir(path: Path) -> Path:
    """The directory for the engines of a file on this machine, made where it is missing; the oldest others go."""
    base = os.environ.get("CACHE_DIRECTORY") or home("XDG_CACHE_HOME", ".cache")
    key = hashlib.sha256(f"{sha256(path)} {_tensorrt_version()} {_gpu()}".encode()).hexdigest()[:24]
    found = Path(base) / "edgewright" / "tensorrt" / key
    found.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.utime(found)
    for old in sorted(found.parent.iterdir(), key=lambda folder: folder.stat().st_mtime)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return found


def _tensorrt_version() -> int:
    for name in _LIBRARIES:
        with suppress(OSError, AttributeError):
            return int(ctypes.CDLL(name).getInferLibVersion())
    return 0


def _gpu() -> str:
    """The GPUs as NVIDIA's driver names them; on a Jetson, whose driver does not, the board."""
    lines: list[str] = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with suppress(OSError):
            lines += [line for line in path.read_text().splitlines() if line.startswith("Model:")]
    return " ".join(lines) or model()


def providers(path: Path, cache: Path, inputs: Sequence[str]) -> list[Any]:
    """TensorRT with its cache and shapes, then CUDA, then the CPU for what neither takes.

    Half precision is the file's own choice: an fp32 artifact was proven as fp32.
    """
    options = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
        "trt_fp16_enable": "1" if "fp16" in path.stem else "0",
    }
    sides = {"min": (1, 1), "opt": (1, USUAL_LENGTH), "max": (MOST_ROWS, _LONGEST)}
    for side, (rows, length) in sides.items():
        options[f"trt_profile_{side}_shapes"] = ",".join(f"{name}:{rows}x{length}" for name in inputs)
    return [(PROVIDER, options), "CUDAExecutionProvider", "CPUExecutionProvider"]


def fits(feeds: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the engines take these arrays, (batch, length)."""
    rows, length = next(iter(feeds.values())).shape
    return bool(rows <= MOST_ROWS and length <= _LONGEST)


def opened(path: Path, cache: Path, inputs: Sequence[str]) -> Any:
    """ONNX Runtime's session on the GPU. Raises EngineError where it came up without TensorRT."""
    onnxruntime = registry.load("runtimes", "onnxruntime")().import_engine()
    session = onnxruntime.InferenceSession(str(path), providers=providers(path, cache, inputs))
    if PROVIDER not in session.get_providers():
        what = f"onnxruntime {onnxruntime.__version__} opened {path.name} on {', '.join(session.get_providers())}"
        raise EngineError(f"{what}, not on {PROVIDER}", hint="does its TensorRT fit the one that is installed?")
    return session


def build(request: BuildRequest, progress: Callable[[str], None]) -> None:
    """The child's side: build the engine and put it into the cache, by opening the file and one inference."""
    import numpy as np

    progress("build the engine")
    session = opened(request.path, request.cache, request.inputs)
    ones = np.ones((1, USUAL_LENGTH), dtype=np.int64)
    session.run(None, dict.fromkeys(request.inputs, ones))
