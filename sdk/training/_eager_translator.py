"""The eager encoder-decoder where an engine would be: transformers' own model, a step at a time with its own cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from edgewright.contracts.encoder_decoder import EncoderDecoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EagerEncoderDecoder"]


class EagerEncoderDecoder(EncoderDecoder):
    """A model of transformers for conditional generation."""

    def __init__(self, model: Any, context: int) -> None:
        super().__init__(model.get_output_embeddings().weight.shape[0], context)
        self._model, self._device = model, model.device
        self._read: Any = None
        self._past: Any = None

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _begin(self, ids: NDArray[np.int64], mask: NDArray[np.int64], beams: int) -> None:
        real = torch.from_numpy(mask).to(self._device)
        self._read = self._model.get_encoder()(
            input_ids=torch.from_numpy(ids).to(self._device), attention_mask=real, return_dict=True
        )
        self._read.last_hidden_state = self._read.last_hidden_state.repeat_interleave(beams, dim=0)
        self._mask, self._past = real.repeat_interleave(beams, dim=0), None

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        found = self._model(
            encoder_outputs=self._read,
            attention_mask=self._mask,
            decoder_input_ids=torch.from_numpy(tokens).to(self._device)[:, None],
            past_key_values=self._past,
            use_cache=True,
        )
        self._past = found.past_key_values
        logits: NDArray[np.float32] = found.logits[:, 0].float().cpu().numpy()
        return logits

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _keep(self, sources: NDArray[np.int64], rows: NDArray[np.int64]) -> bool:
        del sources
        self._reorder(rows)
        self._read.last_hidden_state, self._mask = self._read.last_hidden_state[rows], self._mask[rows]
        return True

    def _reorder(self, rows: NDArray[np.int64]) -> None:
        self._past.reorder_cache(torch.from_numpy(rows).to(self._device))
