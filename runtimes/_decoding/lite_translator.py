"""Encoder-decoders in PyTorch's lite interpreter: `encode` once, and a step that writes in the caches it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.contracts.encoder_decoder import EncoderDecoder
from edgewright.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec

__all__ = ["LiteTranslator"]

_FIRST_SLOTS = 16
"""Tokens that the first caches hold: all their slots are read, so they begin short and double."""


class LiteTranslator(EncoderDecoder):
    """A module as `converters/_torchscript/translator.py` writes it."""

    def __init__(
        self, torch: Any, module: Any, context: int, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        self._shapes = [spec.shape for spec in inputs if spec.name.startswith("kv_cache_")]
        logits = next((spec for spec in outputs if spec.name == "logits"), None)
        if not self._shapes or logits is None or not isinstance(logits.shape[-1], int):
            raise EngineError("the artifact has no cache, or no logits of a known vocabulary", hint="build it again")
        super().__init__(logits.shape[-1], context)
        self._torch, self._module = torch, module
        self._cache: NDArray[np.float32] | None = None

    def _begin(self, ids: NDArray[np.int64], mask: NDArray[np.int64], beams: int) -> None:
        self._mask = self._torch.from_numpy(mask)
        with self._torch.inference_mode():
            self._cross = self._module.run_method("encode", self._torch.from_numpy(ids), self._mask)
        self._cache = None
        self._reserve(len(ids) * beams, _FIRST_SLOTS)

    def _step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        assert self._cache is not None  # noqa: S101 - sources were read
        if self.length >= self._cache.shape[3]:
            self._reserve(self.rows, 2 * self._cache.shape[3])
        given = self._torch.from_numpy(np.ascontiguousarray(tokens[:, None]))
        place = self._torch.tensor([self.length])
        with self._torch.inference_mode():
            (logits,) = self._module(given, place, self._mask, self._cross, *self._given)
        found: NDArray[np.float32] = logits.numpy()
        return found

    def _reserve(self, rows: int, slots: int) -> None:
        """Caches of so many slots, what is there kept."""
        heads, width = int(self._shapes[0][1]), int(self._shapes[0][3])
        new = np.zeros((len(self._shapes), rows, heads, min(slots, self.context), width), np.float32)
        if self._cache is not None:
            new[:, :, :, : self.length] = self._cache[:, :, :, : self.length]
        self._hold(new)

    def _hold(self, cache: NDArray[np.float32]) -> None:
        self._cache, self._given = cache, [self._torch.from_numpy(part) for part in cache]

    def _keep(self, sources: NDArray[np.int64], rows: NDArray[np.int64]) -> bool:
        assert self._cache is not None  # noqa: S101 - sources were read
        chosen = self._torch.from_numpy(sources)
        with self._torch.inference_mode():
            self._cross, self._mask = self._cross.index_select(1, chosen), self._mask.index_select(0, chosen)
        self._hold(self._cache.take(rows, axis=1))
        return True

    def _reorder(self, rows: NDArray[np.int64]) -> None:
        assert self._cache is not None  # noqa: S101 - sources were read
        moved = np.flatnonzero(rows != np.arange(self.rows))
        written = self._cache[:, :, :, : self.length]
        written[:, moved] = written[:, rows[moved]]
