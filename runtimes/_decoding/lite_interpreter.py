"""Decoding in PyTorch's lite interpreter, which writes in the caches that it is given and reads all their slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import EngineError
from edgewright.runtimes._decoding.growing import GrowingDecoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec

__all__ = ["LiteDecoder"]

_CHUNK = 128
"""Tokens that are read at once: their scores are (heads, tokens, slots)."""


class LiteDecoder(GrowingDecoder):
    """A module as `converters/_torchscript/decoder.py` writes it."""

    def __init__(
        self, torch: Any, module: Any, context: int, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        shapes = [spec.shape for spec in inputs if spec.name.startswith("kv_cache_")]
        logits = next((spec for spec in outputs if spec.name == "logits"), None)
        if not shapes or logits is None or not isinstance(logits.shape[-1], int):
            raise EngineError("the artifact has no cache, or no logits of a known vocabulary", hint="build it again")
        layers = [(int(heads), int(width), np.float32) for _, heads, _, width in shapes]
        super().__init__(logits.shape[-1], context, layers)
        self._torch, self._module = torch, module
        self._reserve()

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

    def _bind(self) -> None:
        self._tensors = [self._torch.from_numpy(array) for array in self._cache]
