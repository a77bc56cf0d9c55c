"""LiteRT's own profiler, XNNPACK's operators included, read as a `Trace`.

The Python package has no call for it, but its shared library exports the C interface (litert/c/litert_profiler.h),
which is called here. Times are in whole microseconds. Layers are told by the names of the tensors that a node makes,
which the exporter takes from the modules of the source model.
"""

from __future__ import annotations

import ctypes
import itertools
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgewright.contracts.operators import Operator, Trace
from edgewright.errors import EngineError
from edgewright.statistics.latency import median

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.runtimes._profilers.tflite_graph import Op

__all__ = ["Compiled", "layer", "trace"]

_CPU = 1
"""kLiteRtHwAcceleratorCpu of litert_common.h."""
_WRITE = 1
"""kLiteRtTensorBufferLockModeWrite of litert_tensor_buffer.h."""
_PLAIN, _OPERATOR, _DELEGATED = 1, 2, 8
"""Profiler::EventType of TFLite's core/api/profiler.h: DEFAULT, OPERATOR_INVOKE_EVENT, and what a delegate tells."""
_EVENT_TYPES = {1 << bit for bit in range(9)}
"""All of the same enumeration: nine bits."""
_INVOKE = b"Invoke"
_DELEGATE = "XNNPACK"
_MOST_EVENTS = 1 << 20
"""A choice: hundreds of operators over a thousand runs; more is a count misread."""
_SIZE = ctypes.c_size_t
_Pointer = ctypes.c_void_p
_BUILTINS = {
    "FULLY_CONNECTED": "Fully Connected",
    "BATCH_MATMUL": "Batch Matrix Multiply",
    "MUL": "Multiply",
    "SUB": "Subtract",
    "RSQRT": "Reciprocal Square Root",
    "RESHAPE": "Static Reshape",
    "LOGISTIC": "Sigmoid",
    "DIV": "Divide",
}
"""What XNNPACK calls an operator, where its words differ from TFLite's."""


