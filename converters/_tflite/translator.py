"""An encoder-decoder -> TFLite: signatures that read a source, and signatures of a step, all over the same weights.

    encode_N:  input_ids and attention_mask int32 (1, N) -> cross_I float32 (1, heads, N, head_dim)
    decode_N, beams_N:  tokens int32 (rows, 1), input_pos int32 (1,), attention_mask int32 (1, N), cross_I,
    kv_cache_I float32 (rows, heads, N, head_dim)
    -> logits float32 (rows, vocabulary), new_kv float32 (2 * layers, rows, heads, head_dim)

I counts keys and values of the decoder's layers, two for each. N is the room for a source, and for what is written
after it: who calls begins with the shortest that holds both, and goes over to a longer one. A row is one text,
`beams_N` has four.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgewright.converters._tflite.export import converted
from edgewright.converters._translator.module import hidden
from edgewright.converters._translator.step import BEAMS, StepModule
from edgewright.text.buckets import buckets

if TYPE_CHECKING:
    from edgewright.converters._decoder.parts import Norm
    from edgewright.converters._translator.parts import Translator

__all__ = ["export_translator"]

_SLOTS = 32
"""Of the shortest step: most sentences."""
_LONGER = 4
"""How many times longer each following step is. All its slots are read, written or not, and each is some seconds of a
build."""


class _Called(StepModule):
    """What is called with names: a source alone, or a step."""

    def forward(self, *, attention_mask: torch.Tensor, **given: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = hidden(attention_mask)[:, None, None]
        if "input_ids" in given:
            parts = self.parts(given["input_ids"], seen)
            return {f"cross_{at}": part for at, part in enumerate(parts)}
        cross, past = (
            [given[f"{name}_{at}"] for at in range(2 * len(self.whole.decoder.layers))]
            for name in ("cross", "kv_cache")
        )
        logits, new = self.step(given["tokens"], given["input_pos"], seen, cross, past)
        return {"logits": logits, "new_kv": new}

    def _normed(self, norm: Norm, state: torch.Tensor) -> torch.Tensor:
        """As `edgewright.converters._tflite.norms` has it: a weight that is folded here and not there lies twice."""
        weight = self._weight(norm.weight)
        if norm.bias is None:
            return functional.rms_norm(state, weight.shape, weight, norm.epsilon)
        return functional.layer_norm(state, weight.shape, weight, None, norm.epsilon) - (-self._weight(norm.bias))


def export_translator(whole: Translator) -> bytes:
    """An fp32 TFLite file for sources and targets of up to `whole.context` tokens."""
    module = _Called(_without_head_scale(whole))
    feeds = {f"encode_{length}": _source(length) for length in buckets(whole.context)}
    for slots in _steps(whole.context):
        for name, rows in (("decode", 1), ("beams", BEAMS)):
            feeds[f"{name}_{slots}"] = _step(whole, slots, rows)
    with torch.no_grad():
        for given in feeds.values():
            module(**given)  # makes the parameters
    return converted(module, feeds)


def _without_head_scale(whole: Translator) -> Translator:
    """T5 1.0 with its last scale in the norm before it: the converter would multiply it into a head of its own."""
    norm, scale = whole.decoder.norm, whole.head_scale
    if norm is None or scale == 1.0:
        return whole
    return replace(
        whole, decoder=replace(whole.decoder, norm=replace(norm, weight=norm.weight * scale)), head_scale=1.0
    )


def _steps(context: int) -> list[int]:
    found = [min(_SLOTS, context)]
    while found[-1] < context:
        found.append(min(found[-1] * _LONGER, context))
    return found


def _source(length: int) -> dict[str, torch.Tensor]:
    ids = torch.ones(1, length, dtype=torch.int32)
    return {"input_ids": ids, "attention_mask": ids.clone()}


def _step(whole: Translator, slots: int, rows: int) -> dict[str, torch.Tensor]:
    arrays = {}
    for at, layer in enumerate(whole.decoder.layers):
        for side in range(2):
            own, cross = layer.attention, layer.cross or layer.attention
            arrays[f"cross_{2 * at + side}"] = torch.zeros(1, cross.heads, slots, cross.head_dim)
            arrays[f"kv_cache_{2 * at + side}"] = torch.zeros(rows, own.heads, slots, own.head_dim)
    return {
        "tokens": torch.ones(rows, 1, dtype=torch.int32),
        "input_pos": torch.ones(1, dtype=torch.int32),
        "attention_mask": torch.ones(1, slots, dtype=torch.int32),
        **arrays,
    }
