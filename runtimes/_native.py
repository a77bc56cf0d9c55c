"""TFLite files that a runner opens on a device without Python: signatures and padding as in every other TFLite engine.

What travels is what the file takes, padded and of its own integers; what comes back is what it gave. To a decoder go
tokens, and logits come back: the cache stays with the runner, which speaks of tensors as `devices/run.c` describes.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from edgewright.bundle.manifest import TensorSpec
from edgewright.contracts.decoder import Decoder
from edgewright.errors import DeviceError, EngineError, UsageError
from edgewright.runtimes._tflite import Graph, Tensor, TfliteSession, chosen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Measured", "NativeDecoder", "Opened", "Runs", "Wrote"]

_TYPES = {
    1: "float32",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    9: "int8",
    10: "float16",
    11: "float64",
}
"""LiteRtElementType of litert/c/litert_model_types.h."""

_RUN_S, _BENCH_S = 120.0, 900.0
"""A choice: the slowest answer of a small board, and a series of a thousand of them; then the runner is stuck."""


_MOST_LOGITS = 2**22
"""A choice: logits of one answer, 16 MiB of them, which is a quarter of what a runner sends at most."""


class _Said(Protocol):
    @property
    def fields(self) -> list[bytes]: ...


class _Runner(Protocol):
    """What speaks to the runner: `edgewright.devices._native.talk.Talk`."""

    def ask(self, letter: bytes, *fields: bytes, timeout_s: float) -> _Said: ...


class Runs(NamedTuple):
    """How often to run: at least so many times and milliseconds, warm-up apart, and never more than `most`."""

    runs: int
    warmup_runs: int
    warmup_ms: int
    least_ms: int
    most: int


class Measured(NamedTuple):
    """Milliseconds of each run on the device's own clock, and the peak of the runner's memory."""

    samples_ms: list[float]
    peak_rss_mib: float


class Wrote(NamedTuple):
    """Milliseconds of each reading of a prompt and of each token after the first, on the device's own clock.

    Attributes:
        tokens: the first and those after it, each the likeliest.
        peak_rss_mib: of the runner's memory.
    """

    read_ms: tuple[float, ...]
    token_ms: tuple[float, ...]
    tokens: tuple[int, ...]
    peak_rss_mib: float


class Opened:
    """A file that a runner has opened: `session` answers and `bench` measures; of a decoder, `decoder` and `write`.

    Attributes:
        load_ms: how long engine and file took to load, on the device's clock.
        first_ms: how long the last single inference took there.
    """

    def __init__(self, runner: _Runner) -> None:
        self._runner = runner
        fields = iter(runner.ask(b"T", timeout_s=_RUN_S).fields)
        try:
            self.load_ms, self.peak_rss_mib = _number(fields) / 1e6, _number(fields) / 1024
            self._graphs = [_FarGraph(self, at, fields) for at in range(_number(fields))]
        except (StopIteration, struct.error, KeyError, ValueError) as error:
            raise DeviceError(
                "the runner describes a model in an unknown way", hint="compile its source anew"
            ) from error
        if any(dim < 1 for graph in self._graphs for t in (*graph.inputs, *graph.outputs) for dim in t.shape):
            raise EngineError(
                "the model has a free length, the runner takes fixed ones", hint="build it with edgewright"
            )
        self.first_ms = 0.0

    @cached_property
    def session(self) -> TfliteSession:
        """What answers texts. Raises EngineError: no signature takes one."""
        return TfliteSession(self._graphs)

    def decoder(self, context: int) -> NativeDecoder:
        """What reads at most `context` tokens. Raises EngineError: the file decodes nothing."""
        return NativeDecoder(self._runner, self._graphs, context)

    def write(self, ids: Sequence[int], readings: int, count: int) -> Wrote:
        """Read a prompt so many times from an empty cache, then write so many tokens after the first.

        Raises:
            EngineError: the engine failed, or there is no room for them.
        """
        fields = self._runner.ask(b"W", _field(readings), _field(count), _tokens(ids), timeout_s=_BENCH_S).fields
        read, step = (tuple(float(ns) / 1e6 for ns in np.frombuffer(one, "<u8")) for one in fields[:2])
        return Wrote(read, step, tuple(np.frombuffer(fields[2], "<i4").tolist()), _number(iter(fields[3:])) / 1024)

    def run(self, at: int, given: Sequence[bytes]) -> list[bytes]:
        """One inference of a signature; the bytes of its outputs."""
        took, *made = self._runner.ask(b"R", _field(at), *given, timeout_s=_RUN_S).fields
        self.first_ms = struct.unpack("<Q", took)[0] / 1e6
        return made

    def bench(self, feeds: Sequence[Mapping[str, NDArray[Any]]], runs: Runs) -> Measured:
        """Run batches of one row in turn, and measure each on the device. Raises EngineError."""
        each: list[bytes] = []
        for feed in feeds:
            at, given = chosen(self._graphs, feed)
            each += [_field(at), *(given[t.name].tobytes() for t in self._graphs[at].inputs)]
        fields = self._runner.ask(b"B", *map(_field, runs), *each, timeout_s=_BENCH_S).fields
        samples, peak = np.frombuffer(fields[0], "<u8"), struct.unpack("<Q", fields[1])[0]
        return Measured([float(ns) / 1e6 for ns in samples], peak / 1024)


class _FarGraph(Graph):
    """A signature of the file there."""

    def __init__(self, opened: Opened, at: int, fields: Iterator[bytes]) -> None:
        self._opened, self._at = opened, at
        self.key = next(fields).decode(errors="replace")
        inputs, outputs = _number(fields), _number(fields)
        self.inputs = tuple(_tensor(fields) for _ in range(inputs))
        self.outputs = tuple(_tensor(fields) for _ in range(outputs))

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Graph.run`."""
        made = self._opened.run(self._at, [feeds[t.name].tobytes() for t in self.inputs])
        return {
            t.name: np.frombuffer(data, t.dtype).reshape(t.shape) for t, data in zip(self.outputs, made, strict=True)
        }


