"""GGUF files (github.com/ggml-org/ggml, docs/gguf.md): read by transformers, saved as a Hugging Face directory.

Weights that lie on a grid of 8 or 4 bits are kept as they are beside the dequantized ones (`grid.safetensors`): an
engine that has such a grid takes the very codes, and nothing is rounded a second time.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import EdgewrightError, SourceError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["GRIDS", "Grid", "read_grids", "unpack"]

GRIDS = ("Q4_0", "Q4_1", "Q8_0")
"""Kinds that are a code times a scale, of each block of 32 inputs, and with Q4_1 a number more."""
_FILE = "grid.safetensors"
_BITS = len("Q4")
"""Of a kind's name, what says how many bits its codes have."""
_BLOCK = 32
"""Weights that share a scale in all of them (ggml-common.h, QK4_0, QK4_1, QK8_0)."""
_NAMES = {
    "attn_q": ("self_attn.q_proj",),
    "attn_k": ("self_attn.k_proj",),
    "attn_v": ("self_attn.v_proj",),
    "attn_output": ("self_attn.o_proj", "self_attn.out_proj"),
    "ffn_gate": ("mlp.gate_proj", "feed_forward.w1"),
    "ffn_up": ("mlp.up_proj", "feed_forward.w3"),
    "ffn_down": ("mlp.down_proj", "feed_forward.w2"),
    "shortconv.in_proj": ("conv.in_proj",),
    "shortconv.out_proj": ("conv.out_proj",),
}
"""llama.cpp's names of a layer's weights, and transformers', LFM2's the last ones (gguf-py, tensor_mapping.py)."""


class Grid:
    """A weight as its file has it: codes * scales + lows.

    Attributes:
        kind: of `GRIDS`.
        codes: uint8 (outputs, inputs), those of Q8_0 128 above their value.
        scales: float32 (outputs, blocks), and so are `lows`, zero but for Q4_1.
    """

    def __init__(self, kind: str, codes: NDArray[Any], scales: NDArray[Any], lows: NDArray[Any]) -> None:
        self.kind, self.codes, self.scales, self.lows = kind, codes, scales, lows

    @property
    def weight(self) -> NDArray[np.float32]:
        """float32 (outputs, inputs)."""
        zero = {"Q4_0": 8, "Q4_1": 0, "Q8_0": 128}[self.kind]
        blocks = (self.codes.astype(np.float32) - zero).reshape(len(self.codes), -1, _BLOCK)
        found: NDArray[np.float32] = (blocks * self.scales[..., None] + self.lows[..., None]).reshape(self.codes.shape)
        return found


def unpack(path: Path, out: Path) -> str:
    """Write the model as a Hugging Face directory; the grid that the weights of its layers lie on, "" for none.

    Raises:
        SourceError: the file is not whole, of a type or an architecture that is not read.
    """
    try:
        return _unpacked(path, out)
    except EdgewrightError:
        raise
    except Exception as error:
        what = f"{path} is not read as GGUF: {type(error).__name__}: {error}"
        raise SourceError(what, hint="is it whole, and of an architecture that transformers reads?") from error


def _unpacked(path: Path, out: Path) -> str:
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM, AutoTokenizer

    reader = GGUFReader(str(path))
    where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    _save(model, out)
    tokenizer = AutoTokenizer.from_pretrained(**where)
    tokenizer.save_pretrained(str(out))
    return _save_grids(reader, model, out)


def _save(model: Any, out: Path) -> None:
    """As `save_pretrained`, which refuses a model that was quantized: it is no more."""
    config = model.config.to_dict()
    for name in ("quantization_config", "_name_or_path"):
        config.pop(name, None)
    config["architectures"] = [type(model).__name__]
    (out / "config.json").write_text(json.dumps(config, indent=1, default=str), encoding="utf-8")
    model.generation_config.save_pretrained(str(out))
    from safetensors.torch import save_file

    tied = getattr(model.config, "tie_word_embeddings", False)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    if tied:
        state.pop("lm_head.weight", None)
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})