class _Event(ctypes.Structure):
    """ProfiledEventData of litert_profiler_event.h; a MemoryUsage has three words. The tag is followed once checked."""

    _fields_ = (
        ("tag", _Pointer),
        ("type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("took_us", ctypes.c_uint64),
        ("memory", ctypes.c_uint64 * 6),
        ("node", ctypes.c_uint64),
        ("graph", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


class Compiled:
    """A signature of a file, compiled with the profiler on. It lives as long as its process: use a child."""

    def __init__(self, library: Path, path: Path, key: str, threads: int) -> None:
        self._c = ctypes.CDLL(str(library))
        self._drop = ctypes.CFUNCTYPE(None, _Pointer)(lambda _: None)
        self._texts: list[Any] = []
        self._environment = self._make("LiteRtCreateEnvironment", 0, None)
        self._model = self._make("LiteRtCreateModelFromFile", self._environment, str(path).encode())
        options = self._make("LiteRtCreateOptions")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
        for name, text in (
            ("xnnpack", f"num_threads = {threads}\n"),
            ("runtime_options_string", "enable_profiling = true\n"),
        ):
            self._add(options, name, text)
        self._compiled = self._make("LiteRtCreateCompiledModel", self._environment, self._model, options)
        self._at, self._signature = self._find(key)
        self._buffers = {side: self._allocate(side) for side in ("Input", "Output")}
        self._profiler = self._make("LiteRtCompiledModelGetProfiler", self._compiled)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._c, name)(*arguments)
        if status:
            raise EngineError(f"LiteRT's {name} gave status {status}")

    def _make(self, name: str, *arguments: Any) -> Any:
        made = _Pointer()
        self._call(name, *arguments, ctypes.byref(made))
        return made

    def _count(self, name: str, of: Any) -> int:
        count = _SIZE()
        self._call(name, of, ctypes.byref(count))
        return count.value

    def _add(self, options: Any, name: str, text: str) -> None:
        """Options travel as TOML under a name, and stay the caller's."""
        held = ctypes.create_string_buffer(text.encode())
        self._texts.append(held)
        opaque = self._make("LiteRtCreateOpaqueOptions", name.encode(), ctypes.cast(held, _Pointer), self._drop)
        self._call("LiteRtAddOpaqueOptions", options, opaque)

    def _find(self, key: str) -> tuple[int, Any]:
        for at in range(self._count("LiteRtGetNumModelSignatures", self._model)):
            signature, name = self._make("LiteRtGetModelSignature", self._model, _SIZE(at)), ctypes.c_char_p()
            self._call("LiteRtGetSignatureKey", signature, ctypes.byref(name))
            if (name.value or b"").decode() == key:
                return at, signature
        raise EngineError(f"LiteRT finds no signature {key!r}")

    def _allocate(self, side: str) -> list[Any]:
        made = []
        for at in range(self._count(f"LiteRtGetNumSignature{side}s", self._signature)):
            tensor = self._make(f"LiteRtGetSignature{side}TensorByIndex", self._signature, _SIZE(at))
            kind = ctypes.create_string_buffer(512)  # a LiteRtRankedTensorType, handed on unread
            self._call("LiteRtGetRankedTensorType", tensor, kind)
            wants = self._make(
                f"LiteRtGetCompiledModel{side}BufferRequirements", self._compiled, _SIZE(self._at), _SIZE(at)
            )
            made.append(self._make("LiteRtCreateManagedTensorBufferFromRequirements", self._environment, kind, wants))
        return made

    def write(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        """Fill the inputs, arrays by the file's own names."""
        for at, buffer in enumerate(self._buffers["Input"]):
            name, there, size = ctypes.c_char_p(), _Pointer(), _SIZE()
            self._call("LiteRtGetSignatureInputName", self._signature, _SIZE(at), ctypes.byref(name))
            data = feeds[(name.value or b"").decode()].tobytes()
            self._call("LiteRtGetTensorBufferSize", buffer, ctypes.byref(size))
            if len(data) > size.value:
                raise EngineError(f"an input of {len(data)} bytes does not fit LiteRT's {size.value}")
            self._call("LiteRtLockTensorBuffer", buffer, ctypes.byref(there), _WRITE)
            ctypes.memmove(there, data, len(data))
            self._call("LiteRtUnlockTensorBuffer", buffer)

    def run(self) -> None:
        """One inference."""
        given, made = ((_Pointer * len(buffers))(*buffers) for buffers in self._buffers.values())
        self._call(
            "LiteRtRunCompiledModel", self._compiled, _SIZE(self._at), _SIZE(len(given)), given, _SIZE(len(made)), made
        )

    def profiled(self) -> list[tuple[int, bytes, int, int]]:
        """One inference with the profiler on: type, tag, microseconds and node number of each event, in order."""
        self._call("LiteRtResetProfiler", self._profiler)
        self._call("LiteRtStartProfiler", self._profiler)
        self.run()
        self._call("LiteRtStopProfiler", self._profiler)
        count = ctypes.c_int()
        self._call("LiteRtGetNumProfilerEvents", self._profiler, ctypes.byref(count))
        if not 0 < count.value < _MOST_EVENTS:
            raise EngineError(
                f"LiteRT's profiler gave {count.value} events", hint="ai-edge-litert 2.3 is known to work"
            )
        events = (_Event * count.value)()
        self._call("LiteRtGetProfilerEvents", self._profiler, count, events)
        return _checked(list(events))


def _checked(events: Sequence[Any]) -> list[tuple[int, bytes, int, int]]:
    """Events that are what they should be: the record is C++'s, and another version may lay it out otherwise."""
    if not all(e.type in _EVENT_TYPES and e.source in (0, 1, 2) and e.tag for e in events):
        hint = "ai-edge-litert 2.3 is known to work"
        raise EngineError("LiteRT's profiler gives events of an unknown layout", hint=hint)
    return [(e.type, ctypes.string_at(e.tag), e.took_us, e.node) for e in events]


def trace(compiled: Compiled, plain: Callable[[], object], ops: Sequence[Op], runs: int) -> Trace:
    """Run without and with the profiler, after as many runs to warm up.

    Args:
        compiled: the signature, its inputs written.
        plain: one inference of the session that users get.
        ops: the signature's graph as the file has it.
        runs: how many to profile.
    """
    for run in (plain, compiled.run):
        for _ in range(runs):
            run()
    plain_ms = median(sorted(_ms(plain) for _ in range(runs)))
    whole, found = [], []
    for _ in range(runs):
        events = compiled.profiled()
        whole.append(next(took for kind, tag, took, _ in events if kind == _PLAIN and tag == _INVOKE) / 1e3)
        found.append([event for event in events if event[0] in (_OPERATOR, _DELEGATED)])
    if len({len(events) for events in found}) != 1:
        raise EngineError("LiteRT ran different operators from run to run")
    operators = _operators(list(zip(*found, strict=True)), ops)
    return Trace(operators, sum(whole) / runs, plain_ms, runs, _DELEGATE)


def _ms(run: Callable[[], object]) -> float:
    begin = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - begin) / 1e6


def _operators(same: Sequence[Sequence[tuple[int, bytes, int, int]]], ops: Sequence[Op]) -> tuple[Operator, ...]:
    """One record for each operator; XNNPACK tells no starts, so they lie one after the other."""
    times = [sum(event[2] for event in each) / len(each) / 1e3 for each in same]
    starts = [0.0, *itertools.accumulate(times)]
    matched = _matched([each[0] for each in same], ops)
    return tuple(
        Operator(
            name=f"{at} {tag.decode(errors='replace')}",
            kind=tag.decode(errors="replace"),
            layer=layer(op.made) if op else "",
            start_ms=starts[at],
            time_ms=times[at],
            macs=op.macs if op else 0,
            moved_bytes=op.moved_bytes if op else 0,
            ran_by=_DELEGATE if kind == _DELEGATED else "",
        )
        for at, ((kind, tag, _, _), op) in enumerate(zip((each[0] for each in same), matched, strict=True))
    )


def _matched(events: Sequence[tuple[int, bytes, int, int]], ops: Sequence[Op]) -> list[Op | None]:
    """The file's node of each event: by its number, or in XNNPACK, which keeps their order, by its kind.

    Where XNNPACK runs more or fewer of a kind than the file has, it made or dropped some, and none of them is named.
    """
    own = {node for kind, _, _, node in events if kind == _OPERATOR}
    waiting: dict[str, list[Op]] = {}
    for at, op in enumerate(ops):
        if at not in own:
            waiting.setdefault(_BUILTINS.get(op.kind, op.kind.replace("_", " ").title()).lower(), []).append(op)
    kinds = [_kind(tag) if kind == _DELEGATED else "" for kind, tag, _, _ in events]
    have = Counter(kinds)
    sure = {kind: iter(of) for kind, of in waiting.items() if len(of) == have[kind]}
    found: list[Op | None] = []
    for (kind, _, _, node), name in zip(events, kinds, strict=True):
        numbered = ops[node] if kind == _OPERATOR and node < len(ops) else None
        found.append(next(sure[name]) if name in sure else numbered)
    return found


def _kind(tag: bytes) -> str:
    """`Fully Connected (NC, F32) GEMM` -> `fully connected`."""
    return tag.decode(errors="replace").partition(" (")[0].lower()


def layer(made: str) -> str:
    """The module that a tensor is named after: `_Named/Eager_model/M_model/BertEncoder_encoder/BertLayer_0;5`.

    Each part is a class and the attribute that held it. A name of several tensors gives what they have in common, the
    first of them left out: it is the input.
    """
    names = [name.split(";")[0] for name in made.split(";;")]
    paths = [name.split("/")[3:] for name in (names[1:] or names) if name.startswith("_Named/")]
    shared = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*paths, strict=False))
    return ".".join(part.partition("_")[2] or part for (part, *_) in shared)
