"""Decoding in LiteRT: keys and values of a layer lie in one buffer, which goes in and comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from edgewright.bundle.manifest import TensorSpec
from edgewright.contracts.decoder import Decoder, room
from edgewright.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["CompiledSteps", "Held", "InterpreterSteps", "LitertDecoder", "Signatures", "Steps"]

_ONE = "decode"
_CHUNK = "prefill_"
_CACHE = "cache"
"""Beside the signatures, what they read and write."""


Signatures: TypeAlias = "Mapping[str, Mapping[str, tuple[int, ...]]]"
"""The shapes of inputs and of the output `logits` by their names, for each signature."""


class Held(Protocol):
    """What keeps a compiled model, under the name "", and whatever of its engine's has to be let go with it."""

    objects: dict[str, Any]


class Steps(Protocol):
    """The signatures of a file, over one cache."""

    def run(self, key: str, tokens: NDArray[np.int32], places: NDArray[np.int32]) -> NDArray[np.float32]:
        """Read tokens (n,) at their places (n,): logits (n, vocabulary)."""

    def cache(self) -> list[NDArray[np.float32]]:
        """A copy of what is in the cache."""

    def fill(self, arrays: Sequence[NDArray[np.float32]]) -> None:
        """Write the whole cache."""


class LitertDecoder(Decoder):
    """A file as `converters/_tflite/decoder.py` writes it."""

    def __init__(self, signatures: Signatures, context: int, steps: Callable[[Signatures], Steps]) -> None:
        """Take what the signatures of a file are, and what runs them once that is right."""
        one, chunks = signatures.get(_ONE, {}), sorted(key for key in signatures if key.startswith(_CHUNK))
        cache = {name: shape for name, shape in one.items() if name.startswith("kv_cache_")}
        if not cache or "logits" not in one or len(chunks) != 1:
            what = f"the artifact has the signatures {', '.join(signatures) or 'none'}"
            raise EngineError(f"{what}; decode and one prefill with a cache are wanted", hint="build it again")
        slots = next(iter(cache.values()))[2]
        self.inputs = (
            TensorSpec("tokens", "int32", (1, "length")),
            TensorSpec("input_pos", "int32", ("length",)),
            *(TensorSpec(name, "float32", shape) for name, shape in cache.items()),
        )
        vocabulary = one["logits"][-1]
        self.outputs = (TensorSpec("logits", "float32", (1, "length", vocabulary)),)
        super().__init__(vocabulary, min(context, slots))
        self._steps, self._many, self._slots = steps(signatures), chunks[0], slots
        self._chunk = signatures[chunks[0]]["tokens"][1]

    def _run(self, ids: NDArray[np.int64], kept: int) -> NDArray[np.float32]:
        parts, at = [], 0
        while at < len(ids):
            part = self._read(ids[at : at + self._chunk], self.length + at)
            parts.append(part)
            at += len(part)
        found: NDArray[np.float32] = np.concatenate(parts) if kept > len(parts[-1]) else parts[-1]
        return found[-kept:]

    def _read(self, ids: NDArray[np.int64], start: int) -> NDArray[np.float32]:
        """The logits of as many of the tokens as one run reads.

        A padded chunk that would reach over the last slot would be moved back over what is there.
        """
        count = len(ids)
        if count > 1 and start + self._chunk <= self._slots:
            padded = np.zeros(self._chunk, np.int32)
            padded[:count] = ids
            return self._steps.run(self._many, padded, np.arange(start, start + self._chunk, dtype=np.int32))[:count]
        return self._steps.run(_ONE, ids[:1].astype(np.int32), np.array([start], np.int32))

    def _keys_and_values(self, length: int) -> list[NDArray[Any]]:
        return [array[:, :, :length].copy() for array in self._steps.cache()]

    def _take(self, arrays: Sequence[NDArray[Any]], length: int) -> None:
        whole = self._steps.cache()
        for array, given in zip(whole, arrays, strict=True):
            np.copyto(room(array, length, given), given)
        self._steps.fill(whole)


class CompiledSteps:
    """In a compiled model, whose buffers stay where they are; all lie where the model does, and go with it."""

    def __init__(self, held: Held, signatures: Signatures) -> None:
        model, one = held.objects[""], signatures[_ONE]
        self._held, self._shapes = held, {name: shape for name, shape in one.items() if name.startswith("kv_cache_")}
        self._logits = {key: shapes["logits"] for key, shapes in signatures.items()}
        cache = {name: model.create_input_buffer_by_name(_ONE, name) for name in self._shapes}
        held.objects[_CACHE] = cache
        for key in signatures:
            own = {name: model.create_input_buffer_by_name(key, name) for name in ("tokens", "input_pos")}
            logits = model.create_output_buffer_by_name(key, "logits")
            held.objects[key] = {**cache, **own}, {**cache, "logits": logits}
        self.fill([np.zeros(shape, np.float32) for shape in self._shapes.values()])

    def run(self, key: str, tokens: NDArray[np.int32], places: NDArray[np.int32]) -> NDArray[np.float32]:
        """See `Steps.run`."""
        (given, found), shape = self._held.objects[key], self._logits[key]
        given["tokens"].write(tokens[None])
        given["input_pos"].write(places)
        self._held.objects[""].run_by_name(key, given, found)
        logits: NDArray[np.float32] = found["logits"].read(int(np.prod(shape)), np.float32).reshape(shape)[0]
        return logits

    def cache(self) -> list[NDArray[np.float32]]:
        """See `Steps.cache`."""
        return [
            self._held.objects[_CACHE][name].read(int(np.prod(shape)), np.float32).reshape(shape)
            for name, shape in self._shapes.items()
        ]

    def fill(self, arrays: Sequence[NDArray[np.float32]]) -> None:
        """See `Steps.fill`."""
        for buffer, array in zip(self._held.objects[_CACHE].values(), arrays, strict=True):
            buffer.write(np.ascontiguousarray(array))


class InterpreterSteps:
    """In an interpreter, which copies the cache in and out for each run."""

    def __init__(self, interpreter: Any, signatures: Signatures) -> None:
        self._runners = {key: interpreter.get_signature_runner(key) for key in signatures}
        self._arrays = {
            name: np.zeros(shape, np.float32)
            for name, shape in signatures[_ONE].items()
            if name.startswith("kv_cache_")
        }

    def run(self, key: str, tokens: NDArray[np.int32], places: NDArray[np.int32]) -> NDArray[np.float32]:
        """See `Steps.run`."""
        found = self._runners[key](tokens=tokens[None], input_pos=places, **self._arrays)
        logits: NDArray[np.float32] = found.pop("logits")[0]
        self._arrays = {name: found[name] for name in self._arrays}
        return logits

    def cache(self) -> list[NDArray[np.float32]]:
        """See `Steps.cache`."""
        return [array.copy() for array in self._arrays.values()]

    def fill(self, arrays: Sequence[NDArray[np.float32]]) -> None:
        """See `Steps.fill`."""
        self._arrays = dict(zip(self._arrays, arrays, strict=True))
