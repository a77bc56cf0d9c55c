"""A BERT encoder as a GGUF file, which llama.cpp runs for embeddings: fp32, to be quantized by llama.cpp itself.

The container is GGUF 3 (docs/gguf.md of ggml): a header, keys and values, descriptions of tensors, and their bytes,
each at a multiple of 32. The keys and the names of tensors are those that llama.cpp reads for the architecture "bert".
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ALIGNMENT = 32
NORMAL, CONTROL = 1, 3
"""Types of tokens."""

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
F32 = 0
WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"
"""Before a piece that begins a word, where BERT's own vocabulary marks the pieces that go on with `##`."""

POOLING = {"mean": 1, "cls": 2}

OUTSIDE_LAYERS = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
IN_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def convert(model: Path, out: Path, pooling: str) -> None:
    """Write the encoder of a Hugging Face directory; a head is left out. Raises ValueError where it is no BERT."""
    from safetensors.numpy import load_file

    config = json.loads((model / "config.json").read_text())
    if config["model_type"] != "bert":
        raise ValueError(f"{model} is of type {config['model_type']}; llama.cpp's encoder is bert's")
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    keys = {**hyperparameters(config, pooling), **vocabulary(tokenizer)}
    write(out, keys, tensors(load_file(model / "model.safetensors")))


def hyperparameters(config: Mapping[str, Any], pooling: str) -> dict[str, Any]:
    return {
        "general.architecture": "bert",
        "general.file_type": np.uint32(F32),
        "bert.block_count": np.uint32(config["num_hidden_layers"]),
        "bert.context_length": np.uint32(config["max_position_embeddings"]),
        "bert.embedding_length": np.uint32(config["hidden_size"]),
        "bert.feed_forward_length": np.uint32(config["intermediate_size"]),
        "bert.attention.head_count": np.uint32(config["num_attention_heads"]),
        "bert.attention.layer_norm_epsilon": np.float32(config.get("layer_norm_eps", 1e-12)),
        "bert.attention.causal": False,
        "bert.pooling_type": np.uint32(POOLING[pooling]),
        "tokenizer.ggml.token_type_count": np.uint32(config["type_vocab_size"]),
    }


def vocabulary(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a WordPiece vocabulary, from a tokenizer.json."""
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    pieces = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    roles = {"bos": "[CLS]", "cls": "[CLS]", "seperator": "[SEP]", "unknown": "[UNK]", "padding": "[PAD]"}
    ids = tokenizer["model"]["vocab"]
    normalizer = tokenizer["normalizer"]
    accents = normalizer["lowercase"] if normalizer["strip_accents"] is None else normalizer["strip_accents"]
    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [token if token in special else _piece(token) for token, _ in pieces],
        "tokenizer.ggml.token_type": np.array([CONTROL if token in special else NORMAL for token, _ in pieces], "<i4"),
        **{f"tokenizer.ggml.{role}_token_id": np.uint32(ids[token]) for role, token in roles.items()},
        "tokenizer.ggml.normalizer.lowercase": normalizer["lowercase"],
        "tokenizer.ggml.normalizer.strip_accents": accents,
    }


def _piece(token: str) -> str:
    return token[2:] if token.startswith("##") else WORD_START + token


def tensors(weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """The encoder's tensors by llama.cpp's names; a pooler, a head and stored positions are left out."""
    named = {_name(key.removeprefix("bert.")): value for key, value in weights.items()}
    return {name: named[name].astype("<f4") for name in sorted(named.keys() - {None})}


def _name(key: str) -> str | None:
    module, _, kind = key.rpartition(".")
    if module in OUTSIDE_LAYERS:
        return f"{OUTSIDE_LAYERS[module]}.{kind}"
    words = module.split(".", 3)
    inner = IN_LAYER.get(words[3]) if words[:2] == ["encoder", "layer"] else None
    return f"blk.{words[2]}.{inner}.{kind}" if inner else None


def write(out: Path, keys: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Write a GGUF file: values are str, bool, numpy scalars, lists of str and int32 arrays."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(arrays), len(keys))
    head += b"".join(_text(key) + _value(value) for key, value in keys.items())
    at = 0
    for name, array in arrays.items():
        shape = array.shape[::-1]  # the fastest axis first
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, F32, at)
        at += array.nbytes + _gap(array.nbytes)
    with out.open("wb") as file:
        file.write(head + bytes(_gap(len(head))))
        for array in arrays.values():
            file.write(array.tobytes() + bytes(_gap(array.nbytes)))


def _gap(size: int) -> int:
    return -size % ALIGNMENT


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    """A value with its type before it."""
    match value:
        case str():
            return struct.pack("<I", STRING) + _text(value)
        case bool():
            return struct.pack("<I?", BOOL, value)
        case np.uint32():
            return struct.pack("<II", UINT32, value)
        case np.float32():
            return struct.pack("<If", FLOAT32, value)
        case np.ndarray():
            return struct.pack("<IIQ", ARRAY, INT32, len(value)) + value.tobytes()
    return b"".join(_strings(value))


def _strings(values: Sequence[str]) -> Iterator[bytes]:
    yield struct.pack("<IIQ", ARRAY, STRING, len(values))
    yield from map(_text, values)