class NativeDecoder(Decoder):
    """Tokens go to the runner and logits come back; keys and values stay there."""

    def __init__(self, runner: _Runner, graphs: Sequence[_FarGraph], context: int) -> None:
        one = next((graph for graph in graphs if graph.key == "decode"), None)
        outputs = {t.name: t for t in one.outputs} if one else {}
        slots = [t.shape[2] for name, t in outputs.items() if name.startswith("kv_cache_")]
        if one is None or "logits" not in outputs or not slots:
            what = f"the artifact has the signatures {', '.join(graph.key for graph in graphs) or 'none'}"
            raise EngineError(f"{what}; decode with a cache is wanted", hint="build it again")
        self.inputs, self.outputs = (
            tuple(TensorSpec(t.name, t.dtype.name, t.shape) for t in some) for some in (one.inputs, one.outputs)
        )
        super().__init__(outputs["logits"].shape[-1], min(context, *slots))
        self._runner = runner

    def _run(self, ids: NDArray[np.int64], kept: int) -> NDArray[np.float32]:
        parts, at, first = [], 0, len(ids) - kept
        while at < len(ids):
            end = min(len(ids), max(at, first) + max(1, _MOST_LOGITS // self.vocabulary))
            parts.append(self._read(ids[at:end], self.length + at, end - max(at, first)))
            at = end
        return np.concatenate(parts)

    def _read(self, ids: NDArray[np.int64], start: int, kept: int) -> NDArray[np.float32]:
        given = _field(start), _field(kept), _tokens(ids)
        _, logits = self._runner.ask(b"L", *given, timeout_s=_RUN_S).fields
        return np.frombuffer(logits, "<f4").reshape(kept, self.vocabulary)

    def _keys_and_values(self, length: int) -> list[NDArray[Any]]:
        what = f"keys and values of {length} tokens are on a device without Python, and stay there"
        raise UsageError(what, hint="a conversation is kept by its words")

    def _take(self, arrays: Sequence[NDArray[Any]], length: int) -> None:
        raise UsageError(f"{len(arrays)} arrays of {length} tokens cannot be given to a device without Python")


def _tensor(fields: Iterator[bytes]) -> Tensor:
    name, kind, scale, zero = next(fields), _number(fields), _number(fields), _number(fields)
    dims = next(fields)
    (real,) = struct.unpack("<f", struct.pack("<I", scale))
    (point,) = struct.unpack("<q", struct.pack("<Q", zero))
    shape = tuple(int(dim) for dim in np.frombuffer(dims, "<i4"))
    return Tensor(name.decode(errors="replace"), shape, np.dtype(_TYPES[kind]), float(real), int(point))


def _number(fields: Iterator[bytes]) -> int:
    return int(struct.unpack("<Q", next(fields))[0])


def _field(number: int) -> bytes:
    return struct.pack("<Q", int(number))


def _tokens(ids: Sequence[int] | NDArray[np.int64]) -> bytes:
    return np.asarray(ids, "<i4").tobytes()