def _save_grids(reader: Any, model: Any, out: Path) -> str:
    """Keep the codes of the weights whose grid gives the dequantized weight exactly.

    The kind of most of them, where every product of a layer lies on a grid of as many bits: else none is carried.
    """
    from safetensors.numpy import save_file

    state = model.state_dict()
    arrays: dict[str, NDArray[Any]] = {}
    kinds: dict[str, str] = {}
    for tensor in reader.tensors:
        name, kind = _named(tensor.name, state), tensor.tensor_type.name
        if not name or kind not in GRIDS:
            continue
        grid = _turned(name, _grid(kind, np.asarray(tensor.data)), model.config)
        if np.array_equal(grid.weight, state[name].numpy()):
            arrays |= {f"{name}/{kind}/codes": grid.codes, f"{name}/{kind}/scales": grid.scales}
            arrays[f"{name}/{kind}/lows"] = grid.lows
            kinds[name] = kind
    save_file(arrays, out / _FILE)
    layers = [name for name, weight in state.items() if ".layers." in name and weight.dim() == 2]
    found = [kinds.get(name, "") for name in layers]
    most = max(set(found), key=found.count, default="")
    return most if {kind[:_BITS] for kind in found} == {most[:_BITS]} else ""


def _named(name: str, state: Collection[str]) -> str:
    """What the model calls a tensor of the file, "" where it has none of the kind."""
    whole = {"token_embd.weight": "model.embed_tokens.weight", "output.weight": "lm_head.weight"}
    found = re.fullmatch(r"blk\.(\d+)\.([\w.]+)\.weight", name)
    names = [whole.get(name, "")]
    if found:
        names = [f"model.layers.{found.group(1)}.{part}.weight" for part in _NAMES.get(found.group(2), ())]
    return next((one for one in names if one in state), "")


def _grid(kind: str, data: NDArray[Any]) -> Grid:
    """The blocks of a tensor (outputs, bytes): a float16 scale, with Q4_1 a float16 more, then the codes."""
    rows = len(data)
    size = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}[kind]
    blocks = data.reshape(rows, -1, size)
    scales = blocks[..., :2].copy().view(np.float16)[..., 0].astype(np.float32)
    if kind == "Q8_0":
        codes = (blocks[..., 2:].view(np.int8).astype(np.int16) + 128).astype(np.uint8)
        return Grid(kind, codes.reshape(rows, -1), scales, np.zeros_like(scales))
    start = 2 if kind == "Q4_0" else 4
    packed = blocks[..., start:]
    codes = np.concatenate([packed & 15, packed >> 4], -1).reshape(rows, -1)
    lows = np.zeros_like(scales)
    if kind == "Q4_1":
        lows = blocks[..., 2:4].copy().view(np.float16)[..., 0].astype(np.float32)
    return Grid(kind, codes, scales, lows)


def _turned(name: str, grid: Grid, config: Any) -> Grid:
    """llama.cpp turns neighbouring rows of Llama's queries and keys, transformers halves."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    part = name.split(".")[-2]
    if part not in heads or config.model_type not in ("llama", "mistral"):
        return grid

    def halves(value: NDArray[Any]) -> NDArray[Any]:
        rows = len(value)
        return value.reshape(heads[part], rows // heads[part] // 2, 2, -1).swapaxes(1, 2).reshape(value.shape)

    return Grid(grid.kind, halves(grid.codes), halves(grid.scales), halves(grid.lows))


def read_grids(directory: Path) -> dict[str, Grid]:
    """The grids that `unpack` kept in a directory, by the name of the weight."""
    if not (directory / _FILE).is_file():
        return {}
    from safetensors.numpy import load_file

    arrays, found = load_file(directory / _FILE), {}
    for key in arrays:
        name, kind, part = key.split("/")
        if part == "codes":
            found[name] = Grid(kind, *(arrays[f"{name}/{kind}/{each}"] for each in ("codes", "scales", "lows")))
    return found
