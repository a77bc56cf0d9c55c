"""llama2.c's checkpoints: a Llama in one file, and its sentencepiece vocabulary in another.

The format is that of the program's version 0: seven int32 (width, feed-forward width, layers, heads, key heads,
vocabulary, context), then float32 weights in the order of `_WEIGHTS`, then the tables of angles, which are computed
here. A negative vocabulary says that the head is a table of its own (github.com/karpathy/llama2.c, model.py).
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import SourceError
from edgewright.system.files import read_capped

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["is_llama2c", "unpack"]

_HEAD = struct.Struct("<7i")
_LARGEST = 2**20
"""Of each size in the head: above any model that is a file of this kind, and no product of them overflows."""
_MOST_WORDS_BYTES = 2**26
"""Of a vocabulary: a choice, a hundred times that of Llama 2 with its 32,000 tokens."""
_EPSILON = 1e-5
"""Of its RMS norms, as its program has it."""
_BEGIN, _END = 1, 2
"""Ids of sentencepiece's `<s>` and `</s>`, by which it begins and ends."""


def is_llama2c(path: Path) -> bool:
    """Whether a file's size is the one that its head tells of."""
    size = path.stat().st_size
    if size < _HEAD.size:
        return False
    with path.open("rb") as file:
        head = _HEAD.unpack(file.read(_HEAD.size))
    return all(0 < abs(value) < _LARGEST for value in head) and size == _HEAD.size + 4 * _numbers(head)


def _numbers(head: tuple[int, ...]) -> int:
    """How many float32 follow."""
    weights = sum(int(np.prod(shape)) for _, shape in _shapes(head))
    width, heads, context = head[0], head[3], head[6]
    return weights + context * (width // heads)  # the tables of angles, cos and sin


def _shapes(head: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    """The weights in the file's order: name of a layer's weight, or of the whole, and shape with the layers first."""
    width, inner, layers, heads, key_heads, vocabulary, context = head
    keys = key_heads * (width // heads)
    every = abs(vocabulary)
    found: list[tuple[str, tuple[int, ...]]] = [
        ("model.embed_tokens.weight", (every, width)),
        ("input_layernorm", (layers, width)),
        ("self_attn.q_proj", (layers, width, width)),
        ("self_attn.k_proj", (layers, keys, width)),
        ("self_attn.v_proj", (layers, keys, width)),
        ("self_attn.o_proj", (layers, width, width)),
        ("post_attention_layernorm", (layers, width)),
        ("mlp.gate_proj", (layers, inner, width)),
        ("mlp.down_proj", (layers, width, inner)),
        ("mlp.up_proj", (layers, inner, width)),
        ("model.norm.weight", (width,)),
    ]
    del context
    return found + ([("lm_head.weight", (every, width))] if vocabulary < 0 else [])


def unpack(checkpoint: Path, vocabulary: Path, out: Path) -> None:
    """Write the model as a Hugging Face directory.

    Args:
        checkpoint: the file of weights.
        vocabulary: its tokenizer's file, such as tok512.bin.
        out: an empty directory.

    Raises:
        SourceError: either is not whole, or they do not belong together.
    """
    data = checkpoint.read_bytes()
    head = _HEAD.unpack_from(data)
    pieces = _pieces(vocabulary)
    if len(pieces) != abs(head[5]):
        what = f"{vocabulary} has {len(pieces)} tokens, {checkpoint} has {abs(head[5])}"
        raise SourceError(what, hint="give the vocabulary that the model was trained with")
    _write_weights(data, head, out)
    (out / "config.json").write_text(json.dumps(_config(head)), encoding="utf-8")
    (out / "tokenizer.json").write_text(json.dumps(_tokenizer(pieces), ensure_ascii=False), encoding="utf-8")
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": head[6],
        "add_bos_token": True,
        **named,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _write_weights(data: bytes, head: tuple[int, ...], out: Path) -> None:
    from safetensors.numpy import save_file

    numbers = np.frombuffer(data, np.float32, offset=_HEAD.size)
    heads, key_heads = head[3], head[4]
    at, found = 0, {}
    for name, shape in _shapes(head):
        count = int(np.prod(shape))
        value = numbers[at : at + count].reshape(shape)
        at += count
        if name.endswith(".weight"):
            found[name] = value
            continue
        for layer, weight in enumerate(value):
            turned = {"self_attn.q_proj": heads, "self_attn.k_proj": key_heads}.get(name)
            found[f"model.layers.{layer}.{name}.weight"] = weight if turned is None else _halves(weight, turned)
    save_file({name: np.ascontiguousarray(value) for name, value in found.items()}, out / "model.safetensors")


def _halves(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows for a rotation of neighbours -> rows for a rotation of halves, as transformers turns them."""
    rows, width = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)


def _config(head: tuple[int, ...]) -> dict[str, Any]:
    width, inner, layers, heads, key_heads, vocabulary, context = head
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "vocab_size": abs(vocabulary),
        "max_position_embeddings": context,
        "tie_word_embeddings": vocabulary > 0,
        "rms_norm_eps": _EPSILON,
        "hidden_act": "silu",
        "bos_token_id": _BEGIN,
        "eos_token_id": _END,
    }


def _pieces(path: Path) -> list[tuple[float, str]]:
    """Score and text of each token: float32, int32, so many bytes, after the largest length. Raises SourceError."""
    data, at = read_capped(path, _MOST_WORDS_BYTES, SourceError), 4
    found: list[tuple[float, str]] = []
    try:
        while at < len(data):
            score, size = struct.unpack_from("<fi", data, at)
            (raw,) = struct.unpack_from(f"{size}s", data, at + 8)
            found.append((score, raw.decode("utf-8")))
            at += 8 + size
    except (struct.error, ValueError) as error:
        raise SourceError(f"{path} is no vocabulary of llama2.c: {error}", hint="is it whole?") from error
    return found


def _tokenizer(pieces: list[tuple[float, str]]) -> dict[str, Any]:
    """A tokenizer.json: byte-pair encoding by sentencepiece's scores, bytes for what has no token."""
    names = [text.strip() if at < _BYTES else text.replace(" ", "\u2581") for at, (_, text) in enumerate(pieces)]
    vocabulary = {name: at for at, name in enumerate(names)}
    merges = []
    for at, name in enumerate(names[_BYTES:], _BYTES):
        splits = [(name[:cut], name[cut:]) for cut in range(1, len(name))]
        known = [pair for pair in splits if pair[0] in vocabulary and pair[1] in vocabulary]
        merges += [
            (-pieces[at][0], at, pair) for pair in sorted(known, key=lambda p: (vocabulary[p[0]], vocabulary[p[1]]))
        ]
    special = [_special(at, name) for at, name in enumerate(("<unk>", "<s>", "</s>"))]
    return {
        "version": "1.0",
        "added_tokens": special,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "\u2581"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [_BEGIN], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": {("<unk>", "<s>", "</s>")[at] if at < 3 else name: at for at, name in enumerate(names)},
            "merges": [f"{a} {b}" for _, _, (a, b) in sorted(merges)],
        },
    }


_BYTES = 259
"""Three special tokens and 256 bytes stand before the pieces, as sentencepiece orders a vocabulary with bytes."""


def _special(at: int, name: str) -> dict[str, Any]:
    whole = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": at, "content": name, **whole}
