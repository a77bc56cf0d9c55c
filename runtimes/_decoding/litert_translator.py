"""Encoder-decoders in LiteRT: a signature for each length of a source, and for each room of a step."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edgewright.bundle.manifest import TensorSpec
from edgewright.errors import EngineError
from edgewright.runtimes._decoding.one_source import OneSourceTranslator
from edgewright.runtimes._quiet import quiet
from edgewright.text.buckets import pick

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edgewright.runtimes._decoding.litert import Held, Signatures
    from edgewright.runtimes._decoding.one_source import Group

    Arrays = Mapping[str, NDArray[Any]]

__all__ = ["Calls", "CompiledCalls", "InterpreterCalls", "LitertTranslator"]

_ENCODE, _DECODE, _BEAMS = "encode_", "decode_", "beams_"
_INTEGERS = ("input_ids", "tokens", "input_pos", "attention_mask")
_FOUND = ("logits", "new_kv")


class Calls(Protocol):
    """The signatures of a file."""

    def forget(self) -> None:
        """Whatever was bound is not needed any more."""

    def close(self) -> None:
        """Let go of the engine's objects."""

    def bound(self, key: str, still: Arrays, moving: Arrays) -> Any:
        """Inputs of a signature: some that stay as they are, and some that are read anew for each run."""

    def run(self, key: str, bound: Any, more: Arrays) -> dict[str, NDArray[Any]]:
        """The outputs of a signature, of inputs that were bound and of more."""


