"""A native TensorRT engine in a session: TensorRT's Python API, and CUDA's managed memory through its C library."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.bundle.manifest import TensorSpec
from edgewright.contracts.engine import Session
from edgewright.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["EngineSession"]

_ATTACH_GLOBAL = 1
"""cudaMemAttachGlobal of CUDA's driver_types.h."""


class EngineSession(Session):
    """An opened `.engine` file. The CPU and the GPU see the same memory, so nothing is copied by hand."""

    def __init__(self, tensorrt: Any, path: Path) -> None:
        self._cuda = ctypes.CDLL("libcudart.so")
        self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            hint = "an engine fits one GPU model and one TensorRT version: build it again on this device"
            raise EngineError(f"TensorRT {tensorrt.__version__} refuses {path.name}", hint=hint)
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(at) for at in range(self._engine.num_io_tensors)]
        self._dtypes = {name: np.dtype(tensorrt.nptype(self._engine.get_tensor_dtype(name))) for name in names}
        given = [name for name in names if self._engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT]
        self.inputs = tuple(self._spec(name) for name in given)
        self.outputs = tuple(self._spec(name) for name in names if name not in given)
        self._memory: dict[str, tuple[ctypes.c_void_p, int]] = {}

    def _spec(self, name: str) -> TensorSpec:
        shape = tuple(dim if dim >= 0 else "any" for dim in self._engine.get_tensor_shape(name))
        return TensorSpec(name=name, dtype=self._dtypes[name].name, shape=shape)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        for name in (spec.name for spec in self.inputs):
            if not self._context.set_input_shape(name, feeds[name].shape):
                raise EngineError(f"the engine was not built for {name} of shape {list(feeds[name].shape)}")
            self._array(name, feeds[name].shape)[...] = feeds[name]
        found = {spec.name: self._array(spec.name, self._context.get_tensor_shape(spec.name)) for spec in self.outputs}
        if not self._context.execute_async_v3(0):
            raise EngineError("TensorRT could not run the engine")
        self._check(self._cuda.cudaDeviceSynchronize())
        return {name: array.copy() for name, array in found.items()}

    def _array(self, name: str, shape: Any) -> NDArray[Any]:
        """The tensor's memory as an array, made larger where it is too small."""
        dtype, shape = self._dtypes[name], tuple(shape)
        size = int(np.prod(shape)) * dtype.itemsize
        pointer, room = self._memory.get(name, (ctypes.c_void_p(), 0))
        if size > room:
            self._check(self._cuda.cudaFree(pointer))
            pointer = ctypes.c_void_p()
            self._check(self._cuda.cudaMallocManaged(ctypes.byref(pointer), ctypes.c_size_t(size), _ATTACH_GLOBAL))
            self._memory[name] = pointer, size
            self._context.set_tensor_address(name, pointer.value)
        raw = (ctypes.c_byte * size).from_address(pointer.value or 0)
        return np.frombuffer(raw, dtype).reshape(shape)

    @staticmethod
    def _check(code: int) -> None:
        if code:
            raise EngineError(f"CUDA failed with error {code}", hint="is the GPU's memory full?")
