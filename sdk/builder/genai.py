"""genai_config.json: what onnxruntime-genai wants to know of a decoder beside its ONNX file (its own documentation)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edgewright.model.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgewright.bundle.manifest import Artifact

__all__ = ["FILE", "genai_config"]

FILE = "genai_config.json"
_KINDS = ("gemma", "gemma3_text", "gpt2", "lfm2", "llama", "mistral", "phi", "phi3", "qwen2", "qwen3", "smollm3")
"""Families that it knows by the name of their `model_type`; the others pass as Llama, whose inputs they have."""


def genai_config(artifact: Artifact, config: Mapping[str, Any], generation: Mapping[str, Any]) -> bytes:
    """The file for one artifact.

    Args:
        artifact: an ONNX decoder.
        config: the model's config.json.
        generation: its generation_config.json, {} where there is none.
    """
    sizes, taken = Sizes.of(config), {spec.name for spec in artifact.inputs}
    ends = generation.get("eos_token_id", config.get("eos_token_id"))
    kind = config.get("model_type")
    given = {name: name for name in ("input_ids", "attention_mask", "position_ids") if name in taken}
    cache = {"past_key_names": "past_key_values.%d.key", "past_value_names": "past_key_values.%d.value"}
    present = {"present_key_names": "present.%d.key", "present_value_names": "present.%d.value"}
    decoder: dict[str, Any] = {
        "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
        "filename": artifact.path,
        "head_size": sizes.head_dim,
        "hidden_size": sizes.width,
        "num_attention_heads": sizes.heads,
        "num_hidden_layers": sizes.layers,
        "num_key_value_heads": sizes.key_value_heads,
        "inputs": {**given, **cache},
        "outputs": {"logits": "logits", **present},
    }
    if taps := next((spec.shape[-1] for spec in artifact.inputs if spec.name.startswith("past_conv.")), None):
        kinds = ["conv" if f"past_conv.{at}" in taken else "full_attention" for at in range(sizes.layers)]
        decoder |= {"layer_types": kinds, "conv_cache_size": taps}
        decoder["inputs"]["past_conv_names"] = "past_conv.%d"
        decoder["outputs"]["present_conv_names"] = "present_conv.%d"
    model = {
        "type": kind if kind in _KINDS else "llama",
        "vocab_size": sizes.vocabulary,
        "context_length": sizes.positions,
        "bos_token_id": config.get("bos_token_id") or 0,
        "eos_token_id": ends if ends is not None else 0,
        "pad_token_id": config.get("pad_token_id") or 0,
        "decoder": decoder,
    }
    search = {"max_length": sizes.positions, "do_sample": False, "past_present_share_buffer": True}
    return json.dumps({"model": model, "search": search}, indent=1).encode() + b"\n"
