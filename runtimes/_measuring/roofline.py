"""The most that this machine gives: matrix products in fp32 and int8 by ONNX Runtime's kernels, and reads of memory.

The model that is timed is one operator over constant weights; its few bytes of protobuf are written here (ONNX's
onnx.proto3), because a board has no `onnx` package.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright import registry
from edgewright.measure.roofline import Roofline

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.measure.roofline import RooflineRequest

__all__ = ["measure"]

_SIDE = 1024
"""2^30 multiply-adds for the 12 MiB of three fp32 matrices: arithmetic, and not memory, is the limit."""
_LEAST_S = 0.5
"""A choice: on a desktop some dozens of runs, of which the fastest counts."""
_READ_BYTES = 2**28
"""Far more than any cache holds."""

_FLOAT, _UINT8, _INT8, _INT32 = 1, 2, 3, 6
"""TensorProto.DataType of onnx.proto."""
_KINDS = {"fp32": ("MatMul", _FLOAT, np.float32, _FLOAT), "int8": ("MatMulInteger", _INT8, np.int8, _INT32)}


def measure(request: RooflineRequest, progress: Callable[[str], None]) -> Roofline:
    """The peaks of this machine."""
    threads, found = request.threads, {}
    for precision in _KINDS:
        progress(f"{precision} matrix products")
        found[precision] = _SIDE**3 / _fastest(_product(precision, threads)) / 1e9
    progress("reads of memory")
    read = threads * _READ_BYTES / _fastest(_read(threads)) / 1e9
    return Roofline(threads, fp32_gmac_s=found["fp32"], int8_gmac_s=found["int8"], read_gb_s=read)


def _fastest(run: Callable[[], Any]) -> float:
    """Seconds of the fastest of many runs: a peak is what nothing disturbed."""
    took: list[float] = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < _LEAST_S or len(took) < 5:
        start = time.perf_counter()
        run()
        took.append(time.perf_counter() - start)
    return min(took)


def _product(precision: str, threads: int) -> Callable[[], Any]:
    """A product of two square matrices, the second one constant, as a layer's weights are."""
    runtime = registry.load("runtimes", "onnxruntime")().import_engine()
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = runtime.InferenceSession(_model(*_KINDS[precision]), options, providers=["CPUExecutionProvider"])
    dtype = np.float32 if precision == "fp32" else np.uint8
    feed = {"x": np.random.default_rng(0).integers(0, 100, (_SIDE, _SIDE)).astype(dtype)}
    return lambda: session.run(None, feed)


def _read(threads: int) -> Callable[[], None]:
    """Read a buffer on every thread; numpy leaves the interpreter free while it does."""
    buffers = [np.ones(_READ_BYTES // 4, np.float32) for _ in range(threads)]

    def run() -> None:
        workers = [threading.Thread(target=buffer.max) for buffer in buffers]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return run


def _model(operator: str, weight_type: int, dtype: type[Any], output_type: int) -> bytes:
    """An ONNX model of one operator: x (side, side) times a constant w -> y."""
    weight = np.random.default_rng(1).integers(-100, 100, (_SIDE, _SIDE)).astype(dtype)
    node = _text(1, "x") + _text(1, "w") + _text(2, "y") + _text(4, operator)
    dims = _number(1, _SIDE) * 2
    tensor = dims + _number(2, weight_type) + _text(8, "w") + _bytes(9, weight.tobytes())
    x = _value("x", _FLOAT if weight_type == _FLOAT else _UINT8)
    graph = _bytes(1, node) + _text(2, "g") + _bytes(5, tensor) + _bytes(11, x) + _bytes(12, _value("y", output_type))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13))


def _value(name: str, kind: int) -> bytes:
    shape = _bytes(2, _bytes(1, _number(1, _SIDE)) * 2)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, kind) + shape))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