class LitertTranslator(OneSourceTranslator):
    """A file as `converters/_tflite/translator.py` writes it."""

    def __init__(self, signatures: Signatures, context: int, calls: Callable[[Signatures], Calls]) -> None:
        """Take what the signatures of a file are, and what runs them once that is right."""
        lengths, slots, beams = (_rooms(signatures, kind) for kind in (_ENCODE, _DECODE, _BEAMS))
        step = signatures[f"{_DECODE}{slots[-1]}"] if slots else {}
        names = [name for name in step if name.startswith("kv_cache_")]
        if not lengths or not names or slots != beams or lengths[-1] != slots[-1] or not step.get("logits"):
            what = f"the artifact has the signatures {', '.join(signatures) or 'none'}"
            raise EngineError(f"{what}; encode, decode and beams of one length are wanted", hint="build it again")
        self.inputs = tuple(
            TensorSpec(name, "int32" if name in _INTEGERS else "float32", shape)
            for name, shape in step.items()
            if name not in _FOUND
        )
        vocabulary = step["logits"][-1]
        self.outputs = (TensorSpec("logits", "float32", ("rows", vocabulary)),)
        self._count, (_, heads, _, width) = len(names), step[names[0]]
        rows = signatures[f"{_BEAMS}{slots[-1]}"]["tokens"][0]
        super().__init__(vocabulary, min(context, slots[-1]), beams=rows, shapes=[(heads, width)] * self._count)
        self._lengths, self._slots, self._calls = lengths, slots, calls(signatures)

    def close(self) -> None:
        """See `EncoderDecoder.close`."""
        self._groups.clear()
        self._calls.close()

    def _begin(self, ids: NDArray[np.int64], mask: NDArray[np.int64], beams: int) -> None:
        self._calls.forget()
        super()._begin(ids, mask, beams)

    def _read(self, ids: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        length = pick(self._lengths, len(ids))
        key = f"{_ENCODE}{length}"
        padded, mask = np.zeros((2, 1, length), np.int32)
        padded[0, : len(ids)], mask[0, : len(ids)] = ids, 1
        found = self._calls.run(key, self._calls.bound(key, {}, {}), {"input_ids": padded, "attention_mask": mask})
        return [found[f"cross_{at}"][:, :, : len(ids)] for at in range(self._count)]

    def _room(self, cross: list[NDArray[np.float32]], steps: int) -> int:
        return pick(self._slots, max(steps, cross[0].shape[2]))

    def _bind(self, group: Group) -> tuple[str, Any]:
        length = group.cross[0].shape[2]
        key = f"{_DECODE if group.rows == 1 else _BEAMS}{group.slots}"
        mask = np.zeros((1, group.slots), np.int32)
        mask[0, :length] = 1
        still: dict[str, NDArray[Any]] = {"attention_mask": mask}
        for at, part in enumerate(group.cross):
            still[f"cross_{at}"] = np.zeros((*part.shape[:2], group.slots, part.shape[3]), np.float32)
            still[f"cross_{at}"][:, :, :length] = part
        moving = {f"kv_cache_{at}": past for at, past in enumerate(group.past)}
        return key, self._calls.bound(key, still, moving)

    def _advance(self, group: Group, tokens: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        key, bound = group.given
        new = {"tokens": tokens[:, None].astype(np.int32), "input_pos": np.array([self.length], np.int32)}
        found = self._calls.run(key, bound, new)
        return found["logits"], found["new_kv"]


class CompiledCalls:
    """In a compiled model, whose buffers are written and read; all lie where the model does, and go with it."""

    def __init__(self, held: Held, signatures: Signatures) -> None:
        self._held, self._shapes = held, signatures
        self._taken: Counter[str] = Counter()

    def forget(self) -> None:
        """See `Calls.forget`; the buffers are those of what comes next."""
        self._taken.clear()

    def close(self) -> None:
        """See `Calls.close`: quietly, as the engine tells of every accelerator that it closes."""
        with quiet():
            self._held.objects.clear()

    def bound(self, key: str, still: Arrays, moving: Arrays) -> tuple[dict[str, Any], Arrays]:
        """See `Calls.bound`."""
        buffers = self._buffers(key, f"{key} {self._taken[key]}", of_inputs=True)
        self._taken[key] += 1
        for name, array in still.items():
            buffers[name].write(array)
        return buffers, moving

    def run(self, key: str, bound: Any, more: Arrays) -> dict[str, NDArray[Any]]:
        """See `Calls.run`."""
        (buffers, moving), shapes = bound, self._shapes[key]
        for name, array in {**moving, **more}.items():
            buffers[name].write(array)
        found = self._buffers(key, f"{key} found", of_inputs=False)
        self._held.objects[""].run_by_name(key, buffers, found)
        return {
            name: buffer.read(int(np.prod(shapes[name])), np.float32).reshape(shapes[name])
            for name, buffer in found.items()
        }

    def _buffers(self, key: str, called: str, *, of_inputs: bool) -> dict[str, Any]:
        objects = self._held.objects
        if called not in objects:
            model = objects[""]
            make = model.create_input_buffer_by_name if of_inputs else model.create_output_buffer_by_name
            names = [name for name in self._shapes[key] if _comes_out(key, name) is not of_inputs]
            with quiet():  # the first one that is written makes an environment, which tells of every accelerator
                objects[called] = {name: make(key, name) for name in names}
                for name, buffer in objects[called].items() if of_inputs else ():
                    kind = np.int32 if name in _INTEGERS else np.float32
                    buffer.write(np.zeros(self._shapes[key][name], kind))
        buffers: dict[str, Any] = objects[called]
        return buffers


class InterpreterCalls:
    """In an interpreter, into which all arrays are copied."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self._runners: dict[str, Any] = {}

    def forget(self) -> None:
        """See `Calls.forget`."""

    def close(self) -> None:
        """See `Calls.close`."""
        self._runners.clear()

    def bound(self, key: str, still: Arrays, moving: Arrays) -> Arrays:
        """See `Calls.bound`."""
        del key
        return {**still, **moving}

    def run(self, key: str, bound: Any, more: Arrays) -> dict[str, NDArray[Any]]:
        """See `Calls.run`."""
        if key not in self._runners:
            self._runners[key] = self._interpreter.get_signature_runner(key)
        found: dict[str, NDArray[Any]] = self._runners[key](**bound, **more)
        return found


def _rooms(signatures: Signatures, kind: str) -> list[int]:
    """The lengths of the signatures of a kind, ascending."""
    return sorted(int(key[len(kind) :]) for key in signatures if key.startswith(kind) and key[len(kind) :].isdigit())


def _comes_out(key: str, name: str) -> bool:
    return name.startswith("cross_") if key.startswith(_ENCODE) else name in _FOUND
