"""Encoder-decoders in ExecuTorch: a source is read by one method, and written after by two, of one row and of more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import EngineError
from edgewright.runtimes._decoding.executorch import number
from edgewright.runtimes._decoding.one_source import OneSourceTranslator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec
    from edgewright.runtimes._decoding.one_source import Group

__all__ = ["ExecutorchTranslator"]

_FIRST_SLOTS = 16
"""Tokens that the first arrays hold: all their slots are read, so they begin short and double."""


class ExecutorchTranslator(OneSourceTranslator):
    """A program as `converters/_executorch/translator.py` writes it."""

    def __init__(
        self, program: Any, name: str, context: int, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        import torch

        self.inputs, self.outputs = inputs, outputs
        methods = {program.get_method_name(at) for at in range(program.num_methods())}
        shapes = [spec.shape for spec in inputs if spec.name.startswith("kv_cache_")]
        vocabulary = outputs[-1].shape[-1] if outputs else None
        if not shapes or not {"encode", "beams"} <= methods or not isinstance(vocabulary, int):
            what = f"{name} has the methods {', '.join(sorted(methods))}; encode, forward and beams are wanted"
            raise EngineError(f"{what}, with a cache and logits", hint="make it with edgewright build")
        room, beams = (number(program, name, method) for method in ("get_max_context_len", "get_beams"))
        sizes = [(int(shape[1]), int(shape[3])) for shape in shapes]
        super().__init__(vocabulary, min(context, room), beams=beams, shapes=sizes)
        self._program, self._tensor = program, torch.from_numpy
        self._loaded = {"encode": program.load_method("encode")}

    def _read(self, ids: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        found = self._loaded["encode"]([self._tensor(np.ascontiguousarray(ids[None]))])
        return [part.numpy().copy() for part in found]

    def _room(self, cross: Any, steps: int) -> int:
        del cross
        slots = _FIRST_SLOTS
        while slots < steps:
            slots *= 2
        return min(slots, self.context)

    def _bind(self, group: Group) -> list[Any]:
        return [self._tensor(array) for array in (*group.cross, *group.past)]

    def _advance(self, group: Group, tokens: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        name = "forward" if group.rows == 1 else "beams"
        if name not in self._loaded:
            self._loaded[name] = self._program.load_method(name)
        place = np.array([self.length], np.int64)
        given = [self._tensor(np.ascontiguousarray(tokens[:, None])), self._tensor(place), *group.given]
        new, logits = self._loaded[name](given)
        return logits.numpy(), new.numpy()
