"""Decoding in PyTorch's lite interpreter: the caches are arrays of ours, which it writes; they grow by doubling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.contracts.decoder import Decoder, room
from edgewright.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec

__all__ = ["LiteDecoder"]

_FIRST_SLOTS = 256
"""Tokens that the first caches hold: a short question and its answer. Attention reads all of them."""
_CHUNK = 128
"""Tokens that are read at once: their scores are (heads, tokens, slots)."""


class LiteDecoder(Decoder):
    """A module as `converters/_torchscript/decoder.py` writes it."""

    def __init__(
        self, torch: Any, module: Any, context: int, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        shapes = [spec.shape for spec in inputs if spec.name.startswith("kv_cache_")]
        self._heads = [(int(heads), int(width)) for _, heads, _, width in shapes]
        logits = next((spec for spec in outputs if spec.name == "logits"), None)
        if not shapes or logits is None or not isinstance(logits.shape[-1], int):
            raise EngineError("the artifact has no cache, or no logits of a known vocabulary", hint="build it again")
        super().__init__(logits.shape[-1], context)
        self._torch, self._module = torch, module
        self._slots = 0
        self._cache: list[NDArray[np.float32]] = []
        self._reserve(min(_FIRST_SLOTS, context))

    def _run(self, ids: NDArray[np.int64], kept: int) -> NDArray[np.float32]:
        self._reserve(self.length + len(ids))
        parts = [self._read(ids[at : at + _CHUNK], self.length + at) for at in range(0, len(ids), _CHUNK)]
        found: NDArray[np.float32] = parts[-1] if kept <= len(parts[-1]) else np.concatenate(parts)
        return found[-kept:]

    def _read(self, ids: NDArray[np.int64], start: int) -> NDArray[np.float32]:
        places = np.arange(start, start + len(ids))
        given = [self._torch.from_numpy(array) for array in (np.ascontiguousarray(ids[None]), places)]
        with self._torch.inference_mode():
            (logits,) = self._module(*given, *self._tensors)
        found: NDArray[np.float32] = logits.numpy()[0]
        return found

    def _reserve(self, tokens: int) -> None:
        """Room for so many, what is there kept."""
        if tokens <= self._slots:
            return
        slots = self._slots or _FIRST_SLOTS
        while slots < tokens:
            slots *= 2
        before, self._slots = self._cache, min(slots, self.context)
        self._cache = [np.zeros((1, heads, self._slots, width), np.float32) for heads, width in self._heads]
        for new, old in zip(self._cache, before, strict=False):
            new[:, :, : self.length] = old[:, :, : self.length]
        self._tensors = [self._torch.from_numpy(array) for array in self._cache]

    def _keys_and_values(self, length: int) -> list[NDArray[Any]]:
        return [array[:, :, :length].copy() for array in self._cache]

    def _take(self, arrays: Sequence[NDArray[Any]], length: int) -> None:
        self.length = 0
        self._reserve(length)
        for array, given in zip(self._cache, arrays, strict=True):
            np.copyto(room(array, length, given), given)
